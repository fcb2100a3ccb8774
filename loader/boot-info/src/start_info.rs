//! The PVH start info (`hvm_start_info`), its command line and its modules.
//!
//! | offset | size | field | since version |
//! |---|---|---|---|
//! | 0 | 4 | magic 0x336ec578 | 0 |
//! | 4 | 4 | version | 0 |
//! | 8 | 4 | flags | 0 |
//! | 12 | 4 | number of modules | 0 |
//! | 16 | 8 | physical address of the module list | 0 |
//! | 24 | 8 | physical address of the command line | 0 |
//! | 32 | 8 | physical address of the ACPI RSDP | 0 |
//! | 40 | 8 | physical address of the memory map | 1 |
//! | 48 | 4 | memory map entries | 1 |
//! | 52 | 4 | reserved | 1 |

use crate::bytes::{put, u32_at, u64_at};
use crate::{Error, MEMMAP_ENTRIES_MAX};

/// Longest command line that is read, in bytes, without the final NUL.
pub const COMMAND_LINE_MAX: usize = 4096;
/// Most modules that are accepted.
pub const MODULES_MAX: u32 = 32;
/// Name of the ELF note that holds the PVH entry point.
pub const PHYS32_ENTRY_NOTE_NAME: &str = "Xen";
/// Type of that note (`XEN_ELFNOTE_PHYS32_ENTRY`); its body is a 4- or 8-byte physical address.
pub const PHYS32_ENTRY_NOTE_TYPE: u32 = 18;

/// A start info. An address of 0 means "absent".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartInfo {
    /// 0 or 1; later versions parse as 1, since fields are only ever appended.
    pub version: u32,
    /// Xen's flags (bit 0: privileged, bit 1: initial domain); 0 outside Xen.
    pub flags: u32,
    /// Number of [`ModuleEntry`] records at `modules_at`; at most [`MODULES_MAX`].
    pub module_count: u32,
    /// Physical address of the module list.
    pub modules_at: u64,
    /// Physical address of the NUL-terminated command line.
    pub command_line_at: u64,
    /// Physical address of the ACPI root pointer.
    pub rsdp_at: u64,
    /// Physical address of the memory map; 0 in version 0.
    pub memmap_at: u64,
    /// Number of entries there; at most [`MEMMAP_ENTRIES_MAX`], 0 in version 0.
    pub memmap_entries: u32,
}

impl StartInfo {
    /// First four bytes ("xEn3" with bit 7 of the "E" set).
    pub const MAGIC: u32 = 0x336e_c578;
    /// Bytes of a version 1 structure: read this many at `ebx`.
    pub const SIZE: usize = 56;
    /// Bytes of a version 0 structure.
    pub const SIZE_V0: usize = 40;

    /// Reads a start info from the bytes at the address in `ebx`.
    ///
    /// Errors: `Truncated`, `NotStartInfo`, `TooManyModules`, `TooManyMemmapEntries`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let magic = u32_at(bytes, 0)?;
        if magic != Self::MAGIC {
            return Err(Error::NotStartInfo(magic));
        }
        let version = u32_at(bytes, 4)?.min(1);
        let (memmap_at, memmap_entries) = match version {
            0 => (0, 0),
            _ => (
                u64_at(bytes, 40)?,
                u32_at(bytes, 48).and_then(|n| u32_at(bytes, 52).map(|_| n))?,
            ),
        };
        let info = Self {
            version,
            flags: u32_at(bytes, 8)?,
            module_count: u32_at(bytes, 12)?,
            modules_at: u64_at(bytes, 16)?,
            command_line_at: u64_at(bytes, 24)?,
            rsdp_at: u64_at(bytes, 32)?,
            memmap_at,
            memmap_entries,
        };
        if info.module_count > MODULES_MAX {
            return Err(Error::TooManyModules(info.module_count));
        }
        if usize::try_from(memmap_entries).map_or(true, |count| count > MEMMAP_ENTRIES_MAX) {
            return Err(Error::TooManyMemmapEntries(memmap_entries));
        }
        Ok(info)
    }

    /// The version 1 bytes of this start info, for a loader of ours.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        put(&mut bytes, 0, Self::MAGIC.to_le_bytes());
        put(&mut bytes, 4, 1u32.to_le_bytes());
        put(&mut bytes, 8, self.flags.to_le_bytes());
        put(&mut bytes, 12, self.module_count.to_le_bytes());
        put(&mut bytes, 16, self.modules_at.to_le_bytes());
        put(&mut bytes, 24, self.command_line_at.to_le_bytes());
        put(&mut bytes, 32, self.rsdp_at.to_le_bytes());
        put(&mut bytes, 40, self.memmap_at.to_le_bytes());
        put(&mut bytes, 48, self.memmap_entries.to_le_bytes());
        bytes
    }
}

