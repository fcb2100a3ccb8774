//! Flat images: the bytes of an ELF file laid out by physical address, for code that no loader loads.
//!
//! The boot code is linked so that `p_paddr` is the byte offset on the disk; `imagegen` turns it into the first sectors
//! of the image with this.

use crate::headers::slice;
use crate::segment::overlaps;
use crate::{Elf, Error, Segment};

/// The file contents of all loads, at `p_paddr - base`; gaps are zero, memory beyond `p_filesz` is left out.
#[derive(Clone, Debug)]
pub struct FlatImage<'e, 'a> {
    elf: &'e Elf<'a>,
    base: u64,
    len: u64,
}

impl<'e, 'a> FlatImage<'e, 'a> {
    /// The flat image of `elf`. Errors: `NothingToLoad`, `Overlap` (of physical addresses).
    pub fn of(elf: &'e Elf<'a>) -> Result<Self, Error> {
        for first in with_contents(elf) {
            let other = |second: &Segment| second.index > first.index && overlaps(&range(&first), &range(second));
            if let Some(second) = with_contents(elf).find(other) {
                return Err(Error::Overlap { first: first.index, second: second.index });
            }
        }
        let base = with_contents(elf).map(|load| load.paddr).min().ok_or(Error::NothingToLoad)?;
        let end = with_contents(elf).map(|load| range(&load).end).max().ok_or(Error::NothingToLoad)?;
        Ok(Self { elf, base, len: end.saturating_sub(base) })
    }

    /// Physical address of its first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Writes the image to the start of `out`, gaps included. Errors: `FlatTooLarge` if `out` is too short.
    pub fn write_to(&self, out: &mut [u8]) -> Result<(), Error> {
        let too_large = Error::FlatTooLarge(self.len);
        let len = usize::try_from(self.len).map_err(|_| too_large)?;
        let out = out.get_mut(..len).ok_or(too_large)?;
        out.fill(0);
        for load in with_contents(self.elf) {
            let range = range(&load);
            let start = usize::try_from(range.start.saturating_sub(self.base)).map_err(|_| too_large)?;
            let end = usize::try_from(range.end.saturating_sub(self.base)).map_err(|_| too_large)?;
            out.get_mut(start..end).ok_or(too_large)?.copy_from_slice(self.elf.data(&load));
        }
        Ok(())
    }

    /// The bytes at `range` of the image, if they lie within one load.
    #[must_use]
    pub fn get(&self, range: core::ops::Range<u64>) -> Option<&'a [u8]> {
        let start = self.base.checked_add(range.start)?;
        let load = with_contents(self.elf).find(|load| (load.paddr..self::range(load).end).contains(&start))?;
        let from = start.checked_sub(load.paddr)?;
        let len = range.end.checked_sub(range.start)?;
        slice(self.elf.data(&load), from..from.checked_add(len)?)
    }
}

fn with_contents<'e>(elf: &'e Elf<'_>) -> impl Iterator<Item = Segment> + 'e {
    elf.headers().loads().filter(|load| load.file_bytes > 0)
}

fn range(load: &Segment) -> core::ops::Range<u64> {
    load.paddr..load.paddr.saturating_add(load.file_bytes)
}
