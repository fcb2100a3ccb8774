//! Variable-length numbers (FORMAT section 1) and the bounds-checked reader over bytes.
//!
//! Base 128, most significant group first, top bit set on every byte but the last.

use crate::Cause;
use alloc::vec::Vec;

/// A position in bytes that are not trusted. Every read is checked.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, position: 0 }
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// Consumes `count` bytes. Error: `Truncated`.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], Cause> {
        let count = usize::try_from(count).map_err(|_| Cause::Truncated)?;
        let end = self.position.checked_add(count).ok_or(Cause::Truncated)?;
        let taken = self.bytes.get(self.position..end).ok_or(Cause::Truncated)?;
        self.position = end;
        Ok(taken)
    }

    /// Consumes one byte. Error: `Truncated`.
    pub fn byte(&mut self) -> Result<u8, Cause> {
        let byte = *self.bytes.get(self.position).ok_or(Cause::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    /// Consumes a number. Errors: `Truncated`, `NumberTooLarge`.
    pub fn varint(&mut self) -> Result<u64, Cause> {
        self.varint_after(0)
    }

    /// Consumes the rest of a number whose high bits are `high` (value headers need this).
    pub fn varint_after(&mut self, high: u64) -> Result<u64, Cause> {
        let mut value = high;
        loop {
            let byte = self.byte()?;
            if value >> 57 != 0 {
                return Err(Cause::NumberTooLarge);
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }
}

/// Appends `value` in its shortest form (at most 10 bytes).
pub fn write_varint(out: &mut Vec<u8>, value: u64) {
    let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
    write_groups(out, value, groups);
}

/// Appends the low `groups` seven-bit groups of `value`, marking all but the last as continued.
pub(crate) fn write_groups(out: &mut Vec<u8>, value: u64, groups: u32) {
    for group in (0..groups).rev() {
        let bits = (value >> (7 * group)) as u8 & 0x7f;
        out.push(if group == 0 { bits } else { bits | 0x80 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_specifications_examples_are_written() {
        for (value, bytes) in [(1024, vec![0x88, 0x00]), (3, vec![3]), (0, vec![0]), (127, vec![127])] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn every_width_survives_a_round_trip() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                write_varint(&mut out, value);
                let mut reader = Reader::new(&out);
                assert_eq!(reader.varint(), Ok(value));
                assert_eq!(reader.remaining(), 0);
            }
        }
    }

    #[test]
    fn a_number_above_64_bits_is_refused() {
        let bytes = [0xff; 10];
        assert_eq!(Reader::new(&bytes).varint(), Err(Cause::NumberTooLarge));
        assert_eq!(Reader::new(&bytes[..4]).varint(), Err(Cause::Truncated));
    }
}
