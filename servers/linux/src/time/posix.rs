//! timer_create(2) and the calls on what it makes.

use super::clock::Clock;
use super::ticker::{Expired, Setting, Start, Ticker};
use crate::context::{Context, SysResult};
use crate::process::process;
use crate::signal;
use crate::user;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_abi::Errno;
use linux_abi::signal::number::{SIGALRM, SIGRTMAX};
use linux_abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, SigEvent, SigInfo};
use linux_abi::time::{Itimerspec, TIMER_ABSTIME, Timespec};
use spin::Mutex;

/// Most timers of the process.
const TIMERS_MAX: usize = 4096;
/// Highest overrun that is reported (`DELAYTIMER_MAX`).
const OVERRUN_MAX: u64 = i32::MAX as u64;

/// Timers by id.
#[derive(Default)]
pub(super) struct PosixTimers(Mutex<Timers>);

#[derive(Default)]
struct Timers {
    by_id: BTreeMap<u32, PosixTimer>,
    next: u32,
}

#[derive(Clone)]
struct PosixTimer {
    ticker: Arc<Ticker>,
    /// Expiries beyond the first that the last signal stands for.
    overrun: Arc<AtomicU32>,
}

/// timer_create(2). `SIGEV_THREAD` is libc's business and arrives as `SIGEV_THREAD_ID`.
pub(crate) fn timer_create(cx: &mut Context, number: i32, event: u64, out: u64) -> SysResult {
    let clock = Clock::parse(cx, number)?;
    let id = {
        let mut timers = cx.process.times.posix.0.lock();
        if timers.by_id.len() >= TIMERS_MAX {
            return Err(Errno::EAGAIN);
        }
        let id = timers.next;
        timers.next = (id + 1) & i32::MAX as u32;
        id
    };
    let event = match event {
        0 => SigEvent { value: u64::from(id), signo: SIGALRM.cast_signed(), notify: SIGEV_SIGNAL, tid: 0 },
        _ => user::read_struct::<SigEvent>(event)?,
    };
    let overrun = Arc::new(AtomicU32::new(0));
    let expired = notification(cx, id, &event, overrun.clone())?;
    user::write_u32(out, id)?;
    let timer = PosixTimer { ticker: Ticker::new(clock, expired), overrun };
    cx.process.times.posix.0.lock().by_id.insert(id, timer);
    Ok(0)
}

/// What happens at an expiry. Errors: `EINVAL`.
fn notification(cx: &Context, id: u32, event: &SigEvent, overrun: Arc<AtomicU32>) -> Result<Expired, Errno> {
    if event.notify == SIGEV_NONE {
        return Ok(Box::new(|_| {}));
    }
    let signo = event.signo.cast_unsigned();
    let tid = event.tid.cast_unsigned();
    let to_thread = match event.notify {
        SIGEV_SIGNAL => false,
        SIGEV_THREAD_ID if cx.process.threads.find(tid).is_some() => true,
        _ => return Err(Errno::EINVAL),
    };
    if !(1..=SIGRTMAX).contains(&signo) {
        return Err(Errno::EINVAL);
    }
    let value = event.value;
    Ok(Box::new(move |count| {
        let missed = (count - 1).min(OVERRUN_MAX) as u32;
        overrun.store(missed, Ordering::Relaxed);
        let info = SigInfo::from_timer(signo, id, missed, value);
        // A full queue loses the expiry, as an overrun would.
        let _ = match process().threads.find(tid).filter(|_| to_thread) {
            Some(thread) => signal::send_to_thread(process(), &thread, info),
            None if to_thread => Ok(()),
            None => signal::send_to_process(process(), info),
        };
    }))
}

fn find(cx: &Context, id: u32) -> Result<PosixTimer, Errno> {
    cx.process.times.posix.0.lock().by_id.get(&id).cloned().ok_or(Errno::EINVAL)
}

fn shown(setting: Setting) -> Itimerspec {
    Itimerspec { interval: Timespec::from_ns(setting.interval), value: Timespec::from_ns(setting.value) }
}

/// timer_settime(2).
pub(crate) fn timer_settime(cx: &mut Context, id: u32, flags: i32, new: u64, old: u64) -> SysResult {
    if new == 0 {
        return Err(Errno::EINVAL);
    }
    let wanted = user::read_struct::<Itimerspec>(new)?;
    let value = wanted.value.to_ns().ok_or(Errno::EINVAL)?;
    let interval = wanted.interval.to_ns().ok_or(Errno::EINVAL)?;
    let timer = find(cx, id)?;
    let start = if flags & TIMER_ABSTIME != 0 { Start::At } else { Start::In };
    timer.overrun.store(0, Ordering::Relaxed);
    let before = timer.ticker.set(start, value, interval);
    user::write_struct_opt(old, &shown(before))?;
    Ok(0)
}

/// timer_gettime(2).
pub(crate) fn timer_gettime(cx: &mut Context, id: u32, out: u64) -> SysResult {
    let setting = find(cx, id)?.ticker.get();
    user::write_struct(out, &shown(setting))?;
    Ok(0)
}

/// timer_getoverrun(2).
pub(crate) fn timer_getoverrun(cx: &mut Context, id: u32) -> SysResult {
    Ok(u64::from(find(cx, id)?.overrun.load(Ordering::Relaxed)))
}

/// timer_delete(2).
pub(crate) fn timer_delete(cx: &mut Context, id: u32) -> SysResult {
    let gone = cx.process.times.posix.0.lock().by_id.remove(&id).ok_or(Errno::EINVAL)?;
    gone.ticker.set(Start::In, 0, 0);
    Ok(0)
}
