//! The TFS on-disk format: everything a server, a builder or a checker needs, and no I/O.
//!
//! Two users: the TFS server (in the kernel image) and `imagegen` (on the host). Both do their own
//! reading and writing; this crate says which sectors it wants and which bytes go where. Nothing
//! read from a volume is trusted: damage of any kind is an [`Error`] or a [`check::Problem`],
//! never a panic.
//!
//! From the bytes upwards:
//!
//! * [`varint`], [`header`]: numbers and value headers (versions 4 and 5);
//! * [`attributes`], [`symbols`], [`tree`]: the tuples of a volume, in an arena, named by index;
//! * [`decode`], [`replay`]: a log becomes a tree, sector by sector, as the caller supplies them;
//! * [`node`]: a tuple seen as a file, a directory or a link;
//! * [`numbering`], [`encode`], [`log`]: changes become records, records become sector writes;
//! * [`space`]: which sectors are free; [`check`]: is the volume sound;
//! * [`volume`]: tree, log and space together, the one thing a server holds;
//! * [`mbr`]: where on a disk the volumes are; [`manifest`]: the text form; [`build`]: new volumes.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attributes;
pub mod build;
pub mod check;
pub mod decode;
pub mod encode;
pub mod error;
pub mod header;
pub mod log;
pub mod manifest;
pub mod mbr;
pub mod node;
pub mod numbering;
pub mod replay;
pub mod space;
pub mod symbols;
pub mod tree;
pub mod varint;
pub mod volume;

pub use error::{Cause, Error};
pub use node::{Extent, Kind};
pub use space::Run;
pub use symbols::Symbol;
pub use tree::{ObjectId, Tree, Value};
pub use volume::Volume;

/// Bytes in a sector, which is also the block size of the file system.
pub const SECTOR: usize = 512;
/// [`SECTOR`] for 64-bit arithmetic.
pub const SECTOR_BYTES: u64 = SECTOR as u64;
/// Length of every log extension but the first, in sectors; the only one that ops accepts.
pub const EXTENSION_SECTORS: u64 = 1024;
/// First bytes of every log extension.
pub const MAGIC: &[u8; 6] = b"NVMTFS";
/// Longest label in bytes, without its terminating zero.
pub const LABEL_MAX: usize = 31;
/// Longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest target of a symbolic link, in bytes.
pub const LINK_TARGET_MAX: usize = 4095;
