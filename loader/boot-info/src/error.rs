//! What can be wrong with hand-over data; one sentence each.

use core::fmt;

/// Why hand-over data was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the structure needs; both counts are in bytes.
    Truncated {
        /// Bytes that the structure takes.
        need: usize,
        /// Bytes that were given.
        have: usize,
    },
    /// The magic number of a start info is not 0x336ec578; the value found is given.
    NotStartInfo(u32),
    /// More memory map entries than [`crate::MEMMAP_ENTRIES_MAX`].
    TooManyMemmapEntries(u32),
    /// More modules than [`crate::MODULES_MAX`].
    TooManyModules(u32),
    /// A command line without an end within its limit, or longer than a boot record holds.
    CommandLineTooLong,
    /// The command line is not UTF-8.
    CommandLineNotText,
    /// No boot record where one must be.
    NotBootRecord,
    /// A boot record of a version this code does not know.
    BootRecordVersion(u32),
    /// The checksum of a boot record does not match its contents.
    BootRecordChecksum,
    /// The boot record was never filled in: the image was not finished by imagegen.
    BootRecordEmpty,
    /// The kernel is longer than the loader accepts; both counts are in bytes.
    KernelTooLong {
        /// Length of the kernel file.
        len: u64,
        /// Most that the loader accepts.
        max: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { need, have } => write!(f, "{need} bytes needed, {have} present"),
            Self::NotStartInfo(found) => {
                write!(
                    f,
                    "not a PVH start info (magic {found:#010x}); boot through PVH or the disk loader"
                )
            }
            Self::TooManyMemmapEntries(count) => write!(f, "memory map with {count} entries"),
            Self::TooManyModules(count) => write!(f, "{count} boot modules"),
            Self::CommandLineTooLong => f.write_str("kernel command line too long"),
            Self::CommandLineNotText => f.write_str("kernel command line is not UTF-8"),
            Self::NotBootRecord => f.write_str("no boot record in the loader"),
            Self::BootRecordVersion(version) => {
                write!(f, "boot record of unknown version {version}")
            }
            Self::BootRecordChecksum => f.write_str("boot record is damaged (checksum)"),
            Self::BootRecordEmpty => {
                f.write_str("boot record names no kernel; make the image with imagegen")
            }
            Self::KernelTooLong { len, max } => {
                write!(f, "kernel of {len} bytes, at most {max} can be loaded")
            }
        }
    }
}

impl core::error::Error for Error {}
