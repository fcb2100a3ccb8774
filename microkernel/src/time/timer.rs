//! The one-shot APIC timer: the earliest of all sleeping threads' deadlines and the running quantum.

use super::{calibrate, now_ns};
use crate::arch::apic;
use crate::sync::IrqLock;
use crate::task::{sched, thread::ThreadInner};
use alloc::collections::BTreeMap;

/// Identifies an armed deadline.
pub(crate) type Key = (u64, u64);

/// A raw pointer to a sleeping thread with a reference of its own, which goes when the thread wakes, when the deadline
/// has come, or when the thread's task is reaped.
struct Sleeper(*const ThreadInner);

// SAFETY: see `Sleeper`; `wake` touches atomics only.
unsafe impl Send for Sleeper {}

struct Timers {
    deadlines: BTreeMap<Key, Sleeper>,
    next: u64,
    /// What the hardware is set to, `u64::MAX` if nothing.
    set_to: u64,
    quantum: u64,
}

static TIMERS: IrqLock<Timers> =
    IrqLock::new(Timers { deadlines: BTreeMap::new(), next: 0, set_to: u64::MAX, quantum: u64::MAX });

/// Longest time that the hardware is set for at once: the counter has 32 bits.
const LONGEST_NS: u64 = 2_000_000_000;

impl Timers {
    /// Sets the hardware if something earlier than what it is set to is wanted.
    fn program(&mut self, now: u64) {
        let earliest = self.deadlines.keys().next().map_or(u64::MAX, |key| key.0).min(self.quantum);
        if earliest == u64::MAX || earliest >= self.set_to {
            return;
        }
        calibrate::refine();
        let ns = earliest.saturating_sub(now).clamp(1000, LONGEST_NS);
        self.set_to = now + ns;
        apic::set_timer(calibrate::apic_ticks(ns).clamp(1, u64::from(u32::MAX)) as u32);
    }
}

/// Has `thread` woken at `deadline_ns`.
pub(crate) fn arm(deadline_ns: u64, thread: &ThreadInner) -> Key {
    let now = now_ns();
    let pointer = core::ptr::from_ref(thread);
    // SAFETY: threads live in `Arc`s; the entry holds a reference until it is removed.
    unsafe { alloc::sync::Arc::increment_strong_count(pointer) };
    let mut timers = TIMERS.lock();
    timers.next += 1;
    let key = (deadline_ns, timers.next);
    timers.deadlines.insert(key, Sleeper(pointer));
    timers.program(now);
    key
}

/// Takes a deadline back.
pub(crate) fn disarm(key: Key) {
    let removed = TIMERS.lock().deadlines.remove(&key);
    if let Some(sleeper) = removed {
        release(&sleeper);
    }
}

/// Takes all deadlines of a thread back that will not run again.
pub(crate) fn forget(thread: &ThreadInner) {
    loop {
        let removed = {
            let mut timers = TIMERS.lock();
            let key =
                timers.deadlines.iter().find(|(_, sleeper)| core::ptr::eq(sleeper.0, thread)).map(|(key, _)| *key);
            key.and_then(|key| timers.deadlines.remove(&key))
        };
        match removed {
            Some(sleeper) => release(&sleeper),
            None => return,
        }
    }
}

fn release(sleeper: &Sleeper) {
    // SAFETY: the reference of the entry that was removed.
    unsafe { alloc::sync::Arc::decrement_strong_count(sleeper.0) };
}

/// Threads of the running priority want to take turns.
pub(crate) fn want_quantum(ns: u64) {
    if TIMERS.lock().quantum != u64::MAX {
        return;
    }
    let now = now_ns();
    let mut timers = TIMERS.lock();
    timers.quantum = now + ns;
    timers.program(now);
}

/// The timer interrupt.
pub(crate) fn fired() {
    let now = now_ns();
    let mut quantum_over = false;
    loop {
        let due = {
            let mut timers = TIMERS.lock();
            timers.set_to = u64::MAX;
            if timers.quantum <= now {
                timers.quantum = u64::MAX;
                quantum_over = true;
            }
            match timers.deadlines.first_entry() {
                Some(entry) if entry.key().0 <= now => Some(entry.remove()),
                _ => None,
            }
        };
        let Some(sleeper) = due else { break };
        // SAFETY: the entry's reference is released after this.
        sched::wake(unsafe { &*sleeper.0 });
        release(&sleeper);
    }
    if quantum_over {
        sched::quantum_over();
    }
    TIMERS.lock().program(now);
}
