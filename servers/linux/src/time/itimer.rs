//! setitimer(2), getitimer(2), alarm(2).

use super::clock::Clock;
use super::ticker::{Setting, Start, Ticker};
use crate::context::{Context, SysResult};
use crate::process::process;
use crate::signal;
use crate::user;
use alloc::boxed::Box;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::signal::number::{SIGALRM, SIGPROF, SIGVTALRM};
use linux_abi::signal::{SigInfo, code};
use linux_abi::time::{ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, Itimerval, NANOSECONDS, Timeval};
use spin::Once;

/// The three interval timers of the process, made when first used.
#[derive(Default)]
pub(super) struct Itimers([Once<Arc<Ticker>>; 3]);

fn ticker(cx: &Context, which: i32) -> Result<&'static Ticker, Errno> {
    let (index, clock, signo) = match which {
        ITIMER_REAL => (0, Clock::Monotonic, SIGALRM),
        ITIMER_VIRTUAL => (1, Clock::Process, SIGVTALRM),
        ITIMER_PROF => (2, Clock::Process, SIGPROF),
        _ => return Err(Errno::EINVAL),
    };
    let slot: &'static Once<Arc<Ticker>> = cx.process.times.itimers.0.get(index).ok_or(Errno::EINVAL)?;
    Ok(slot.call_once(|| {
        let expired = move |_| {
            // A standard signal always finds room.
            let _ = signal::send_to_process(process(), SigInfo::from_sender(signo, code::KERNEL, 0, 0));
        };
        Ticker::new(clock, Box::new(expired))
    }))
}

fn shown(setting: Setting) -> Itimerval {
    // Rounded up: a timer that is armed never shows 0.
    let value = Timeval::from_ns(setting.value.saturating_add(999));
    Itimerval { interval: Timeval::from_ns(setting.interval), value }
}

/// getitimer(2).
pub(crate) fn getitimer(cx: &mut Context, which: i32, out: u64) -> SysResult {
    let setting = ticker(cx, which)?.get();
    user::write_struct(out, &shown(setting))?;
    Ok(0)
}

/// setitimer(2). A null `new` disarms, as in Linux.
pub(crate) fn setitimer(cx: &mut Context, which: i32, new: u64, old: u64) -> SysResult {
    let wanted = if new == 0 { Itimerval::default() } else { user::read_struct(new)? };
    let value = wanted.value.to_ns().ok_or(Errno::EINVAL)?;
    let interval = wanted.interval.to_ns().ok_or(Errno::EINVAL)?;
    let before = ticker(cx, which)?.set(Start::In, value, interval);
    user::write_struct_opt(old, &shown(before))?;
    Ok(0)
}

/// alarm(2).
pub(crate) fn alarm(cx: &mut Context, seconds: u32) -> SysResult {
    let before = ticker(cx, ITIMER_REAL)?.set(Start::In, u64::from(seconds) * NANOSECONDS, 0);
    // To the nearest second, but never 0 while one was armed.
    let rounded = before.value.saturating_add(NANOSECONDS / 2) / NANOSECONDS;
    Ok(if before.value == 0 { 0 } else { rounded.max(1) })
}
