//! One file of a server in memory: attributes, pages, and what of them may be believed.
//!
//! On a volume that only this VM changes, attributes are fetched once and kept up to date here. On a shared one each walk brings
//! fresh attributes ([`Inode::refresh`]): pages stay only if inode, size, mtime and ctime are what they were and the file had
//! rested for two seconds when the pages were read. Reading is in [`paging`](super::paging), writing in [`writing`](super::writing).
//!
//! Locks: `order` may be held across waiting and is taken first; `state` is a leaf.

use super::node::{Attr, AttrChange, Kind, Result, Time};
use super::pages::Pages;
use super::server::{Handle, Server};
use crate::wait::{Gate, WaitQueue};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use linux_abi::Errno;
use linux_abi::file::Events;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs;
use spin::Mutex;

/// How long a file must have rested before its pages are trusted at the next open.
const REST_NS: i128 = 2_000_000_000;

/// What changes under the inode's own lock.
pub(super) struct State {
    /// Attributes; `size` is the program's view.
    pub attr: Attr,
    /// Attributes must be asked for again before they are told (links, times, blocks).
    pub stale: bool,
    /// Data.
    pub pages: Pages<Frame>,
    /// Pages whose space is reserved at the server: first, and behind the last.
    pub reserved: (u64, u64),
    /// A write-back that failed; told once by fsync(2).
    pub error: Option<Errno>,
    /// When the oldest page was read, in wall-clock nanoseconds.
    pub fetched: Option<u64>,
    /// The server's length is shorter than `attr.size`.
    pub longer_here: bool,
}

/// A file, directory or link of one server.
pub(crate) struct Inode {
    server: Weak<Server>,
    number: u64,
    kind: Kind,
    /// Unique among all inodes of this boot.
    identity: u64,
    pub(super) state: Mutex<State>,
    /// Waited on for pages that are being read or written.
    pub(super) queue: WaitQueue,
    /// Held by who writes, cuts or allocates.
    pub(super) order: Gate,
    /// Open for data at the server; for write-back and, on an exclusive volume, for all data.
    pub(super) io: Mutex<Option<Arc<Handle>>>,
    kept: AtomicBool,
}

static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(1);

/// A number that no other mappable object has.
pub(crate) fn next_identity() -> u64 {
    NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed)
}

fn nanoseconds(time: Time) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds)
}

/// Whether pages read at `fetched` (wall clock) still show a file that now has `new` and then had `old`.
fn still_good(old: &Attr, new: &Attr, fetched: Option<u64>) -> bool {
    let same = old.size == new.size && old.mtime == new.mtime && old.ctime == new.ctime;
    let changed = nanoseconds(new.mtime).max(nanoseconds(new.ctime));
    same && fetched.is_none_or(|fetched| i128::from(fetched) >= changed + REST_NS)
}

impl Inode {
    /// An inode with no pages yet.
    pub(super) fn new(server: &Arc<Server>, attr: Attr) -> Self {
        Self {
            server: Arc::downgrade(server),
            number: attr.inode,
            kind: attr.kind,
            identity: next_identity(),
            state: Mutex::new(State {
                attr,
                stale: false,
                pages: Pages::default(),
                reserved: (0, 0),
                error: None,
                fetched: None,
                longer_here: false,
            }),
            queue: WaitQueue::new(),
            order: Gate::new(),
            io: Mutex::new(None),
            kept: AtomicBool::new(false),
        }
    }

    /// The server; it lives as long as the VM. Errors: `EIO`.
    pub(super) fn server(&self) -> Result<Arc<Server>> {
        self.server.upgrade().ok_or(Errno::EIO)
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Inode number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A number that no other mappable object has.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// Length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.state.lock().attr.size
    }

    /// The server's attributes as of now.
    pub(super) fn refresh(&self, attr: &Attr) {
        let shared = self.server().is_ok_and(|server| server.is_shared());
        let mut state = self.state.lock();
        if !shared {
            return;
        }
        if !still_good(&state.attr, attr, state.fetched) {
            state.pages.discard_clean(0, u64::MAX);
            state.fetched = None;
        }
        let size = if state.pages.dirty_count() > 0 { attr.size.max(state.attr.size) } else { attr.size };
        state.attr = Attr { size, ..*attr };
        state.stale = false;
    }

    /// Attributes for stat(2), asking through `handle` where those at hand may be old.
    pub(super) fn attr(&self, handle: &Handle, ask: bool) -> Result<Attr> {
        {
            let state = self.state.lock();
            if !ask && !state.stale {
                return Ok(state.attr);
            }
        }
        let attr = handle.server().call(fs::GetAttr { node: handle.file() })?;
        if handle.server().is_shared() {
            self.refresh(&attr);
        } else {
            self.merge(&attr);
        }
        Ok(self.state.lock().attr)
    }

    /// Takes over what the server knows better: everything but the data that only we have.
    pub(super) fn merge(&self, attr: &Attr) {
        let mut state = self.state.lock();
        let ours = state.pages.dirty_count() > 0 || state.longer_here;
        let (size, mtime, ctime) = if ours {
            (state.attr.size, state.attr.mtime, state.attr.ctime)
        } else {
            (attr.size, attr.mtime, attr.ctime)
        };
        state.attr = Attr { size, mtime, ctime, ..*attr };
        state.stale = false;
    }

