//! Finding the rate of the TSC and of the APIC timer without spinning.

use super::{ClockParameters, SHIFT, parameters, publish};
use crate::arch::{apic, cpu};
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Rate of the APIC timer in QEMU (TCG and KVM), Firecracker and Hyper-V-less clouds: 1 GHz.
const APIC_HZ_VIRTUAL: u64 = 1_000_000_000;
/// The measurement is good enough to be used when it took this long, in nanoseconds.
const USABLE_NS: u64 = 500_000;

static START_TSC: AtomicU64 = AtomicU64::new(0);
static START_COUNT: AtomicU32 = AtomicU32::new(0);
static APIC_HZ: AtomicU64 = AtomicU64::new(APIC_HZ_VIRTUAL);
static STATE: AtomicU32 = AtomicU32::new(MEASURING);

const MEASURING: u32 = 0;
const FINAL: u32 = 1;

/// Starts the clock. The APIC timer must count down freely from its maximum.
pub(crate) fn init() {
    let tsc = cpu::tsc();
    START_TSC.store(tsc, Ordering::Relaxed);
    START_COUNT.store(apic::timer_count(), Ordering::Relaxed);
    let known = tsc_hz();
    let hz = known.unwrap_or(2_000_000_000);
    if known.is_some() {
        STATE.store(FINAL, Ordering::Relaxed);
    }
    publish(ClockParameters {
        base_tsc: tsc,
        base_ns: 0,
        multiplier: multiplier_of(hz),
        wall_offset: super::read_wall_seconds() * 1_000_000_000,
    });
}

fn multiplier_of(hz: u64) -> u64 {
    ((1_000_000_000u128 << SHIFT) / u128::from(hz.max(1))) as u64
}

/// The rate that processor or hypervisor tell.
fn tsc_hz() -> Option<u64> {
    let hypervisor = cpu::hypervisor_signature();
    if hypervisor.is_some() {
        let leaf = __cpuid(0x4000_0000);
        if leaf.eax >= 0x4000_0010 {
            let rates = __cpuid(0x4000_0010);
            if rates.ebx != 0 {
                APIC_HZ.store(u64::from(rates.ebx) * 1000, Ordering::Relaxed);
            }
            if rates.eax != 0 {
                return Some(u64::from(rates.eax) * 1000);
            }
        }
    }
    if hypervisor.as_ref().is_some_and(|signature| signature.starts_with(b"KVMKVMKVM"))
        && let Some(hz) = kvm_clock_hz()
    {
        return Some(hz);
    }
    if __cpuid(0).eax >= 0x15 {
        let ratio = __cpuid(0x15);
        if ratio.eax != 0 && ratio.ebx != 0 && ratio.ecx != 0 {
            return Some(u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax));
        }
    }
    None
}

/// The record that KVM fills (Linux Documentation/virt/kvm/x86/msr.rst).
#[repr(C, align(64))]
struct KvmTime {
    version: AtomicU32,
    pad: u32,
    tsc: AtomicU64,
    system: AtomicU64,
    multiplier: AtomicU32,
    shift: AtomicU32,
}

static KVM_TIME: KvmTime = KvmTime {
    version: AtomicU32::new(0),
    pad: 0,
    tsc: AtomicU64::new(0),
    system: AtomicU64::new(0),
    multiplier: AtomicU32::new(0),
    shift: AtomicU32::new(0),
};

const MSR_KVM_SYSTEM_TIME: u32 = 0x4b56_4d01;

fn kvm_clock_hz() -> Option<u64> {
    let leaf = __cpuid(0x4000_0001);
    if leaf.eax & 1 << 3 == 0 {
        return None;
    }
    let address = (&raw const KVM_TIME) as u64 - crate::mm::layout::KERNEL_BASE;
    // SAFETY: KVM announced the register; the record is static and only read through atomics. Writing 0
    // afterwards ends KVM's updates.
    unsafe {
        cpu::write_msr(MSR_KVM_SYSTEM_TIME, address | 1);
        let _ = cpu::read_msr(MSR_KVM_SYSTEM_TIME);
        cpu::write_msr(MSR_KVM_SYSTEM_TIME, 0);
    }
    let multiplier = u64::from(KVM_TIME.multiplier.load(Ordering::Acquire));
    let shift = KVM_TIME.shift.load(Ordering::Relaxed) as u8 as i8;
    if multiplier == 0 {
        return None;
    }
    // ns = (cycles << shift) * multiplier >> 32
    let per_second = (1_000_000_000u128 << 32) / u128::from(multiplier);
    Some(if shift >= 0 { (per_second >> shift) as u64 } else { (per_second << -shift) as u64 })
}

/// Ticks of the APIC timer in `ns` nanoseconds.
pub(super) fn apic_ticks(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(APIC_HZ.load(Ordering::Relaxed)) / 1_000_000_000) as u64
}

/// Improves the rate by what was measured since boot. Called before the APIC timer is set for the first time, and
/// from the timer while the measurement is not final.
pub(crate) fn refine() {
    if STATE.load(Ordering::Relaxed) == FINAL {
        return;
    }
    // The timer counts freely until it is first set: only one measurement is possible.
    STATE.store(FINAL, Ordering::Relaxed);
    let (tsc, count) = (cpu::tsc(), apic::timer_count());
    let ticks = START_COUNT.load(Ordering::Relaxed).wrapping_sub(count);
    let elapsed_ns = (u128::from(ticks) * 1_000_000_000 / u128::from(APIC_HZ.load(Ordering::Relaxed).max(1))) as u64;
    let cycles = tsc.saturating_sub(START_TSC.load(Ordering::Relaxed));
    if elapsed_ns < USABLE_NS || cycles == 0 {
        return;
    }
    let hz = (u128::from(cycles) * 1_000_000_000 / u128::from(elapsed_ns)) as u64;
    let old = parameters();
    let now = old.at(tsc).max(elapsed_ns);
    publish(ClockParameters { base_tsc: tsc, base_ns: now, multiplier: multiplier_of(hz), ..old });
}
