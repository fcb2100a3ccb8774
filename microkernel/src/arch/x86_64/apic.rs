//! The local APIC: end of interrupt, the one-shot timer, interrupts to other processors.
//!
//! Registers are used through memory (xAPIC); SDM 3A chapter 11.

use core::sync::atomic::{AtomicU64, Ordering};

const MSR_APIC_BASE: u32 = 0x1b;
const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const IN_SERVICE: usize = 0x100;
const TIMER_VECTOR: usize = 0x320;
const LINT0: usize = 0x350;
const LINT1: usize = 0x360;
const TIMER_INITIAL: usize = 0x380;
const TIMER_CURRENT: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3e0;
const DIVIDE_BY_1: u32 = 0b1011;
const MASKED: u32 = 1 << 16;
const ENABLE: u32 = 1 << 8;

/// Vector of the timer.
pub const TIMER: u8 = 0xf0;
/// Vector of spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xff;

static BASE: AtomicU64 = AtomicU64::new(0);

fn read(register: usize) -> u32 {
    // SAFETY: `enable` has mapped the registers; they are 32 bits wide and aligned to 16.
    unsafe { ((BASE.load(Ordering::Relaxed) as usize + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as `read`; the core alone owns the APIC.
    unsafe { ((BASE.load(Ordering::Relaxed) as usize + register) as *mut u32).write_volatile(value) };
}

/// Physical address of the registers.
pub fn physical_base() -> u64 {
    // SAFETY: the register exists on every x86_64 processor.
    unsafe { super::cpu::read_msr(MSR_APIC_BASE) & 0xf_ffff_f000 }
}

/// Turns the APIC of this processor on; `mapped` is where its registers are mapped.
pub fn enable(mapped: u64) {
    BASE.store(mapped, Ordering::Relaxed);
    write(SPURIOUS, ENABLE | u32::from(SPURIOUS_VECTOR));
    write(LINT0, MASKED);
    write(LINT1, MASKED);
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(TIMER_VECTOR, MASKED | u32::from(TIMER));
    write(TIMER_INITIAL, u32::MAX);
}

/// Number of this processor's APIC.
pub fn id() -> u8 {
    (read(ID) >> 24) as u8
}

/// Ends the interrupt being served.
#[inline]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// The interrupt that was accepted and has not ended yet, if there is one.
pub fn in_service() -> Option<u8> {
    // Eight registers of 32 vectors each, 16 bytes apart.
    (0..8).rev().find_map(|part| {
        let bit = read(IN_SERVICE + part * 16).checked_ilog2()?;
        Some((part as u32 * 32 + bit) as u8)
    })
}

/// Lets the timer fire once after `count` ticks; 0 stops it.
pub fn set_timer(count: u32) {
    write(TIMER_VECTOR, u32::from(TIMER));
    write(TIMER_INITIAL, count);
}

/// Ticks left until the timer fires (it counts down from what was set).
pub fn timer_count() -> u32 {
    read(TIMER_CURRENT)
}
