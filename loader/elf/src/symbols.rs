//! Symbol tables: from an address to a name, for crash reports.

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::string_table::StringTable;
use elf::symbol::{Symbol, SymbolTable};

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// Name of the function, as the linker knows it (may be mangled).
    pub name: &'a str,
    /// Bytes from its start.
    pub offset: u64,
}

/// A symbol table with its strings.
#[derive(Clone, Debug)]
pub struct Symbols<'a> {
    table: SymbolTable<'a, LittleEndian>,
    strings: StringTable<'a>,
}

impl<'a> Symbols<'a> {
    /// The symbols in `table` (24-byte ELF64 records) with the names in `strings`; an incomplete last record is ignored.
    #[must_use]
    pub fn new(table: &'a [u8], strings: &'a [u8]) -> Self {
        Self { table: SymbolTable::new(LittleEndian, Class::ELF64, table), strings: StringTable::new(strings) }
    }

    /// The function that contains `vaddr` (before any load bias), else the nearest code label without a size below it.
    ///
    /// Walks the whole table: meant for reports, not for hot paths.
    #[must_use]
    pub fn locate(&self, vaddr: u64) -> Option<Located<'a>> {
        let code = self.table.iter().filter(is_code).filter(|symbol| covers(symbol, vaddr));
        let best = code.max_by_key(|symbol| (symbol.st_size > 0, symbol.st_value))?;
        let name = self.strings.get(usize::try_from(best.st_name).ok()?).ok()?;
        Some(Located { name, offset: vaddr.checked_sub(best.st_value)? })
    }

    /// The value of the symbol with this name, if it is defined.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u64> {
        let named = |symbol: &Symbol| {
            let index = usize::try_from(symbol.st_name).ok();
            !symbol.is_undefined() && index.and_then(|at| self.strings.get_raw(at).ok()) == Some(name.as_bytes())
        };
        self.table.iter().find(named).map(|symbol| symbol.st_value)
    }
}

fn is_code(symbol: &Symbol) -> bool {
    let kinds = [abi::STT_FUNC, abi::STT_NOTYPE, abi::STT_GNU_IFUNC];
    !symbol.is_undefined()
        && symbol.st_shndx != abi::SHN_ABS
        && symbol.st_name != 0
        && kinds.contains(&symbol.st_symtype())
}

fn covers(symbol: &Symbol, vaddr: u64) -> bool {
    let delta = vaddr.checked_sub(symbol.st_value);
    delta.is_some_and(|delta| symbol.st_size == 0 || delta < symbol.st_size)
}
