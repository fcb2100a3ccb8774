//! Core-owned memory that driver and device share: rings, descriptor tables, request headers.
//!
//! Every access is a checked, aligned, atomic load or store, because the device may write at any
//! moment and is not trusted. With that, [`ring`](crate::ring) and [`queue`](crate::queue) are safe code.

use core::mem::{align_of, size_of};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use microkernel::device::{self, Dma};

/// Size of a page of DMA memory.
pub(crate) const PAGE: usize = 4096;

/// Keeps the memory of an [`Area`] in being.
enum Backing {
    /// Contiguous frames of the core.
    Core(#[allow(dead_code, reason = "kept for its drop")] Dma),
    /// Heap memory that plays DMA memory in a test.
    #[cfg(test)]
    Host(#[expect(dead_code, reason = "kept for its drop")] alloc::boxed::Box<[AtomicU64]>),
}

/// Zeroed contiguous memory with a bus address.
pub(crate) struct Area {
    base: NonNull<u8>,
    address: u64,
    len: usize,
    _backing: Backing,
}

// SAFETY: `base` points into memory owned by `_backing`, which does not belong to a thread, and all
// accesses through `Area` are atomic.
unsafe impl Send for Area {}
// SAFETY: as for `Send`.
unsafe impl Sync for Area {}

/// Integers with an atomic twin of the same size.
pub(crate) trait Word: Sized {
    /// The atomic twin.
    type Cell;
}
impl Word for u8 {
    type Cell = AtomicU8;
}
impl Word for u16 {
    type Cell = AtomicU16;
}
impl Word for u32 {
    type Cell = AtomicU32;
}
impl Word for u64 {
    type Cell = AtomicU64;
}

impl Area {
    /// Takes at least `bytes` from the core. `None`: no contiguous memory is left.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let dma = device::dma_alloc(bytes.max(1).div_ceil(PAGE))?;
        Some(Self { base: dma.as_ptr(), address: dma.address(), len: dma.len(), _backing: Backing::Core(dma) })
    }

    /// Heap memory with its own address as bus address.
    #[cfg(test)]
    pub(crate) fn on_host(bytes: usize) -> Self {
        let words: alloc::vec::Vec<AtomicU64> =
            (0..(bytes.max(1).div_ceil(PAGE) + 1) * PAGE / 8).map(|_| AtomicU64::new(0)).collect();
        let mut words = words.into_boxed_slice();
        let start = words.as_mut_ptr() as usize;
        let skip = start.next_multiple_of(PAGE) - start;
        // SAFETY: `skip` is below a page, and the box is a page longer than asked for.
        let base = unsafe { NonNull::new_unchecked(words.as_mut_ptr().cast::<u8>().add(skip)) };
        Self {
            base,
            address: base.as_ptr() as u64,
            len: bytes.max(1).div_ceil(PAGE) * PAGE,
            _backing: Backing::Host(words),
        }
    }

    /// Bus address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The cell at `at`, if it lies inside and is aligned.
    fn cell<T: Word>(&self, at: usize) -> Option<&T::Cell> {
        let end = at.checked_add(size_of::<T::Cell>())?;
        if end > self.len || !at.is_multiple_of(align_of::<T::Cell>()) {
            return None;
        }
        // SAFETY: `base` is page-aligned and valid for `len` bytes as long as `self` lives; the cell
        // lies inside and is aligned; the memory is initialised (zeroed) and only used atomically.
        Some(unsafe { self.base.add(at).cast::<T::Cell>().as_ref() })
    }

    /// Loads 16 bits; what is read afterwards is not older. 0 outside.
    pub(crate) fn load_u16(&self, at: usize) -> u16 {
        self.cell::<u16>(at).map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    /// Loads 32 bits. 0 outside.
    pub(crate) fn load_u32(&self, at: usize) -> u32 {
        self.cell::<u32>(at).map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    /// Stores 16 bits; what was written before is visible first. Nothing outside.
    pub(crate) fn store_u16(&self, at: usize, value: u16) {
        if let Some(cell) = self.cell::<u16>(at) {
            cell.store(value, Ordering::Release);
        }
    }

    /// Stores 32 bits. Nothing outside.
    pub(crate) fn store_u32(&self, at: usize, value: u32) {
        if let Some(cell) = self.cell::<u32>(at) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Stores 64 bits. Nothing outside.
    pub(crate) fn store_u64(&self, at: usize, value: u64) {
        if let Some(cell) = self.cell::<u64>(at) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Copies bytes in, as far as they fit.
    pub(crate) fn store_bytes(&self, at: usize, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            if let Some(cell) = self.cell::<u8>(at + offset) {
                cell.store(*byte, Ordering::Relaxed);
            }
        }
    }

    /// Copies bytes out; 0 for those outside.
    pub(crate) fn load_bytes(&self, at: usize, out: &mut [u8]) {
        for (offset, byte) in out.iter_mut().enumerate() {
            *byte = self.cell::<u8>(at + offset).map_or(0, |cell| cell.load(Ordering::Relaxed));
        }
    }

    /// Fills everything with zeros.
    pub(crate) fn clear(&self) {
        for at in (0..self.len).step_by(size_of::<u64>()) {
            self.store_u64(at, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back_where_it_was_written() {
        let area = Area::on_host(64);
        area.store_u64(8, 0x1122_3344_5566_7788);
        assert_eq!(area.load_u32(8), 0x5566_7788);
        assert_eq!(area.load_u16(14), 0x1122);
    }

    #[test]
    fn accesses_outside_or_askew_do_nothing() {
        let area = Area::on_host(PAGE);
        area.store_u32(PAGE - 2, 7);
        area.store_u32(usize::MAX - 1, 7);
        area.store_u32(2, 7);
        assert_eq!(area.load_u32(0), 0);
        assert_eq!(area.load_u16(PAGE), 0);
    }
}
