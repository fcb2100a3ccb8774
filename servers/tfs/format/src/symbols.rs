//! Interned names. Every attribute name, entry name and extent key exists once, as a [`Symbol`].

use crate::Cause;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use hashbrown::{DefaultHashBuilder, HashTable};

/// An interned name: an index into the volume's [`Symbols`]. Numbers are never reused while the
/// volume is open, so a symbol also serves as a stable directory position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub(crate) u32);

impl Symbol {
    /// The symbol's number, for a directory cookie.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// A symbol from a cookie; it need not name anything.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Symbol(number)
    }
}

macro_rules! well_known {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Symbol = Symbol($number);)*
        /// Names of the well-known symbols, in the order of their numbers.
        const WELL_KNOWN: &[&[u8]] = &[$($name),*];
    };
}

well_known! {
    /// Entries of a directory.
    CHILDREN = 0, b"children";
    /// Extent table of a regular file.
    EXTENTS = 1, b"extents";
    /// Length of a file in bytes.
    FILELENGTH = 2, b"filelength";
    /// First sector of an extent.
    OFFSET = 3, b"offset";
    /// Sectors of file data in an extent.
    LENGTH = 4, b"length";
    /// Sectors reserved for an extent.
    ALLOCATED = 5, b"allocated";
    /// Marks an extent that reads as zeros.
    UNINITED = 6, b"uninited";
    /// Target of a symbolic link.
    LINKTARGET = 7, b"linktarget";
    /// Marks a unix socket.
    SOCKET = 8, b"socket";
    /// Marks a device.
    SPECIAL = 9, b"special";
    /// Last access.
    ATIME = 10, b"atime";
    /// Last change of the contents.
    MTIME = 11, b"mtime";
    /// Number of names, if not 1.
    NLINK = 12, b"nlink";
    /// Denies writing.
    READONLY = 13, b"readonly";
    /// Allows execution.
    EXEC = 14, b"exec";
    /// Skiff's inode number. Ours: Nanos keeps attributes it does not know and ignores them.
    INODE = 15, b"skiff_inode";
    /// Type and permission bits as Linux has them in `st_mode`. Ours.
    MODE = 16, b"skiff_mode";
    /// Owner. Ours; missing means 0.
    UID = 17, b"skiff_uid";
    /// Group. Ours; missing means 0.
    GID = 18, b"skiff_gid";
    /// Last change of the node, coded like `mtime`. Ours.
    CTIME = 19, b"skiff_ctime";
    /// Device number of a device node (`skiff_mode` says which kind). Ours.
    RDEV = 20, b"skiff_rdev";
}

/// The names of one volume.
#[derive(Debug)]
pub struct Symbols {
    names: Vec<Option<Box<[u8]>>>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut symbols =
            Symbols { names: Vec::new(), index: HashTable::new(), hasher: DefaultHashBuilder::default() };
        for name in WELL_KNOWN {
            // Cannot fail: the table is far from 32 bits.
            let _ = symbols.intern(name);
        }
        symbols
    }
}

impl Symbols {
    /// The symbol of `name`, made if it is new. Error: `TooLarge`.
    pub fn intern(&mut self, name: &[u8]) -> Result<Symbol, Cause> {
        if let Some(symbol) = self.find(name) {
            return Ok(symbol);
        }
        let number = u32::try_from(self.names.len()).map_err(|_| Cause::TooLarge)?;
        self.names.push(Some(name.into()));
        let Symbols { names, index, hasher } = self;
        index.insert_unique(hasher.hash_one(name), number, |&n| hasher.hash_one(bytes_of(names, n)));
        Ok(Symbol(number))
    }

    /// The symbol of `name`, if it was ever used in this volume.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Symbol> {
        let hash = self.hasher.hash_one(name);
        self.index.find(hash, |&n| bytes_of(&self.names, n) == name).map(|&n| Symbol(n))
    }

    /// The bytes of a symbol; empty for one that does not exist.
    #[must_use]
    pub fn name(&self, symbol: Symbol) -> &[u8] {
        bytes_of(&self.names, symbol.0)
    }

    /// Forgets the names for which `used` is false. The well-known ones stay.
    pub fn retain(&mut self, used: impl Fn(Symbol) -> bool) {
        let Symbols { names, index, hasher } = self;
        for (number, name) in names.iter_mut().enumerate().skip(WELL_KNOWN.len()) {
            let number = number as u32;
            if used(Symbol(number)) {
                continue;
            }
            if let Some(bytes) = name.take()
                && let Ok(entry) = index.find_entry(hasher.hash_one(&*bytes), |&n| n == number)
            {
                entry.remove();
            }
        }
    }
}

fn bytes_of(names: &[Option<Box<[u8]>>], number: u32) -> &[u8] {
    names.get(number as usize).and_then(|name| name.as_deref()).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_have_their_constants() {
        let symbols = Symbols::default();
        assert_eq!(symbols.find(b"children"), Some(CHILDREN));
        assert_eq!(symbols.find(b"skiff_rdev"), Some(RDEV));
        assert_eq!(symbols.name(EXTENTS), b"extents");
    }

    #[test]
    fn a_forgotten_name_gets_a_new_number() {
        let mut symbols = Symbols::default();
        let first = symbols.intern(b"a").unwrap();
        let kept = symbols.intern(b"b").unwrap();
        symbols.retain(|s| s != first);
        assert_eq!(symbols.find(b"a"), None);
        assert_eq!(symbols.find(b"b"), Some(kept));
        assert_ne!(symbols.intern(b"a").unwrap(), first);
        assert_eq!(symbols.name(first), b"");
    }
}
