//! The physical memory map: a list of ranges with kinds, as firmware or VMM gave it.
//!
//! Entries come unsorted, may touch, and may be wrong; nothing here assumes more than the bytes say.
//! One entry (`hvm_memmap_table_entry`): address u64, length u64, kind u32, reserved u32.

use core::ops::Range;

use crate::Error;
use crate::bytes::{put, u32_at, u64_at};

/// Most entries that are accepted.
pub const MEMMAP_ENTRIES_MAX: usize = 128;

/// What a range of physical memory is (ACPI 6.5 table 15.4 numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Usable memory.
    Ram,
    /// Not to be touched.
    Reserved,
    /// ACPI tables; usable once they have been read.
    AcpiReclaimable,
    /// Firmware's own; never usable.
    AcpiNvs,
    /// Memory with errors.
    Unusable,
    /// Memory that is switched off.
    Disabled,
    /// Persistent memory.
    Persistent,
    /// Any other number; to be treated as reserved.
    Other(u32),
}

impl MemoryKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Ram,
            2 => Self::Reserved,
            3 => Self::AcpiReclaimable,
            4 => Self::AcpiNvs,
            5 => Self::Unusable,
            6 => Self::Disabled,
            7 => Self::Persistent,
            other => Self::Other(other),
        }
    }

    /// The number of this kind.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
            Self::AcpiReclaimable => 3,
            Self::AcpiNvs => 4,
            Self::Unusable => 5,
            Self::Disabled => 6,
            Self::Persistent => 7,
            Self::Other(number) => number,
        }
    }
}

/// One range of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemmapEntry {
    /// Physical address of its first byte.
    pub start: u64,
    /// Length in bytes; may be 0.
    pub len_bytes: u64,
    /// What it is.
    pub kind: MemoryKind,
}

impl MemmapEntry {
    /// Bytes of one entry.
    pub const SIZE: usize = 24;

    /// Reads the entry at the start of `bytes`. Errors: `Truncated`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        u32_at(bytes, 20)?;
        Ok(Self {
            start: u64_at(bytes, 0)?,
            len_bytes: u64_at(bytes, 8)?,
            kind: MemoryKind::from_number(u32_at(bytes, 16)?),
        })
    }

    /// The bytes of this entry.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        put(&mut bytes, 0, self.start.to_le_bytes());
        put(&mut bytes, 8, self.len_bytes.to_le_bytes());
        put(&mut bytes, 16, self.kind.number().to_le_bytes());
        bytes
    }

    /// The addresses it covers; an end beyond 2^64 is cut off there.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.len_bytes)
    }
}

/// A memory map over its bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap<'a> {
    /// A whole number of entries, at most `MEMMAP_ENTRIES_MAX`.
    bytes: &'a [u8],
}

impl<'a> MemoryMap<'a> {
    /// The map of `entries` entries at the start of `bytes`.
    ///
    /// Errors: `TooManyMemmapEntries`, `Truncated`.
    pub fn parse(bytes: &'a [u8], entries: u32) -> Result<Self, Error> {
        let count = usize::try_from(entries).unwrap_or(usize::MAX);
        if count > MEMMAP_ENTRIES_MAX {
            return Err(Error::TooManyMemmapEntries(entries));
        }
        let need = count.saturating_mul(MemmapEntry::SIZE);
        let bytes = bytes.get(..need).ok_or(Error::Truncated {
            need,
            have: bytes.len(),
        })?;
        Ok(Self { bytes })
    }

