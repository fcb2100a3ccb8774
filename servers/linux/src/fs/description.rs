//! Open file descriptions: what a descriptor refers to, shared by its duplicates.
//!
//! A [`File`] is what was opened (a regular file, a pipe's end, a socket, an epoll set); an [`OpenFile`] adds what
//! open(2) adds: status flags, the position, and the place it was opened at.

use super::names::Place;
use super::node::{Node, Result};
use super::transfer::{Sink, Source};
use crate::context::Context;
use crate::epoll::{Epoll, Item};
use crate::mm::MappedFile;
use crate::wait::{Gate, READABLE, WRITABLE, WaitQueue};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use linux_abi::Errno;
use linux_abi::file::{Events, OpenFlags};
use spin::Mutex;

/// Whether a transfer may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits until something can move.
    Wait,
    /// Answers `EAGAIN` instead.
    Never,
}

/// What was opened. Offsets are in bytes; transfers answer the bytes moved.
pub(crate) trait File: Send + Sync + 'static {
    /// For finding the implementation again.
    fn as_any(&self) -> &dyn Any;
    /// As [`Self::as_any`], keeping the reference; `None` where nobody needs that.
    fn into_epoll(self: Arc<Self>) -> Option<Arc<Epoll>> {
        None
    }

    /// The node behind it, if it has one.
    fn node(&self) -> Option<Arc<dyn Node>> {
        None
    }
    /// Whether it has positions: pread, lseek and the like work.
    fn seekable(&self) -> bool {
        false
    }
    /// Reads what comes next from something without positions.
    fn read(&self, _cx: &Context, _patience: Patience, _sink: &mut Sink) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Writes to something without positions.
    fn write(&self, _cx: &Context, _patience: Patience, _source: &mut Source) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Reads at a position.
    fn read_at(&self, _offset: u64, _sink: &mut Sink) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// Writes at a position.
    fn write_at(&self, _offset: u64, _source: &mut Source) -> Result<usize> {
        Err(Errno::ESPIPE)
    }
    /// Writes at the end; also answers the position behind what was written.
    fn append(&self, _source: &mut Source) -> Result<(usize, u64)> {
        Err(Errno::ESPIPE)
    }
    /// Length, for `SEEK_END`.
    fn size(&self) -> Result<u64> {
        Err(Errno::ESPIPE)
    }
    /// The next data (`true`) or hole (`false`) at or behind `offset`. Errors: `ENXIO` (behind the end).
    fn seek_extent(&self, offset: u64, data: bool) -> Result<u64> {
        let size = self.size()?;
        if offset >= size {
            return Err(Errno::ENXIO);
        }
        Ok(if data { offset } else { size })
    }
    /// Largest position that lseek(2) accepts.
    fn max_position(&self) -> u64 {
        i64::MAX as u64
    }
    /// What it is ready for now.
    fn ready(&self) -> Events {
        READABLE | WRITABLE
    }
    /// Where those hang on who wait for its readiness; `None`: it never changes, and epoll refuses it.
    fn queue(&self) -> Option<&WaitQueue> {
        None
    }
    /// ioctl(2).
    fn ioctl(&self, _cx: &mut Context, _request: u32, _argument: u64) -> Result<u64> {
        Err(Errno::ENOTTY)
    }
    /// Changes the length.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// fallocate(2) with its mode word.
    fn allocate(&self, _mode: u32, _offset: u64, _len: u64) -> Result<()> {
        Err(Errno::ENODEV)
    }
    /// Makes it durable.
    fn sync(&self, _data_only: bool) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// Its pages, for mmap(2).
    fn mapped(self: Arc<Self>) -> Result<Arc<dyn MappedFile>> {
        Err(Errno::ENODEV)
    }
    /// Called when one of its descriptors is closed.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    /// Extra lines of `/proc/self/fdinfo`.
    fn describe(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Status flags that fcntl(F_SETFL) changes.
const CHANGEABLE: OpenFlags = OpenFlags::APPEND
    .union(OpenFlags::NONBLOCK)
    .union(OpenFlags::ASYNC)
    .union(OpenFlags::DIRECT)
    .union(OpenFlags::NO_ATIME);

/// Flags that do not stay with the description.
const TRANSIENT: OpenFlags = OpenFlags::CREATE
    .union(OpenFlags::EXCLUSIVE)
    .union(OpenFlags::NO_CTTY)
    .union(OpenFlags::TRUNCATE)
    .union(OpenFlags::CLOEXEC);

/// One open file description.
pub(crate) struct OpenFile {
    file: Arc<dyn File>,
    place: Option<Place>,
    flags: AtomicU32,
    position: AtomicU64,
    /// Held across a transfer that uses the position.
    gate: Gate,
    /// Epoll sets that watch this description; they are told when it goes.
    watchers: Mutex<Vec<Weak<Item>>>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        for item in core::mem::take(self.watchers.get_mut()).iter().filter_map(Weak::upgrade) {
            item.closed(&*self.file);
        }
    }
}

