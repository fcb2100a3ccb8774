//! One program header, checked on its own.

use core::ops::Range;

use elf::abi;
use elf::segment::ProgramHeader;

use crate::Error;

/// What a program header is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// `PT_LOAD`: to be mapped.
    Load,
    /// `PT_DYNAMIC`: linking information.
    Dynamic,
    /// `PT_INTERP`: path of the program interpreter.
    Interpreter,
    /// `PT_NOTE`: see [`crate::find_note`].
    Note,
    /// `PT_PHDR`: the table itself.
    HeaderTable,
    /// `PT_TLS`: initial thread-local data.
    Tls,
    /// `PT_GNU_STACK`: only its flags count.
    Stack,
    /// `PT_GNU_RELRO`: read-only after relocation.
    Relro,
    /// Any other `p_type`.
    Other(u32),
}

/// One program header. All ranges have been checked for wrap-around, file ranges against the file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position in the table.
    pub index: u16,
    /// What it is for.
    pub kind: SegmentKind,
    /// Whether it is to be readable.
    pub readable: bool,
    /// Whether it is to be writable.
    pub writable: bool,
    /// Whether it is to be executable.
    pub executable: bool,
    /// First byte in the file.
    pub offset: u64,
    /// First virtual address, before any load bias.
    pub vaddr: u64,
    /// First physical address; only boot code looks at it.
    pub paddr: u64,
    /// Bytes taken from the file; at most `mem_bytes` for `Load` and `Tls`.
    pub file_bytes: u64,
    /// Bytes in memory; those after `file_bytes` are zero.
    pub mem_bytes: u64,
    /// Alignment: a power of two for `Load` and `Tls`, at least 1.
    pub align: u64,
}

impl Segment {
    /// Checks one header of a file that is `file_len` bytes long.
    ///
    /// Errors: `Overflow`, `Truncated`, `FileLargerThanMemory`, `Misaligned`.
    pub(crate) fn check(index: u16, raw: &ProgramHeader, file_len: u64) -> Result<Self, Error> {
        let segment = Self::from_raw(index, raw);
        let overflow = Error::Overflow { index };
        let file_end = raw.p_offset.checked_add(raw.p_filesz).ok_or(overflow)?;
        if raw.p_filesz > 0 && file_end > file_len {
            return Err(Error::Truncated { need: file_end, len: file_len });
        }
        if matches!(segment.kind, SegmentKind::Load | SegmentKind::Tls) {
            segment.check_memory(raw.p_align)?;
        }
        Ok(segment)
    }

    fn from_raw(index: u16, raw: &ProgramHeader) -> Self {
        Self {
            index,
            kind: kind(raw.p_type),
            readable: raw.p_flags & abi::PF_R != 0,
            writable: raw.p_flags & abi::PF_W != 0,
            executable: raw.p_flags & abi::PF_X != 0,
            offset: raw.p_offset,
            vaddr: raw.p_vaddr,
            paddr: raw.p_paddr,
            file_bytes: raw.p_filesz,
            mem_bytes: raw.p_memsz,
            align: raw.p_align.max(1),
        }
    }

    fn check_memory(&self, align: u64) -> Result<(), Error> {
        let index = self.index;
        if self.file_bytes > self.mem_bytes {
            return Err(Error::FileLargerThanMemory { index });
        }
        let end = |start: u64| start.checked_add(self.mem_bytes);
        end(self.vaddr).and(end(self.paddr)).ok_or(Error::Overflow { index })?;
        if align > 1 && !align.is_power_of_two() {
            return Err(Error::Misaligned { index });
        }
        let congruent = self.vaddr.wrapping_sub(self.offset) & (self.align - 1) == 0;
        if self.kind == SegmentKind::Load && self.file_bytes > 0 && !congruent {
            return Err(Error::Misaligned { index });
        }
        Ok(())
    }

    /// Where its bytes lie in the file.
    #[must_use]
    pub fn file_range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.file_bytes)
    }

    /// Virtual addresses that it covers, before any load bias.
    #[must_use]
    pub fn vaddr_range(&self) -> Range<u64> {
        self.vaddr..self.vaddr.saturating_add(self.mem_bytes)
    }

    /// Physical addresses that it covers.
    #[must_use]
    pub fn paddr_range(&self) -> Range<u64> {
        self.paddr..self.paddr.saturating_add(self.mem_bytes)
    }
}

fn kind(number: u32) -> SegmentKind {
    match number {
        abi::PT_LOAD => SegmentKind::Load,
        abi::PT_DYNAMIC => SegmentKind::Dynamic,
        abi::PT_INTERP => SegmentKind::Interpreter,
        abi::PT_NOTE => SegmentKind::Note,
        abi::PT_PHDR => SegmentKind::HeaderTable,
        abi::PT_TLS => SegmentKind::Tls,
        abi::PT_GNU_STACK => SegmentKind::Stack,
        abi::PT_GNU_RELRO => SegmentKind::Relro,
        other => SegmentKind::Other(other),
    }
}

/// Whether two ranges share an address.
pub(crate) fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
