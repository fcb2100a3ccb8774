//! The program's memory as the kernel sees it: claims over user addresses, copied with faults off.
//!
//! A [`UserRead`] or [`UserWrite`] says only that the range lies in the program's half; pages may be missing. A copy
//! stops at the first such page and says how far it came; the front end faults the page in and goes on.

use super::layout::USER_END;
use crate::arch::usercopy::{self, Touched};

/// The range does not lie in the program's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress;

/// A page was not there, or not accessible that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes copied before it.
    pub done: usize,
    /// Address of the first byte that was not copied.
    pub address: u64,
}

impl Fault {
    /// The outcome of a copy of `done` out of `len` bytes at `address`.
    pub(crate) fn after(address: u64, len: usize, done: usize) -> Result<(), Self> {
        if done == len { Ok(()) } else { Err(Self { done, address: address + done as u64 }) }
    }
}

fn check(address: u64, len: usize) -> Result<(), BadAddress> {
    let end = address.checked_add(len as u64).ok_or(BadAddress)?;
    if end <= USER_END { Ok(()) } else { Err(BadAddress) }
}

macro_rules! user_slice {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            address: u64,
            len: usize,
        }

        impl $name {
            /// Claims a range. Errors: it does not lie in the program's half.
            pub fn new(address: u64, len: usize) -> Result<Self, BadAddress> {
                check(address, len)?;
                Ok(Self { address, len })
            }

            /// First address.
            pub fn address(&self) -> u64 {
                self.address
            }

            /// Bytes.
            pub fn len(&self) -> usize {
                self.len
            }

            /// Whether there is no byte.
            pub fn is_empty(&self) -> bool {
                self.len == 0
            }

            /// The part from `at` on, at most `len` bytes; clipped to the range.
            pub fn slice(&self, at: usize, len: usize) -> Self {
                let at = at.min(self.len);
                Self { address: self.address + at as u64, len: len.min(self.len - at) }
            }
        }
    };
}

user_slice! {
    /// Program memory that the kernel reads.
    UserRead
}
user_slice! {
    /// Program memory that the kernel writes.
    UserWrite
}

impl UserRead {
    /// Copies out as many bytes as both sides have.
    pub fn read_to(&self, out: &mut [u8]) -> Result<(), Fault> {
        let len = self.len.min(out.len());
        // SAFETY: `out` is valid for `len` bytes and the claim was checked.
        let left = unsafe { usercopy::copy(out.as_mut_ptr(), self.address as *const u8, len) };
        Fault::after(self.address, len, len - left)
    }
}

impl UserWrite {
    /// Copies in as many bytes as both sides have.
    pub fn write_from(&self, bytes: &[u8]) -> Result<(), Fault> {
        let len = self.len.min(bytes.len());
        // SAFETY: `bytes` is valid for `len` bytes and the claim was checked.
        let left = unsafe { usercopy::copy(self.address as *mut u8, bytes.as_ptr(), len) };
        Fault::after(self.address, len, len - left)
    }
}

/// Why a word could not be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordError {
    /// Outside the program's half, or not aligned.
    BadAddress,
    /// The page is missing or not accessible that way.
    Fault(Fault),
}

fn word(address: u64, len: usize) -> Result<(), WordError> {
    if !address.is_multiple_of(len as u64) {
        return Err(WordError::BadAddress);
    }
    check(address, len).map_err(|_| WordError::BadAddress)
}

fn outcome(address: u64, touched: Touched) -> Result<u64, WordError> {
    if touched.faulted { Err(WordError::Fault(Fault { done: 0, address })) } else { Ok(touched.value) }
}

/// Loads an aligned 32-bit word.
pub fn load_u32(address: u64) -> Result<u32, WordError> {
    word(address, 4)?;
    // SAFETY: checked and aligned.
    outcome(address, unsafe { usercopy::load32(address) }).map(|value| value as u32)
}

/// Loads an aligned 64-bit word.
pub fn load_u64(address: u64) -> Result<u64, WordError> {
    word(address, 8)?;
    // SAFETY: checked and aligned.
    outcome(address, unsafe { usercopy::load64(address) })
}

/// Stores an aligned 32-bit word.
pub fn store_u32(address: u64, value: u32) -> Result<(), WordError> {
    word(address, 4)?;
    // SAFETY: checked and aligned.
    outcome(address, unsafe { usercopy::store32(address, value) }).map(drop)
}

/// Stores an aligned 64-bit word.
pub fn store_u64(address: u64, value: u64) -> Result<(), WordError> {
    word(address, 8)?;
    // SAFETY: checked and aligned.
    outcome(address, unsafe { usercopy::store64(address, value) }).map(drop)
}

/// Replaces an aligned 32-bit word if it is `old`; returns the value found.
pub fn compare_exchange_u32(address: u64, old: u32, new: u32) -> Result<u32, WordError> {
    word(address, 4)?;
    // SAFETY: checked and aligned.
    outcome(address, unsafe { usercopy::compare_exchange32(address, old, new) }).map(|value| value as u32)
}

/// Why a string could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CstrError {
    /// A page is missing, or the address is not the program's.
    Fault(Fault),
    /// No NUL within the buffer.
    TooLong,
}

/// Reads a NUL-terminated string into `out`; returns its length without the NUL.
///
/// Reads page by page, so that a string that ends before a missing page is read whole.
pub fn read_cstr(address: u64, out: &mut [u8]) -> Result<usize, CstrError> {
    let mut done = 0;
    while done < out.len() {
        let at = address.wrapping_add(done as u64);
        let page_rest = super::PAGE_SIZE - (at as usize % super::PAGE_SIZE);
        // Small steps: most strings are short, and copying what lies behind them is waste.
        let step = page_rest.min(out.len() - done).min(64);
        let claim = UserRead::new(at, step).map_err(|_| CstrError::Fault(Fault { done, address: at }))?;
        let part = &mut out[done..done + step];
        claim.read_to(part).map_err(|fault| CstrError::Fault(Fault { done, address: fault.address }))?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            return Ok(done + end);
        }
        done += step;
    }
    Err(CstrError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_leaves_the_programs_half_is_refused() {
        assert_eq!(UserRead::new(USER_END - 1, 2), Err(BadAddress));
        assert_eq!(UserWrite::new(u64::MAX, 2), Err(BadAddress));
        assert!(UserWrite::new(USER_END, 0).is_ok());
    }

    #[test]
    fn a_slice_is_clipped_to_its_claim() {
        let claim = UserRead::new(0x1000, 10).expect("legal");
        let part = claim.slice(8, 100);
        assert_eq!((part.address(), part.len()), (0x1008, 2));
        assert!(claim.slice(20, 1).is_empty());
    }
}
