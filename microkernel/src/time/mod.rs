//! Time: one monotonic clock, the wall clock, and the timers that wake threads.
//!
//! The clock is the TSC, scaled. Its rate comes from the hypervisor (kvmclock, CPUID 4000_0010h) or the processor (CPUID
//! 15h); where neither says it, the local APIC timer of known rate measures it while boot goes on: until then
//! the provisional rate serves, and the clock is corrected without ever going back.

mod calibrate;
pub mod timer;

use crate::arch::{cpu, rtc};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) use calibrate::init;

/// Shift of the multiplier: nanoseconds = cycles * multiplier >> SHIFT.
pub const SHIFT: u32 = 32;

/// The clock's parameters, guarded by a sequence count: odd while they change.
struct Clock {
    sequence: AtomicU32,
    base_tsc: AtomicU64,
    base_ns: AtomicU64,
    multiplier: AtomicU64,
    /// Wall clock minus monotonic clock, in nanoseconds.
    wall_offset: AtomicU64,
}

static CLOCK: Clock = Clock {
    sequence: AtomicU32::new(0),
    base_tsc: AtomicU64::new(0),
    base_ns: AtomicU64::new(0),
    multiplier: AtomicU64::new(1 << SHIFT),
    wall_offset: AtomicU64::new(0),
};

/// What the clock is computed from; also what the vDSO is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockParameters {
    /// TSC at the base.
    pub base_tsc: u64,
    /// Monotonic nanoseconds at the base.
    pub base_ns: u64,
    /// Nanoseconds per cycle, times 2^32.
    pub multiplier: u64,
    /// Wall clock minus monotonic clock, in nanoseconds.
    pub wall_offset: u64,
}

/// The parameters now in force.
pub fn parameters() -> ClockParameters {
    loop {
        let before = CLOCK.sequence.load(Ordering::Acquire);
        let parameters = ClockParameters {
            base_tsc: CLOCK.base_tsc.load(Ordering::Relaxed),
            base_ns: CLOCK.base_ns.load(Ordering::Relaxed),
            multiplier: CLOCK.multiplier.load(Ordering::Relaxed),
            wall_offset: CLOCK.wall_offset.load(Ordering::Relaxed),
        };
        core::sync::atomic::fence(Ordering::Acquire);
        if before.is_multiple_of(2) && CLOCK.sequence.load(Ordering::Relaxed) == before {
            return parameters;
        }
        core::hint::spin_loop();
    }
}

fn publish(new: ClockParameters) {
    let _interrupts = crate::sync::InterruptsOff::enter();
    CLOCK.sequence.fetch_add(1, Ordering::AcqRel);
    CLOCK.base_tsc.store(new.base_tsc, Ordering::Relaxed);
    CLOCK.base_ns.store(new.base_ns, Ordering::Relaxed);
    CLOCK.multiplier.store(new.multiplier, Ordering::Relaxed);
    CLOCK.wall_offset.store(new.wall_offset, Ordering::Relaxed);
    CLOCK.sequence.fetch_add(1, Ordering::AcqRel);
    crate::vdso::publish(&new);
}

impl ClockParameters {
    fn at(&self, tsc: u64) -> u64 {
        self.base_ns + scale(tsc.saturating_sub(self.base_tsc), self.multiplier)
    }
}

fn scale(cycles: u64, multiplier: u64) -> u64 {
    ((u128::from(cycles) * u128::from(multiplier)) >> SHIFT) as u64
}

/// Nanoseconds since boot; never goes back.
pub fn now_ns() -> u64 {
    let tsc = cpu::tsc();
    parameters().at(tsc)
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub fn wall_ns() -> u64 {
    let tsc = cpu::tsc();
    let parameters = parameters();
    parameters.at(tsc).wrapping_add(parameters.wall_offset)
}

/// Sets the wall clock; the monotonic clock goes on.
pub fn set_wall_ns(wall_ns: u64) {
    let mut parameters = parameters();
    parameters.wall_offset = wall_ns.wrapping_sub(now_ns());
    publish(parameters);
}

/// A duration in TSC cycles as nanoseconds.
pub(crate) fn cycles_to_ns(cycles: u64) -> u64 {
    scale(cycles, parameters().multiplier)
}

/// Rate of the TSC in kHz, as far as it is known.
pub(crate) fn tsc_khz() -> u64 {
    ((1_000_000u128 << SHIFT) / u128::from(parameters().multiplier.max(1))) as u64
}

fn read_wall_seconds() -> u64 {
    rtc::read().unwrap_or(0)
}
