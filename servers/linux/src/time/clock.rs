//! Clocks: clock_gettime(2) and relatives.

use crate::context::{Context, SysResult};
use crate::process::process;
use crate::thread::{LinuxThread, PID};
use crate::user;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::time::{NANOSECONDS, Timespec, Timeval, Timezone, clock as id};
use microkernel::time::{now_ns, set_wall_ns, wall_ns};

/// A clock that can be read.
#[derive(Clone)]
pub(crate) enum Clock {
    /// Since 1970; may be set.
    Wall,
    /// Since boot.
    Monotonic,
    /// CPU time of the process.
    Process,
    /// CPU time of one thread.
    Thread(Arc<LinuxThread>),
}

/// Resolution of the coarse clocks: a tick of 4 ms, as with `CONFIG_HZ=250`.
const COARSE_NS: u64 = 4_000_000;

impl Clock {
    /// Decodes a `clockid_t`. Errors: `EINVAL`.
    pub(crate) fn parse(cx: &Context, number: i32) -> Result<Self, Errno> {
        Ok(match number {
            id::REALTIME | id::REALTIME_COARSE | id::REALTIME_ALARM | id::TAI => Self::Wall,
            id::MONOTONIC | id::MONOTONIC_RAW | id::MONOTONIC_COARSE | id::BOOTTIME | id::BOOTTIME_ALARM => {
                Self::Monotonic
            }
            id::PROCESS_CPUTIME => Self::Process,
            id::THREAD_CPUTIME => Self::Thread(cx.thread.clone()),
            dynamic if dynamic < 0 => Self::parse_cpu_clock(cx, dynamic)?,
            _ => return Err(Errno::EINVAL),
        })
    }

    /// CPU clocks of a given id: `~id << 3`, bit 2 for a thread, the low bits for the kind (`linux/posix-timers.h`).
    fn parse_cpu_clock(cx: &Context, number: i32) -> Result<Self, Errno> {
        const KIND: i32 = 3;
        const PER_THREAD: i32 = 4;
        let target = (!(number >> 3)).cast_unsigned();
        if number & KIND == KIND {
            return Err(Errno::EINVAL);
        }
        if number & PER_THREAD == 0 {
            return if target == 0 || target == PID { Ok(Self::Process) } else { Err(Errno::EINVAL) };
        }
        if target == 0 {
            return Ok(Self::Thread(cx.thread.clone()));
        }
        cx.process.threads.find(target).map(Self::Thread).ok_or(Errno::EINVAL)
    }

    /// The time now, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        match self {
            Self::Wall => wall_ns(),
            Self::Monotonic => now_ns(),
            Self::Process => process().threads.cpu_ns(),
            Self::Thread(thread) => thread.cpu_ns(),
        }
    }

    /// Whether the clock runs only while the program does.
    pub(crate) fn counts_cpu(&self) -> bool {
        matches!(self, Self::Process | Self::Thread(_))
    }
}

/// The point on the monotonic clock at which the wall clock shows `wall` (as it is set now).
pub(crate) fn monotonic_of_wall(wall: u64) -> u64 {
    let now = now_ns();
    now.saturating_add(wall.saturating_sub(wall_ns()))
}

/// clock_gettime(2).
pub(crate) fn clock_gettime(cx: &mut Context, number: i32, out: u64) -> SysResult {
    let now = Clock::parse(cx, number)?.now_ns();
    let shown = match number {
        id::REALTIME_COARSE | id::MONOTONIC_COARSE => now - now % COARSE_NS,
        _ => now,
    };
    user::write_struct(out, &Timespec::from_ns(shown))?;
    Ok(0)
}

/// clock_getres(2).
pub(crate) fn clock_getres(cx: &mut Context, number: i32, out: u64) -> SysResult {
    Clock::parse(cx, number)?;
    let resolution = match number {
        id::REALTIME_COARSE | id::MONOTONIC_COARSE => COARSE_NS,
        _ => 1,
    };
    user::write_struct_opt(out, &Timespec::from_ns(resolution))?;
    Ok(0)
}

/// clock_settime(2): the program is root and may.
pub(crate) fn clock_settime(cx: &mut Context, number: i32, value: u64) -> SysResult {
    if number != id::REALTIME {
        Clock::parse(cx, number)?;
        return Err(Errno::EINVAL);
    }
    set_wall_ns(user::read_struct::<Timespec>(value)?.to_ns().ok_or(Errno::EINVAL)?);
    Ok(0)
}

/// gettimeofday(2).
pub(crate) fn gettimeofday(_cx: &mut Context, out: u64, zone: u64) -> SysResult {
    user::write_struct_opt(out, &Timeval::from_ns(wall_ns()))?;
    user::write_struct_opt(zone, &Timezone::default())?;
    Ok(0)
}

/// settimeofday(2); the timezone has no effect.
pub(crate) fn settimeofday(_cx: &mut Context, value: u64, _zone: u64) -> SysResult {
    if value != 0 {
        set_wall_ns(user::read_struct::<Timeval>(value)?.to_ns().ok_or(Errno::EINVAL)?);
    }
    Ok(0)
}

/// time(2).
pub(crate) fn time(_cx: &mut Context, out: u64) -> SysResult {
    let seconds = wall_ns() / NANOSECONDS;
    if out != 0 {
        user::write_u64(out, seconds)?;
    }
    Ok(seconds)
}

/// Bytes of `struct timex`, and the fields that are not 0 when nobody disciplines the clock.
const TIMEX_BYTES: usize = 208;
const TIMEX_STATUS_AT: usize = 40;
const TIMEX_TIME_AT: usize = 72;
const TIMEX_TICK_AT: usize = 88;
/// `STA_UNSYNC`: the clock is not disciplined.
const STA_UNSYNC: u32 = 0x40;
/// `TIME_ERROR`: what an undisciplined clock answers.
const TIME_ERROR: u64 = 5;
/// Microseconds of a tick.
const TICK_US: u64 = 10_000;

/// adjtimex(2): tells that nobody disciplines the clock; changing it is refused.
pub(crate) fn adjtimex(_cx: &mut Context, timex: u64) -> SysResult {
    if user::read_u32(timex)? != 0 {
        lacking!("adjtimex with a change: EPERM; the host keeps the clock");
        return Err(Errno::EPERM);
    }
    let mut bytes = [0; TIMEX_BYTES];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(TIMEX_STATUS_AT, &STA_UNSYNC.to_le_bytes());
    put(TIMEX_TIME_AT, &Timeval::from_ns(wall_ns()).to_bytes());
    put(TIMEX_TICK_AT, &TICK_US.to_le_bytes());
    user::copy_out(timex, &bytes)?;
    Ok(TIME_ERROR)
}

/// clock_adjtime(2).
pub(crate) fn clock_adjtime(cx: &mut Context, number: i32, timex: u64) -> SysResult {
    if number == id::REALTIME {
        return adjtimex(cx, timex);
    }
    Clock::parse(cx, number)?;
    Err(Errno::EOPNOTSUPP)
}
