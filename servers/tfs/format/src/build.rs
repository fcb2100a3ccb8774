//! New volumes: what `imagegen` puts into an image.
//!
//! The builder only plans. [`Builder::finish`] says which few sectors hold the log, and for every host
//! file where its bytes go; everything else is a hole, so that the image is written sparse and each
//! byte moves once.
//!
//! ```
//! use tfs_format::build::{Builder, FileInfo, Size};
//! let mut builder = Builder::new([7; 16], b"root")?;
//! builder.file(b"/bin/app", 5_000_000, 0, FileInfo { mode: 0o755, ..FileInfo::default() })?;
//! let built = builder.finish(Size::AtLeast(0))?;
//! assert_eq!(built.copies.len(), 1);
//! # Ok::<(), tfs_format::build::BuildError>(())
//! ```
//!
//! Layout: sector 0, the first log extension, then the files, each on a 4 KiB boundary of the volume
//! and with whole pages allocated, then further log extensions, then at least 1 MiB of free space.

use crate::check::is_legal_name;
use crate::log::{Log, SectorWrite};
use crate::manifest::Manifest;
use crate::space::Run;
use crate::symbols::{self, Symbol};
use crate::tree::{ObjectId, ROOT, Tree, Value};
use crate::{Cause, EXTENSION_SECTORS, Kind, LABEL_MAX, LINK_TARGET_MAX, NAME_MAX, SECTOR_BYTES};
use alloc::vec::Vec;
use core::fmt;

/// Files begin on this boundary and are allocated in this unit: a page, in sectors.
const PAGE_SECTORS: u64 = 8;
/// Volumes are a multiple of this many sectors (512 KiB), as those of Nanos' tools.
const VOLUME_UNIT: u64 = 1024;
/// Sectors that stay free behind the files: two log extensions.
const SLACK: u64 = 2 * EXTENSION_SECTORS;
/// No volume is larger than this (2 PiB); keeps all sums within 64 bits.
const SECTORS_MAX: u64 = 1 << 42;

/// Why something cannot be put into a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The label has more than 31 bytes or a zero in it.
    Label,
    /// A path component that no directory may hold, or a path without any.
    Name,
    /// The path exists already.
    Exists,
    /// A component of the path is not a directory.
    NotDirectory,
    /// A link target is empty, or longer than 4095 bytes.
    LinkTarget,
    /// The contents do not fit in the size asked for; it would take this many sectors.
    TooLarge(u64),
    /// More objects than the format crate can hold.
    TooMany,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Label => f.write_str("a volume label has at most 31 bytes"),
            BuildError::Name => f.write_str("a name is empty, longer than 255 bytes, or has a character that is not allowed"),
            BuildError::Exists => f.write_str("the path exists already"),
            BuildError::NotDirectory => f.write_str("a part of the path is not a directory"),
            BuildError::LinkTarget => f.write_str("a link target is empty or longer than 4095 bytes"),
            BuildError::TooLarge(sectors) => write!(f, "the contents need {} bytes", sectors.saturating_mul(SECTOR_BYTES)),
            BuildError::TooMany => f.write_str("there are too many files"),
        }
    }
}

impl core::error::Error for BuildError {}

impl From<Cause> for BuildError {
    fn from(_: Cause) -> Self {
        BuildError::TooMany
    }
}

/// Attributes of a new node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change: seconds in the high 32 bits, binary fraction in the low ones. 0: none.
    pub mtime: u64,
}

/// How large the volume becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As large as needed, and at least this many sectors.
    AtLeast(u64),
    /// Exactly this many sectors (the boot volume: [`crate::mbr::BOOT_SECTORS`]).
    Exactly(u64),
}

/// Bytes that the caller copies into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What the caller named the file with in [`Builder::file`].
    pub source: usize,
    /// Where its first byte goes, as a sector of the volume.
    pub sector: u64,
    /// How many bytes. The rest of the last sector must read as zeros.
    pub bytes: u64,
}

/// A volume, ready to be written. What neither `writes` nor `copies` cover is zeros or a hole.
#[derive(Clone, Debug)]
pub struct Built {
    /// Sectors of the volume.
    pub sectors: u64,
    /// The log.
    pub writes: Vec<SectorWrite>,
    /// The files.
    pub copies: Vec<Copy>,
}

