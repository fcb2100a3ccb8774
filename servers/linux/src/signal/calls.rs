//! The signal system calls.

use super::set::SigSet;
use super::{is_ignored, look_again, pending, send_to_process, send_to_thread, take_pending};
use crate::block::{self, Wake, bits};
use crate::context::{Context, SysResult};
use crate::thread::PID;
use crate::user;
use linux_abi::Errno;
use linux_abi::signal::number::{SIGKILL, SIGRTMAX, SIGSTOP};
use linux_abi::signal::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SigAction, SigInfo, code};
use linux_abi::time::Timespec;

/// Bytes of `sigset_t` in the kernel; every call that takes one also takes its size.
const SIGSET_BYTES: u64 = 8;

fn check_size(size: u64) -> Result<(), Errno> {
    if size == SIGSET_BYTES { Ok(()) } else { Err(Errno::EINVAL) }
}

/// rt_sigaction(2).
pub(crate) fn rt_sigaction(cx: &mut Context, signo: u32, new: u64, old: u64, size: u64) -> SysResult {
    check_size(size)?;
    let wanted = if new == 0 { None } else { Some(user::read_struct::<SigAction>(new)?) };
    if !(1..=SIGRTMAX).contains(&signo) || wanted.is_some() && (signo == SIGKILL || signo == SIGSTOP) {
        return Err(Errno::EINVAL);
    }
    let before = {
        let mut shared = cx.process.signals.state.lock();
        let before = shared.action(signo);
        if let (Some(mut wanted), Some(slot)) = (wanted, shared.actions.get_mut(signo as usize - 1)) {
            wanted.mask = SigSet(wanted.mask).without(SigSet::UNBLOCKABLE).0;
            *slot = wanted;
            if is_ignored(signo, &wanted) {
                shared.pending.discard(SigSet::of(signo));
                for thread in cx.process.threads.all() {
                    thread.signals.state.lock().pending.discard(SigSet::of(signo));
                }
            }
        }
        before
    };
    user::write_struct_opt(old, &before)?;
    Ok(0)
}

