//! One server of the `fs` protocol: typed calls with errnos, handles that close themselves, the inodes in memory.
//!
//! [`served`](super::served) makes nodes of it, [`inode`](super::inode) caches their pages. A [`Handle`] may be dropped anywhere, also under a lock: its
//! number is queued and given back by the next [`Server::flush_closes`].

use super::inode::Inode;
use super::node::{Attr, Coherence, Result, Volume, VolumeInfo};
use crate::errno::from_fs;
use crate::remote::{Client, Remote, lend};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use hashbrown::HashMap;
use linux_abi::Errno;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs::{self, FileHandle, Fs};
use protocol::{Call, LeaseId};
use spin::Mutex;

/// Inodes of a shared volume whose pages are kept though nobody has them open.
const KEPT_INODES: usize = 1024;
/// The lease that a call names when it has only one.
pub(crate) const LEASE: LeaseId = LeaseId(0);

/// A connection to one filesystem server.
pub(crate) struct Server {
    remote: Remote<Fs>,
    device: u64,
    type_name: &'static str,
    read_only: bool,
    coherence: Coherence,
    io_pages: usize,
    root: FileHandle,
    root_attr: Attr,
    closing_count: AtomicUsize,
    closing: Mutex<Vec<FileHandle>>,
    inodes: Mutex<HashMap<u64, Weak<Inode>>>,
    kept: Mutex<VecDeque<Arc<Inode>>>,
    dirty: Mutex<BTreeMap<u64, Arc<Inode>>>,
}

impl Server {
    /// Attaches to a server. Errors: `EIO` (no volume, or a damaged one).
    pub(crate) fn attach(client: Client, minor: u64, read_only: bool) -> Result<Arc<Self>> {
        let remote = Remote::<Fs>::new(client);
        let attached = remote.call(fs::Attach {}, []).map_err(from_fs)?;
        Ok(Arc::new(Self {
            remote,
            device: minor,
            type_name: if attached.coherence == Coherence::Shared { "9p" } else { "tfs" },
            read_only: read_only || attached.read_only,
            coherence: attached.coherence,
            io_pages: (attached.io_bytes as usize / PAGE_SIZE).clamp(1, 256),
            root: attached.root,
            root_attr: attached.attr,
            closing_count: AtomicUsize::new(0),
            closing: Mutex::new(Vec::new()),
            inodes: Mutex::new(HashMap::new()),
            kept: Mutex::new(VecDeque::new()),
            dirty: Mutex::new(BTreeMap::new()),
        }))
    }

    /// The root directory's handle and attributes.
    pub(crate) fn root(self: &Arc<Self>) -> (Handle, Attr) {
        (Handle { server: self.clone(), file: self.root }, self.root_attr)
    }

    /// Whether others change the volume too.
    pub(crate) fn is_shared(&self) -> bool {
        self.coherence == Coherence::Shared
    }

    /// Most pages of one read or write.
    pub(crate) fn io_pages(&self) -> usize {
        self.io_pages
    }

    /// One call without lent memory.
    pub(crate) fn call<'a, T, C>(&self, call: C) -> Result<T>
    where
        C: Call<'a, Protocol = Fs, Reply = fs::Result<T>>,
    {
        self.remote.call(call, []).map_err(from_fs)
    }

