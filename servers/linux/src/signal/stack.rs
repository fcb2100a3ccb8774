//! sigaltstack(2).

use super::NO_STACK;
use crate::context::{Context, SysResult};
use crate::user;
use linux_abi::Errno;
use linux_abi::signal::{AltStack, MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK};

/// Whether `rsp` lies on the stack. One that disarms itself is never seen in use.
pub(super) fn is_on(stack: &AltStack, rsp: u64) -> bool {
    stack.flags & (SS_DISABLE | SS_AUTODISARM) == 0 && rsp > stack.base && rsp - stack.base <= stack.size
}

/// sigaltstack(2).
pub(crate) fn sigaltstack(cx: &mut Context, new: u64, old: u64) -> SysResult {
    let wanted = if new == 0 { None } else { Some(user::read_struct::<AltStack>(new)?) };
    let current = cx.thread.signals.state.lock().alt_stack;
    let rsp = cx.regs.rsp;
    if let Some(wanted) = wanted {
        set(cx, wanted, rsp)?;
    }
    if old != 0 {
        let mut shown = current;
        shown.flags |= if is_on(&current, rsp) { SS_ONSTACK } else { 0 };
        user::write_struct(old, &shown)?;
    }
    Ok(0)
}

/// Errors: `EPERM` (in use), `EINVAL` (flags), `ENOMEM` (too small).
fn set(cx: &Context, wanted: AltStack, rsp: u64) -> Result<(), Errno> {
    let mut own = cx.thread.signals.state.lock();
    if is_on(&own.alt_stack, rsp) {
        return Err(Errno::EPERM);
    }
    let mode = wanted.flags & !SS_AUTODISARM;
    if mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0 {
        return Err(Errno::EINVAL);
    }
    if mode == SS_DISABLE {
        own.alt_stack = AltStack { flags: wanted.flags, ..NO_STACK };
        return Ok(());
    }
    if wanted.size < MINSIGSTKSZ {
        return Err(Errno::ENOMEM);
    }
    own.alt_stack = AltStack { flags: wanted.flags & SS_AUTODISARM, ..wanted };
    Ok(())
}

/// What rt_sigreturn puts back: as sigaltstack, errors without consequence.
pub(super) fn restore_alt_stack(cx: &Context, stack: &AltStack) {
    let rsp = cx.regs.rsp;
    let _ = set(cx, *stack, rsp);
}
