//! A small executor: the async handlers of one server on its one thread.
//!
//! [`Runtime::run`] polls what is ready, then sleeps in [`Machine::wait`] until a notification bit or the
//! earliest timer wakes it. Whoever owns a bit registers what is to be done with [`Runtime::on_bit`].

use crate::sys::{Bits, Machine};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use spin::Mutex;

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Slots of the jobs to be polled, oldest first. Wakers must be `Send`, hence the lock, which is never
/// contended: they do not leave the thread.
type Ready = Arc<Mutex<VecDeque<usize>>>;

/// Jobs that are polled before notifications are looked at again.
const BATCH: usize = 64;

/// Puts its job into the ready queue, once until it is polled.
struct Flag {
    slot: usize,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.lock().push_back(self.slot);
        }
    }
}

struct Slot {
    flag: Arc<Flag>,
    waker: Waker,
    /// `None` while the job runs, and when the slot is free.
    job: Option<Job>,
}

struct Inner {
    machine: Rc<dyn Machine>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    ready: Ready,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next_timer: Cell<u64>,
    on_bit: RefCell<Vec<(u8, Rc<dyn Fn()>)>>,
    jobs: Cell<usize>,
}

/// Handle to the executor of this task; cheap to clone.
#[derive(Clone)]
pub struct Runtime(Rc<Inner>);

impl Runtime {
    /// An executor on `machine` without jobs.
    pub fn new(machine: Rc<dyn Machine>) -> Self {
        Self(Rc::new(Inner {
            machine,
            slots: RefCell::default(),
            free: RefCell::default(),
            ready: Ready::default(),
            timers: RefCell::default(),
            next_timer: Cell::new(0),
            on_bit: RefCell::default(),
            jobs: Cell::new(0),
        }))
    }

    /// The machine below.
    pub fn machine(&self) -> &Rc<dyn Machine> {
        &self.0.machine
    }

    /// Records what happens inside the server, for request `request` or 0, if somebody traces it.
    pub fn note(&self, request: u64, what: core::fmt::Arguments<'_>) {
        if self.0.machine.tracing() {
            self.0.machine.trace(&crate::trace::Event::Note { request, what });
        }
    }

    /// Starts a job; it is polled for the first time by the run loop.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) {
        let inner = &self.0;
        let mut slots = inner.slots.borrow_mut();
        let index = inner.free.borrow_mut().pop().unwrap_or_else(|| {
            let flag = Arc::new(Flag { slot: slots.len(), queued: AtomicBool::new(false), ready: inner.ready.clone() });
            slots.push(Slot { waker: flag.clone().into(), flag, job: None });
            slots.len() - 1
        });
        let slot = &mut slots[index];
        slot.job = Some(Box::pin(job));
        slot.waker.wake_by_ref();
        inner.jobs.set(inner.jobs.get() + 1);
    }

    /// Jobs that have not ended.
    pub fn jobs(&self) -> usize {
        self.0.jobs.get()
    }

    /// Has `action` run whenever notification bit `bit` is set.
    pub fn on_bit(&self, bit: u8, action: impl Fn() + 'static) {
        self.0.on_bit.borrow_mut().push((bit, Rc::new(action)));
    }

    /// Ends at `deadline_ns` of the machine's clock.
    pub fn sleep_until(&self, deadline_ns: u64) -> Sleep {
        Sleep { runtime: self.clone(), deadline_ns, key: None }
    }

    /// Ends after `ns` nanoseconds.
    pub fn sleep(&self, ns: u64) -> Sleep {
        self.sleep_until(self.0.machine.now_ns().saturating_add(ns))
    }

    /// Serves for ever.
    pub fn run(&self) -> ! {
        loop {
            // Jobs that wake each other for ever must not keep notifications and timers from being heard.
            let deadline_ns = if self.run_batch(BATCH) { Some(0) } else { self.next_deadline() };
            self.notify(self.0.machine.wait(deadline_ns));
        }
    }

    /// When the earliest timer is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.timers.borrow().keys().next().map(|key| key.0)
    }

    /// Runs the actions of all set bits, then the timers that are due.
    pub fn notify(&self, bits: Bits) {
        if bits != 0 {
            let count = self.0.on_bit.borrow().len();
            for index in 0..count {
                let (bit, action) = self.0.on_bit.borrow()[index].clone();
                if bits & (1 << bit) != 0 {
                    action();
                }
            }
        }
        self.fire_timers();
    }

    fn fire_timers(&self) {
        if self.0.timers.borrow().is_empty() {
            return;
        }
        let now = self.0.machine.now_ns();
        while let Some(entry) = self.0.timers.borrow_mut().first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
        }
    }

    /// Polls until no job is ready; says whether any was polled.
    pub fn run_ready(&self) -> bool {
        let mut any = false;
        while let Some(index) = self.next_ready() {
            any |= self.poll_slot(index);
        }
        any
    }

    /// Polls up to `limit` jobs; says whether others are ready.
    pub fn run_batch(&self, limit: usize) -> bool {
        for _ in 0..limit {
            let Some(index) = self.next_ready() else { return false };
            self.poll_slot(index);
        }
        !self.0.ready.lock().is_empty()
    }

    fn next_ready(&self) -> Option<usize> {
        self.0.ready.lock().pop_front()
    }

    /// Polls the job in a slot. A late wake-up may find the slot empty, or another job there that looks
    /// once more than needed.
    fn poll_slot(&self, index: usize) -> bool {
        let (mut job, waker) = {
            let mut slots = self.0.slots.borrow_mut();
            let slot = &mut slots[index];
            slot.flag.queued.store(false, Ordering::Release);
            let Some(job) = slot.job.take() else { return false };
            (job, slot.waker.clone())
        };
        match job.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.0.slots.borrow_mut()[index].job = Some(job),
            Poll::Ready(()) => {
                self.0.free.borrow_mut().push(index);
                self.0.jobs.set(self.0.jobs.get() - 1);
            }
        }
        true
    }
}

/// Future of [`Runtime::sleep_until`].
pub struct Sleep {
    runtime: Runtime,
    deadline_ns: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = self.runtime.0.clone();
        if inner.machine.now_ns() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            inner.next_timer.set(inner.next_timer.get() + 1);
            (self.deadline_ns, inner.next_timer.get())
        });
        inner.timers.borrow_mut().insert(key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.runtime.0.timers.borrow_mut().remove(&key);
        }
    }
}

/// Wakes jobs that wait for "something changed": they look again themselves.
#[derive(Default)]
pub struct Event {
    wakers: RefCell<Vec<Waker>>,
    count: Cell<u64>,
}

impl Event {
    /// Wakes everybody who waits.
    pub fn notify(&self) {
        self.count.set(self.count.get().wrapping_add(1));
        // Waking only queues jobs, so nobody comes to wait meanwhile; the list keeps its memory.
        for waker in self.wakers.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Ends with the next [`Event::notify`] after this call.
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, since: self.count.get() }
    }
}

/// Future of [`Event::wait`].
pub struct EventWait<'a> {
    event: &'a Event,
    since: u64,
}

impl Future for EventWait<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.event.count.get() != self.since {
            return Poll::Ready(());
        }
        self.event.wakers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}