    /// One call with `frames` lent as [`LEASE`]: `len` bytes from byte `at` of the first, for the server to fill or to take from.
    pub(crate) fn call_with<'a, T, C>(
        &self,
        call: C,
        frames: &[Frame],
        at: usize,
        len: usize,
        direction: Lend,
    ) -> Result<T>
    where
        C: Call<'a, Protocol = Fs, Reply = fs::Result<T>>,
    {
        self.remote.call(call, [lend(frames.to_vec(), at, len, direction == Lend::ToFill)]).map_err(from_fs)
    }

    /// Takes over a handle that the server handed out.
    pub(crate) fn own(self: &Arc<Self>, file: FileHandle) -> Handle {
        Handle { server: self.clone(), file }
    }

    /// Gives back the handles that were dropped since.
    pub(crate) fn flush_closes(&self) {
        if self.closing_count.load(Ordering::Acquire) == 0 {
            return;
        }
        let handles = {
            let mut closing = self.closing.lock();
            self.closing_count.store(0, Ordering::Release);
            core::mem::take(&mut *closing)
        };
        for file in handles {
            // A server that does not know the handle any more has nothing to give back.
            let _: Result<()> = self.call(fs::Close { file });
        }
    }

    /// The inode with these attributes, brought up to date with them.
    pub(crate) fn inode(self: &Arc<Self>, attr: &Attr) -> Arc<Inode> {
        let mut inodes = self.inodes.lock();
        if let Some(inode) = inodes.get(&attr.inode).and_then(Weak::upgrade)
            && inode.kind() == attr.kind
        {
            drop(inodes);
            inode.refresh(attr);
            return inode;
        }
        if inodes.len() == inodes.capacity() {
            inodes.retain(|_, inode| inode.strong_count() > 0);
        }
        let inode = Arc::new(Inode::new(self, *attr));
        inodes.insert(attr.inode, Arc::downgrade(&inode));
        inode
    }

    /// Keeps the pages of a shared inode for a while after its last close.
    pub(crate) fn keep(&self, inode: &Arc<Inode>) {
        if !inode.start_keeping() {
            return;
        }
        let mut kept = self.kept.lock();
        kept.push_back(inode.clone());
        let oldest = if kept.len() > KEPT_INODES { kept.pop_front() } else { None };
        drop(kept);
        if let Some(oldest) = oldest {
            oldest.end_keeping();
        }
    }

    /// Remembers that `inode` has pages to write back.
    pub(crate) fn note_dirty(&self, inode: &Arc<Inode>) {
        self.dirty.lock().insert(inode.number(), inode.clone());
    }

    /// `inode` has nothing to write back any more, or nobody will ever read it.
    pub(crate) fn forget_dirty(&self, inode: &Inode) {
        self.dirty.lock().remove(&inode.number());
    }

    /// Writes back every dirty page; the first error is told after all were tried.
    pub(crate) fn write_back(&self) -> Result<()> {
        let dirty = core::mem::take(&mut *self.dirty.lock());
        let mut outcome = Ok(());
        for inode in dirty.into_values() {
            let result = inode.write_back(0, u64::MAX);
            if result.is_err() && inode.is_dirty() {
                self.note_dirty(&inode);
            }
            outcome = outcome.and(result);
        }
        outcome
    }

    /// Lets go of clean pages that nobody else uses, up to about `wanted`. Answers how many.
    pub(crate) fn evict(&self, wanted: usize) -> usize {
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().filter_map(Weak::upgrade).collect();
        let mut freed = 0;
        for inode in inodes {
            if freed >= wanted {
                break;
            }
            freed += inode.evict(wanted - freed);
        }
        freed
    }

    /// As [`Self::evict`], taking pages that are only read out of the program's mappings first.
    pub(crate) fn evict_mapped(&self, wanted: usize) -> usize {
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().filter_map(Weak::upgrade).collect();
        let mut freed = 0;
        for inode in inodes.iter().filter(|inode| inode.page_counts().0 > 0) {
            if freed >= wanted {
                break;
            }
            let mm = &crate::process::process().mm;
            mm.release_file_pages(inode.identity(), (wanted - freed) as u64, &|index| inode.held(index));
            freed += inode.evict(wanted - freed);
        }
        freed
    }

    /// Pages held for all inodes, and the dirty ones among them.
    pub(crate) fn page_counts(&self) -> (usize, usize) {
        let inodes: Vec<Arc<Inode>> = self.inodes.lock().values().filter_map(Weak::upgrade).collect();
        inodes.iter().map(|inode| inode.page_counts()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

impl Volume for Server {
    fn device(&self) -> u64 {
        self.device
    }
    fn type_name(&self) -> &'static str {
        self.type_name
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn coherence(&self) -> Coherence {
        self.coherence
    }
    fn stat_fs(&self) -> Result<VolumeInfo> {
        self.call(fs::StatFs {})
    }
    fn sync(&self) -> Result<()> {
        let written = self.write_back();
        self.flush_closes();
        written.and(self.call(fs::SyncAll {}))
    }
}

/// Which way lent memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lend {
    /// The server places data in it.
    ToFill,
    /// The server takes data from it.
    ToTake,
}

/// A node of the server, held until dropped.
pub(crate) struct Handle {
    server: Arc<Server>,
    file: FileHandle,
}

impl Handle {
    /// The number for messages.
    pub(crate) fn file(&self) -> FileHandle {
        self.file
    }

    /// The server that gave it.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.closing.lock().push(self.file);
        self.server.closing_count.fetch_add(1, Ordering::Release);
    }
}

/// Frames that stay free for page tables and the program's own pages, as a part of all of them; the core keeps its own
/// reserve beside them.
const RESERVE_PART: usize = 64;
/// Pages that reclaim lets go of at a time.
const RECLAIMED: usize = 512;

/// A frame with undefined contents; may wait for cached pages to make room when memory runs short. Errors: `ENOMEM`.
pub(crate) fn frame() -> Result<Frame> {
    let stats = microkernel::mm::frame::stats();
    if stats.free_frames - stats.reserved_frames <= stats.total_frames / RESERVE_PART {
        crate::process::process().fs.reclaim(RECLAIMED);
    }
    Frame::alloc().ok_or(Errno::ENOMEM)
}

/// Dirty pages of one file above which its writer writes back itself.
pub(crate) fn most_dirty() -> usize {
    (microkernel::mm::frame::stats().total_frames / 8).max(RECLAIMED)
}

/// As [`frame`], filled with zeros.
pub(crate) fn zeroed_frame() -> Result<Frame> {
    let frame = frame()?;
    frame.zero(0, PAGE_SIZE);
    Ok(frame)
}
