//! How a handler waits: notification bits, a deadline, and the signals that end the wait.
//!
//! The pattern is always: make the wake-up findable (queue entry, futex waiter, timer), look at the
//! condition, [`wait`], look again. Bits stay set until taken, so a wake-up between look and wait is not lost.

use crate::context::Context;
use linux_abi::Errno;
use microkernel::task::thread;

/// Bits of a thread's notification word that the front end uses.
pub(crate) mod bits {
    /// A wait queue (`wait.rs`) has something for the thread.
    pub(crate) const QUEUE: u64 = 1 << 0;
    /// A futex waiter was woken or moved.
    pub(crate) const FUTEX: u64 = 1 << 1;
    /// A signal for `sigtimedwait` or `sigsuspend` came.
    pub(crate) const SIGNAL: u64 = 1 << 2;
    /// The event thread's own bell.
    pub(crate) const EVENT: u64 = 1 << 3;
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// These bits came.
    Bits(u64),
    /// The deadline passed.
    TimedOut,
    /// A signal wants to be delivered, or the process ends.
    Interrupted,
}

/// Waits for a bit of `mask`, for `deadline_ns` (monotonic; `None` for ever) or for a signal.
///
/// May return `Bits` for a wake-up that was meant for an earlier wait: callers look at their condition again.
pub(crate) fn wait(cx: &Context, mask: u64, deadline_ns: Option<u64>) -> Wake {
    loop {
        if cx.thread.interrupted() {
            return Wake::Interrupted;
        }
        let got = thread::wait_for(mask | thread::ATTENTION, deadline_ns);
        if got == 0 {
            return Wake::TimedOut;
        }
        if got & mask != 0 {
            return Wake::Bits(got & mask);
        }
        // Wanted, but not by a signal that may be delivered now: do not let it end the next wait at once.
        // Cleared before the next look, so that a new signal is not lost.
        thread::clear_attention();
    }
}

/// As [`wait`] with only the outcomes that most handlers tell apart: `EINTR`-like interruption is
/// `ERESTARTSYS`, a passed deadline is `Ok(false)`.
pub(crate) fn wait_restartable(cx: &Context, mask: u64, deadline_ns: Option<u64>) -> Result<bool, Errno> {
    match wait(cx, mask, deadline_ns) {
        Wake::Bits(_) => Ok(true),
        Wake::TimedOut => Ok(false),
        Wake::Interrupted => Err(Errno::ERESTARTSYS),
    }
}
