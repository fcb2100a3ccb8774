//! What drivers get from the core: device registers, ports, DMA memory, the command line.

use crate::mm::frame::Contiguous;
use crate::mm::kernel_map;
use crate::mm::layout::physical_to_virtual;
use crate::task::handle::Owned;
use alloc::sync::Arc;
use core::ptr::NonNull;

pub use crate::arch::port::{in8 as port_in8, in16 as port_in16, in32 as port_in32};
pub use crate::arch::port::{out8 as port_out8, out16 as port_out16, out32 as port_out32};

/// Zeroed memory in one piece for a device; core-owned, so it outlives the driver's arena until the device was reset.
pub struct Dma(Owned<Contiguous>);

/// Allocates at least `pages` pages in one piece, at most 512.
pub fn dma_alloc(pages: usize) -> Option<Dma> {
    let _section = crate::sync::CoreSection::enter();
    Contiguous::alloc_zeroed(pages).map(|run| Dma(Owned::new(Arc::new(run))))
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

/// Maps device registers, uncached, for good. `None`: no memory.
pub fn map_mmio(physical: u64, len: usize) -> Option<NonNull<u8>> {
    let _section = crate::sync::CoreSection::enter();
    NonNull::new(kernel_map::map_device(physical, len)? as *mut u8)
}

/// The command line that the loader passed.
pub fn command_line() -> &'static str {
    crate::start::command_line()
}
