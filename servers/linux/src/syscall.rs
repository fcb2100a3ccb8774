//! The three doors from the core: system call, fault, attention.
//!
//! A system call is one bounds check and one indirect call; the result goes to `rax`. Whoever is wanted (a signal, the
//! end of the process) is dealt with before the return to the program, here and in [`attention`].

use crate::context::{Context, SysResult};
use crate::process::process;
use crate::signal;
use crate::table::DISPATCH;
use crate::thread::LinuxThread;
use alloc::sync::Arc;
use linux_abi::{Errno, sysno};
use microkernel::task::thread;
use microkernel::trap::{self, Handlers, UserContext, UserFault};

/// Tells the core whom to call.
pub(crate) fn install_handlers() {
    trap::set_handlers(Handlers { syscall, fault, attention });
}

/// Builds the context of the running thread and runs `work` in it.
fn enter(regs: &mut UserContext, work: impl FnOnce(&mut Context)) {
    let thread = thread::current_data::<Arc<LinuxThread>>()
        .expect("every program thread is spawned with its LinuxThread attached");
    work(&mut Context { regs, thread, process: process() });
}

extern "C" fn syscall(regs: &mut UserContext) {
    enter(regs, |cx| {
        let result = dispatch(cx);
        if cx.thread.wanted() || matches!(result, Err(error) if error.is_restart()) {
            signal::deliver(cx, Some(result));
        } else {
            cx.regs.rax = result.unwrap_or_else(Errno::as_result);
        }
    });
}

fn dispatch(cx: &mut Context) -> SysResult {
    match DISPATCH.get(cx.regs.orig_rax as usize) {
        Some(entry) => entry(cx),
        None => absent(cx),
    }
}

fn attention(regs: &mut UserContext) {
    enter(regs, |cx| {
        if cx.thread.wanted() {
            signal::deliver(cx, None);
        }
    });
}

fn fault(regs: &mut UserContext, fault: UserFault) {
    enter(regs, |cx| {
        signal::on_fault(cx, fault);
        if cx.thread.wanted() {
            signal::deliver(cx, None);
        }
    });
}

/// A number without a row: `ENOSYS`, named once.
pub(crate) fn absent(cx: &mut Context) -> SysResult {
    let number = cx.regs.orig_rax;
    match sysno::name(number) {
        Some(name) => lacking!("{name}: not there (ENOSYS)"),
        None => lacking!("system call {number}: Linux has no such number (ENOSYS)"),
    }
    Err(Errno::ENOSYS)
}