    /// One of its names went.
    pub(super) fn lost_name(&self) {
        let mut state = self.state.lock();
        // Kept here as a hint; the number that stat(2) tells is asked for.
        state.attr.links = state.attr.links.saturating_sub(1);
        state.stale = true;
    }

    /// Whether its last name seems to be gone.
    pub(super) fn is_nameless(&self) -> bool {
        self.kind == Kind::File && self.state.lock().attr.links == 0
    }

    /// Attributes must be asked for before they are told again.
    pub(crate) fn make_stale(&self) {
        self.state.lock().stale = true;
    }

    /// Changes attributes other than the length.
    pub(super) fn set_attr(self: &Arc<Self>, handle: &Handle, change: &AttrChange) -> Result<Attr> {
        // Write-back moves mtime on the server; a time that the program sets must come behind it.
        if self.is_dirty() && (change.mtime.is_some() || change.atime.is_some()) {
            self.write_back(0, u64::MAX)?;
        }
        let attr = handle.server().call(fs::SetAttr { node: handle.file(), change: *change })?;
        if handle.server().is_shared() {
            self.refresh(&attr);
            return Ok(attr);
        }
        let mut state = self.state.lock();
        let size = state.attr.size;
        state.attr = Attr { size, ..attr };
        Ok(state.attr)
    }

    /// Sleeps until no page in `first..last` is in motion.
    pub(super) fn settle(&self, first: u64, last: u64) {
        self.wait_while(|state| state.pages.in_motion(first, last));
    }

    /// Sleeps while `busy` says so; the wait is for a server and not interruptible.
    pub(super) fn wait_while(&self, busy: impl Fn(&State) -> bool) {
        if !busy(&self.state.lock()) {
            return;
        }
        let _joined = self.queue.join(Events::IN);
        while busy(&self.state.lock()) {
            microkernel::task::thread::wait_for(crate::block::bits::QUEUE, None);
        }
    }

    /// Sets the length, here and at the server.
    ///
    /// Errors: `EFBIG`, `ENOSPC`, `EROFS`, `EIO`.
    pub(super) fn truncate(self: &Arc<Self>, handle: &Handle, size: u64) -> Result<()> {
        let _inside = self.order.pass();
        let (before, first_gone) = {
            let mut state = self.state.lock();
            let before = state.attr.size;
            state.attr.size = size.min(before);
            (before, size.div_ceil(PAGE_SIZE as u64))
        };
        if let Some(process) = crate::process::installed() {
            process.mm.drop_file_pages(self.identity(), first_gone, u64::MAX);
        }
        // Pages in flight would lengthen the file again at the server, or show what was cut off.
        self.settle(size / PAGE_SIZE as u64, u64::MAX);
        let change = fs::AttrChange { size: Some(size), ..fs::AttrChange::default() };
        let outcome = handle.server().call(fs::SetAttr { node: handle.file(), change });
        let mut state = self.state.lock();
        match outcome {
            Ok(attr) => {
                state.pages.discard(first_gone, u64::MAX);
                if let super::pages::Look::Ready(frame) = state.pages.look(size / PAGE_SIZE as u64) {
                    let at = (size % PAGE_SIZE as u64) as usize;
                    frame.zero(at, PAGE_SIZE - at);
                }
                state.reserved = (0, 0);
                state.longer_here = false;
                state.attr = attr;
                Ok(())
            }
            Err(errno) => {
                state.attr.size = before;
                Err(errno)
            }
        }
    }

    /// Whether pages wait for write-back.
    pub(crate) fn is_dirty(&self) -> bool {
        self.state.lock().pages.dirty_count() > 0
    }

    /// Lets go of at most `most` clean pages that nobody has mapped. Answers how many.
    pub(super) fn evict(&self, most: usize) -> usize {
        self.state.lock().pages.evict(most, |frame| frame.references() == 1)
    }

    /// The frame of page `index`, if it is held.
    pub(super) fn held(&self, index: u64) -> Option<Frame> {
        match self.state.lock().pages.look(index) {
            super::pages::Look::Ready(frame) => Some(frame),
            _ => None,
        }
    }

    /// Pages held, and the dirty ones among them.
    pub(super) fn page_counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.pages.count(), state.pages.dirty_count())
    }

    /// Claims the one place in the list of kept inodes; `false` if it is there already.
    pub(super) fn start_keeping(&self) -> bool {
        !self.kept.swap(true, Ordering::AcqRel)
    }

    /// It left the list of kept inodes.
    pub(super) fn end_keeping(&self) {
        self.kept.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{Time, still_good};
    use crate::fs::node::{Kind, plain_attr};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn pages_read_soon_after_a_change_are_not_trusted() {
        let attr = plain_attr(1, Kind::File, 0o644, Time { seconds: 100, nanoseconds: 5 });
        assert!(!still_good(&attr, &attr, Some(101 * SECOND)));
        assert!(still_good(&attr, &attr, Some(102 * SECOND + 5)));
    }

    #[test]
    fn a_change_of_one_nanosecond_is_seen() {
        let old = plain_attr(1, Kind::File, 0o644, Time { seconds: 100, nanoseconds: 5 });
        let mut new = old;
        new.mtime.nanoseconds = 6;
        assert!(!still_good(&old, &new, Some(200 * SECOND)));
        new = old;
        new.size = 1;
        assert!(!still_good(&old, &new, Some(200 * SECOND)));
    }
}
