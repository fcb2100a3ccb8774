//! A byte queue between two tasks: one producer, one consumer, no lock.
//!
//! The bytes stand in core-owned frames; both sides copy. Indices only grow and are checked against the
//! capacity by whoever uses them, so a side that misbehaves cannot make the other read outside.

use super::event::EventSet;
use crate::mm::PAGE_SIZE;
use crate::mm::frame::Frame;
use crate::mm::user::{Fault, UserRead, UserWrite};
use crate::sync::Lock;
use crate::task::handle::Owned;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Puts bytes.
    Producer = 0,
    /// Takes bytes.
    Consumer = 1,
}

/// Copies one piece: frame, offset in it, offset in the whole range, length.
type PieceCopy<'a> = &'a mut dyn FnMut(&Frame, usize, usize, usize) -> Result<(), Fault>;

/// Bytes copied, and what stopped the copy early.
type Copied = (usize, Option<Fault>);

/// Closing code of an end whose task died.
pub const DIED: u32 = u32::MAX;

struct Shared {
    frames: Vec<Frame>,
    capacity: usize,
    /// Bytes put since the beginning.
    put: AtomicU64,
    /// Bytes taken since the beginning.
    taken: AtomicU64,
    /// 0: open; else 1 + code.
    closed: [AtomicU64; 2],
    bells: [Lock<Option<(EventSet, u32)>>; 2],
}

/// An end as it stands in a task's table: closing when it is dropped there.
pub(crate) struct End {
    shared: Arc<Shared>,
    side: Side,
}

impl Drop for End {
    fn drop(&mut self) {
        self.close(DIED);
    }
}

impl End {
    fn close(&self, code: u32) {
        let slot = &self.shared.closed[self.side as usize];
        if slot.compare_exchange(0, u64::from(code) + 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.ring_bell();
        }
    }

    fn ring_bell(&self) {
        let bell = self.shared.bells[1 - self.side as usize].lock().clone();
        if let Some((set, tag)) = bell {
            set.signal(tag);
        }
    }
}

/// One end of a ring.
pub struct RingEnd(Owned<End>);

/// An end on its way to another task. It stands in the sender's table until it is sent.
pub struct Detached(Owned<End>);

impl Detached {
    /// Takes the end out of the sender's table.
    pub(crate) fn send(self) -> Arc<End> {
        self.0.share()
    }
}

/// Makes a moved index seen before its mover looks at the other side's index.
///
/// Who moves rings the bell only if the other side may sleep, and sleeps only if the other side has not moved: without the
/// fence each could see the other's old index, and both would do nothing.
fn settle(moved: usize) {
    if moved > 0 {
        fence(Ordering::SeqCst);
    }
}

/// A ring of `pages` pages: its producer's and its consumer's end. `None`: no memory.
pub fn ring(pages: usize) -> Option<(RingEnd, RingEnd)> {
    let _section = crate::sync::CoreSection::enter();
    let mut frames = Vec::new();
    frames.try_reserve_exact(pages).ok()?;
    for _ in 0..pages {
        frames.push(Frame::alloc_zeroed()?);
    }
    let shared = Arc::new(Shared {
        capacity: frames.len() * PAGE_SIZE,
        frames,
        put: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        closed: [AtomicU64::new(0), AtomicU64::new(0)],
        bells: [Lock::new(None), Lock::new(None)],
    });
    let end = |side| RingEnd(Owned::new(Arc::new(End { shared: shared.clone(), side })));
    Some((end(Side::Producer), end(Side::Consumer)))
}

impl RingEnd {
    /// Makes the end ready to be attached to a call. Its bell is forgotten.
    pub fn detach(self) -> Detached {
        let _section = crate::sync::CoreSection::enter();
        *self.0.shared.bells[self.0.side as usize].lock() = None;
        Detached(self.0)
    }

