//! The file header and the program headers: all that exec needs before it maps a program.

use core::ops::Range;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};

use crate::segment::overlaps;
use crate::{Error, ForeignFormat, Segment, SegmentKind};

/// Bytes of an ELF64 file header.
const FILE_HEADER_BYTES: usize = 64;
/// Bytes of an ELF64 program header.
const PROGRAM_HEADER_BYTES: u16 = 56;
/// Linux: the table must not be longer than 64 KiB.
const PROGRAM_HEADERS_MAX: u16 = (65536 / PROGRAM_HEADER_BYTES as u32) as u16;

/// How a program wants to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fixed addresses, no interpreter.
    Static,
    /// Position-independent, relocates itself (also the dynamic loader, and libraries without `PT_INTERP`).
    StaticPie,
    /// Started through the interpreter that `PT_INTERP` names; may be position-independent or not.
    Dynamic,
}

/// Checked headers of an ELF64 program for x86-64.
///
/// Invariant: every program header passed [`Segment::check`]; no two loads overlap; at least one load is not empty.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    file: FileHeader<LittleEndian>,
    table: SegmentTable<'a, LittleEndian>,
    file_len: u64,
}

impl<'a> Headers<'a> {
    /// Checks the headers at the start of a file.
    ///
    /// `prefix` is any number of bytes from the start of the file (4096 nearly always suffice), `file_len` the length of
    /// the whole file in bytes. Errors: `NeedMore` if the prefix is too short, else what is wrong with the file.
    pub fn parse(prefix: &'a [u8], file_len: u64) -> Result<Self, Error> {
        let have = u64::try_from(prefix.len()).unwrap_or(u64::MAX);
        let short = |need: u64| match need > file_len.max(have) {
            true => Error::Truncated { need, len: file_len },
            false => Error::NeedMore { need },
        };
        check_ident(prefix, &short)?;
        let head = prefix.get(..FILE_HEADER_BYTES).ok_or_else(|| short(FILE_HEADER_BYTES as u64))?;
        let file = parse_file_header(head)?;
        check_file_header(&file)?;

        let table_bytes = u64::from(file.e_phnum) * u64::from(PROGRAM_HEADER_BYTES);
        let end = file.e_phoff.checked_add(table_bytes).ok_or(Error::Truncated { need: u64::MAX, len: file_len })?;
        let table = slice(prefix, file.e_phoff..end).ok_or_else(|| short(end))?;
        let headers = Self { file, table: SegmentTable::new(LittleEndian, Class::ELF64, table), file_len };
        headers.check_segments()?;
        Ok(headers)
    }

    fn check_segments(&self) -> Result<(), Error> {
        for index in 0..self.file.e_phnum {
            self.checked_segment(index)?;
        }
        for first in self.loads() {
            let other =
                |second: &Segment| second.index > first.index && overlaps(&first.vaddr_range(), &second.vaddr_range());
            if let Some(second) = self.loads().find(other) {
                return Err(Error::Overlap { first: first.index, second: second.index });
            }
        }
        self.loads().next().map(|_| ()).ok_or(Error::NothingToLoad)
    }

    fn checked_segment(&self, index: u16) -> Result<Segment, Error> {
        let raw: ProgramHeader = self.table.get(usize::from(index)).map_err(|_| Error::NoProgramHeaders)?;
        Segment::check(index, &raw, self.file_len)
    }

