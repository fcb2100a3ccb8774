//! Value headers (FORMAT section 4.1): one byte with type and number, in two layouts.

use crate::Cause;
use crate::varint::{Reader, write_groups};
use alloc::vec::Vec;

/// Version of a log extension; it decides the layout of the headers inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Old layout: buffers and tuples only. Read, never written.
    Four,
    /// Current layout.
    Five,
}

impl Version {
    /// From the number in an extension's header.
    pub fn from_number(number: u64) -> Result<Self, Cause> {
        match number {
            4 => Ok(Version::Four),
            5 => Ok(Version::Five),
            other => Err(Cause::Version(other)),
        }
    }
}

/// Untyped bytes, a name, or a special value.
pub const BUFFER: u8 = 0;
/// Attributes by name.
pub const TUPLE: u8 = 1;
/// Values in order.
pub const VECTOR: u8 = 2;
/// A number.
pub const INTEGER: u8 = 3;
/// Text.
pub const STRING: u8 = 4;

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The thing itself follows; otherwise it is named by its slot.
    pub immediate: bool,
    /// One of the type constants, or an unknown type up to 7.
    pub kind: u8,
    /// Length, count, sign or slot, depending on the type.
    pub number: u64,
}

/// Reads a header in the layout of `version`.
pub fn read(reader: &mut Reader<'_>, version: Version) -> Result<Header, Cause> {
    let (bits, types) = match version {
        Version::Four => (5, 1),
        Version::Five => (3, 7),
    };
    let byte = reader.byte()?;
    let high = u64::from(byte) & ((1 << bits) - 1);
    let number = if byte & 1 << bits != 0 { reader.varint_after(high)? } else { high };
    Ok(Header { immediate: byte & 0x80 != 0, kind: byte >> (bits + 1) & types, number })
}

/// Appends a version 5 header in its shortest form.
pub fn write(out: &mut Vec<u8>, header: Header) {
    let bits = 64 - header.number.leading_zeros();
    let extra = bits.saturating_sub(3).div_ceil(7);
    // 7 * 9 = 63 is the largest shift: ten groups never arise, 61 bits need nine.
    let high = (header.number >> (7 * extra)) as u8 & 7;
    let more = if extra > 0 { 8 } else { 0 };
    out.push(u8::from(header.immediate) << 7 | (header.kind & 7) << 4 | more | high);
    if extra > 0 {
        write_groups(out, header.number, extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, Header { immediate: true, kind: BUFFER, number });
        out
    }

    #[test]
    fn the_specifications_examples_are_written() {
        assert_eq!(written(7), [0x87]);
        assert_eq!(written(8), [0x88, 0x08]);
        assert_eq!(written(127), [0x88, 0x7f]);
        assert_eq!(written(300), [0x8a, 0x2c]);
        assert_eq!(written(1024), [0x88, 0x88, 0x00]);
    }

    #[test]
    fn every_width_survives_a_round_trip() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let header = Header { immediate: false, kind: STRING, number };
                let mut out = Vec::new();
                write(&mut out, header);
                assert_eq!(read(&mut Reader::new(&out), Version::Five), Ok(header));
            }
        }
    }

    #[test]
    fn version_four_has_five_bits_for_the_number() {
        let header = read(&mut Reader::new(&[0xc7]), Version::Four);
        assert_eq!(header, Ok(Header { immediate: true, kind: TUPLE, number: 7 }));
    }
}
