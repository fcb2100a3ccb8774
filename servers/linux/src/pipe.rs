//! pipe(2) and FIFOs: bytes in front-end memory between two ends.

use crate::block::{bits, wait_restartable};
use crate::context::{Context, SysResult};
use crate::fs::description::{File, Patience};
use crate::fs::node::{Kind, Node, Result};
use crate::fs::special::anonymous;
use crate::fs::transfer::{Missing, Room, Sink, Source, Stock};
use crate::user;
use crate::wait::{READABLE, WRITABLE, WaitQueue};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicUsize, Ordering};
use linux_abi::Errno;
use linux_abi::file::{Events, OpenFlags};
use linux_abi::terminal::ioctl as request;
use spin::Mutex;

/// Writes up to this size are not interleaved (`PIPE_BUF`).
const ATOMIC: usize = 4096;
/// Capacity of a new pipe.
const CAPACITY: usize = 65_536;
/// Largest capacity for anybody (`fs.pipe-max-size`).
const MOST_CAPACITY: usize = 1 << 20;

/// A queue of bytes in a ring that grows to its limit as needed.
pub(crate) struct Bytes {
    ring: Vec<u8>,
    head: usize,
    len: usize,
    limit: usize,
}

impl Bytes {
    /// An empty queue of at most `limit` bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { ring: Vec::new(), head: 0, len: 0, limit }
    }

    /// Bytes inside.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that fit.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// Makes the ring hold `more` bytes besides those inside.
    fn grow(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.ring.len() {
            return;
        }
        let size = needed.next_power_of_two().max(ATOMIC).min(self.limit.max(needed));
        let mut ring = alloc::vec![0; size];
        let first = self.len.min(self.ring.len() - self.head);
        ring[..first].copy_from_slice(&self.ring[self.head..self.head + first]);
        ring[first..self.len].copy_from_slice(&self.ring[..self.len - first]);
        (self.ring, self.head) = (ring, 0);
    }

    /// Sets the limit. Errors: `EBUSY` (more is inside).
    fn set_limit(&mut self, limit: usize) -> Result<()> {
        if limit < self.len {
            return Err(Errno::EBUSY);
        }
        self.limit = limit;
        Ok(())
    }

    /// Takes at most `most` bytes from `source`, all of them or as far as the program's pages are there.
    pub(crate) fn take_from(&mut self, source: &mut Source, most: usize) -> core::result::Result<usize, Missing> {
        let want = most.min(self.room()).min(source.remaining());
        self.grow(want);
        let mut done = 0;
        while done < want {
            let at = (self.head + self.len) % self.ring.len();
            let count = (want - done).min(self.ring.len() - at);
            let place = &mut self.ring[at..at + count];
            let before = source.done();
            let outcome = source.attempt(|stock| match stock {
                Stock::User(slice) => {
                    let count = count.min(slice.len());
                    slice.read_to(&mut place[..count]).map(|()| count)
                }
                Stock::Memory(bytes) => {
                    let count = count.min(bytes.len());
                    place[..count].copy_from_slice(&bytes[..count]);
                    Ok(count)
                }
            });
            let moved = source.done() - before;
            self.len += moved;
            done += moved;
            if outcome? == 0 {
                break;
            }
        }
        Ok(done)
    }

    /// Gives what `sink` has room for, as far as the program's pages are there; `skip` bytes are left in front and nothing is taken with `peek`.
    pub(crate) fn give_to(&mut self, sink: &mut Sink, peek: Option<usize>) -> core::result::Result<usize, Missing> {
        let skip = peek.unwrap_or(0);
        let mut done = 0;
        while sink.remaining() > 0 {
            // What was taken has left the ring; what was only looked at has not.
            let offset = if peek.is_some() { skip + done } else { 0 };
            let Some(left) = self.len.checked_sub(offset).filter(|&left| left > 0) else { break };
            let at = (self.head + offset) % self.ring.len();
            let count = left.min(self.ring.len() - at);
            let stock = &self.ring[at..at + count];
            let before = sink.done();
            let outcome = sink.attempt(|room| match room {
                Room::User(slice) => {
                    let count = count.min(slice.len());
                    slice.write_from(&stock[..count]).map(|()| count)
                }
                Room::Memory(out) => {
                    let count = count.min(out.len());
                    out[..count].copy_from_slice(&stock[..count]);
                    Ok(count)
                }
            });
            let moved = sink.done() - before;
            if peek.is_none() {
                self.head = (self.head + moved) % self.ring.len();
                self.len -= moved;
            }
            done += moved;
            if outcome? == 0 {
                break;
            }
        }
        Ok(done)
    }
}

/// What both ends share.
pub(crate) struct Pipe {
    bytes: Mutex<Bytes>,
    readers: AtomicUsize,
    writers: AtomicUsize,
    /// Writers since the beginning: a reader of a named pipe waits for the first.
    arrivals: AtomicUsize,
    queue: WaitQueue,
}

