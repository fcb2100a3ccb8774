//! Instructions that fault, for tasks that are to die of them.

#![allow(unsafe_code)]

use core::arch::asm;
use core::hint::black_box;

/// Reads address 8: a page fault.
pub fn read_near_null() {
    // SAFETY: nothing is mapped there, so the task dies of it; that is the point.
    unsafe { asm!("mov {0}, qword ptr [{0}]", inout(reg) black_box(8_u64) => _) };
}

/// Reads a non-canonical address: a general protection fault.
pub fn read_non_canonical() {
    // SAFETY: the processor refuses the address; that is the point.
    unsafe { asm!("mov {0}, qword ptr [{0}]", inout(reg) black_box(0x8000_0000_0000_0000_u64) => _) };
}

/// An instruction that is defined to be none.
pub fn invalid_opcode() {
    // SAFETY: faults; that is the point.
    unsafe { asm!("ud2") };
}

/// Divides by zero without the compiler's check.
pub fn divide_by_zero() {
    // SAFETY: faults before it changes a register; that is the point.
    unsafe { asm!("div {0:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) };
}
