//! A tuple seen as a file, directory or link (FORMAT section 5).

use crate::symbols::{self, Symbol};
use crate::tree::{ObjectId, Tree, Value, decimal};
use crate::{SECTOR_BYTES, Run};
use alloc::vec::Vec;
use core::fmt;

/// What a node is, in the order in which its attributes are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has `children`.
    Directory,
    /// Has `linktarget`.
    Symlink,
    /// Has `socket`.
    Socket,
    /// Has `special`.
    Special,
    /// Has none of these.
    File,
}

/// A run of a file's data. All figures are in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First block of the file.
    pub block: u64,
    /// First sector on the volume.
    pub sector: u64,
    /// Sectors that hold file data.
    pub length: u64,
    /// Sectors reserved from `sector`, at least `length`.
    pub allocated: u64,
    /// Reads as zeros, whatever the disk holds.
    pub uninited: bool,
    /// The extent's tuple.
    pub object: ObjectId,
}

impl Extent {
    /// The file block after the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.block.saturating_add(self.length)
    }

    /// The sectors it holds.
    #[must_use]
    pub fn storage(&self) -> Run {
        Run { sector: self.sector, count: self.allocated.max(self.length) }
    }
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// An extent's key is not a decimal number.
    ExtentKey,
    /// An extent is not a tuple.
    ExtentKind,
    /// `offset`, `length` or `allocated` is missing or not a number.
    ExtentNumber,
    /// An extent without sectors.
    ExtentEmpty,
    /// An extent is longer than its allocation.
    ExtentLength,
    /// Two extents of the file cover the same block.
    ExtentOverlap,
    /// An extent's figures exceed 64 bits.
    ExtentRange,
    /// `filelength` is not a number.
    FileLength,
    /// A link's target is not text.
    LinkTarget,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeError::ExtentKey => "an extent key is not a number",
            NodeError::ExtentKind => "an extent is not a tuple",
            NodeError::ExtentNumber => "an extent lacks one of its numbers",
            NodeError::ExtentEmpty => "an extent is empty",
            NodeError::ExtentLength => "an extent is longer than its allocation",
            NodeError::ExtentOverlap => "two extents overlap in the file",
            NodeError::ExtentRange => "an extent exceeds 64 bits",
            NodeError::FileLength => "the file length is not a number",
            NodeError::LinkTarget => "the link target is not text",
        })
    }
}

impl Tree {
    /// What the node is.
    #[must_use]
    pub fn kind(&self, node: ObjectId) -> Kind {
        let has = |name| self.attribute(node, name).is_some();
        if self.children(node).is_some() {
            Kind::Directory
        } else if has(symbols::LINKTARGET) {
            Kind::Symlink
        } else if has(symbols::SOCKET) {
            Kind::Socket
        } else if has(symbols::SPECIAL) {
            Kind::Special
        } else {
            Kind::File
        }
    }

    /// The `children` tuple of a directory.
    #[must_use]
    pub fn children(&self, node: ObjectId) -> Option<ObjectId> {
        let id = self.attribute(node, symbols::CHILDREN)?.as_object()?;
        self.tuple(id).map(|_| id)
    }

    /// The node that `name` leads to in directory `node`.
    #[must_use]
    pub fn child(&self, node: ObjectId, name: &[u8]) -> Option<ObjectId> {
        let children = self.children(node)?;
        self.attribute_named(children, name)?.as_object()
    }

    /// Entries of a directory behind `position`, in the order of their symbols.
    pub fn entries(&self, node: ObjectId, position: Option<Symbol>) -> impl Iterator<Item = (Symbol, ObjectId)> {
        let children = self.children(node).and_then(|id| self.tuple(id));
        let entries = children.into_iter().flat_map(move |c| c.after(position));
        entries.filter_map(|(name, value)| Some((name, value.as_object()?)))
    }

    /// The number of an attribute, if it is one.
    #[must_use]
    pub fn number(&self, node: ObjectId, name: Symbol) -> Option<u64> {
        self.attribute(node, name)?.as_number()
    }

    /// Length of a file in bytes; a missing one is 0.
    pub fn file_length(&self, node: ObjectId) -> Result<u64, NodeError> {
        let Some(value) = self.attribute(node, symbols::FILELENGTH) else { return Ok(0) };
        value.as_number().ok_or(NodeError::FileLength)
    }

    /// Target of a symbolic link.
    pub fn link_target(&self, node: ObjectId) -> Result<&[u8], NodeError> {
        let value = self.attribute(node, symbols::LINKTARGET);
        value.and_then(Value::as_text).ok_or(NodeError::LinkTarget)
    }

    /// The `extents` tuple of a file.
    #[must_use]
    pub fn extent_table(&self, node: ObjectId) -> Option<ObjectId> {
        let id = self.attribute(node, symbols::EXTENTS)?.as_object()?;
        self.tuple(id).map(|_| id)
    }

    /// All extents of a file in the order of their blocks, checked against each other.
    pub fn extents(&self, node: ObjectId) -> Result<Vec<Extent>, NodeError> {
        let Some(table) = self.extent_table(node).and_then(|id| self.tuple(id)) else {
            return Ok(Vec::new());
        };
        let mut extents = Vec::with_capacity(table.len());
        for (key, value) in table.iter() {
            let block = decimal(self.symbols.name(key)).ok_or(NodeError::ExtentKey)?;
            let object = value.as_object().ok_or(NodeError::ExtentKind)?;
            extents.push(self.extent(block, object)?);
        }
        extents.sort_unstable_by_key(|e| e.block);
        let overlap = extents.windows(2).any(|pair| matches!(pair, [a, b] if b.block < a.end()));
        if overlap { Err(NodeError::ExtentOverlap) } else { Ok(extents) }
    }

    fn extent(&self, block: u64, object: ObjectId) -> Result<Extent, NodeError> {
        let number = |name| self.number(object, name).ok_or(NodeError::ExtentNumber);
        let extent = Extent {
            block,
            sector: number(symbols::OFFSET)?,
            length: number(symbols::LENGTH)?,
            allocated: number(symbols::ALLOCATED)?,
            uninited: self.attribute(object, symbols::UNINITED).is_some(),
            object,
        };
        if extent.length == 0 {
            return Err(NodeError::ExtentEmpty);
        }
        if extent.length > extent.allocated {
            return Err(NodeError::ExtentLength);
        }
        let last_block = block.checked_add(extent.allocated);
        let last_sector = extent.sector.checked_add(extent.allocated);
        let fits = |end: Option<u64>| end.and_then(|end| end.checked_mul(SECTOR_BYTES)).is_some();
        if fits(last_block) && fits(last_sector) { Ok(extent) } else { Err(NodeError::ExtentRange) }
    }
}

/// The file type bits of `st_mode` (inode(7)) that stand in `skiff_mode` for a kind.
#[must_use]
pub fn type_bits(kind: Kind) -> u64 {
    match kind {
        Kind::File => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Symlink => 0o120_000,
        Kind::Socket => 0o140_000,
        Kind::Special => 0o020_000,
    }
}
