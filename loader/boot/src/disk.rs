//! The kernel file on the disk, read through a window of 127 sectors.

use core::ops::Range;

use crate::error::Error;
use crate::firmware::{Bounce, READ_SECTORS_MAX, SECTOR_BYTES};

/// A file that lies contiguously on the disk.
pub struct KernelFile {
    lba: u64,
    len: u64,
    bounce: Bounce,
    /// Bytes of the file that are in the bounce buffer; starts at a sector.
    window: Range<u64>,
}

impl KernelFile {
    /// The file of `len` bytes from sector `lba` on.
    pub fn new(lba: u64, len: u64) -> Self {
        Self { lba, len, bounce: Bounce::claim(), window: 0..0 }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Some bytes from `offset` on, at least one; when the disk must be read for them, nothing from `until` on is read.
    ///
    /// Errors: `OutsideFile`, `Disk`.
    pub fn some(&mut self, offset: u64, until: u64) -> Result<&[u8], Error> {
        if !self.window.contains(&offset) {
            self.fill(offset, until.min(self.len))?;
        }
        let from = usize::try_from(offset.saturating_sub(self.window.start)).map_err(|_| Error::OutsideFile)?;
        let to = usize::try_from(self.window.end.saturating_sub(self.window.start)).map_err(|_| Error::OutsideFile)?;
        self.bounce.bytes().get(from..to).filter(|bytes| !bytes.is_empty()).ok_or(Error::OutsideFile)
    }

    /// Exactly `range`, which must be shorter than the window (64,512 bytes).
    ///
    /// Errors: `OutsideFile`, `Disk`.
    pub fn exact(&mut self, range: Range<u64>) -> Result<&[u8], Error> {
        let len = range.end.checked_sub(range.start).and_then(|len| usize::try_from(len).ok());
        if range.end > self.window.end || range.start < self.window.start {
            self.window = 0..0;
        }
        self.some(range.start, range.end)?.get(..len.ok_or(Error::OutsideFile)?).ok_or(Error::OutsideFile)
    }

    fn fill(&mut self, offset: u64, until: u64) -> Result<(), Error> {
        let first = offset / SECTOR_BYTES;
        let wanted = until.div_ceil(SECTOR_BYTES).checked_sub(first).ok_or(Error::OutsideFile)?;
        let sectors = u16::try_from(wanted).unwrap_or(u16::MAX).min(READ_SECTORS_MAX);
        let lba = self.lba.checked_add(first).ok_or(Error::OutsideFile)?;
        self.window = 0..0;
        self.bounce.read(lba, sectors)?;
        let start = first.checked_mul(SECTOR_BYTES).ok_or(Error::OutsideFile)?;
        let end = start.checked_add(u64::from(sectors) * SECTOR_BYTES).ok_or(Error::OutsideFile)?;
        self.window = start..end.min(self.len);
        Ok(())
    }
}
