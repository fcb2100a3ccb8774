//! Accesses that the page tables must refuse.

#![allow(unsafe_code)]

use core::hint::black_box;
use core::ptr;

/// Physical addresses below the upper 2 GiB, and RAM at its own map (see `microkernel::mm::layout`).
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;

static CONSTANT: [u64; 4] = [1; 4];

fn write(address: *mut u8) {
    // SAFETY: the page is mapped read-only, so the write never happens; that is the point.
    unsafe { ptr::write_volatile(black_box(address), 0xc3) };
}

/// Writes to machine code.
pub fn write_text() {
    write(write_text as fn() as *mut u8);
}

/// Writes to a constant.
pub fn write_constants() {
    write((&raw const CONSTANT).cast_mut().cast());
}

/// Writes to machine code at its second address.
pub fn write_text_through_the_physical_map() {
    let address = write_text as fn() as *mut u8 as u64;
    write((address - KERNEL_BASE + PHYSICAL_MAP) as *mut u8);
}

/// Runs bytes on the stack.
pub fn execute_data() {
    let code = black_box([0xc3_u8; 16]);
    // SAFETY: the page cannot be executed, so the bytes never run; were they run, they would be a `ret`.
    let function = unsafe { core::mem::transmute::<*const u8, extern "C" fn()>(code.as_ptr()) };
    function();
}

/// Reads where only the program may have memory.
pub fn read_low_memory() {
    // SAFETY: nothing is mapped there; that is the point.
    black_box(unsafe { ptr::read_volatile(black_box(0x10_0000 as *const u8)) });
}
