//! A POSIX timer: one expiry or a period, on any clock.
//!
//! On a CPU clock the timer is armed for the earliest moment at which the time can be used up and looks again then.

use super::clock::Clock;
use super::{Due, TimerId};
use crate::process::process;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use microkernel::time::{now_ns, wall_ns};
use spin::Mutex;

/// Called on the helper thread with the number of periods that have passed since the last call, at least 1.
pub(crate) type Expired = Box<dyn Fn(u64) + Send + Sync>;

/// Shortest wait of a CPU timer before it looks again.
const CPU_LOOK_NS: u64 = 1_000_000;

/// A timer. Armed or not.
pub(crate) struct Ticker {
    me: Weak<Self>,
    clock: Clock,
    expired: Expired,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    armed: Option<TimerId>,
    /// Next expiry on the timer's own clock.
    target: u64,
    /// 0: once.
    interval: u64,
}

/// What is left until the next expiry (0: not armed) and the period, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Until the next expiry.
    pub value: u64,
    /// Period.
    pub interval: u64,
}

/// How [`Ticker::set`] reads its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From now.
    In,
    /// On the timer's clock.
    At,
}

impl Ticker {
    /// A timer that is not armed.
    pub(crate) fn new(clock: Clock, expired: Expired) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { me: me.clone(), clock, expired, state: Mutex::default() })
    }

    /// What is left now.
    pub(crate) fn get(&self) -> Setting {
        let now = self.clock.now_ns();
        let state = self.state.lock();
        setting(&state, now)
    }

    /// Arms the timer, or disarms it with value 0; returns what was left.
    pub(crate) fn set(&self, start: Start, value: u64, interval: u64) -> Setting {
        let now = self.clock.now_ns();
        let mut state = self.state.lock();
        let before = setting(&state, now);
        if let Some(id) = state.armed.take() {
            process().times.cancel(id);
        }
        state.interval = interval;
        if value != 0 {
            state.target = if start == Start::In { now.saturating_add(value) } else { value };
            self.arm(&mut state, now);
        }
        before
    }

    /// Enters the timer into the queue for its target; `now` is its own clock's time.
    fn arm(&self, state: &mut State, now: u64) {
        let Some(me) = self.me.upgrade() else { return };
        let left = state.target.saturating_sub(now);
        let deadline = match self.clock {
            Clock::Monotonic => state.target,
            Clock::Wall => now_ns().saturating_add(state.target.saturating_sub(wall_ns())),
            Clock::Process | Clock::Thread(_) => now_ns().saturating_add(left.max(CPU_LOOK_NS)),
        };
        state.armed = Some(process().times.arm(deadline, me));
    }
}

fn setting(state: &State, now: u64) -> Setting {
    let value = if state.armed.is_some() { state.target.saturating_sub(now).max(1) } else { 0 };
    Setting { value, interval: state.interval }
}

/// Periods that have passed at `now` since `target`, and the next target.
fn periods(target: u64, interval: u64, now: u64) -> (u64, u64) {
    let count = 1 + now.saturating_sub(target) / interval;
    (count, target.saturating_add(interval.saturating_mul(count)))
}

impl Due for Ticker {
    fn due(&self, _now_ns: u64) {
        let now = self.clock.now_ns();
        let count = {
            let mut state = self.state.lock();
            // Set anew between coming due and this lock.
            if state.armed.take().is_none() {
                return;
            }
            if now < state.target {
                self.arm(&mut state, now);
                return;
            }
            if state.interval == 0 {
                1
            } else {
                let (count, next) = periods(state.target, state.interval, now);
                state.target = next;
                self.arm(&mut state, now);
                count
            }
        };
        (self.expired)(count);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some(id) = self.state.lock().armed.take() {
            process().times.cancel(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::periods;

    #[test]
    fn missed_periods_are_counted_and_the_rhythm_is_kept() {
        assert_eq!(periods(100, 10, 100), (1, 110));
        assert_eq!(periods(100, 10, 109), (1, 110));
        assert_eq!(periods(100, 10, 125), (3, 130));
        assert_eq!(periods(u64::MAX - 5, u64::MAX, u64::MAX - 1), (1, u64::MAX));
    }
}