impl Pipe {
    /// A pipe without ends.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(Bytes::new(CAPACITY)),
            readers: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
            arrivals: AtomicUsize::new(0),
            queue: WaitQueue::new(),
        })
    }

    /// Most bytes inside.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.lock().limit
    }

    /// F_SETPIPE_SZ: rounds up to a power of two of pages. Errors: `EINVAL`, `EPERM`, `EBUSY`.
    pub(crate) fn set_capacity(&self, wanted: u64) -> Result<usize> {
        let wanted = usize::try_from(wanted).ok().filter(|&size| size > 0 && size <= 1 << 31).ok_or(Errno::EINVAL)?;
        let size = wanted.next_power_of_two().max(ATOMIC);
        if size > MOST_CAPACITY {
            return Err(Errno::EPERM);
        }
        self.bytes.lock().set_limit(size)?;
        self.queue.wake(WRITABLE);
        Ok(size)
    }
}

/// Which end, or both for a named pipe opened read-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    reads: bool,
    writes: bool,
}

/// One end of a pipe.
pub(crate) struct PipeEnd {
    pipe: Arc<Pipe>,
    role: Role,
    node: Option<Arc<dyn Node>>,
}

impl PipeEnd {
    fn new(pipe: Arc<Pipe>, role: Role, node: Option<Arc<dyn Node>>) -> Arc<Self> {
        pipe.readers.fetch_add(usize::from(role.reads), Ordering::AcqRel);
        pipe.writers.fetch_add(usize::from(role.writes), Ordering::AcqRel);
        pipe.arrivals.fetch_add(usize::from(role.writes), Ordering::AcqRel);
        pipe.queue.wake_all();
        Arc::new(Self { pipe, role, node })
    }

    /// What both ends share.
    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.pipe.readers.fetch_sub(usize::from(self.role.reads), Ordering::AcqRel);
        self.pipe.writers.fetch_sub(usize::from(self.role.writes), Ordering::AcqRel);
        self.pipe.queue.wake_all();
    }
}

/// Outcome of one try under the lock.
enum Try {
    Done(usize),
    Blocked,
    Lacking(Missing),
}

impl PipeEnd {
    fn try_read(&self, sink: &mut Sink) -> Try {
        let mut bytes = self.pipe.bytes.lock();
        if bytes.len() == 0 {
            let over = self.pipe.writers.load(Ordering::Acquire) == 0 && self.pipe.arrivals.load(Ordering::Acquire) > 0;
            return if over { Try::Done(0) } else { Try::Blocked };
        }
        let before = sink.done();
        match bytes.give_to(sink, None) {
            Ok(count) => Try::Done(count),
            // What went before the missing page is a short read.
            Err(_) if sink.done() > before => Try::Done(sink.done() - before),
            Err(missing) => Try::Lacking(missing),
        }
    }

    fn try_write(&self, source: &mut Source, total: usize) -> Try {
        let mut bytes = self.pipe.bytes.lock();
        let whole = total <= ATOMIC && total <= bytes.limit;
        if bytes.room() == 0 || (whole && bytes.room() < source.remaining()) {
            return Try::Blocked;
        }
        let room = bytes.room();
        match bytes.take_from(source, room) {
            Ok(count) => Try::Done(count),
            Err(missing) => Try::Lacking(missing),
        }
    }
}

impl File for PipeEnd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn node(&self) -> Option<Arc<dyn Node>> {
        self.node.clone()
    }

    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        let mut joined = None;
        loop {
            match self.try_read(sink) {
                Try::Done(count) => {
                    self.pipe.queue.wake(WRITABLE);
                    return Ok(count);
                }
                Try::Lacking(missing) => Sink::bring_in(missing)?,
                // A named pipe that nobody writes to yet is at its end for who does not wait.
                Try::Blocked if patience == Patience::Never => {
                    let idle = self.pipe.writers.load(Ordering::Acquire) == 0;
                    return if idle { Ok(0) } else { Err(Errno::EAGAIN) };
                }
                Try::Blocked if joined.is_none() => joined = Some(self.pipe.queue.join(READABLE)),
                Try::Blocked => {
                    wait_restartable(cx, bits::QUEUE, None)?;
                }
            }
        }
    }

    fn write(&self, cx: &Context, patience: Patience, source: &mut Source) -> Result<usize> {
        let total = source.remaining();
        let start = source.done();
        let mut joined = None;
        while source.remaining() > 0 {
            if self.pipe.readers.load(Ordering::Acquire) == 0 {
                return if source.done() > start { Ok(source.done() - start) } else { Err(Errno::EPIPE) };
            }
            match self.try_write(source, total) {
                Try::Done(_) => self.pipe.queue.wake(READABLE),
                Try::Lacking(missing) => {
                    if source.done() > start {
                        self.pipe.queue.wake(READABLE);
                    }
                    if let Err(errno) = Source::bring_in(missing) {
                        return crate::fs::transfer::partial(source.done() - start, Err(errno));
                    }
                }
                Try::Blocked if patience == Patience::Never => {
                    return crate::fs::transfer::partial(source.done() - start, Err(Errno::EAGAIN));
                }
                Try::Blocked if joined.is_none() => joined = Some(self.pipe.queue.join(WRITABLE)),
                Try::Blocked => {
                    if let Err(errno) = wait_restartable(cx, bits::QUEUE, None) {
                        return crate::fs::transfer::partial(source.done() - start, Err(errno));
                    }
                }
            }
        }
        Ok(source.done() - start)
    }

    fn ready(&self) -> Events {
        let mut events = Events::empty();
        let bytes = self.pipe.bytes.lock();
        if self.role.reads {
            events.set(READABLE, bytes.len() > 0);
            let over = self.pipe.writers.load(Ordering::Acquire) == 0 && self.pipe.arrivals.load(Ordering::Acquire) > 0;
            events.set(Events::HUP, over);
        }
        if self.role.writes {
            events.set(WRITABLE, bytes.room() >= ATOMIC || (bytes.len() == 0 && bytes.room() > 0));
            events.set(Events::ERR, self.pipe.readers.load(Ordering::Acquire) == 0);
        }
        events
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }
    fn ioctl(&self, _cx: &mut Context, command: u32, argument: u64) -> Result<u64> {
        if command != request::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let len = self.pipe.bytes.lock().len();
        user::write_struct::<u32>(argument, &(len as u32))?;
        Ok(0)
    }
}

