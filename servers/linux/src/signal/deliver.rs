//! Delivery: what happens to a wanted thread before it returns to the program, and rt_sigreturn(2).

use super::set::SigSet;
use super::{DefaultAction, default_of, frame};
use crate::context::{Context, SysResult};
use crate::thread::{end_dying, end_process};
use linux_abi::Errno;
use linux_abi::signal::number::SIGSEGV;
use linux_abi::signal::{ActionFlags, SIG_DFL, SIG_IGN, SigAction, SigInfo};
use linux_abi::sysno;
use microkernel::log;

/// Deals with everything that wants the thread. `result` is that of the system call that is about to return.
pub(crate) fn deliver(cx: &mut Context, result: Option<SysResult>) {
    if cx.thread.dying() {
        end_dying();
    }
    if let Some(result) = result {
        cx.regs.rax = result.unwrap_or_else(Errno::as_result);
    }
    let mut interrupted = result.and_then(Result::err).filter(|error| error.is_restart());
    loop {
        cx.thread.clear_wanted();
        if cx.thread.dying() {
            end_dying();
        }
        let Some((info, action)) = next(cx) else { break };
        if let Some(code) = interrupted.take() {
            resume_or_fail(cx, code, &action);
        }
        run_handler(cx, &info, &action);
    }
    if let Some(code) = interrupted {
        restart(cx, code);
    }
    super::end_temporary_mask(cx);
}

/// Takes signals until one with a handler comes; ends the process for one whose default says so.
fn next(cx: &Context) -> Option<(SigInfo, SigAction)> {
    loop {
        let (info, action) = take(cx)?;
        let signo = info.signo.cast_unsigned();
        match action.handler {
            SIG_IGN => {}
            SIG_DFL => match default_of(signo) {
                DefaultAction::Ignore | DefaultAction::Stop => {}
                DefaultAction::End => end_by_signal(cx, &info),
            },
            _ => return Some((info, action)),
        }
    }
}

/// Takes the next deliverable signal and its action; `SA_RESETHAND` takes effect here.
fn take(cx: &Context) -> Option<(SigInfo, SigAction)> {
    let mut shared = cx.process.signals.state.lock();
    let mut own = cx.thread.signals.state.lock();
    let open = SigSet(u64::MAX).without(own.mask);
    let info = own.pending.take(open).or_else(|| shared.pending.take(open))?;
    let slot = shared.actions.get_mut(info.signo.cast_unsigned() as usize - 1)?;
    let action = *slot;
    if ActionFlags::from_bits_retain(action.flags).contains(ActionFlags::RESETHAND) && action.handler > SIG_IGN {
        slot.handler = SIG_DFL;
    }
    Some((info, action))
}

fn run_handler(cx: &mut Context, info: &SigInfo, action: &SigAction) {
    if frame::push(cx, info, action).is_err() {
        log!("linux: no room on the stack for the frame of signal {} at rsp {:#x}", info.signo, cx.regs.rsp);
        end_by_signal(cx, &SigInfo { signo: SIGSEGV.cast_signed(), ..*info });
    }
    let flags = ActionFlags::from_bits_retain(action.flags);
    let mut own = cx.thread.signals.state.lock();
    own.saved_mask = None;
    own.mask = own.mask.or(SigSet(action.mask));
    if !flags.contains(ActionFlags::NODEFER) {
        own.mask = own.mask.or(SigSet::of(info.signo.cast_unsigned()));
    }
    own.mask = own.mask.without(SigSet::UNBLOCKABLE);
}

/// A handler is about to run: the interrupted call is restarted behind it, or fails with `EINTR`.
fn resume_or_fail(cx: &mut Context, code: Errno, action: &SigAction) {
    let again = match code {
        Errno::ERESTARTNOINTR => true,
        Errno::ERESTARTSYS => ActionFlags::from_bits_retain(action.flags).contains(ActionFlags::RESTART),
        _ => false,
    };
    if again { restart(cx, code) } else { cx.regs.rax = Errno::EINTR.as_result() }
}

/// Lets the program issue the interrupted call again: `syscall` is two bytes long.
fn restart(cx: &mut Context, code: Errno) {
    cx.regs.rip = cx.regs.rip.wrapping_sub(2);
    cx.regs.rax = match code {
        Errno::ERESTART_RESTARTBLOCK => RESTART_SYSCALL,
        _ => cx.regs.orig_rax,
    };
}

/// Number of restart_syscall(2).
const RESTART_SYSCALL: u64 = 219;
const _: () = assert!(RESTART_SYSCALL < sysno::COUNT as u64);

/// The default action ends the process: status 128 + signal, as a shell reports it.
pub(super) fn end_by_signal(cx: &Context, info: &SigInfo) -> ! {
    let signo = info.signo.cast_unsigned();
    if info.code > 0 {
        let regs = &*cx.regs;
        log!(
            "linux: the program is ended by signal {signo} (code {}) at rip {:#x}, address {:#x}, thread {}",
            info.code,
            regs.rip,
            info.detail[0],
            cx.thread.tid
        );
    }
    end_process(128 + signo as u8)
}

/// rt_sigreturn(2): puts back what the frame on the stack says, made safe.
pub(crate) fn rt_sigreturn(cx: &mut Context) -> SysResult {
    match frame::pop(cx) {
        Ok(mask) => {
            cx.thread.signals.state.lock().mask = mask.without(SigSet::UNBLOCKABLE);
            super::look_again(cx);
        }
        Err(_) => super::fault::force(cx, SigInfo::from_fault(SIGSEGV, linux_abi::signal::code::KERNEL, 0)),
    }
    Ok(cx.regs.rax)
}
