//! The boot record: one sector of the disk loader that says where the kernel lies.
//!
//! It is sector 2 of the disk, the second sector of the second stage (`loader/boot`). The loader is
//! built with an *empty* record (only `kernel_max_bytes` is set); `imagegen` reads that, puts the
//! kernel file contiguously on the disk, and writes the record back with [`BootRecord::emit`].
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic "SKIFFBR\0" |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | checksum: FNV-1a (32 bit) over the whole sector with these four bytes as 0 |
//! | 16 | 8 | first sector of the kernel file, counted from the start of the disk |
//! | 24 | 8 | length of the kernel file in bytes; 0 = empty record |
//! | 32 | 8 | longest kernel file that this loader accepts, in bytes |
//! | 40 | 4 | length of the command line in bytes |
//! | 44 | 20 | 0 |
//! | 64 | 448 | command line (UTF-8), padded with 0 |
//!
//! The empty record of the build carries no checksum: [`BootRecord::parse_template`] does not look at it.

use crate::Error;
use crate::bytes::{array, put, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"SKIFFBR\0";
const VERSION: u32 = 1;
const SIZE: usize = 512;
const COMMAND_LINE_AT: usize = 64;

/// Where the kernel lies on the disk, and what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootRecord<'a> {
    /// First sector of the kernel file, from the start of the disk.
    pub kernel_lba: u64,
    /// Length of the kernel file in bytes.
    pub kernel_bytes: u64,
    /// Longest kernel file that the loader accepts, in bytes. A fact of the loader: kept when the record is written.
    pub kernel_max_bytes: u64,
    /// Kernel command line; at most [`BootRecord::COMMAND_LINE_MAX`] bytes, no NUL.
    pub command_line: &'a str,
}

impl<'a> BootRecord<'a> {
    /// Bytes of the record: one sector.
    pub const SIZE: usize = SIZE;
    /// Where it lies on the disk, in bytes from its start.
    pub const DISK_OFFSET: usize = 1024;
    /// Where it lies in the second stage, in bytes from its start.
    pub const STAGE2_OFFSET: usize = 512;
    /// Longest command line, in bytes.
    pub const COMMAND_LINE_MAX: usize = Self::SIZE - COMMAND_LINE_AT;

    /// Reads a finished record, as the loader does.
    ///
    /// Errors: `Truncated`, `NotBootRecord`, `BootRecordVersion`, `BootRecordEmpty`, `BootRecordChecksum`,
    /// `KernelTooLong`, `CommandLineTooLong`, `CommandLineNotText`.
    pub fn parse(sector: &'a [u8]) -> Result<Self, Error> {
        let record = Self::parse_template(sector)?;
        if record.kernel_bytes == 0 {
            return Err(Error::BootRecordEmpty);
        }
        let sector: [u8; SIZE] = array(sector, 0)?;
        if u32_at(&sector, 12)? != checksum(&sector) {
            return Err(Error::BootRecordChecksum);
        }
        record.check_kernel()?;
        Ok(record)
    }

    /// Reads the record of a loader as built: magic and version are checked, the checksum is not.
    ///
    /// Errors: `Truncated`, `NotBootRecord`, `BootRecordVersion`, `CommandLineTooLong`, `CommandLineNotText`.
    pub fn parse_template(sector: &'a [u8]) -> Result<Self, Error> {
        let have = sector.len();
        let sector = sector.get(..Self::SIZE).ok_or(Error::Truncated {
            need: Self::SIZE,
            have,
        })?;
        if !sector.starts_with(&MAGIC) {
            return Err(Error::NotBootRecord);
        }
        match u32_at(sector, 8)? {
            VERSION => {}
            other => return Err(Error::BootRecordVersion(other)),
        }
        let len = usize::try_from(u32_at(sector, 40)?).unwrap_or(usize::MAX);
        let text = sector
            .get(COMMAND_LINE_AT..)
            .and_then(|area| area.get(..len))
            .ok_or(Error::CommandLineTooLong)?;
        Ok(Self {
            kernel_lba: u64_at(sector, 16)?,
            kernel_bytes: u64_at(sector, 24)?,
            kernel_max_bytes: u64_at(sector, 32)?,
            command_line: core::str::from_utf8(text).map_err(|_| Error::CommandLineNotText)?,
        })
    }

