//! Composite fields: qids, times, and the attribute structs of getattr, setattr and statfs.

use crate::Result;
use crate::field::{Field, Reader, Writer};

/// The host's identity of a file: `type[1] version[4] path[8]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qid {
    /// File type bits, see [`crate::flags::qid`].
    pub kind: u8,
    /// Changes when the file changes, but forgets edits within the same second: never validate by it.
    pub version: u32,
    /// Inode number as the host gives it; unique for the session.
    pub path: u64,
}

/// A point in time since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970; two's complement for earlier times.
    pub seconds: u64,
    /// Nanoseconds within the second.
    pub nanoseconds: u64,
}

/// The body of Rgetattr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attr {
    /// Which of the fields below hold, see [`crate::flags::getattr`].
    pub valid: u64,
    /// Identity.
    pub qid: Qid,
    /// Linux `st_mode`: type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub nlink: u64,
    /// Device number of a device node.
    pub rdev: u64,
    /// Length in bytes.
    pub size: u64,
    /// Preferred I/O size in bytes.
    pub blksize: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the data.
    pub mtime: Time,
    /// Last change of data or attributes.
    pub ctime: Time,
    /// Creation; reserved by the protocol, hosts leave it zero.
    pub btime: Time,
    /// Inode generation; reserved.
    pub generation: u64,
    /// Data version; reserved.
    pub data_version: u64,
}

/// The body of Tsetattr after the fid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Which of the fields below to apply, see [`crate::flags::setattr`].
    pub valid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// New length in bytes.
    pub size: u64,
    /// Access time, used with `ATIME_SET`.
    pub atime: Time,
    /// Modification time, used with `MTIME_SET`.
    pub mtime: Time,
}

/// The body of Rstatfs: Linux `struct statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    /// Filesystem magic number.
    pub kind: u32,
    /// Block size in bytes.
    pub bsize: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub bfree: u64,
    /// Blocks free for ordinary users.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes free.
    pub ffree: u64,
    /// Filesystem id.
    pub fsid: u64,
    /// Longest name in bytes.
    pub namelen: u32,
}

/// Derives `Field` for a struct as its fields in wire order.
macro_rules! struct_field {
    ($Name:ident { $($field:ident),* $(,)? }) => {
        impl<'a> Field<'a> for $Name {
            fn get(from: &mut Reader<'a>) -> Result<Self> {
                Ok(Self { $($field: from.get()?),* })
            }
            fn put(&self, to: &mut Writer<'_>) -> Result<()> {
                $(self.$field.put(to)?;)*
                Ok(())
            }
        }
    };
}

struct_field!(Qid { kind, version, path });
struct_field!(Time { seconds, nanoseconds });
struct_field!(Attr {
    valid,
    qid,
    mode,
    uid,
    gid,
    nlink,
    rdev,
    size,
    blksize,
    blocks,
    atime,
    mtime,
    ctime,
    btime,
    generation,
    data_version,
});
struct_field!(SetAttr { valid, mode, uid, gid, size, atime, mtime });
struct_field!(StatFs { kind, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen });
