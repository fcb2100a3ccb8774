//! Unpredictable bits for keys and addresses: the processor's generator where there is one, mixed with time.

use crate::arch::cpu;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// State that everything was mixed into so far.
static POOL: AtomicU64 = AtomicU64::new(0x5851_f42d_4c95_7f2d);

/// Mixes outside entropy in, as from a virtio-rng device.
pub fn add(bits: u64) {
    POOL.fetch_xor(mix(bits ^ cpu::tsc()), Ordering::Relaxed);
}

/// 64 bits.
pub fn next() -> u64 {
    let seed = hardware().unwrap_or(0) ^ cpu::tsc();
    let pool = POOL.fetch_add(seed | 1, Ordering::Relaxed);
    mix(pool ^ mix(seed))
}

fn hardware() -> Option<u64> {
    if !cpu::features().rdrand {
        return None;
    }
    // Ten tries, as the SDM (volume 1, 7.3.17.1) advises.
    (0..10).find_map(|_| {
        let (value, ok): (u64, u8);
        // SAFETY: the processor has RDRAND.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) };
        (ok != 0).then_some(value)
    })
}

/// The finalizer of SplitMix64: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
