//! The frame that a handler finds on the stack (`struct rt_sigframe`), written and read back.
//!
//! From high to low: vector state (aligned to 64), then return address, `ucontext`, `siginfo`; the frame's address plus 8
//! is a multiple of 16, as at any function entry. Layout and magic numbers: `arch/x86/kernel/signal.c`, `fpu/signal.c`.

use super::set::SigSet;
use super::stack::{is_on, restore_alt_stack};
use crate::context::Context;
use crate::user;
use alloc::vec;
use alloc::vec::Vec;
use linux_abi::signal::{
    ActionFlags, AltStack, FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FpxSwBytes, SS_AUTODISARM, SS_DISABLE, SigAction,
    SigContext, SigInfo, UC_FP_XSTATE, UC_SIGCONTEXT_SS, Ucontext,
};
use linux_abi::{Errno, Layout};
use microkernel::task::thread;
use microkernel::trap::UserContext;

/// Bytes below `rsp` that a leaf function may use (psABI 3.2.2).
const RED_ZONE: u64 = 128;
/// Return address, ucontext, siginfo.
const HEAD_BYTES: usize = 8 + Ucontext::BYTES + SigInfo::BYTES;
/// Legacy (FXSAVE) part of the vector state.
const FX_BYTES: usize = 512;
/// Where software may store its own in the legacy part.
const SW_AT: usize = 464;
/// Direction, trap and resume flag are clear in a handler.
const FLAGS_CLEARED: u64 = 0x400 | 0x100 | 0x1_0000;

/// Room that a frame may need (`AT_MINSIGSTKSZ`): everything, with alignment.
pub(crate) fn frame_bytes_max() -> u64 {
    let (vector_bytes, _) = thread::vector_layout();
    (vector_bytes + 4 + HEAD_BYTES + 64 + 16) as u64
}

/// Writes the frame and points the registers at the handler. Errors: `EFAULT`.
pub(super) fn push(cx: &mut Context, info: &SigInfo, action: &SigAction) -> Result<(), Errno> {
    let flags = ActionFlags::from_bits_retain(action.flags);
    if !flags.contains(ActionFlags::RESTORER) {
        return Err(Errno::EFAULT);
    }
    let (mask, alt_stack, last_fault) = {
        let own = cx.thread.signals.state.lock();
        (own.saved_mask.unwrap_or(own.mask), own.alt_stack, own.last_fault)
    };
    let top = stack_top(cx.regs.rsp, &alt_stack, flags)?;
    let (vector, has_xsave) = vector_image();
    let vector_at = top.checked_sub(vector.len() as u64).ok_or(Errno::EFAULT)? & !63;
    let frame_at = (vector_at.checked_sub(HEAD_BYTES as u64).ok_or(Errno::EFAULT)? & !15) - 8;
    let mut stack = alt_stack;
    stack.flags = alt_stack.flags | if is_on(&alt_stack, cx.regs.rsp) { linux_abi::signal::SS_ONSTACK } else { 0 };
    let context = Ucontext {
        flags: UC_SIGCONTEXT_SS | if has_xsave { UC_FP_XSTATE } else { 0 },
        link: 0,
        stack,
        registers: save(cx.regs, mask, last_fault, vector_at),
        mask: mask.0,
    };
    let mut head = [0; HEAD_BYTES];
    action.restorer.put(&mut head);
    context.put(head.get_mut(8..).unwrap_or_default());
    info.put(head.get_mut(8 + Ucontext::BYTES..).unwrap_or_default());
    user::copy_out(vector_at, &vector)?;
    user::copy_out(frame_at, &head)?;
    if alt_stack.flags & SS_AUTODISARM != 0 {
        cx.thread.signals.state.lock().alt_stack = super::NO_STACK;
    }
    enter_handler(cx.regs, info, action, frame_at);
    Ok(())
}

fn enter_handler(regs: &mut UserContext, info: &SigInfo, action: &SigAction, frame_at: u64) {
    regs.rdi = u64::from(info.signo.cast_unsigned());
    regs.rsi = frame_at + 8 + Ucontext::BYTES as u64;
    regs.rdx = frame_at + 8;
    regs.rax = 0;
    regs.rip = action.handler;
    regs.rsp = frame_at;
    regs.rflags &= !FLAGS_CLEARED;
    regs.sanitize();
}