impl OpenFile {
    /// A description of `file` with the flags of open(2).
    pub(crate) fn new(file: Arc<dyn File>, flags: OpenFlags, place: Option<Place>) -> Arc<Self> {
        let flags = AtomicU32::new(flags.difference(TRANSIENT).bits());
        Arc::new(Self {
            file,
            place,
            flags,
            position: AtomicU64::new(0),
            gate: Gate::new(),
            watchers: Mutex::default(),
        })
    }

    /// What was opened.
    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where it was opened.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What was opened, if it is of type `T`.
    pub(crate) fn is<T: File>(&self) -> Option<&T> {
        self.file.as_any().downcast_ref()
    }

    /// Has `item` told when the description goes.
    pub(crate) fn watched_by(&self, item: &Arc<Item>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(item));
    }

    /// Status flags and access mode.
    pub(crate) fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Sets the flags that may change later.
    pub(crate) fn set_flags(&self, flags: OpenFlags) {
        let kept = self.flags().difference(CHANGEABLE);
        self.flags.store((kept | flags.intersection(CHANGEABLE)).bits(), Ordering::Relaxed);
    }

    /// Sets or clears `O_NONBLOCK`.
    pub(crate) fn set_nonblocking(&self, on: bool) {
        let mut flags = self.flags();
        flags.set(OpenFlags::NONBLOCK, on);
        self.set_flags(flags);
    }

    /// Whether transfers wait.
    pub(crate) fn patience(&self) -> Patience {
        if self.flags().contains(OpenFlags::NONBLOCK) { Patience::Never } else { Patience::Wait }
    }

    /// Errors: `EBADF` for a description that only names a place.
    pub(crate) fn usable(&self) -> Result<()> {
        if self.flags().contains(OpenFlags::PATH) { Err(Errno::EBADF) } else { Ok(()) }
    }

    /// Errors: `EBADF` if it is not open for reading.
    pub(crate) fn readable(&self) -> Result<()> {
        self.usable()?;
        if matches!(self.flags().access_mode(), 0 | 2) { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// Errors: `EBADF` if it is not open for writing.
    pub(crate) fn writable(&self) -> Result<()> {
        self.usable()?;
        if matches!(self.flags().access_mode(), 1 | 2) { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// The position now.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Runs `step` with the position, which is afterwards what `step` answers.
    pub(crate) fn with_position<R>(&self, step: impl FnOnce(u64) -> (u64, R)) -> R {
        let _inside = self.gate.pass();
        let (next, result) = step(self.position());
        self.position.store(next, Ordering::Relaxed);
        result
    }

    /// read(2): at the position, or what comes next.
    pub(crate) fn read(&self, cx: &Context, sink: &mut Sink) -> Result<usize> {
        if !self.file.seekable() {
            return self.file.read(cx, self.patience(), sink);
        }
        self.with_position(|at| match self.file.read_at(at, sink) {
            Ok(count) => (at + count as u64, Ok(count)),
            Err(errno) => (at, Err(errno)),
        })
    }

    /// write(2): at the position, at the end with `O_APPEND`, or what comes next.
    pub(crate) fn write(&self, cx: &Context, source: &mut Source) -> Result<usize> {
        if !self.file.seekable() {
            return self.file.write(cx, self.patience(), source);
        }
        let flags = self.flags();
        let count = self.with_position(|at| {
            if flags.contains(OpenFlags::APPEND) {
                match self.file.append(source) {
                    Ok((count, end)) => (end, Ok(count)),
                    Err(errno) => (at, Err(errno)),
                }
            } else {
                match self.file.write_at(at, source) {
                    Ok(count) => (at + count as u64, Ok(count)),
                    Err(errno) => (at, Err(errno)),
                }
            }
        })?;
        self.after_write(count)
    }

    /// pwrite(2); with `O_APPEND` Linux writes at the end all the same.
    pub(crate) fn write_at(&self, offset: u64, source: &mut Source) -> Result<usize> {
        let count = if self.flags().contains(OpenFlags::APPEND) {
            self.file.append(source)?.0
        } else {
            self.file.write_at(offset, source)?
        };
        self.after_write(count)
    }

    /// `O_SYNC` and `O_DSYNC`.
    fn after_write(&self, count: usize) -> Result<usize> {
        let flags = self.flags();
        if flags.contains(OpenFlags::DSYNC) && count > 0 {
            self.file.sync(!flags.contains(OpenFlags::SYNC_ALL))?;
        }
        Ok(count)
    }
}