/// A volume being put together.
#[derive(Debug)]
pub struct Builder {
    tree: Tree,
    uuid: [u8; 16],
    label: Vec<u8>,
    copies: Vec<Copy>,
    next_sector: u64,
    next_inode: u64,
}

impl Builder {
    /// An empty volume.
    pub fn new(uuid: [u8; 16], label: &[u8]) -> Result<Self, BuildError> {
        if label.len() > LABEL_MAX || label.contains(&0) {
            return Err(BuildError::Label);
        }
        let mut tree = Tree::new();
        tree.add_tuple()?;
        let next_sector = (1 + EXTENSION_SECTORS).next_multiple_of(PAGE_SECTORS);
        let mut builder =
            Builder { tree, uuid, label: label.to_vec(), copies: Vec::new(), next_sector, next_inode: 1 };
        builder.make_directory(ROOT, FileInfo { mode: 0o755, ..FileInfo::default() })?;
        Ok(builder)
    }

    /// Sets a root option (program, arguments, environment, mounts ...); `children` is not one.
    pub fn root_option(&mut self, name: &[u8], value: &Manifest) -> Result<(), BuildError> {
        let name = self.tree.symbols.intern(name)?;
        if name == symbols::CHILDREN {
            return Err(BuildError::Name);
        }
        let value = value.store(&mut self.tree)?;
        self.tree.set(ROOT, name, Some(value));
        Ok(())
    }

    /// Makes a directory, and its parents where they are missing. An existing one gets `info`.
    pub fn directory(&mut self, path: &[u8], info: FileInfo) -> Result<(), BuildError> {
        let mut node = ROOT;
        for name in components(path)? {
            node = self.enter(node, name)?;
        }
        self.describe(node, info, Kind::Directory);
        Ok(())
    }

    /// Adds a file of `bytes` bytes. `source` comes back in [`Copy::source`]; an empty file has no
    /// copy. Missing parents are made.
    pub fn file(&mut self, path: &[u8], bytes: u64, source: usize, info: FileInfo) -> Result<(), BuildError> {
        let (children, name) = self.place(path)?;
        let length = bytes.div_ceil(SECTOR_BYTES);
        let allocated = length.next_multiple_of(PAGE_SECTORS);
        if length > SECTORS_MAX || self.next_sector + allocated > SECTORS_MAX {
            return Err(BuildError::TooLarge(length));
        }
        let table = self.tree.add_tuple()?;
        if bytes > 0 {
            let sector = self.next_sector;
            self.next_sector += allocated;
            let extent = self.tree.add_tuple()?;
            for (name, value) in
                [(symbols::OFFSET, sector), (symbols::LENGTH, length), (symbols::ALLOCATED, allocated)]
            {
                self.tree.set(extent, name, Some(Value::number(value)));
            }
            let first_block = self.tree.symbols.intern(b"0")?;
            self.tree.set(table, first_block, Some(Value::Object(extent)));
            self.copies.push(Copy { source, sector, bytes });
        }
        let node = self.new_node()?;
        self.tree.set(node, symbols::EXTENTS, Some(Value::Object(table)));
        self.tree.set(node, symbols::FILELENGTH, Some(Value::number(bytes)));
        self.describe(node, info, Kind::File);
        self.tree.set(children, name, Some(Value::Object(node)));
        Ok(())
    }

    /// Adds a symbolic link. Missing parents are made.
    pub fn symlink(&mut self, path: &[u8], target: &[u8], info: FileInfo) -> Result<(), BuildError> {
        if target.is_empty() || target.len() > LINK_TARGET_MAX || target.contains(&0) {
            return Err(BuildError::LinkTarget);
        }
        let (children, name) = self.place(path)?;
        let node = self.new_node()?;
        self.tree.set(node, symbols::LINKTARGET, Some(Value::text(target)));
        self.describe(node, info, Kind::Symlink);
        self.tree.set(children, name, Some(Value::Object(node)));
        Ok(())
    }