    /// The entries in the order given.
    #[must_use]
    pub fn iter(&self) -> MemmapIter<'a> {
        MemmapIter { rest: self.bytes }
    }

    /// Whether all of `range` is usable memory, and no entry of another kind lies over it.
    #[must_use]
    pub fn is_ram(&self, range: &Range<u64>) -> bool {
        let claimed = |entry: MemmapEntry| {
            let other = entry.range();
            entry.kind != MemoryKind::Ram && other.start < range.end && range.start < other.end
        };
        if self.iter().any(claimed) {
            return false;
        }
        let mut covered = range.start;
        while covered < range.end {
            let holds = |entry: &MemmapEntry| {
                entry.kind == MemoryKind::Ram && entry.range().contains(&covered)
            };
            match self.iter().find(holds) {
                Some(entry) => covered = entry.range().end,
                None => return false,
            }
        }
        true
    }

    /// Bytes of usable memory (entries that overlap each other count twice).
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        let ram = self.iter().filter(|entry| entry.kind == MemoryKind::Ram);
        ram.fold(0, |sum, entry| sum.saturating_add(entry.len_bytes))
    }
}

impl<'a> IntoIterator for &MemoryMap<'a> {
    type Item = MemmapEntry;
    type IntoIter = MemmapIter<'a>;

    fn into_iter(self) -> MemmapIter<'a> {
        self.iter()
    }
}

/// The entries of a [`MemoryMap`].
#[derive(Clone, Debug)]
pub struct MemmapIter<'a> {
    rest: &'a [u8],
}

impl Iterator for MemmapIter<'_> {
    type Item = MemmapEntry;

    fn next(&mut self) -> Option<MemmapEntry> {
        let (entry, rest) = self.rest.split_at_checked(MemmapEntry::SIZE)?;
        self.rest = rest;
        MemmapEntry::parse(entry).ok()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn map(entries: &[(u64, u64, MemoryKind)]) -> Vec<u8> {
        let emit = |&(start, len_bytes, kind): &_| {
            MemmapEntry {
                start,
                len_bytes,
                kind,
            }
            .emit()
        };
        entries.iter().flat_map(emit).collect()
    }

    #[test]
    fn entries_come_back_in_order() {
        let bytes = map(&[
            (0, 0x9fc00, MemoryKind::Ram),
            (0xf0000, 0x10000, MemoryKind::Other(99)),
        ]);
        let map = MemoryMap::parse(&bytes, 2).unwrap();
        let kinds: Vec<_> = map.iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [MemoryKind::Ram, MemoryKind::Other(99)]);
        assert_eq!(map.ram_bytes(), 0x9fc00);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = map(&[(0, 4096, MemoryKind::Ram), (4096, 1, MemoryKind::Reserved)]);
        for len in 0..bytes.len() {
            assert!(MemoryMap::parse(&bytes[..len], 2).is_err(), "{len}");
        }
        for len in 0..MemmapEntry::SIZE {
            assert!(MemmapEntry::parse(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(
            MemoryMap::parse(&bytes, 129).err(),
            Some(Error::TooManyMemmapEntries(129))
        );
    }

    #[test]
    fn ram_may_be_covered_by_touching_entries_in_any_order() {
        let bytes = map(&[
            (0x2000, 0x1000, MemoryKind::Ram),
            (0x1000, 0x1000, MemoryKind::Ram),
        ]);
        let map = MemoryMap::parse(&bytes, 2).unwrap();
        assert!(map.is_ram(&(0x1000..0x3000)));
        assert!(!map.is_ram(&(0x1000..0x3001)));
        assert!(!map.is_ram(&(0xfff..0x2000)));
    }

    #[test]
    fn a_reserved_entry_over_ram_wins() {
        let bytes = map(&[
            (0, 0x10000, MemoryKind::Ram),
            (0x8000, 0x10, MemoryKind::Reserved),
        ]);
        let map = MemoryMap::parse(&bytes, 2).unwrap();
        assert!(map.is_ram(&(0..0x8000)));
        assert!(!map.is_ram(&(0x7000..0x9000)));
    }

    #[test]
    fn a_range_that_wraps_is_cut_at_the_end_of_memory() {
        let entry = MemmapEntry {
            start: u64::MAX - 1,
            len_bytes: 10,
            kind: MemoryKind::Ram,
        };
        assert_eq!(entry.range(), u64::MAX - 1..u64::MAX);
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for number in 0..20 {
            assert_eq!(MemoryKind::from_number(number).number(), number);
        }
    }
}
