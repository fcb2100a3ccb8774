//! 9P2000.L on the wire: checked views over received bytes, and emit into a caller's slice.
//!
//! Nothing here allocates, waits or trusts its input. A message is parsed into a [`Request`] (T message) or a
//! [`Reply`] (R message) whose strings and data borrow from the buffer they came in; it is written with `emit`.
//! Where payload travels apart from its header (zero-copy reads and writes), [`ReadHead`] and
//! [`WriteHead`] handle the header alone.
//!
//! Facts are from intro(5) of Plan 9 (framing, version, attach, walk, read, write, clunk, flush) and from
//! `diod`'s protocol.md (the `.L` messages). Integers are little-endian; a string is a 16-bit length and bytes
//! that need not be UTF-8, because Linux names need not be.
//!
//! Neighbours: the server in `servers/p9` speaks it; its test host answers with the same code.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod attr;
mod dirent;
mod field;
pub mod flags;
mod head;
mod header;
mod list;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use attr::{Attr, Qid, SetAttr, StatFs, Time};
pub use dirent::{DirEntries, DirEntry, DirWriter};
pub use field::Data;
pub use head::{IO_REPLY_HEAD, READ_REPLY, READDIR_REPLY, ReadHead, WRITE_REQUEST_HEAD, WriteHead};
pub use header::{HEADER_LEN, Packet};
pub use list::{MAX_WALK, Names, Qids};
pub use reply::Reply;
pub use request::Request;

/// The protocol's name in Tversion.
pub const VERSION: &[u8] = b"9P2000.L";
/// The tag of Tversion, which belongs to no session yet.
pub const NO_TAG: u16 = 0xffff;
/// "No fid": the `afid` of an attach without authentication.
pub const NO_FID: u32 = 0xffff_ffff;
/// "No user id": the host decides by the user name.
pub const NO_UID: u32 = 0xffff_ffff;

/// What can be wrong with received bytes, or with what was asked to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The buffer ends before the message does.
    Truncated,
    /// The size field is below the header's own length or beyond the buffer.
    BadSize,
    /// The message type is none of the expected ones; the number is the type byte.
    UnknownType(u8),
    /// Bytes are left over after the last field.
    Trailing,
    /// A field holds a value that the protocol does not allow (too many names, a NUL or slash in an entry name).
    BadValue,
    /// The output slice is too small, or a string is longer than its length field can say.
    NoSpace,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => f.write_str("message ends early"),
            Self::BadSize => f.write_str("size field does not fit the buffer"),
            Self::UnknownType(kind) => write!(f, "unexpected message type {kind}"),
            Self::Trailing => f.write_str("bytes after the last field"),
            Self::BadValue => f.write_str("field value is not allowed"),
            Self::NoSpace => f.write_str("message does not fit the output buffer"),
        }
    }
}

/// Result of parsing or emitting.
pub type Result<T> = core::result::Result<T, Error>;