/// rt_sigprocmask(2).
pub(crate) fn rt_sigprocmask(cx: &mut Context, how: i32, new: u64, old: u64, size: u64) -> SysResult {
    check_size(size)?;
    let before = cx.thread.signals.mask();
    if new != 0 {
        let set = SigSet(user::read_u64(new)?).without(SigSet::UNBLOCKABLE);
        let mask = match how {
            SIG_BLOCK => before.or(set),
            SIG_UNBLOCK => before.without(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        cx.thread.signals.state.lock().mask = mask;
        look_again(cx);
    }
    if old != 0 {
        user::write_u64(old, before.0)?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub(crate) fn rt_sigpending(cx: &mut Context, set: u64, size: u64) -> SysResult {
    if size > SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let waiting = pending(cx).and(cx.thread.signals.mask()).0.to_le_bytes();
    user::copy_out(set, waiting.get(..size as usize).unwrap_or_default())?;
    Ok(0)
}

/// rt_sigsuspend(2).
pub(crate) fn rt_sigsuspend(cx: &mut Context, mask: u64, size: u64) -> SysResult {
    check_size(size)?;
    let mask = SigSet(user::read_u64(mask)?);
    super::set_temporary_mask(cx, mask);
    wait_for_delivery(cx)
}

/// pause(2).
pub(crate) fn pause(cx: &mut Context) -> SysResult {
    wait_for_delivery(cx)
}

fn wait_for_delivery(cx: &Context) -> SysResult {
    while block::wait(cx, bits::SIGNAL, None) != Wake::Interrupted {}
    Err(Errno::ERESTARTNOHAND)
}

/// rt_sigtimedwait(2).
pub(crate) fn rt_sigtimedwait(cx: &mut Context, set: u64, info: u64, timeout: u64, size: u64) -> SysResult {
    check_size(size)?;
    let wanted = SigSet(user::read_u64(set)?).without(SigSet::UNBLOCKABLE);
    let deadline = match timeout {
        0 => None,
        _ => {
            let ns = user::read_struct::<Timespec>(timeout)?.to_ns().ok_or(Errno::EINVAL)?;
            Some(microkernel::time::now_ns().saturating_add(ns))
        }
    };
    cx.thread.signals.state.lock().awaited = wanted;
    let found = await_signal(cx, wanted, deadline);
    cx.thread.signals.state.lock().awaited = SigSet::default();
    look_again(cx);
    let found = found?;
    user::write_struct_opt(info, &found)?;
    Ok(u64::from(found.signo.cast_unsigned()))
}

fn await_signal(cx: &Context, wanted: SigSet, deadline: Option<u64>) -> Result<SigInfo, Errno> {
    loop {
        // What is awaited wants the thread as well; only what is left over interrupts.
        cx.thread.clear_wanted();
        if let Some(found) = take_pending(cx, wanted) {
            return Ok(found);
        }
        if cx.thread.dying() || pending(cx).without(cx.thread.signals.mask()).first().is_some() {
            cx.thread.want();
            return Err(Errno::EINTR);
        }
        if block::wait(cx, bits::SIGNAL, deadline) == Wake::TimedOut {
            return take_pending(cx, wanted).ok_or(Errno::EAGAIN);
        }
    }
}

/// kill(2). The program is alone: only its own id, its group (0, -1 of a group) and "everybody" exist.
pub(crate) fn kill(cx: &mut Context, pid: i32, signo: i32) -> SysResult {
    let me = PID.cast_signed();
    let signo = check_number(signo)?;
    if pid == -1 || pid != me && pid != 0 && pid.checked_neg() != Some(me) {
        // "Everybody" leaves out the caller and init; nobody is left.
        return Err(Errno::ESRCH);
    }
    if signo != 0 {
        send_to_process(cx.process, SigInfo::from_sender(signo, code::USER, PID, 0))?;
    }
    Ok(0)
}

/// tkill(2).
pub(crate) fn tkill(cx: &mut Context, tid: i32, signo: i32) -> SysResult {
    if tid <= 0 {
        return Err(Errno::EINVAL);
    }
    to_thread(cx, tid, signo, |signo| SigInfo::from_sender(signo, code::TKILL, PID, 0))
}

/// tgkill(2).
pub(crate) fn tgkill(cx: &mut Context, tgid: i32, tid: i32, signo: i32) -> SysResult {
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    if tgid != PID.cast_signed() {
        return Err(Errno::ESRCH);
    }
    tkill(cx, tid, signo)
}

/// rt_sigqueueinfo(2).
pub(crate) fn rt_sigqueueinfo(cx: &mut Context, pid: i32, signo: i32, info: u64) -> SysResult {
    let info = user::read_struct::<SigInfo>(info)?;
    if pid != PID.cast_signed() {
        return Err(Errno::ESRCH);
    }
    let signo = check_number(signo)?;
    if signo != 0 {
        send_to_process(cx.process, SigInfo { signo: signo.cast_signed(), ..info })?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2).
pub(crate) fn rt_tgsigqueueinfo(cx: &mut Context, tgid: i32, tid: i32, signo: i32, info: u64) -> SysResult {
    let info = user::read_struct::<SigInfo>(info)?;
    if tgid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    if tgid != PID.cast_signed() {
        return Err(Errno::ESRCH);
    }
    to_thread(cx, tid, signo, |signo| SigInfo { signo: signo.cast_signed(), ..info })
}

fn to_thread(cx: &Context, tid: i32, signo: i32, info: impl FnOnce(u32) -> SigInfo) -> SysResult {
    let thread = cx.process.threads.find(tid.cast_unsigned()).ok_or(Errno::ESRCH)?;
    let signo = check_number(signo)?;
    if signo != 0 {
        send_to_thread(cx.process, &thread, info(signo))?;
    }
    Ok(0)
}

/// 0 only asks whether the target exists. Errors: `EINVAL`.
fn check_number(signo: i32) -> Result<u32, Errno> {
    u32::try_from(signo).ok().filter(|&signo| signo <= SIGRTMAX).ok_or(Errno::EINVAL)
}
