//! A whole ELF file in memory: what needs more than the headers.

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::section::{SectionHeader, SectionHeaderTable};

use crate::headers::slice;
use crate::{Dynamic, Error, Headers, Kind, Notes, Segment, SegmentKind, Symbols};

/// Bytes of an ELF64 section header.
const SECTION_HEADER_BYTES: u16 = 64;
/// Longest interpreter path (Linux `PATH_MAX`), in bytes with its NUL.
const INTERPRETER_MAX: u64 = 4096;

/// A checked ELF64 file for x86-64.
#[derive(Clone, Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    headers: Headers<'a>,
}

impl<'a> Elf<'a> {
    /// Checks the headers of the file `bytes`. Errors: all of [`Headers::parse`] but `NeedMore`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let headers = Headers::parse(bytes, len)?;
        Ok(Self { bytes, headers })
    }

    /// The file header and program headers.
    #[must_use]
    pub fn headers(&self) -> &Headers<'a> {
        &self.headers
    }

    /// How the program wants to be started.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.headers.kind()
    }

    /// The bytes that a segment takes from the file.
    #[must_use]
    pub fn data(&self, segment: &Segment) -> &'a [u8] {
        slice(self.bytes, segment.file_range()).unwrap_or_default()
    }

    /// The path in `PT_INTERP`, without its NUL; `None` if the program has no interpreter.
    ///
    /// Errors: `BadInterpreter` if it is empty, too long, not NUL-terminated, or contains a NUL.
    pub fn interpreter(&self) -> Result<Option<&'a [u8]>, Error> {
        let Some(segment) = self.headers.segment(SegmentKind::Interpreter) else {
            return Ok(None);
        };
        match self.data(&segment) {
            _ if segment.file_bytes > INTERPRETER_MAX => Err(Error::BadInterpreter),
            [path @ .., 0] if !path.is_empty() && !path.contains(&0) => Ok(Some(path)),
            _ => Err(Error::BadInterpreter),
        }
    }

    /// The dynamic section; `None` if there is none. Errors: `BadDynamic`.
    pub fn dynamic(&self) -> Result<Option<Dynamic<'a>>, Error> {
        let Some(segment) = self.headers.segment(SegmentKind::Dynamic) else {
            return Ok(None);
        };
        Dynamic::parse(self.data(&segment), |vaddr, len| {
            let start = self.headers.offset_of(vaddr)?;
            slice(self.bytes, start..start.checked_add(len)?)
        })
        .map(Some)
    }

    /// The notes of every `PT_NOTE`.
    pub fn notes(&self) -> impl Iterator<Item = crate::Note<'a>> + '_ {
        let segments = self.headers.segments().filter(|segment| segment.kind == SegmentKind::Note);
        segments.flat_map(|segment| Notes::new(self.data(&segment), segment.align))
    }

    /// The symbol table (`.symtab`, else `.dynsym`); `None` if the file is stripped of both. Errors: `BadSymbols`.
    pub fn symbols(&self) -> Result<Option<Symbols<'a>>, Error> {
        let Some(sections) = self.sections()? else {
            return Ok(None);
        };
        let of_type = |kind: u32| sections.iter().find(|section| section.sh_type == kind);
        let Some(table) = of_type(abi::SHT_SYMTAB).or_else(|| of_type(abi::SHT_DYNSYM)) else {
            return Ok(None);
        };
        let link = usize::try_from(table.sh_link).map_err(|_| Error::BadSymbols)?;
        let strings = sections.get(link).map_err(|_| Error::BadSymbols)?;
        Ok(Some(Symbols::new(self.section_data(&table)?, self.section_data(&strings)?)))
    }

    fn sections(&self) -> Result<Option<SectionHeaderTable<'a, LittleEndian>>, Error> {
        let Some((offset, count)) = self.headers.sections() else {
            return Ok(None);
        };
        if self.headers.section_entry_bytes() != SECTION_HEADER_BYTES {
            return Err(Error::EntrySize(self.headers.section_entry_bytes()));
        }
        let end = offset.checked_add(u64::from(count) * u64::from(SECTION_HEADER_BYTES)).ok_or(Error::BadSymbols)?;
        let table = slice(self.bytes, offset..end).ok_or(Error::BadSymbols)?;
        Ok(Some(SectionHeaderTable::new(LittleEndian, Class::ELF64, table)))
    }

    fn section_data(&self, section: &SectionHeader) -> Result<&'a [u8], Error> {
        let end = section.sh_offset.checked_add(section.sh_size).ok_or(Error::BadSymbols)?;
        slice(self.bytes, section.sh_offset..end).ok_or(Error::BadSymbols)
    }
}
