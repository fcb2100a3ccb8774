//! timerfd(2), over the timers of `time`.