    /// Every program header, in table order.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        (0..self.file.e_phnum).filter_map(|index| self.checked_segment(index).ok())
    }

    /// The `PT_LOAD` headers that cover memory, in table order. None overlap; addresses may be in any order.
    pub fn loads(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments().filter(|segment| segment.kind == SegmentKind::Load && segment.mem_bytes > 0)
    }

    /// The first program header of this kind.
    #[must_use]
    pub fn segment(&self, kind: SegmentKind) -> Option<Segment> {
        self.segments().find(|segment| segment.kind == kind)
    }

    /// How the program wants to be started.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (self.segment(SegmentKind::Interpreter), self.is_position_independent()) {
            (Some(_), _) => Kind::Dynamic,
            (None, true) => Kind::StaticPie,
            (None, false) => Kind::Static,
        }
    }

    /// Whether a load bias may be added to its addresses (`ET_DYN`).
    #[must_use]
    pub fn is_position_independent(&self) -> bool {
        self.file.e_type == abi::ET_DYN
    }

    /// Virtual address of the first instruction, before any load bias; 0 in most libraries.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.file.e_entry
    }

    /// Virtual addresses from the start of the lowest load to the end of the highest, before any load bias.
    #[must_use]
    pub fn vaddr_span(&self) -> Range<u64> {
        let start = self.loads().map(|load| load.vaddr).min().unwrap_or(0);
        let end = self.loads().map(|load| load.vaddr_range().end).max().unwrap_or(0);
        start..end
    }

    /// Largest alignment that a load asks for, in bytes; at least 1.
    #[must_use]
    pub fn load_align(&self) -> u64 {
        self.loads().map(|load| load.align).max().unwrap_or(1)
    }

    /// Whether the program asks for an executable stack: no `PT_GNU_STACK`, or one with the flag.
    #[must_use]
    pub fn wants_executable_stack(&self) -> bool {
        self.segment(SegmentKind::Stack).is_none_or(|stack| stack.executable)
    }

    /// Where the program header table lies in the file.
    #[must_use]
    pub fn table_range(&self) -> Range<u64> {
        let bytes = u64::from(self.file.e_phnum) * u64::from(PROGRAM_HEADER_BYTES);
        self.file.e_phoff..self.file.e_phoff.saturating_add(bytes)
    }

    /// Number of program headers (`AT_PHNUM`).
    #[must_use]
    pub fn count(&self) -> u16 {
        self.file.e_phnum
    }

    /// Bytes of one program header (`AT_PHENT`).
    #[must_use]
    pub const fn entry_bytes(&self) -> u16 {
        PROGRAM_HEADER_BYTES
    }

    /// Virtual address of the table once loaded (`AT_PHDR`), before any load bias; `None` if no load covers it.
    #[must_use]
    pub fn table_vaddr(&self) -> Option<u64> {
        let range = self.table_range();
        let covers = |load: &Segment| {
            let file = load.file_range();
            file.start <= range.start && range.end <= file.end
        };
        let load = self.loads().find(covers)?;
        load.vaddr.checked_add(range.start.checked_sub(load.offset)?)
    }

    /// File offset of the byte at virtual address `vaddr`, if a load takes it from the file.
    #[must_use]
    pub fn offset_of(&self, vaddr: u64) -> Option<u64> {
        let inside = |load: &Segment| vaddr.checked_sub(load.vaddr).is_some_and(|delta| delta < load.file_bytes);
        let load = self.loads().find(inside)?;
        load.offset.checked_add(vaddr.checked_sub(load.vaddr)?)
    }

    /// File offset and number of the section headers; `None` if there are none.
    pub(crate) fn sections(&self) -> Option<(u64, u16)> {
        (self.file.e_shnum > 0).then_some((self.file.e_shoff, self.file.e_shnum))
    }

    /// Bytes of one section header as the file claims.
    pub(crate) fn section_entry_bytes(&self) -> u16 {
        self.file.e_shentsize
    }
}

/// The bytes of a file range, if the slice reaches that far.
pub(crate) fn slice(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn check_ident(prefix: &[u8], short: &dyn Fn(u64) -> Error) -> Result<(), Error> {
    let magic = prefix.get(..prefix.len().min(4)).unwrap_or_default();
    if prefix.is_empty() || !abi::ELFMAGIC.starts_with(magic) {
        return Err(Error::NotElf(foreign_format(prefix)));
    }
    let ident = prefix.get(..abi::EI_NIDENT).ok_or_else(|| short(FILE_HEADER_BYTES as u64))?;
    let field = |at: usize| ident.get(at).copied().unwrap_or(0);
    if field(abi::EI_CLASS) != abi::ELFCLASS64 {
        return Err(Error::Not64Bit);
    }
    if field(abi::EI_DATA) != abi::ELFDATA2LSB {
        return Err(Error::NotLittleEndian);
    }
    match field(abi::EI_VERSION) {
        abi::EV_CURRENT => Ok(()),
        other => Err(Error::UnknownVersion(other.into())),
    }
}

fn foreign_format(bytes: &[u8]) -> ForeignFormat {
    const MACHO: [[u8; 4]; 4] =
        [[0xcf, 0xfa, 0xed, 0xfe], [0xce, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe], [0xfe, 0xed, 0xfa, 0xcf]];
    match bytes {
        [] => ForeignFormat::Empty,
        [b'#', b'!', ..] => ForeignFormat::Script,
        [b'M', b'Z', ..] => ForeignFormat::Pe,
        _ if MACHO.iter().any(|magic| bytes.starts_with(magic)) => ForeignFormat::MachO,
        _ => ForeignFormat::Unknown,
    }
}

fn parse_file_header(head: &[u8]) -> Result<FileHeader<LittleEndian>, Error> {
    let (ident, tail) = head.split_at(abi::EI_NIDENT);
    let parsed = parse_ident(ident).and_then(|ident| FileHeader::parse_tail(ident, tail));
    parsed.map_err(|_| Error::NotElf(ForeignFormat::Unknown))
}

fn check_file_header(file: &FileHeader<LittleEndian>) -> Result<(), Error> {
    if file.e_machine != abi::EM_X86_64 {
        return Err(Error::ForeignMachine(file.e_machine));
    }
    if file.version != u32::from(abi::EV_CURRENT) {
        return Err(Error::UnknownVersion(file.version));
    }
    let foreign = [abi::ELFOSABI_NETBSD, abi::ELFOSABI_SOLARIS, abi::ELFOSABI_FREEBSD, abi::ELFOSABI_OPENBSD];
    if foreign.contains(&file.osabi) {
        return Err(Error::ForeignSystem(file.osabi));
    }
    if file.e_type != abi::ET_EXEC && file.e_type != abi::ET_DYN {
        return Err(Error::NotExecutable(file.e_type));
    }
    match file.e_phnum {
        0 => return Err(Error::NoProgramHeaders),
        count if count > PROGRAM_HEADERS_MAX => return Err(Error::TooManyProgramHeaders(count)),
        _ => {}
    }
    match file.e_phentsize {
        PROGRAM_HEADER_BYTES => Ok(()),
        other => Err(Error::EntrySize(other)),
    }
}