/// pipe2(2).
pub(crate) fn pipe2(cx: &mut Context, addr: u64, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::DIRECT).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let pipe = Pipe::new();
    let status = flags.intersection(OpenFlags::NONBLOCK);
    let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
    let end = |reads: bool, access: OpenFlags| {
        let end = PipeEnd::new(pipe.clone(), Role { reads, writes: !reads }, None);
        anonymous(end, Kind::Fifo, "pipe", status | access)
    };
    let files = &cx.process.fs;
    let read_fd = files.install(end(true, OpenFlags::empty()), close_on_exec)?;
    let write_fd = match files.install(end(false, OpenFlags::WRITE_ONLY), close_on_exec) {
        Ok(fd) => fd,
        Err(errno) => {
            drop(files.table.remove(read_fd));
            return Err(errno);
        }
    };
    let mut pair = [0; 8];
    pair[..4].copy_from_slice(&read_fd.to_le_bytes());
    pair[4..].copy_from_slice(&write_fd.to_le_bytes());
    if let Err(errno) = user::copy_out(addr, &pair) {
        drop((files.table.remove(read_fd), files.table.remove(write_fd)));
        return Err(errno);
    }
    Ok(0)
}

/// pipe(2).
pub(crate) fn pipe(cx: &mut Context, addr: u64) -> SysResult {
    pipe2(cx, addr, 0)
}

/// Opens a named pipe. Errors: `ENXIO` (only to write, without waiting, and nobody reads).
pub(crate) fn open_named(pipe: Arc<Pipe>, flags: OpenFlags, node: Arc<dyn Node>) -> Result<Arc<dyn File>> {
    let role = match flags.access_mode() {
        0 => Role { reads: true, writes: false },
        1 => Role { reads: false, writes: true },
        _ => Role { reads: true, writes: true },
    };
    let nobody = pipe.readers.load(Ordering::Acquire) == 0;
    if role == (Role { reads: false, writes: true }) && flags.contains(OpenFlags::NONBLOCK) && nobody {
        return Err(Errno::ENXIO);
    }
    Ok(PipeEnd::new(pipe, role, Some(node)))
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use crate::fs::transfer::{Sink, Source};

    fn put(queue: &mut Bytes, bytes: &[u8]) -> usize {
        queue.take_from(&mut Source::memory(bytes), usize::MAX).unwrap()
    }

    fn get(queue: &mut Bytes, len: usize) -> alloc::vec::Vec<u8> {
        let mut out = alloc::vec![0; len];
        let count = queue.give_to(&mut Sink::memory(&mut out), None).unwrap();
        out.truncate(count);
        out
    }

    #[test]
    fn bytes_come_out_in_order_across_the_end_of_the_ring() {
        let mut queue = Bytes::new(8);
        assert_eq!(put(&mut queue, b"abcdef"), 6);
        assert_eq!(get(&mut queue, 4), b"abcd");
        assert_eq!(put(&mut queue, b"ghijklmn"), 6);
        assert_eq!(get(&mut queue, 100), b"efghijkl");
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn growing_keeps_what_is_inside() {
        let mut queue = Bytes::new(100_000);
        let data: alloc::vec::Vec<u8> = (0..=255).cycle().take(50_000).collect();
        assert_eq!(put(&mut queue, &data[..3000]), 3000);
        assert_eq!(get(&mut queue, 1000), &data[..1000]);
        assert_eq!(put(&mut queue, &data[3000..]), 47_000);
        assert_eq!(get(&mut queue, 60_000), &data[1000..]);
    }

    #[test]
    fn peeking_takes_nothing() {
        let mut queue = Bytes::new(16);
        put(&mut queue, b"hello");
        let mut out = [0; 3];
        assert_eq!(queue.give_to(&mut Sink::memory(&mut out), Some(1)).unwrap(), 3);
        assert_eq!(&out, b"ell");
        assert_eq!(get(&mut queue, 9), b"hello");
    }
}
