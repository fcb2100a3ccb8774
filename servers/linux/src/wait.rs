//! Wait queues: what threads and epoll sets hang on until a file becomes ready.
//!
//! A [`WaitQueue`] belongs to the object that changes (pipe, socket, eventfd, inode). Who waits joins it with the
//! [`Events`] of interest, looks at the condition, and then waits for [`bits::QUEUE`] (see [`block`](crate::block)); who
//! changes the object calls [`WaitQueue::wake`]. Joining before looking makes a lost wake-up impossible.
//! A [`Hook`] is called in place of a thread: epoll keeps its ready list with it. [`Gate`] is a lock that may be held across waiting.
//!
//! Locks: a queue's own lock is taken before an epoll set's, and before nothing else.

use crate::block::{bits, wait_restartable};
use crate::context::Context;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use linux_abi::Errno;
use linux_abi::file::Events;
use microkernel::task::thread::{self, Thread};
use spin::Mutex;

/// What is reported though nobody asked for it.
pub(crate) const ALWAYS: Events = Events::ERR.union(Events::HUP);
/// Readable, in both spellings.
pub(crate) const READABLE: Events = Events::IN.union(Events::RDNORM);
/// Writable, in both spellings.
pub(crate) const WRITABLE: Events = Events::OUT.union(Events::WRNORM);

/// Called by a queue when something of interest happened; runs under the queue's lock and must not wait.
pub(crate) trait Hook: Send + Sync {
    /// `key` is what was given at joining. Answers whether somebody took notice (ends an exclusive wake-up).
    fn fire(&self, key: u64, events: Events) -> bool;
}

enum Waiter {
    Thread(Thread),
    Hook(Arc<dyn Hook>, u64),
}

struct Entry {
    waiter: Waiter,
    interest: Events,
    exclusive: bool,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
}

/// Names a hook's place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// Those who wait for one object.
#[derive(Default)]
pub(crate) struct WaitQueue {
    /// Entries in use; read without the lock so that waking nobody costs one load.
    count: AtomicUsize,
    slots: Mutex<Slots>,
}

/// Whether one waiter or every waiter is woken where several wait exclusively.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Woken with all others.
    Shared,
    /// One of those that joined so is woken.
    Exclusive,
}

impl WaitQueue {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self { count: AtomicUsize::new(0), slots: Mutex::new(Slots { entries: Vec::new(), free: Vec::new() }) }
    }

    fn insert(&self, entry: Entry) -> Slot {
        let mut slots = self.slots.lock();
        self.count.fetch_add(1, Ordering::SeqCst);
        if let Some(at) = slots.free.pop() {
            if let Some(place) = slots.entries.get_mut(at) {
                *place = Some(entry);
            }
            return Slot(at);
        }
        slots.entries.push(Some(entry));
        Slot(slots.entries.len() - 1)
    }

    fn remove(&self, slot: Slot) {
        let mut slots = self.slots.lock();
        let removed = slots.entries.get_mut(slot.0).and_then(Option::take);
        if removed.is_some() {
            slots.free.push(slot.0);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        drop(slots);
        drop(removed);
    }

    /// Joins the calling thread until the guard is dropped; it gets `bits::QUEUE`.
    pub(crate) fn join(&self, interest: Events) -> Joined<'_> {
        self.join_as(interest, Sharing::Shared)
    }

    /// As [`Self::join`], exclusively if wanted.
    pub(crate) fn join_as(&self, interest: Events, sharing: Sharing) -> Joined<'_> {
        let waiter = Waiter::Thread(thread::current());
        let interest = interest | ALWAYS;
        let slot = self.insert(Entry { waiter, interest, exclusive: sharing == Sharing::Exclusive });
        Joined { queue: self, slot }
    }

    /// Joins a hook; the caller removes it with [`Self::leave`].
    pub(crate) fn join_hook(&self, hook: Arc<dyn Hook>, key: u64, interest: Events, sharing: Sharing) -> Slot {
        let waiter = Waiter::Hook(hook, key);
        self.insert(Entry { waiter, interest, exclusive: sharing == Sharing::Exclusive })
    }

    /// Takes a hook out.
    pub(crate) fn leave(&self, slot: Slot) {
        self.remove(slot);
    }

    /// Tells everybody interested in one of `events`; of the exclusive ones only the first that takes notice.
    pub(crate) fn wake(&self, events: Events) {
        // Pairs with the increment in `insert`: whoever joined after this load looks at the condition after our change.
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let slots = self.slots.lock();
        let mut exclusive_done = false;
        for entry in slots.entries.iter().flatten() {
            if !entry.interest.intersects(events) || (entry.exclusive && exclusive_done) {
                continue;
            }
            let noticed = match &entry.waiter {
                Waiter::Thread(thread) => {
                    thread.notify(bits::QUEUE);
                    true
                }
                Waiter::Hook(hook, key) => hook.fire(*key, events),
            };
            exclusive_done |= entry.exclusive && noticed;
        }
    }

    /// Tells everybody.
    pub(crate) fn wake_all(&self) {
        self.wake(Events::all());
    }
}

/// A thread's stay in a queue.
#[must_use]
pub(crate) struct Joined<'a> {
    queue: &'a WaitQueue,
    slot: Slot,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.queue.remove(self.slot);
    }
}

/// Repeats `attempt` until it yields something: `Ok(None)` if `deadline_ns` (monotonic) came first.
///
/// Errors: what `attempt` fails with; `ERESTARTSYS` when a signal wants to be delivered.
pub(crate) fn until<T>(
    cx: &Context,
    queue: &WaitQueue,
    interest: Events,
    deadline_ns: Option<u64>,
    mut attempt: impl FnMut() -> Option<Result<T, Errno>>,
) -> Result<Option<T>, Errno> {
    if let Some(done) = attempt() {
        return done.map(Some);
    }
    let _joined = queue.join(interest);
    loop {
        if let Some(done) = attempt() {
            return done.map(Some);
        }
        if !wait_restartable(cx, bits::QUEUE, deadline_ns)? {
            return Ok(None);
        }
    }
}

/// A lock that may be held while its holder waits for a server; waiting for it is not interruptible.
///
/// It guards no data by type: what it orders (positions, appends, changes of a directory) lies beside it in its own locks.
#[derive(Default)]
pub(crate) struct Gate {
    held: AtomicBool,
    queue: WaitQueue,
}

impl Gate {
    /// An open gate.
    pub(crate) const fn new() -> Self {
        Self { held: AtomicBool::new(false), queue: WaitQueue::new() }
    }

    fn try_pass(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Waits until nobody else is inside, and enters until the guard is dropped.
    pub(crate) fn pass(&self) -> Inside<'_> {
        if !self.try_pass() {
            self.pass_slowly();
        }
        Inside { gate: self }
    }

    #[cold]
    fn pass_slowly(&self) {
        let _joined = self.queue.join_as(Events::IN, Sharing::Exclusive);
        while !self.try_pass() {
            thread::wait_for(bits::QUEUE, None);
        }
        // The bit may have been meant for an outer wait of this thread, which looks at its condition again.
        thread::current().notify(bits::QUEUE);
    }
}

/// The holder of a [`Gate`].
#[must_use]
pub(crate) struct Inside<'a> {
    gate: &'a Gate,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.gate.held.store(false, Ordering::SeqCst);
        self.gate.queue.wake(Events::IN);
    }
}
