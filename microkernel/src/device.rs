//! What drivers get from the core: device registers, ports, DMA memory, the command line.

use crate::mm::frame::{Contiguous, Need};
use crate::mm::kernel_map;
use crate::mm::layout::physical_to_virtual;
use crate::task::handle::Owned;
use alloc::sync::Arc;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering, fence};

pub use crate::arch::port::{in8 as port_in8, in16 as port_in16, in32 as port_in32};
pub use crate::arch::port::{out8 as port_out8, out16 as port_out16, out32 as port_out32};

/// Zeroed memory in one piece for a device; core-owned, so it outlives the driver's arena until the device was reset.
pub struct Dma(Owned<Contiguous>);

/// Allocates at least `pages` pages in one piece, at most 512.
pub fn dma_alloc(pages: usize) -> Option<Dma> {
    let _section = crate::sync::CoreSection::enter();
    Contiguous::alloc_zeroed_for(pages, Need::Kernel).map(|run| Dma(Owned::new(Arc::new(run))))
}

impl Dma {
    /// Physical address.
    pub fn address(&self) -> u64 {
        self.0.address()
    }

    /// Where the kernel sees it. The memory is shared with the device: access it volatile or by raw copies.
    pub fn as_ptr(&self) -> NonNull<u8> {
        NonNull::new(physical_to_virtual(self.address()) as *mut u8).expect("the physical map does not start at 0")
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte: never.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The port of the firmware's progress codes: nothing acts on it.
const PROGRESS_PORT: u16 = 0x80;

/// Orders this processor's earlier stores before its later loads, as devices see them.
///
/// QEMU's TCG (before 8.1) leaves barriers out where the machine has one processor, although its devices run on
/// threads of their own; there an access to a port, which takes QEMU's global lock, stands in for it. Without it a
/// queue lost an interrupt about once in 100 000 transfers, and then stood still.
pub fn memory_barrier() {
    fence(Ordering::SeqCst);
    if is_translated() {
        // SAFETY: no device is behind the port, so nothing happens but the access.
        unsafe { port_out8(PROGRESS_PORT, 0) };
    }
}

/// Whether TCG runs this machine; asked once.
fn is_translated() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
    if cfg!(not(target_os = "none")) {
        return false;
    }
    if ANSWER.load(Ordering::Relaxed) == UNKNOWN {
        let translated =
            crate::arch::cpu::hypervisor_signature().is_some_and(|signature| &signature == b"TCGTCGTCGTCG");
        ANSWER.store(if translated { YES } else { NO }, Ordering::Relaxed);
    }
    ANSWER.load(Ordering::Relaxed) == YES
}

/// Maps device registers, uncached, for good. `None`: no memory.
pub fn map_mmio(physical: u64, len: usize) -> Option<NonNull<u8>> {
    let _section = crate::sync::CoreSection::enter();
    NonNull::new(kernel_map::map_device(physical, len)? as *mut u8)
}

/// The command line that the loader passed.
pub fn command_line() -> &'static str {
    crate::start::command_line()
}
