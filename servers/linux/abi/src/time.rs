//! Clocks, time values and timers (`linux/time.h`, `linux/timerfd.h`, `linux/timex.h`).

use crate::layout;

layout! {
    /// `struct timespec`.
    pub struct Timespec: 16 {
        /// Seconds.
        0 seconds: i64,
        /// Nanoseconds; legal values are 0..1_000_000_000 (and `UTIME_*`).
        8 nanoseconds: i64,
    }

    /// `struct timeval`.
    pub struct Timeval: 16 {
        /// Seconds.
        0 seconds: i64,
        /// Microseconds, 0..1_000_000.
        8 microseconds: i64,
    }

    /// `struct itimerspec`.
    pub struct Itimerspec: 32 {
        /// Period; zero fires once.
        0 interval: Timespec,
        /// First expiry; zero disarms.
        16 value: Timespec,
    }

    /// `struct itimerval`.
    pub struct Itimerval: 32 {
        /// Period; zero fires once.
        0 interval: Timeval,
        /// First expiry; zero disarms.
        16 value: Timeval,
    }

    /// `struct tms`, in ticks of 1/100 s.
    pub struct Tms: 32 {
        /// User time.
        0 user: i64,
        /// System time.
        8 system: i64,
        /// User time of waited-for children.
        16 child_user: i64,
        /// System time of waited-for children.
        24 child_system: i64,
    }

    /// `struct timezone`.
    pub struct Timezone: 8 {
        /// Minutes west of Greenwich.
        0 minutes_west: i32,
        /// Kind of daylight saving.
        4 dst: i32,
    }
}

/// Nanoseconds in a second.
pub const NANOSECONDS: u64 = 1_000_000_000;

impl Timespec {
    /// `ns` nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / NANOSECONDS).cast_signed(), nanoseconds: (ns % NANOSECONDS).cast_signed() }
    }

    /// Nanoseconds, saturating at `u64::MAX`; `None` if negative or with illegal nanoseconds.
    #[must_use]
    pub fn to_ns(self) -> Option<u64> {
        let nanoseconds = u64::try_from(self.nanoseconds).ok().filter(|&ns| ns < NANOSECONDS)?;
        let seconds = u64::try_from(self.seconds).ok()?;
        Some(seconds.saturating_mul(NANOSECONDS).saturating_add(nanoseconds))
    }
}

impl Timeval {
    /// `ns` nanoseconds, rounded down.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / NANOSECONDS).cast_signed(), microseconds: (ns % NANOSECONDS / 1000).cast_signed() }
    }

    /// Nanoseconds, saturating; `None` if negative or with illegal microseconds.
    #[must_use]
    pub fn to_ns(self) -> Option<u64> {
        let microseconds = u64::try_from(self.microseconds).ok().filter(|&us| us < 1_000_000)?;
        let seconds = u64::try_from(self.seconds).ok()?;
        Some(seconds.saturating_mul(NANOSECONDS).saturating_add(microseconds * 1000))
    }
}

/// Clock ids (`CLOCK_*`).
pub mod clock {
    #![allow(missing_docs)] // names of linux/time.h
    pub const REALTIME: i32 = 0;
    pub const MONOTONIC: i32 = 1;
    pub const PROCESS_CPUTIME: i32 = 2;
    pub const THREAD_CPUTIME: i32 = 3;
    pub const MONOTONIC_RAW: i32 = 4;
    pub const REALTIME_COARSE: i32 = 5;
    pub const MONOTONIC_COARSE: i32 = 6;
    pub const BOOTTIME: i32 = 7;
    pub const REALTIME_ALARM: i32 = 8;
    pub const BOOTTIME_ALARM: i32 = 9;
    pub const TAI: i32 = 11;
}

/// `TIMER_ABSTIME`: the value is a point in time.
pub const TIMER_ABSTIME: i32 = 1;
/// `TFD_TIMER_CANCEL_ON_SET`.
pub const TFD_TIMER_CANCEL_ON_SET: i32 = 2;
/// `ITIMER_REAL`: wall time, SIGALRM.
pub const ITIMER_REAL: i32 = 0;
/// `ITIMER_VIRTUAL`: user time, SIGVTALRM.
pub const ITIMER_VIRTUAL: i32 = 1;
/// `ITIMER_PROF`: user and system time, SIGPROF.
pub const ITIMER_PROF: i32 = 2;

#[cfg(test)]
mod tests {
    use super::Timespec;

    #[test]
    fn illegal_times_are_refused_and_long_ones_saturate() {
        assert_eq!(Timespec { seconds: 1, nanoseconds: 5 }.to_ns(), Some(1_000_000_005));
        assert_eq!(Timespec { seconds: 0, nanoseconds: 1_000_000_000 }.to_ns(), None);
        assert_eq!(Timespec { seconds: -1, nanoseconds: 0 }.to_ns(), None);
        assert_eq!(Timespec { seconds: i64::MAX, nanoseconds: 0 }.to_ns(), Some(u64::MAX));
    }
}
