//! nanosleep(2) and clock_nanosleep(2).

use super::clock::{Clock, monotonic_of_wall};
use crate::block::{self, Wake};
use crate::context::{Context, SysResult};
use crate::user;
use alloc::boxed::Box;
use linux_abi::Errno;
use linux_abi::time::{TIMER_ABSTIME, Timespec, clock as id};
use microkernel::time::now_ns;

/// nanosleep(2).
pub(crate) fn nanosleep(cx: &mut Context, wanted: u64, left: u64) -> SysResult {
    let ns = user::read_struct::<Timespec>(wanted)?.to_ns().ok_or(Errno::EINVAL)?;
    sleep_until(cx, now_ns().saturating_add(ns), left)
}

/// clock_nanosleep(2).
pub(crate) fn clock_nanosleep(cx: &mut Context, number: i32, flags: i32, wanted: u64, left: u64) -> SysResult {
    let clock = Clock::parse(cx, number)?;
    match number {
        id::THREAD_CPUTIME => return Err(Errno::EINVAL),
        id::MONOTONIC_RAW | id::REALTIME_COARSE | id::MONOTONIC_COARSE => return Err(Errno::EOPNOTSUPP),
        _ if clock.counts_cpu() => {
            lacking!("clock_nanosleep on CPU clock {number}: EOPNOTSUPP");
            return Err(Errno::EOPNOTSUPP);
        }
        _ => {}
    }
    let ns = user::read_struct::<Timespec>(wanted)?.to_ns().ok_or(Errno::EINVAL)?;
    if flags & TIMER_ABSTIME == 0 {
        return sleep_until(cx, now_ns().saturating_add(ns), left);
    }
    let deadline = if matches!(clock, Clock::Wall) { monotonic_of_wall(ns) } else { ns };
    match block::wait(cx, 0, Some(deadline)) {
        Wake::Interrupted => Err(Errno::ERESTARTNOHAND),
        Wake::Bits(_) | Wake::TimedOut => Ok(0),
    }
}

/// Sleeps; interrupted, stores what is left and goes on with it unless a handler runs.
fn sleep_until(cx: &mut Context, deadline: u64, left: u64) -> SysResult {
    match block::wait(cx, 0, Some(deadline)) {
        Wake::Bits(_) | Wake::TimedOut => Ok(0),
        Wake::Interrupted => {
            let rest = deadline.saturating_sub(now_ns());
            user::write_struct_opt(left, &Timespec::from_ns(rest))?;
            Err(cx.thread.restart_with(Box::new(move |cx: &mut Context| sleep_until(cx, deadline, left))))
        }
    }
}
