//! What belongs to one processor, found through GS.
//!
//! Assembler reads these fields by offset; Rust reads them through the accessors. `core_depth` counts nested
//! core sections: while it is not 0, nothing is preempted or killed on this processor, and allocations
//! come from the core's own arena.

use core::arch::asm;
use core::mem::offset_of;

/// The processor's own data. GS points at it whenever kernel code runs.
#[repr(C)]
pub struct PerCpu {
    /// Address of this struct, for `mov rax, gs:[0]`.
    this: u64,
    /// Place for the program's stack pointer during system call entry.
    pub user_rsp: u64,
    /// Top of the running thread's kernel stack.
    pub kernel_rsp: u64,
    /// Nesting of core sections.
    pub core_depth: u32,
    /// Another thread should run as soon as this one may be preempted.
    pub need_resched: u32,
    /// Work before the next return to user mode: attention of the running thread, or `need_resched`.
    pub return_work: u32,
    /// Number of the processor, from 0.
    pub number: u32,
    /// The running thread, a raw `Arc<ThreadInner>`.
    pub current: u64,
    /// 1 if the running thread is never preempted in kernel mode (program threads).
    pub cooperative: u32,
    /// Lowest stack address at which the running thread may enter the core.
    pub stack_floor: u64,
}

/// Offset of a field, for assembler.
pub const USER_RSP: usize = offset_of!(PerCpu, user_rsp);
/// Offset of a field, for assembler.
pub const KERNEL_RSP: usize = offset_of!(PerCpu, kernel_rsp);
/// Offset of a field, for assembler.
pub const RETURN_WORK: usize = offset_of!(PerCpu, return_work);

impl PerCpu {
    /// Data of processor `number` before its first thread.
    pub const fn new(number: u32) -> Self {
        Self {
            this: 0,
            user_rsp: 0,
            kernel_rsp: 0,
            core_depth: 1,
            need_resched: 0,
            return_work: 0,
            number,
            current: 0,
            cooperative: 0,
            stack_floor: 0,
        }
    }
}

const MSR_GS_BASE: u32 = 0xc000_0101;
const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;

/// Makes `data` the data of the processor that runs this.
///
/// # Safety
/// `data` must live for ever and belong to this processor alone.
pub unsafe fn install(data: *mut PerCpu) {
    // SAFETY: by the caller; GS is not used before this.
    unsafe {
        (*data).this = data as u64;
        super::cpu::write_msr(MSR_GS_BASE, data as u64);
        super::cpu::write_msr(MSR_KERNEL_GS_BASE, 0);
    }
}

macro_rules! field {
    ($(#[$doc:meta])* $get:ident, $set:ident, $field:ident, $kind:ty, $access:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $get() -> $kind {
            #[cfg(target_os = "none")]
            {
                let value: $kind;
                // SAFETY: GS points at this processor's `PerCpu`; one instruction reads the field.
                unsafe {
                    asm!(concat!("mov {0:", $access, "}, gs:[{1}]"), out(reg) value, const offset_of!(PerCpu, $field),
                        options(nostack, preserves_flags, readonly));
                }
                value
            }
            #[cfg(not(target_os = "none"))]
            0
        }
        /// Sets the field read by its twin.
        #[inline(always)]
        pub fn $set(value: $kind) {
            #[cfg(target_os = "none")]
            // SAFETY: GS points at this processor's `PerCpu`; one instruction writes the field.
            unsafe {
                asm!(concat!("mov gs:[{1}], {0:", $access, "}"), in(reg) value, const offset_of!(PerCpu, $field),
                    options(nostack, preserves_flags));
            }
            #[cfg(not(target_os = "none"))]
            let _ = value;
        }
    };
}

field!(
    /// Nesting of core sections.
    core_depth, set_core_depth, core_depth, u32, "e");
field!(
    /// Another thread should run.
    need_resched, set_need_resched, need_resched, u32, "e");
field!(
    /// Work before the return to user mode.
    return_work, set_return_work, return_work, u32, "e");
field!(
    /// Number of this processor.
    number, set_number, number, u32, "e");
field!(
    /// The running thread.
    current, set_current, current, u64, "r");
field!(
    /// Whether the running thread is cooperative.
    cooperative, set_cooperative, cooperative, u32, "e");
field!(
    /// Top of the running thread's stack.
    kernel_rsp, set_kernel_rsp, kernel_rsp, u64, "r");
field!(
    /// Lowest stack address for core entry.
    stack_floor, set_stack_floor, stack_floor, u64, "r");

/// Enters one more level of core section.
#[inline(always)]
pub fn core_enter() {
    #[cfg(target_os = "none")]
    // SAFETY: one instruction on this processor's own counter.
    unsafe {
        asm!("inc dword ptr gs:[{}]", const offset_of!(PerCpu, core_depth), options(nostack));
    }
}

/// Leaves one level; returns whether it was the last.
#[inline(always)]
pub fn core_leave() -> bool {
    #[cfg(target_os = "none")]
    {
        let last: u8;
        // SAFETY: one instruction on this processor's own counter, then its flags.
        unsafe {
            asm!("dec dword ptr gs:[{}]", "sete {}", const offset_of!(PerCpu, core_depth), out(reg_byte) last, options(nostack));
        }
        last != 0
    }
    #[cfg(not(target_os = "none"))]
    true
}