/// Where the frame is put: below the red zone, or at the top of the alternate stack.
fn stack_top(rsp: u64, alt: &AltStack, flags: ActionFlags) -> Result<u64, Errno> {
    if flags.contains(ActionFlags::ONSTACK) && alt.flags & SS_DISABLE == 0 && alt.size != 0 && !is_on(alt, rsp) {
        return alt.base.checked_add(alt.size).ok_or(Errno::EFAULT);
    }
    let top = rsp.checked_sub(RED_ZONE).ok_or(Errno::EFAULT)?;
    // A frame that would leave the alternate stack at its lower end is an overflow.
    let lowest = top.checked_sub(frame_bytes_max()).ok_or(Errno::EFAULT)?;
    if is_on(alt, rsp) && alt.flags & SS_AUTODISARM == 0 && lowest < alt.base {
        return Err(Errno::EFAULT);
    }
    Ok(top)
}

/// The vector state as the frame holds it, and whether it is an XSAVE image.
fn vector_image() -> (Vec<u8>, bool) {
    let (len, components) = thread::vector_layout();
    let has_xsave = components != 0;
    let mut image = vec![0; if has_xsave { len + 4 } else { FX_BYTES }];
    thread::with_vector_state(|state| {
        let count = state.len().min(image.len());
        image[..count].copy_from_slice(&state[..count]);
    });
    if has_xsave {
        let software = FpxSwBytes {
            magic1: FP_XSTATE_MAGIC1,
            extended_size: (len + 4) as u32,
            features: components,
            xstate_size: len as u32,
        };
        software.put(image.get_mut(SW_AT..FX_BYTES).unwrap_or_default());
        FP_XSTATE_MAGIC2.put(image.get_mut(len..).unwrap_or_default());
    }
    (image, has_xsave)
}

fn save(regs: &UserContext, mask: SigSet, (trap, error, cr2): (u64, u64, u64), fpstate: u64) -> SigContext {
    SigContext {
        r8_to_r15: [regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15],
        rdi: regs.rdi,
        rsi: regs.rsi,
        rbp: regs.rbp,
        rbx: regs.rbx,
        rdx: regs.rdx,
        rax: regs.rax,
        rcx: regs.rcx,
        rsp: regs.rsp,
        rip: regs.rip,
        rflags: regs.rflags,
        cs: regs.cs as u16,
        gs: 0,
        fs: 0,
        ss: regs.ss as u16,
        error,
        trap,
        old_mask: mask.0,
        cr2,
        fpstate,
    }
}

/// Reads the frame above which `rsp` stands (the handler's return took 8 bytes) and restores the registers.
///
/// Returns the signal mask to put in force. Errors: `EFAULT`, `EINVAL` (vector state that cannot be loaded).
pub(super) fn pop(cx: &mut Context) -> Result<SigSet, Errno> {
    let context: Ucontext = user::read_struct(cx.regs.rsp)?;
    restore_vector_state(context.registers.fpstate)?;
    load(cx.regs, &context.registers);
    restore_alt_stack(cx, &context.stack);
    Ok(SigSet(context.mask))
}

fn load(regs: &mut UserContext, from: &SigContext) {
    [regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15] = from.r8_to_r15;
    regs.rdi = from.rdi;
    regs.rsi = from.rsi;
    regs.rbp = from.rbp;
    regs.rbx = from.rbx;
    regs.rdx = from.rdx;
    regs.rax = from.rax;
    regs.rcx = from.rcx;
    regs.rsp = from.rsp;
    regs.rip = from.rip;
    regs.rflags = from.rflags;
    regs.sanitize();
}

/// Loads the vector state at `at`; 0 means a fresh one. The core refuses images that would fault.
fn restore_vector_state(at: u64) -> Result<(), Errno> {
    if at == 0 {
        thread::reset_vector_state();
        return Ok(());
    }
    let (len, components) = thread::vector_layout();
    let mut legacy = [0; FX_BYTES];
    user::copy_in(at, &mut legacy)?;
    let software = FpxSwBytes::from_bytes(legacy.get(SW_AT..).unwrap_or_default());
    let extended = components != 0
        && software.magic1 == FP_XSTATE_MAGIC1
        && software.xstate_size as usize == len
        && user::read_u32(at + len as u64)? == FP_XSTATE_MAGIC2;
    let mut image = if extended { vec![0; len] } else { Vec::from(legacy) };
    if extended {
        user::copy_in(at, &mut image)?;
    }
    // What Linux keeps for itself in the legacy part is not part of the state.
    if let Some(software) = image.get_mut(SW_AT..FX_BYTES) {
        software.fill(0);
    }
    thread::set_vector_state(&image).map_err(|_| Errno::EINVAL)
}
