//! Exceptions of the program: page faults are served, the rest become signals.

use super::deliver::end_by_signal;
use super::set::SigSet;
use crate::context::Context;
use crate::mm::{FaultError, Wanted};
use linux_abi::signal::number::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP};
use linux_abi::signal::{SIG_DFL, SIG_IGN, SigInfo, code};
use microkernel::log;
use microkernel::task::thread;
use microkernel::trap::UserFault;

/// Page fault vector and its error code bits (SDM 3A 4.7).
const PAGE_FAULT: u64 = 14;
const CODE_PRESENT: u64 = 1;
const CODE_WRITE: u64 = 2;
const CODE_USER: u64 = 4;
const CODE_EXECUTE: u64 = 16;

/// The program raised an exception.
pub(crate) fn on_fault(cx: &mut Context, fault: UserFault) {
    match fault {
        UserFault::Page { address, write, execute, present } => page_fault(cx, address, write, execute, present),
        UserFault::Other { vector, code } => exception(cx, vector, code),
    }
}

fn page_fault(cx: &mut Context, address: u64, write: bool, execute: bool, present: bool) {
    let wanted = match (write, execute) {
        (true, _) => Wanted::Write,
        (false, true) => Wanted::Execute,
        (false, false) => Wanted::Read,
    };
    let Err(error) = cx.process.mm.fault_in(address, wanted) else { return };
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    let error_code = bit(present, CODE_PRESENT) | bit(write, CODE_WRITE) | CODE_USER | bit(execute, CODE_EXECUTE);
    cx.thread.signals.state.lock().last_fault = (PAGE_FAULT, error_code, address);
    let info = match error {
        FaultError::NotMapped => SigInfo::from_fault(SIGSEGV, code::SEGV_MAPERR, address),
        FaultError::NotAllowed => SigInfo::from_fault(SIGSEGV, code::SEGV_ACCERR, address),
        FaultError::NoPage => SigInfo::from_fault(SIGBUS, code::BUS_ADRERR, address),
        FaultError::NoMemory => {
            log!("linux: out of memory at address {address:#x}, the program is ended; give the VM more with -m");
            end_by_signal(cx, &SigInfo::from_sender(SIGKILL, code::USER, 0, 0));
        }
    };
    force(cx, info);
}

/// Exceptions by vector (SDM 3A 6.15), as `arch/x86/kernel/traps.c` turns them into signals.
fn exception(cx: &mut Context, vector: u8, error_code: u64) {
    let rip = cx.regs.rip;
    let info = match vector {
        0 => SigInfo::from_fault(SIGFPE, code::FPE_INTDIV, rip),
        1 => SigInfo::from_fault(SIGTRAP, code::TRAP_TRACE, rip),
        3 => SigInfo::from_fault(SIGTRAP, code::KERNEL, 0),
        6 => SigInfo::from_fault(SIGILL, code::ILL_ILLOPN, rip),
        16 => SigInfo::from_fault(SIGFPE, float_code(x87_status()), rip),
        17 => SigInfo::from_fault(SIGBUS, code::BUS_ADRALN, 0),
        19 => SigInfo::from_fault(SIGFPE, float_code(simd_status()), rip),
        11 | 12 => SigInfo::from_fault(SIGBUS, code::KERNEL, 0),
        _ => SigInfo::from_fault(SIGSEGV, code::KERNEL, 0),
    };
    cx.thread.signals.state.lock().last_fault = (u64::from(vector), error_code, 0);
    force(cx, info);
}

/// Unmasked exceptions of the x87 unit: status word against control word in the FXSAVE image.
fn x87_status() -> u16 {
    thread::with_vector_state(|state| word(state, 2) & !word(state, 0)).unwrap_or_default()
}

/// Unmasked exceptions of SSE: flags of MXCSR against its masks.
fn simd_status() -> u16 {
    thread::with_vector_state(|state| {
        let mxcsr = word(state, 24);
        mxcsr & !(mxcsr >> 7)
    })
    .unwrap_or_default()
}

fn word(state: &[u8], at: usize) -> u16 {
    state.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// `si_code` for the first of the exceptions: invalid, divide, overflow, underflow or denormal, inexact.
fn float_code(status: u16) -> i32 {
    match status & 0x3f {
        bits if bits & 0x01 != 0 => code::FPE_FLTINV,
        bits if bits & 0x04 != 0 => code::FPE_FLTDIV,
        bits if bits & 0x08 != 0 => code::FPE_FLTOVF,
        bits if bits & 0x12 != 0 => code::FPE_FLTUND,
        bits if bits & 0x20 != 0 => code::FPE_FLTRES,
        _ => 0,
    }
}

/// A signal that the thread cannot dodge: blocked or ignored, it ends the process.
pub(super) fn force(cx: &mut Context, info: SigInfo) {
    let signo = info.signo.cast_unsigned();
    {
        let mut shared = cx.process.signals.state.lock();
        let mut own = cx.thread.signals.state.lock();
        let blocked = own.mask.contains(signo);
        if let Some(action) = shared.actions.get_mut(signo as usize - 1)
            && (blocked || action.handler == SIG_IGN)
        {
            action.handler = SIG_DFL;
        }
        own.mask = own.mask.without(SigSet::of(signo));
        // A standard signal always finds room.
        let _ = own.pending.push(info);
    }
    cx.thread.want();
}
