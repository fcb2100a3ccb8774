//! Checked views of ELF64 files for x86-64.
//!
//! Three users with different needs read ELF here, so there are two entry points:
//! [`Headers`] needs only the first page or so of a file (exec and the disk loader, which then map or
//! copy [`Segment`]s), [`Elf`] needs the whole file (imagegen) and adds the interpreter path, the
//! [`Dynamic`] section and [`Symbols`]. [`find_note`] and [`FlatImage`] serve boot code.
//!
//! Records are decoded by the `elf` crate; what is added is every check that a loader must make
//! before it believes them, and an [`Error`] that says what is wrong with the file.
//!
//! Facts: System V gABI chapters 4 and 5, x86-64 psABI 1.0 chapter 4, Linux `fs/binfmt_elf.c`.
#![no_std]
#![forbid(unsafe_code)]

mod dynamic;
mod error;
mod file;
mod flat;
mod headers;
mod note;
mod segment;
mod symbols;

pub use dynamic::Dynamic;
pub use error::{Error, ForeignFormat};
pub use file::Elf;
pub use flat::FlatImage;
pub use headers::{Headers, Kind};
pub use note::{Note, Notes, find_note};
pub use segment::{Segment, SegmentKind};
pub use symbols::{Located, Symbols};