    pub(crate) fn attach(end: Arc<End>) -> Self {
        Self(Owned::new(end))
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Which end this is.
    pub fn side(&self) -> Side {
        self.0.side
    }

    /// Size in bytes.
    pub fn capacity(&self) -> usize {
        self.shared().capacity
    }

    /// Bytes that can be taken.
    pub fn readable(&self) -> usize {
        let shared = self.shared();
        let taken = shared.taken.load(Ordering::Acquire);
        (shared.put.load(Ordering::Acquire).wrapping_sub(taken) as usize).min(shared.capacity)
    }

    /// Bytes that can be put.
    pub fn writable(&self) -> usize {
        self.capacity() - self.readable()
    }

    /// Calls `part` with frame, offset in it, offset in the range, and length, for `len` bytes from position `start`.
    /// Stops at the first error; returns the bytes done.
    fn pieces(&self, start: u64, len: usize, part: PieceCopy<'_>) -> Copied {
        let mut done = 0;
        while done < len {
            let position = ((start + done as u64) % self.capacity() as u64) as usize;
            let offset = position % PAGE_SIZE;
            let step = (PAGE_SIZE - offset).min(len - done);
            if let Err(fault) = part(&self.shared().frames[position / PAGE_SIZE], offset, done, step) {
                return (done + fault.done, Some(fault));
            }
            done += step;
        }
        (done, None)
    }

    fn put(&self, len: usize, part: PieceCopy<'_>) -> Copied {
        if self.side() != Side::Producer {
            return (0, None);
        }
        let start = self.shared().put.load(Ordering::Relaxed);
        let (done, fault) = self.pieces(start, len.min(self.writable()), part);
        self.shared().put.store(start + done as u64, Ordering::Release);
        settle(done);
        (done, fault)
    }

    fn take(&self, len: usize, part: PieceCopy<'_>) -> Copied {
        if self.side() != Side::Consumer {
            return (0, None);
        }
        let start = self.shared().taken.load(Ordering::Relaxed);
        let (done, fault) = self.pieces(start, len.min(self.readable()), part);
        self.shared().taken.store(start + done as u64, Ordering::Release);
        settle(done);
        (done, fault)
    }

    /// Puts as many bytes as fit; returns how many.
    pub fn push(&self, bytes: &[u8]) -> usize {
        self.put(bytes.len(), &mut |frame, at, done, step| {
            let _ = frame.write(at, &bytes[done..done + step]);
            Ok(())
        })
        .0
    }

    /// Takes up to `out.len()` bytes; returns how many.
    pub fn pop(&self, out: &mut [u8]) -> usize {
        let len = out.len();
        self.take(len, &mut |frame, at, done, step| {
            let _ = frame.read(at, &mut out[done..done + step]);
            Ok(())
        })
        .0
    }

    /// Looks at bytes that stand `skip` behind the first one; returns how many.
    pub fn peek(&self, skip: usize, out: &mut [u8]) -> usize {
        let len = out.len().min(self.readable().saturating_sub(skip));
        let start = self.shared().taken.load(Ordering::Relaxed) + skip as u64;
        self.pieces(start, len, &mut |frame, at, done, step| {
            let _ = frame.read(at, &mut out[done..done + step]);
            Ok(())
        })
        .0
    }

    /// Drops up to `count` bytes; returns how many.
    pub fn discard(&self, count: usize) -> usize {
        self.take(count, &mut |_, _, _, _| Ok(())).0
    }

    /// Puts bytes straight from the program. Bytes before a fault count as put.
    ///
    /// Errors: a fault before the first byte.
    pub fn push_from_user(&self, from: UserRead) -> Result<usize, Fault> {
        let (done, fault) =
            self.put(from.len(), &mut |frame, at, done, step| frame.copy_from_user(at, from.slice(done, step)));
        fault.filter(|_| done == 0).map_or(Ok(done), Err)
    }

    /// Takes bytes straight to the program. Bytes before a fault count as taken.
    ///
    /// Errors: a fault before the first byte.
    pub fn pop_to_user(&self, to: UserWrite) -> Result<usize, Fault> {
        let (done, fault) =
            self.take(to.len(), &mut |frame, at, done, step| frame.copy_to_user(at, to.slice(done, step)));
        fault.filter(|_| done == 0).map_or(Ok(done), Err)
    }

    /// Copies bytes that stand `skip` behind the first one to the program without taking them.
    ///
    /// Errors: a fault before the first byte.
    pub fn peek_to_user(&self, skip: usize, to: UserWrite) -> Result<usize, Fault> {
        let len = to.len().min(self.readable().saturating_sub(skip));
        let start = self.shared().taken.load(Ordering::Relaxed) + skip as u64;
        let (done, fault) =
            self.pieces(start, len, &mut |frame, at, done, step| frame.copy_to_user(at, to.slice(done, step)));
        fault.filter(|_| done == 0).map_or(Ok(done), Err)
    }

    /// Closes this end; the first code counts.
    pub fn close(&self, code: u32) {
        self.0.close(code);
    }

    fn closed(&self, side: Side) -> Option<u32> {
        let value = self.shared().closed[side as usize].load(Ordering::Acquire);
        value.checked_sub(1).map(|code| code as u32)
    }

    /// The code with which the producer closed its end.
    pub fn producer_closed(&self) -> Option<u32> {
        self.closed(Side::Producer)
    }

    /// The code with which the consumer closed its end.
    pub fn consumer_closed(&self) -> Option<u32> {
        self.closed(Side::Consumer)
    }

    /// Wakes the other side.
    pub fn ring_bell(&self) {
        self.0.ring_bell();
    }

    /// What the other side's bell signals here.
    pub fn set_bell(&self, set: &EventSet, tag: u32) {
        // Cloned inside the section: a reference on the stack of a task that is killed would never be given back.
        let _section = crate::sync::CoreSection::enter();
        *self.shared().bells[self.side() as usize].lock() = Some((set.clone(), tag));
    }
}
