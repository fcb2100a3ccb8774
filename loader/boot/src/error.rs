//! Why the machine does not boot, in one line.

use core::fmt;

/// Everything that ends a boot.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// The boot record is missing, unfinished or damaged.
    Record(boot_info::Error),
    /// The BIOS could not read the disk.
    Disk {
        /// First sector of the failed read.
        lba: u64,
        /// Status byte of INT 13h.
        status: u8,
    },
    /// The kernel's sectors cannot be counted, or a read left the kernel file.
    OutsideFile,
    /// The kernel is not an ELF file that can be loaded.
    Kernel(skiff_elf::Error),
    /// The kernel has no PVH entry note.
    NoEntryNote,
    /// The PVH entry point lies outside of the kernel's executable segments.
    EntryOutside(u64),
    /// A kernel segment does not lie between 1 MiB and 4 GiB.
    SegmentOutside(u64),
    /// Two kernel segments cover the same physical memory.
    SegmentsOverlap(u64),
    /// The machine has no usable memory where a kernel segment must go.
    NoMemory {
        /// First physical address of the segment.
        start: u64,
        /// First physical address after it.
        end: u64,
    },
    /// The memory map of the firmware is damaged.
    MemoryMap(boot_info::Error),
    /// A hand-over structure does not fit its place (a bug).
    HandOver,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Record(error) => write!(f, "{error}"),
            Self::Disk { lba, status } => {
                write!(f, "disk read error {status:#04x} at sector {lba}; is the image complete?")
            }
            Self::OutsideFile => f.write_str("boot record: the kernel's place on the disk is impossible"),
            Self::Kernel(error) => write!(f, "kernel: {error}"),
            Self::NoEntryNote => f.write_str("kernel: no PVH entry note"),
            Self::EntryOutside(entry) => write!(f, "kernel: entry {entry:#x} is not in an executable segment"),
            Self::SegmentOutside(start) => write!(f, "kernel: segment at {start:#x} is not between 1 MiB and 4 GiB"),
            Self::SegmentsOverlap(start) => write!(f, "kernel: segment at {start:#x} overlaps another"),
            Self::NoMemory { start, end } => {
                write!(f, "no memory for the kernel at {start:#x}..{end:#x}; give the machine more memory")
            }
            Self::MemoryMap(error) => write!(f, "memory map: {error}"),
            Self::HandOver => f.write_str("the hand-over data does not fit (a bug)"),
        }
    }
}

/// A line of text that ends in a NUL; what does not fit is cut off.
pub struct Line {
    /// Zero from `len` on; the last byte always is.
    bytes: [u8; Line::SIZE],
    len: usize,
}

impl Line {
    const SIZE: usize = 256;

    /// An empty line.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::SIZE], len: 0 }
    }

    /// The text with its NUL.
    pub fn with_nul(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes().filter(|&byte| byte != 0) {
            match self.bytes.get_mut(self.len) {
                Some(place) if self.len + 1 < Self::SIZE => *place = byte,
                _ => return Err(fmt::Error),
            }
            self.len += 1;
        }
        Ok(())
    }
}
