//! The first sectors of the disk: boot sector and second stage, with the record that leads to the kernel.

use boot_info::BootRecord;
use skiff_elf::{Elf, FlatImage};
use tfs_format::SECTOR;

use crate::error::{Error, Result};

/// Largest boot code; far more than fits below 1 MiB of memory.
const BOOT_CODE_MAX: u64 = 1 << 20;

/// Flat boot code: the boot sector and a whole number of second-stage sectors.
#[derive(Debug)]
pub struct BootCode(Vec<u8>);

impl BootCode {
    /// Flattens the boot code's ELF file. Errors: [`Error::Volume`] if it is none.
    pub fn from_elf(bytes: &[u8]) -> Result<BootCode> {
        let elf = Elf::parse(bytes).map_err(unusable)?;
        let flat = FlatImage::of(&elf).map_err(unusable)?;
        let len = flat.len_bytes();
        let least = (BootRecord::DISK_OFFSET + BootRecord::SIZE) as u64;
        if flat.base() != 0 || len < least || len > BOOT_CODE_MAX {
            return Err(unusable(format!("{len} bytes from {:#x} are no boot sector and second stage", flat.base())));
        }
        let mut code = vec![0; (len as usize).next_multiple_of(SECTOR)];
        flat.write_to(&mut code).map_err(unusable)?;
        Ok(BootCode(code))
    }

    /// Length of the second stage, in bytes.
    pub fn stage2_bytes(&self) -> u64 {
        self.0.len().saturating_sub(SECTOR) as u64
    }

    /// The bytes for the start of the disk, told where the kernel lies. Errors: [`Error::Volume`].
    pub fn finish(mut self, kernel_lba: u64, kernel_bytes: u64) -> Result<Vec<u8>> {
        let place = BootRecord::DISK_OFFSET..BootRecord::DISK_OFFSET + BootRecord::SIZE;
        let sector = self.0.get_mut(place).ok_or_else(|| unusable("it ends before the boot record"))?;
        let template = BootRecord::parse_template(sector).map_err(unusable)?;
        let kernel_max_bytes = template.kernel_max_bytes;
        let record = BootRecord { kernel_lba, kernel_bytes, kernel_max_bytes, command_line: "" };
        let record = record.emit().map_err(unusable)?;
        sector.copy_from_slice(&record);
        Ok(self.0)
    }
}

fn unusable(why: impl std::fmt::Display) -> Error {
    Error::Volume { why: format!("boot code: {why}"), fix: "build imagegen again".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_leads_to_the_kernel() {
        let mut flat = vec![0; 3 * SECTOR];
        flat[BootRecord::DISK_OFFSET..].copy_from_slice(&BootRecord::template(4096));
        let code = BootCode(flat);
        assert_eq!(code.stage2_bytes(), 1024);
        let bytes = code.finish(103, 4096).unwrap();
        let record = BootRecord::parse(&bytes[BootRecord::DISK_OFFSET..]).unwrap();
        assert_eq!((record.kernel_lba, record.kernel_bytes), (103, 4096));
    }

    #[test]
    fn a_kernel_that_the_loader_would_refuse_is_refused() {
        let mut flat = vec![0; 3 * SECTOR];
        flat[BootRecord::DISK_OFFSET..].copy_from_slice(&BootRecord::template(4096));
        assert!(BootCode(flat).finish(103, 4097).is_err());
    }

    #[test]
    fn what_is_no_boot_code_is_refused() {
        assert!(BootCode::from_elf(b"no ELF").is_err());
        assert!(BootCode(vec![0; 3 * SECTOR]).finish(1, 1).is_err());
    }
}