    /// The sector for this record, with its checksum.
    ///
    /// Errors: `KernelTooLong`, `CommandLineTooLong`, `CommandLineNotText` (a NUL inside), `BootRecordEmpty`.
    pub fn emit(&self) -> Result<[u8; SIZE], Error> {
        if self.kernel_bytes == 0 {
            return Err(Error::BootRecordEmpty);
        }
        self.check_kernel()?;
        if self.command_line.contains('\0') {
            return Err(Error::CommandLineNotText);
        }
        let mut sector = self.emit_fields();
        let text = self.command_line.as_bytes();
        let end = COMMAND_LINE_AT.saturating_add(text.len());
        sector
            .get_mut(COMMAND_LINE_AT..end)
            .ok_or(Error::CommandLineTooLong)?
            .copy_from_slice(text);
        let sum = checksum(&sector);
        put(&mut sector, 12, sum.to_le_bytes());
        Ok(sector)
    }

    /// The sector that a loader is built with: no kernel yet, only the longest that it accepts.
    #[must_use]
    pub const fn template(kernel_max_bytes: u64) -> [u8; SIZE] {
        let mut sector = [0; SIZE];
        let (magic, rest) = sector.split_at_mut(8);
        magic.copy_from_slice(&MAGIC);
        let (version, rest) = rest.split_at_mut(4);
        version.copy_from_slice(&VERSION.to_le_bytes());
        let (_, rest) = rest.split_at_mut(20);
        rest.split_at_mut(8)
            .0
            .copy_from_slice(&kernel_max_bytes.to_le_bytes());
        sector
    }

    fn check_kernel(&self) -> Result<(), Error> {
        if self.kernel_bytes > self.kernel_max_bytes {
            return Err(Error::KernelTooLong {
                len: self.kernel_bytes,
                max: self.kernel_max_bytes,
            });
        }
        Ok(())
    }

    fn emit_fields(&self) -> [u8; SIZE] {
        let mut sector = [0; SIZE];
        put(&mut sector, 0, MAGIC);
        put(&mut sector, 8, VERSION.to_le_bytes());
        put(&mut sector, 16, self.kernel_lba.to_le_bytes());
        put(&mut sector, 24, self.kernel_bytes.to_le_bytes());
        put(&mut sector, 32, self.kernel_max_bytes.to_le_bytes());
        let len = u32::try_from(self.command_line.len()).unwrap_or(u32::MAX);
        put(&mut sector, 40, len.to_le_bytes());
        sector
    }
}

/// FNV-1a, 32 bit, over the sector without its checksum field.
fn checksum(sector: &[u8; SIZE]) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let masked = sector
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (12..16).contains(&at) { 0 } else { byte });
    masked.fold(0x811c_9dc5, fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: BootRecord<'static> = BootRecord {
        kernel_lba: 103,
        kernel_bytes: 1_500_000,
        kernel_max_bytes: 4 << 20,
        command_line: "debug=boot",
    };

    #[test]
    fn what_is_emitted_parses_to_the_same() {
        assert_eq!(BootRecord::parse(&RECORD.emit().unwrap()), Ok(RECORD));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let sector = RECORD.emit().unwrap();
        for at in 0..sector.len() {
            let mut damaged = sector;
            damaged[at] ^= 0x10;
            assert!(BootRecord::parse(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let sector = RECORD.emit().unwrap();
        for len in 0..sector.len() {
            assert!(matches!(
                BootRecord::parse(&sector[..len]),
                Err(Error::Truncated { .. })
            ));
        }
    }

    #[test]
    fn a_template_names_the_limit_but_does_not_boot() {
        let sector = BootRecord::template(4 << 20);
        assert_eq!(
            BootRecord::parse_template(&sector)
                .unwrap()
                .kernel_max_bytes,
            4 << 20
        );
        assert_eq!(BootRecord::parse(&sector), Err(Error::BootRecordEmpty));
    }

    #[test]
    fn what_the_loader_would_refuse_is_not_written() {
        let long = BootRecord {
            kernel_bytes: (4 << 20) + 1,
            ..RECORD
        };
        assert_eq!(
            long.emit(),
            Err(Error::KernelTooLong {
                len: (4 << 20) + 1,
                max: 4 << 20
            })
        );
        let text = [b'x'; 449];
        let chatty = BootRecord {
            command_line: core::str::from_utf8(&text).unwrap(),
            ..RECORD
        };
        assert_eq!(chatty.emit(), Err(Error::CommandLineTooLong));
        assert_eq!(
            BootRecord {
                command_line: "a\0b",
                ..RECORD
            }
            .emit(),
            Err(Error::CommandLineNotText)
        );
        assert_eq!(
            BootRecord {
                kernel_bytes: 0,
                ..RECORD
            }
            .emit(),
            Err(Error::BootRecordEmpty)
        );
    }

    #[test]
    fn another_version_is_named() {
        let mut sector = RECORD.emit().unwrap();
        sector[8] = 2;
        assert_eq!(BootRecord::parse(&sector), Err(Error::BootRecordVersion(2)));
    }
}
