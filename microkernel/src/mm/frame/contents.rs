//! Reading and writing frames through the physical map, by copying.
//!
//! On the host there is no physical map; these functions then do nothing, and nothing on the host calls them.

use super::Frame;
use crate::arch::usercopy;
use crate::mm::PAGE_SIZE;
use crate::mm::layout::physical_to_virtual;
use crate::mm::user::{Fault, UserRead, UserWrite};
use core::sync::atomic::{AtomicU32, Ordering};

/// The range does not lie inside the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range;

fn check(at: usize, len: usize) -> Result<(), Range> {
    if at.checked_add(len).is_some_and(|end| end <= PAGE_SIZE) { Ok(()) } else { Err(Range) }
}

/// Zeroes physical memory that the caller owns.
pub(super) fn zero(address: u64, len: usize) {
    if cfg!(target_os = "none") {
        // SAFETY: the caller owns these frames and the physical map covers all RAM.
        unsafe { core::ptr::write_bytes(physical_to_virtual(address) as *mut u8, 0, len) };
    }
}

impl Frame {
    fn pointer(&self, at: usize) -> *mut u8 {
        (physical_to_virtual(self.address()) as usize + at) as *mut u8
    }

    /// Copies out. Does nothing and says so if the range is not inside.
    pub fn read(&self, at: usize, out: &mut [u8]) -> Result<(), Range> {
        check(at, out.len())?;
        // SAFETY: 1. the range lies in the frame, which this reference keeps; 2. frames are only touched
        // through raw copies, so a racing writer can at worst tear bytes, never break a Rust reference.
        unsafe { core::ptr::copy_nonoverlapping(self.pointer(at), out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// Copies in.
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Range> {
        check(at, bytes.len())?;
        // SAFETY: as `read`.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer(at), bytes.len()) };
        Ok(())
    }

    /// Fills with zeros, as far as the frame goes.
    pub fn zero(&self, at: usize, len: usize) {
        let at = at.min(PAGE_SIZE);
        let len = len.min(PAGE_SIZE - at);
        zero(self.address() + at as u64, len);
    }

    /// Copies the whole contents of another frame.
    pub fn copy_from(&self, other: &Self) {
        // SAFETY: both references keep their frames; source and target may be the same frame.
        unsafe { core::ptr::copy(other.pointer(0), self.pointer(0), PAGE_SIZE) };
    }

    /// Copies `len` bytes from another frame; both ranges must lie inside.
    pub fn copy_range_from(&self, at: usize, other: &Self, from: usize, len: usize) -> Result<(), Range> {
        check(at, len)?;
        check(from, len)?;
        // SAFETY: as `copy_from`, and the ranges were checked.
        unsafe { core::ptr::copy(other.pointer(from), self.pointer(at), len) };
        Ok(())
    }

    /// Copies from the frame to the program. Stops at the first page that is not writable now.
    pub fn copy_to_user(&self, at: usize, to: UserWrite) -> Result<(), Fault> {
        let len = to.len().min(PAGE_SIZE - at.min(PAGE_SIZE));
        // SAFETY: the frame side was clipped to the frame; the slice vouches for the user side.
        let left = unsafe { usercopy::copy(to.address() as *mut u8, self.pointer(at.min(PAGE_SIZE)), len) };
        Fault::after(to.address(), to.len(), len - left)
    }

    /// Copies from the program to the frame. Stops at the first page that is not readable now.
    pub fn copy_from_user(&self, at: usize, from: UserRead) -> Result<(), Fault> {
        let len = from.len().min(PAGE_SIZE - at.min(PAGE_SIZE));
        // SAFETY: as `copy_to_user`.
        let left = unsafe { usercopy::copy(self.pointer(at.min(PAGE_SIZE)), from.address() as *const u8, len) };
        Fault::after(from.address(), from.len(), len - left)
    }

    fn word(&self, at: usize) -> Option<&AtomicU32> {
        if !at.is_multiple_of(4) || check(at, 4).is_err() {
            return None;
        }
        // SAFETY: aligned, inside the frame, and the reference to the frame outlives the borrow; user code
        // races with it only through atomic or plain accesses of the hardware.
        Some(unsafe { &*self.pointer(at).cast::<AtomicU32>() })
    }

    /// Loads an aligned 32-bit word.
    pub fn load_u32(&self, at: usize) -> Option<u32> {
        self.word(at).map(|word| word.load(Ordering::SeqCst))
    }

    /// Replaces an aligned 32-bit word if it is `old`; the value found.
    pub fn compare_exchange_u32(&self, at: usize, old: u32, new: u32) -> Option<Result<u32, u32>> {
        self.word(at).map(|word| word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst))
    }
}