/// One boot module (`hvm_modlist_entry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleEntry {
    /// Physical address of its first byte.
    pub address: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Physical address of its NUL-terminated command line; 0 means none.
    pub command_line_at: u64,
}

impl ModuleEntry {
    /// Bytes of one record in the list.
    pub const SIZE: usize = 32;

    /// Reads record `index` of a list. Errors: `Truncated`.
    pub fn parse(list: &[u8], index: usize) -> Result<Self, Error> {
        let at = index.saturating_mul(Self::SIZE);
        u64_at(list, at.saturating_add(24))?;
        Ok(Self {
            address: u64_at(list, at)?,
            len_bytes: u64_at(list, at.saturating_add(8))?,
            command_line_at: u64_at(list, at.saturating_add(16))?,
        })
    }
}

/// The text before the first NUL of `bytes`: a command line.
///
/// `bytes` is what is readable at its address, at least `COMMAND_LINE_MAX + 1` bytes or up to the end of memory.
/// Errors: `CommandLineTooLong`, `CommandLineNotText`.
pub fn command_line(bytes: &[u8]) -> Result<&str, Error> {
    let len = bytes
        .iter()
        .take(COMMAND_LINE_MAX + 1)
        .position(|&byte| byte == 0);
    let text = len
        .and_then(|len| bytes.get(..len))
        .ok_or(Error::CommandLineTooLong)?;
    core::str::from_utf8(text).map_err(|_| Error::CommandLineNotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StartInfo {
        StartInfo {
            version: 1,
            flags: 2,
            module_count: 1,
            modules_at: 0x6040,
            command_line_at: 0x6100,
            rsdp_at: 0xf_5a00,
            memmap_at: 0x6080,
            memmap_entries: 5,
        }
    }

    #[test]
    fn what_is_emitted_parses_to_the_same() {
        assert_eq!(StartInfo::parse(&sample().emit()), Ok(sample()));
    }

    #[test]
    fn the_bytes_are_those_of_the_xen_header() {
        let bytes = sample().emit();
        assert_eq!(bytes[..8], [0x78, 0xc5, 0x6e, 0x33, 1, 0, 0, 0]);
        assert_eq!(bytes[40..42], [0x80, 0x60]);
        assert_eq!(bytes[48], 5);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample().emit();
        for len in 0..bytes.len() {
            assert!(
                matches!(
                    StartInfo::parse(&bytes[..len]),
                    Err(Error::Truncated { .. })
                ),
                "{len}"
            );
        }
    }

    #[test]
    fn a_version_0_structure_has_no_memory_map() {
        let mut bytes = sample().emit();
        bytes[4] = 0;
        let info = StartInfo::parse(&bytes[..StartInfo::SIZE_V0]).unwrap();
        assert_eq!((info.memmap_at, info.memmap_entries), (0, 0));
    }

    #[test]
    fn a_wrong_magic_is_named() {
        assert_eq!(
            StartInfo::parse(&[0xff; 56]),
            Err(Error::NotStartInfo(0xffff_ffff))
        );
    }

    #[test]
    fn absurd_counts_are_refused() {
        let modules = StartInfo {
            module_count: 33,
            ..sample()
        };
        assert_eq!(
            StartInfo::parse(&modules.emit()),
            Err(Error::TooManyModules(33))
        );
        let entries = StartInfo {
            memmap_entries: u32::MAX,
            ..sample()
        };
        assert_eq!(
            StartInfo::parse(&entries.emit()),
            Err(Error::TooManyMemmapEntries(u32::MAX))
        );
    }

    #[test]
    fn a_command_line_ends_at_its_nul() {
        assert_eq!(command_line(b"console=ttyS0\0rest"), Ok("console=ttyS0"));
        assert_eq!(command_line(b"no end"), Err(Error::CommandLineTooLong));
        assert_eq!(command_line(&[0xff, 0]), Err(Error::CommandLineNotText));
        assert_eq!(command_line(&[b'a'; 5000]), Err(Error::CommandLineTooLong));
    }

    #[test]
    fn a_module_beyond_the_list_is_refused() {
        let mut list = [0; 2 * ModuleEntry::SIZE];
        put(&mut list, ModuleEntry::SIZE, 0x20_0000u64.to_le_bytes());
        assert_eq!(
            ModuleEntry::parse(&list, 1).map(|m| m.address),
            Ok(0x20_0000)
        );
        assert!(ModuleEntry::parse(&list, 2).is_err());
        assert!(ModuleEntry::parse(&list[..63], 1).is_err());
        assert!(ModuleEntry::parse(&list, usize::MAX).is_err());
    }
}
