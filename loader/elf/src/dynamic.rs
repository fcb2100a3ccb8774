//! The dynamic section: which libraries a program needs, and where they are to be looked for.

use elf::abi;
use elf::dynamic::{Dyn, DynamicTable};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::string_table::StringTable;

use crate::Error;

/// `DF_1_PIE`: the file is a program, not a library.
const DF_1_PIE: u64 = 0x0800_0000;

/// A checked dynamic section. Strings are raw bytes, as paths are.
///
/// Invariant: every string that an accessor returns was found complete when this was made.
#[derive(Clone, Debug)]
pub struct Dynamic<'a> {
    table: DynamicTable<'a, LittleEndian>,
    strings: StringTable<'a>,
}

impl<'a> Dynamic<'a> {
    /// Reads the entries in `table`; `at(vaddr, len)` gives the file's bytes at a virtual address.
    ///
    /// Errors: `BadDynamic`.
    pub(crate) fn parse(table: &'a [u8], at: impl Fn(u64, u64) -> Option<&'a [u8]>) -> Result<Self, Error> {
        let table = DynamicTable::new(LittleEndian, Class::ELF64, table);
        let mut dynamic = Self { table, strings: StringTable::new(&[]) };
        let strings = match (dynamic.value(abi::DT_STRTAB), dynamic.value(abi::DT_STRSZ)) {
            (Some(vaddr), Some(len)) => at(vaddr, len).ok_or(Error::BadDynamic)?,
            (None, None) => &[],
            _ => return Err(Error::BadDynamic),
        };
        dynamic.strings = StringTable::new(strings);
        let is_string =
            |entry: &Dyn| [abi::DT_NEEDED, abi::DT_SONAME, abi::DT_RPATH, abi::DT_RUNPATH].contains(&entry.d_tag);
        match dynamic.entries().filter(is_string).all(|entry| dynamic.string(entry.d_val()).is_some()) {
            true => Ok(dynamic),
            false => Err(Error::BadDynamic),
        }
    }

    /// `DT_NEEDED`: libraries, in the order in which they are to be loaded.
    pub fn needed(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let needed = self.entries().filter(|entry| entry.d_tag == abi::DT_NEEDED);
        needed.filter_map(|entry| self.string(entry.d_val()))
    }

    /// `DT_SONAME`: the name by which others need this library.
    #[must_use]
    pub fn soname(&self) -> Option<&'a [u8]> {
        self.string(self.value(abi::DT_SONAME)?)
    }

    /// `DT_RPATH`: colon-separated folders, searched before `LD_LIBRARY_PATH`; to be ignored if there is a run path.
    #[must_use]
    pub fn rpath(&self) -> Option<&'a [u8]> {
        self.string(self.value(abi::DT_RPATH)?)
    }

    /// `DT_RUNPATH`: colon-separated folders, searched after `LD_LIBRARY_PATH`.
    #[must_use]
    pub fn runpath(&self) -> Option<&'a [u8]> {
        self.string(self.value(abi::DT_RUNPATH)?)
    }

    /// `DT_FLAGS_1`; 0 if absent.
    #[must_use]
    pub fn flags_1(&self) -> u64 {
        self.value(abi::DT_FLAGS_1).unwrap_or(0)
    }

    /// Whether a position-independent file says that it is a program (`DF_1_PIE`).
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.flags_1() & DF_1_PIE != 0
    }

    fn entries(&self) -> impl Iterator<Item = Dyn> + 'a {
        self.table.iter().take_while(|entry| entry.d_tag != abi::DT_NULL)
    }

    fn value(&self, tag: i64) -> Option<u64> {
        self.entries().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val())
    }

    fn string(&self, offset: u64) -> Option<&'a [u8]> {
        self.strings.get_raw(usize::try_from(offset).ok()?).ok()
    }
}
