//! Physical frames: who owns them, by reference count.
//!
//! A [`Frame`] is one reference to a 4 KiB frame; the last one gives it back. Leases, mappings, the page cache and
//! devices each hold their own, so a frame lives as long as anybody can reach it. [`Contiguous`] is a run of
//! frames for a device or a large page. Contents are touched by copying only.

mod buddy;
mod contents;

pub use contents::Range;

use super::{BLOCK_SIZE, PAGE_SIZE};
use crate::sync::IrqLock;
use buddy::{Buddy, ORDERS};

static FRAMES: IrqLock<Buddy> = IrqLock::new(Buddy::new());

/// How much memory there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStats {
    /// Frames that the allocator was given.
    pub total_frames: usize,
    /// Frames that nobody holds.
    pub free_frames: usize,
    /// Those of the free frames that the program does not get: the core and the servers live on them while the front end
    /// makes room.
    pub reserved_frames: usize,
}

/// Whose need memory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The program's: it can be told that there is no memory.
    Program,
    /// That of the core and the servers, which serve the program when it has used up its part.
    Kernel,
}

/// How much memory there is and how much is free.
pub fn stats() -> FrameStats {
    let frames = FRAMES.lock();
    let reserved_frames = frames.reserve().min(frames.free());
    FrameStats { total_frames: frames.total(), free_frames: frames.free(), reserved_frames }
}

/// Hands RAM from `start` to `end` (physical, in bytes) to the allocator.
///
/// # Safety
/// Nobody else may use it, and the physical map must cover it.
pub(crate) unsafe fn add_region(start: u64, end: u64) {
    // SAFETY: by the caller.
    unsafe { FRAMES.lock().add_region(start, end) };
}

/// One reference to a frame.
pub struct Frame {
    number: u32,
}

impl Frame {
    /// A frame whose contents are undefined: the caller overwrites all of it.
    pub fn alloc() -> Option<Self> {
        Self::alloc_for(Need::Program)
    }

    /// A frame of zeros.
    pub fn alloc_zeroed() -> Option<Self> {
        Self::alloc_zeroed_for(Need::Program)
    }

    pub(crate) fn alloc_for(need: Need) -> Option<Self> {
        FRAMES.lock().alloc(0, need).map(|number| Self { number })
    }

    pub(crate) fn alloc_zeroed_for(need: Need) -> Option<Self> {
        let frame = Self::alloc_for(need)?;
        frame.zero(0, PAGE_SIZE);
        Some(frame)
    }

    /// Physical address.
    pub fn address(&self) -> u64 {
        u64::from(self.number) * PAGE_SIZE as u64
    }

    /// How many references there are, this one included.
    pub fn references(&self) -> u32 {
        buddy::references(self.number)
    }

    /// Whether both name the same frame.
    pub fn same(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// Gives the reference away as a bare address, to a page table entry.
    pub(crate) fn into_address(self) -> u64 {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// Takes the reference back that [`Frame::into_address`] gave away.
    ///
    /// # Safety
    /// The address must come from there, and only once.
    pub(crate) unsafe fn from_address(address: u64) -> Self {
        Self { number: (address / PAGE_SIZE as u64) as u32 }
    }

    /// One more reference to a frame whose address somebody owns.
    ///
    /// # Safety
    /// A reference must exist and stay for the duration of the call.
    pub(crate) unsafe fn share_address(address: u64) -> Self {
        let number = (address / PAGE_SIZE as u64) as u32;
        buddy::add_reference(number);
        Self { number }
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        buddy::add_reference(self.number);
        Self { number: self.number }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if buddy::drop_reference(self.number) {
            FRAMES.lock().release(self.number, 0);
        }
    }
}

impl core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Frame({:#x})", self.address())
    }
}

/// A run of frames next to each other, a power of two of them.
pub struct Contiguous {
    number: u32,
    order: u8,
}

impl Contiguous {
    /// At least `pages` zeroed frames in a row, aligned to their rounded-up count; at most 2 MiB.
    pub fn alloc_zeroed(pages: usize) -> Option<Self> {
        Self::alloc_zeroed_for(pages, Need::Program)
    }

    pub(crate) fn alloc_zeroed_for(pages: usize, need: Need) -> Option<Self> {
        let order = pages.max(1).next_power_of_two().trailing_zeros() as usize;
        if order >= ORDERS {
            return None;
        }
        let number = FRAMES.lock().alloc(order, need)?;
        let run = Self { number, order: order as u8 };
        contents::zero(run.address(), run.len());
        Some(run)
    }

    /// Physical address of the first frame.
    pub fn address(&self) -> u64 {
        u64::from(self.number) * PAGE_SIZE as u64
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        PAGE_SIZE << self.order
    }

    /// Whether there is no byte: never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Gives the run away as a bare address, to a page table entry.
    pub(crate) fn into_address(self) -> u64 {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// Takes back a block that [`Contiguous::into_address`] gave away.
    ///
    /// # Safety
    /// The address must come from there, from a run of 2 MiB, and only once.
    pub(crate) unsafe fn block_from_address(address: u64) -> Self {
        Self { number: (address / PAGE_SIZE as u64) as u32, order: (BLOCK_SIZE / PAGE_SIZE).trailing_zeros() as u8 }
    }

    /// Splits the run into single frames, lowest first.
    pub fn into_frames(self) -> impl Iterator<Item = Frame> {
        let (first, count) = (self.number, 1u32 << self.order);
        FRAMES.lock().split(self.number, self.order);
        core::mem::forget(self);
        (first..first + count).map(|number| Frame { number })
    }
}

impl Drop for Contiguous {
    fn drop(&mut self) {
        if buddy::drop_reference(self.number) {
            FRAMES.lock().release(self.number, self.order as usize);
        }
    }
}
