//! Flag values of the protocol. Open flags are the protocol's own (equal to Linux x86_64 except where noted),
//! mode bits are Linux'.

/// Bits of [`crate::Qid::kind`].
pub mod qid {
    /// A directory.
    pub const DIR: u8 = 0x80;
    /// A symbolic link.
    pub const SYMLINK: u8 = 0x02;
    /// Anything else.
    pub const FILE: u8 = 0x00;
}

/// Flags of Tlopen and Tlcreate.
pub mod open {
    /// Read only.
    pub const RDONLY: u32 = 0;
    /// Write only.
    pub const WRONLY: u32 = 1;
    /// Read and write.
    pub const RDWR: u32 = 2;
    /// The bits that hold the access mode.
    pub const ACCESS: u32 = 3;
    /// Create if absent.
    pub const CREATE: u32 = 0o100;
    /// With `CREATE`: fail if present.
    pub const EXCL: u32 = 0o200;
    /// Cut to length 0.
    pub const TRUNC: u32 = 0o1000;
    /// Write at the end.
    pub const APPEND: u32 = 0o2000;
    /// Do not wait (FIFOs).
    pub const NONBLOCK: u32 = 0o4000;
    /// Fail unless a directory.
    pub const DIRECTORY: u32 = 0o200_000;
    /// Do not follow a link in the last component.
    pub const NOFOLLOW: u32 = 0o400_000;
}

/// Bits of the request mask and of [`crate::Attr::valid`].
pub mod getattr {
    /// Mode, links, ids, device, times, inode, size and blocks: all that `stat` shows.
    pub const BASIC: u64 = 0x7ff;
    /// Mode.
    pub const MODE: u64 = 0x1;
    /// Modification time.
    pub const MTIME: u64 = 0x40;
    /// Change time.
    pub const CTIME: u64 = 0x80;
    /// Inode number.
    pub const INO: u64 = 0x100;
    /// Length.
    pub const SIZE: u64 = 0x200;
}

/// Bits of [`crate::SetAttr::valid`].
pub mod setattr {
    /// Apply `mode`.
    pub const MODE: u32 = 0x1;
    /// Apply `uid`.
    pub const UID: u32 = 0x2;
    /// Apply `gid`.
    pub const GID: u32 = 0x4;
    /// Apply `size`.
    pub const SIZE: u32 = 0x8;
    /// Set the access time (to now, unless `ATIME_SET`).
    pub const ATIME: u32 = 0x10;
    /// Set the modification time (to now, unless `MTIME_SET`).
    pub const MTIME: u32 = 0x20;
    /// Set the change time to now.
    pub const CTIME: u32 = 0x40;
    /// `atime` holds the value.
    pub const ATIME_SET: u32 = 0x80;
    /// `mtime` holds the value.
    pub const MTIME_SET: u32 = 0x100;
}

/// Flags of Tunlinkat.
pub mod unlink {
    /// Remove a directory.
    pub const REMOVEDIR: u32 = 0x200;
}

/// Values of Tlock, Rlock and the getlock pair.
pub mod lock {
    /// Shared lock.
    pub const RDLCK: u8 = 0;
    /// Exclusive lock.
    pub const WRLCK: u8 = 1;
    /// Release.
    pub const UNLCK: u8 = 2;
    /// Flag: the client means to wait; the host may still answer `BLOCKED`.
    pub const BLOCK: u32 = 1;
    /// Flag: a lock is taken again after a restart.
    pub const RECLAIM: u32 = 2;
    /// Status: granted.
    pub const SUCCESS: u8 = 0;
    /// Status: held by someone else.
    pub const BLOCKED: u8 = 1;
    /// Status: failed.
    pub const ERROR: u8 = 2;
    /// Status: the host recovers its locks; ask again later.
    pub const GRACE: u8 = 3;
}