    /// Whether the path exists, links not followed.
    #[must_use]
    pub fn contains(&self, path: &[u8]) -> bool {
        let mut node = ROOT;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            match self.tree.child(node, name) {
                Some(child) => node = child,
                None => return false,
            }
        }
        true
    }

    /// Writes the log and fixes the size.
    pub fn finish(self, size: Size) -> Result<Built, BuildError> {
        let mut next = self.next_sector;
        let mut first = true;
        let mut allocate = |count: usize| {
            let runs = (0..count).map(|_| {
                let sector = if core::mem::take(&mut first) { 1 } else { next };
                if sector > 1 {
                    next += EXTENSION_SECTORS;
                }
                Run { sector, count: EXTENSION_SECTORS }
            });
            Some(runs.collect())
        };
        let log = Log::create(self.uuid, &self.label, &self.tree, &mut allocate);
        let plan = log.ok().and_then(|log| log.plan()).ok_or(BuildError::TooMany)?;
        let least = next + SLACK;
        let sectors = match size {
            Size::Exactly(sectors) if next > sectors => return Err(BuildError::TooLarge(next)),
            Size::Exactly(sectors) => sectors,
            Size::AtLeast(sectors) if sectors > SECTORS_MAX => return Err(BuildError::TooLarge(sectors)),
            Size::AtLeast(sectors) => least.max(sectors).next_multiple_of(VOLUME_UNIT),
        };
        Ok(Built { sectors, writes: plan.stages.into_iter().flatten().collect(), copies: self.copies })
    }

    /// The directory `name` in `node`, made if it is missing.
    fn enter(&mut self, node: ObjectId, name: &[u8]) -> Result<ObjectId, BuildError> {
        if let Some(child) = self.tree.child(node, name) {
            return if self.tree.kind(child) == Kind::Directory { Ok(child) } else { Err(BuildError::NotDirectory) };
        }
        let children = self.tree.children(node).ok_or(BuildError::NotDirectory)?;
        let child = self.tree.add_tuple()?;
        self.make_directory(child, FileInfo { mode: 0o755, ..FileInfo::default() })?;
        let name = self.tree.symbols.intern(name)?;
        self.tree.set(children, name, Some(Value::Object(child)));
        Ok(child)
    }

    /// The `children` tuple and the name for a new node.
    fn place(&mut self, path: &[u8]) -> Result<(ObjectId, Symbol), BuildError> {
        let parts = components(path)?;
        let (name, parents) = parts.split_last().ok_or(BuildError::Name)?;
        let mut node = ROOT;
        for parent in parents {
            node = self.enter(node, parent)?;
        }
        if self.tree.child(node, name).is_some() {
            return Err(BuildError::Exists);
        }
        let children = self.tree.children(node).ok_or(BuildError::NotDirectory)?;
        Ok((children, self.tree.symbols.intern(name)?))
    }

    fn make_directory(&mut self, node: ObjectId, info: FileInfo) -> Result<(), BuildError> {
        let children = self.tree.add_tuple()?;
        self.tree.set(node, symbols::CHILDREN, Some(Value::Object(children)));
        self.number(node);
        self.describe(node, info, Kind::Directory);
        Ok(())
    }

    fn new_node(&mut self) -> Result<ObjectId, BuildError> {
        let node = self.tree.add_tuple()?;
        self.number(node);
        Ok(node)
    }

    fn number(&mut self, node: ObjectId) {
        self.tree.set(node, symbols::INODE, Some(Value::number(self.next_inode)));
        self.next_inode += 1;
    }

    fn describe(&mut self, node: ObjectId, info: FileInfo, kind: Kind) {
        let mode = crate::node::type_bits(kind) | u64::from(info.mode & 0o7777);
        let mut set = |name, value: u64| {
            self.tree.set(node, name, (value != 0).then(|| Value::number(value)));
        };
        set(symbols::MODE, mode);
        set(symbols::UID, u64::from(info.uid));
        set(symbols::GID, u64::from(info.gid));
        set(symbols::MTIME, info.mtime);
        set(symbols::ATIME, info.mtime);
    }
}

/// The components of a path, checked.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, BuildError> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let legal = |part: &&[u8]| is_legal_name(part) && part.len() <= NAME_MAX;
    if parts.iter().all(legal) { Ok(parts) } else { Err(BuildError::Name) }
}
