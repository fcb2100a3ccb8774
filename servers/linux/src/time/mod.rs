//! Time: clocks, sleeping, and timers that come due on the helper thread.
//!
//! [`Times`] is the queue of armed timers; [`Ticker`](ticker::Ticker) is a POSIX timer on one of the [`Clock`](clock::Clock)s, which
//! setitimer, timer_create and timerfd share. A sleeping thread needs no timer: it waits with a deadline.

pub(crate) mod clock;
mod itimer;
mod posix;
mod sleep;
pub(crate) mod ticker;
mod usage;

pub(crate) use clock::{
    adjtimex, clock_adjtime, clock_getres, clock_gettime, clock_settime, gettimeofday, monotonic_of_wall, settimeofday,
    time,
};
pub(crate) use itimer::{alarm, getitimer, setitimer};
pub(crate) use posix::{timer_create, timer_delete, timer_getoverrun, timer_gettime, timer_settime};
pub(crate) use sleep::{clock_nanosleep, nanosleep};
pub(crate) use usage::{getrusage, times};

use crate::process::process;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use spin::Mutex;

/// Something that happens at a point in time.
pub(crate) trait Due: Send + Sync {
    /// The deadline has passed; runs once per arming, on the helper thread, and must not wait.
    fn due(&self, now_ns: u64);
}

/// Names an armed timer: deadline and a number that makes it unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(u64, u64);

/// Armed timers, and what the timer calls keep.
#[derive(Default)]
pub(crate) struct Times {
    queue: Mutex<Queue>,
    itimers: itimer::Itimers,
    posix: posix::PosixTimers,
}

#[derive(Default)]
struct Queue {
    armed: BTreeMap<TimerId, Arc<dyn Due>>,
    last: u64,
}

impl Times {
    /// Has `due` called once when the monotonic clock passes `deadline_ns`.
    pub(crate) fn arm(&self, deadline_ns: u64, due: Arc<dyn Due>) -> TimerId {
        let mut queue = self.queue.lock();
        queue.last += 1;
        let id = TimerId(deadline_ns, queue.last);
        let earliest = queue.armed.keys().next().is_none_or(|first| id < *first);
        queue.armed.insert(id, due);
        drop(queue);
        if earliest {
            process().events.poke();
        }
        id
    }

    /// Takes a timer back; `false` if it is running or has run.
    pub(crate) fn cancel(&self, id: TimerId) -> bool {
        let due = self.queue.lock().armed.remove(&id);
        due.is_some()
    }

    /// Runs what is due; returns when to look again.
    pub(crate) fn run_due(&self) -> Option<u64> {
        loop {
            let now = microkernel::time::now_ns();
            let due = {
                let mut queue = self.queue.lock();
                let first = *queue.armed.keys().next()?;
                if first.0 > now {
                    return Some(first.0);
                }
                queue.armed.remove(&first)?
            };
            due.due(now);
        }
    }
}
