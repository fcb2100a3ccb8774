//! The I/O APICs: interrupt lines of ISA and memory-mapped devices.
//!
//! The addresses are the ones that every PC and QEMU's microvm use. Where a second one stands (microvm with 24 virtio
//! slots) it continues the numbering. IOAPIC data sheet (82093AA).

use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;

/// Physical addresses at which an I/O APIC may stand, with its first line.
pub const CANDIDATES: [(u64, u32); 1] = [(0xfec0_0000, 0)];

const SELECT: usize = 0;
const WINDOW: usize = 0x10;
const VERSION: u32 = 1;
const REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;

static BASE: AtomicU64 = AtomicU64::new(0);
static LINES: AtomicU64 = AtomicU64::new(0);
/// Select and window are one register pair. Taken with interrupts off only.
static ACCESS: Mutex<()> = Mutex::new(());

fn access<R>(work: impl FnOnce(&dyn Fn(u32) -> u32, &dyn Fn(u32, u32)) -> R) -> R {
    let base = BASE.load(Ordering::Relaxed) as usize;
    let enabled = super::cpu::interrupts_enabled();
    super::cpu::disable_interrupts();
    let guard = ACCESS.lock();
    let select = |register: u32| {
        // SAFETY: `enable` mapped the register pair and the lock is held.
        unsafe { ((base + SELECT) as *mut u32).write_volatile(register) }
    };
    let result = work(
        &|register| {
            select(register);
            // SAFETY: as above.
            unsafe { ((base + WINDOW) as *const u32).read_volatile() }
        },
        &|register, value| {
            select(register);
            // SAFETY: as above.
            unsafe { ((base + WINDOW) as *mut u32).write_volatile(value) }
        },
    );
    drop(guard);
    if enabled {
        super::cpu::enable_interrupts();
    }
    result
}

/// Takes the I/O APIC mapped at `mapped` into use, all lines masked.
pub fn enable(mapped: u64) {
    BASE.store(mapped, Ordering::Relaxed);
    let lines = access(|read, write| {
        let last = read(VERSION) >> 16 & 0xff;
        for line in 0..=last {
            write(REDIRECTION + 2 * line, MASKED);
        }
        last + 1
    });
    LINES.store(u64::from(lines), Ordering::Relaxed);
}

/// How many lines there are.
pub fn lines() -> u32 {
    LINES.load(Ordering::Relaxed) as u32
}

/// Routes a line to `vector` of the processor with this APIC id, masked or not. Lines of level type are active high
/// here: QEMU raises them so, and ISA lines are edge-triggered anyway.
pub fn route(line: u32, vector: u8, apic: u8, level: bool, masked: bool) {
    let low = u32::from(vector) | if level { LEVEL } else { 0 } | if masked { MASKED } else { 0 };
    access(|_, write| {
        write(REDIRECTION + 2 * line, MASKED);
        write(REDIRECTION + 2 * line + 1, u32::from(apic) << 24);
        write(REDIRECTION + 2 * line, low);
    });
}

/// Masks or unmasks a line.
pub fn set_masked(line: u32, masked: bool) {
    access(|read, write| {
        let low = read(REDIRECTION + 2 * line);
        write(REDIRECTION + 2 * line, if masked { low | MASKED } else { low & !MASKED });
    });
}
