//! Port input and output.

use core::arch::asm;

/// Reads a byte.
///
/// # Safety
/// The port must be one whose reading the caller's device expects.
pub unsafe fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Reads 16 bits.
///
/// # Safety
/// As [`in8`].
pub unsafe fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Reads 32 bits.
///
/// # Safety
/// As [`in8`].
pub unsafe fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a byte.
///
/// # Safety
/// The write must be one that the caller's device expects; a device that then uses memory must own it.
pub unsafe fn out8(port: u16, value: u8) {
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Writes 16 bits.
///
/// # Safety
/// As [`out8`].
pub unsafe fn out16(port: u16, value: u16) {
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) };
}

/// Writes 32 bits.
///
/// # Safety
/// As [`out8`].
pub unsafe fn out32(port: u16, value: u32) {
    // SAFETY: the caller owns the device behind the port.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) };
}
