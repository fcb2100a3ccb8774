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
    /// The running thread, a raw `Arc<ThreadInner>`.
    pub current: u64,
    /// 1 if the running thread is never preempted in kernel mode (program threads).
    pub cooperative: u32,
    /// Lowest stack address at which the running thread may enter the core.
    pub stack_floor: u64,
    /// Top of the stack on which a thread is ended whose own is used up.
    pub last_rsp: u64,
}

/// Offset of a field, for assembler.
pub const USER_RSP: usize = offset_of!(PerCpu, user_rsp);
/// Offset of a field, for assembler.
pub const KERNEL_RSP: usize = offset_of!(PerCpu, kernel_rsp);
/// Offset of a field, for assembler.
pub const CORE_DEPTH: usize = offset_of!(PerCpu, core_depth);
/// Offset of a field, for assembler.
pub const COOPERATIVE: usize = offset_of!(PerCpu, cooperative);
/// Offset of a field, for assembler.
pub const STACK_FLOOR: usize = offset_of!(PerCpu, stack_floor);
/// Offset of a field, for assembler.
pub const LAST_RSP: usize = offset_of!(PerCpu, last_rsp);
/// Offset of a field, for assembler.
pub const RETURN_WORK: usize = offset_of!(PerCpu, return_work);

impl PerCpu {
    /// Data of a processor before its first thread.
    pub const fn new() -> Self {
        Self {
            this: 0,
            user_rsp: 0,
            kernel_rsp: 0,
            core_depth: 1,
            need_resched: 0,
            return_work: 0,
            current: 0,
            cooperative: 0,
            stack_floor: 0,
            last_rsp: 0,
        }
    }
}

const MSR_GS_BASE: u32 = 0xc000_0101;
const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;

/// Makes `data` the data of the processor that runs this.
///
/// # Safety
/// `data` must live for ever and belong to this processor alone, and so must the stack below `last_rsp`.
pub unsafe fn install(data: *mut PerCpu, last_rsp: u64) {
    // SAFETY: by the caller; GS is not used before this.
    unsafe {
        (*data).this = data as u64;
        (*data).last_rsp = last_rsp;
        super::cpu::write_msr(MSR_GS_BASE, data as u64);
        super::cpu::write_msr(MSR_KERNEL_GS_BASE, 0);
    }
}

macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $field:ident, $kind:ty, $access:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() -> $kind {
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
    };
}

macro_rules! writer {
    ($(#[$doc:meta])* $name:ident, $field:ident, $kind:ty, $access:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(value: $kind) {
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

reader! {
    /// Address of this processor's data.
    this, this, u64, "r"
}
reader! {
    /// Nesting of core sections.
    core_depth, core_depth, u32, "e"
}
writer! {
    /// Sets the nesting of core sections.
    set_core_depth, core_depth, u32, "e"
}
reader! {
    /// Whether another thread should run.
    need_resched, need_resched, u32, "e"
}
writer! {
    /// Says whether another thread should run.
    set_need_resched, need_resched, u32, "e"
}
writer! {
    /// Says whether there is work before the return to user mode.
    set_return_work, return_work, u32, "e"
}
reader! {
    /// The running thread, 0 before there is one.
    current, current, u64, "r"
}
writer! {
    /// Sets the running thread.
    set_current, current, u64, "r"
}
reader! {
    /// Whether the running thread is cooperative in kernel mode.
    cooperative, cooperative, u32, "e"
}
writer! {
    /// Says whether the running thread is cooperative in kernel mode.
    set_cooperative, cooperative, u32, "e"
}
writer! {
    /// Sets the top of the running thread's stack.
    set_kernel_rsp, kernel_rsp, u64, "r"
}
reader! {
    /// Lowest stack address for core entry.
    stack_floor, stack_floor, u64, "r"
}
writer! {
    /// Sets the lowest stack address for core entry.
    set_stack_floor, stack_floor, u64, "r"
}

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
