//! Files: stat, directory entries, flags of open, fcntl, poll and epoll.

use crate::layout;
use crate::time::Timespec;
use bitflags::bitflags;

layout! {
    /// `struct stat` (`asm/stat.h`).
    pub struct Stat: 144 {
        /// Device.
        0 dev: u64,
        /// Inode number.
        8 inode: u64,
        /// Names.
        16 links: u64,
        /// Kind and permission bits.
        24 mode: u32,
        /// Owner.
        28 uid: u32,
        /// Group.
        32 gid: u32,
        /// Device number of a device node.
        40 rdev: u64,
        /// Bytes.
        48 size: i64,
        /// Preferred transfer size.
        56 block_size: i64,
        /// Units of 512 bytes in use.
        64 blocks: i64,
        /// Last access.
        72 atime: Timespec,
        /// Last change of contents.
        88 mtime: Timespec,
        /// Last change of attributes.
        104 ctime: Timespec,
    }

    /// `struct statx_timestamp`.
    pub struct StatxTime: 16 {
        /// Seconds.
        0 seconds: i64,
        /// Nanoseconds.
        8 nanoseconds: u32,
    }

    /// `struct statx`.
    pub struct Statx: 256 {
        /// Which fields are filled.
        0 mask: u32,
        /// Preferred transfer size.
        4 block_size: u32,
        /// Attribute flags.
        8 attributes: u64,
        /// Names.
        16 links: u32,
        /// Owner.
        20 uid: u32,
        /// Group.
        24 gid: u32,
        /// Kind and permission bits.
        28 mode: u16,
        /// Inode number.
        32 inode: u64,
        /// Bytes.
        40 size: u64,
        /// Units of 512 bytes in use.
        48 blocks: u64,
        /// Which attributes are supported.
        56 attributes_mask: u64,
        /// Last access.
        64 atime: StatxTime,
        /// Creation.
        80 btime: StatxTime,
        /// Last change of attributes.
        96 ctime: StatxTime,
        /// Last change of contents.
        112 mtime: StatxTime,
        /// Major number of a device node.
        128 rdev_major: u32,
        /// Minor number of a device node.
        132 rdev_minor: u32,
        /// Major number of the volume.
        136 dev_major: u32,
        /// Minor number of the volume.
        140 dev_minor: u32,
        /// Mount id.
        144 mount_id: u64,
    }

    /// `struct statfs`.
    pub struct Statfs: 120 {
        /// Magic number of the filesystem.
        0 kind: i64,
        /// Block size.
        8 block_size: i64,
        /// Blocks.
        16 blocks: u64,
        /// Free blocks.
        24 blocks_free: u64,
        /// Blocks free for everybody.
        32 blocks_available: u64,
        /// Inodes.
        40 files: u64,
        /// Free inodes.
        48 files_free: u64,
        /// Volume id.
        56 id: [i32; 2],
        /// Longest name.
        64 name_max: i64,
        /// Fragment size.
        72 fragment_size: i64,
        /// Mount flags (`ST_*`).
        80 flags: i64,
    }

    /// `struct epoll_event`: packed on x86-64.
    pub struct EpollEvent: 12 {
        /// `EPOLL*` bits.
        0 events: u32,
        /// The program's own.
        4 data: u64,
    }

    /// `struct pollfd`.
    pub struct PollFd: 8 {
        /// Descriptor; negative entries are skipped.
        0 fd: i32,
        /// Wanted events.
        4 events: i16,
        /// What happened.
        6 revents: i16,
    }

    /// `struct iovec`.
    pub struct IoVec: 16 {
        /// Address.
        0 base: u64,
        /// Bytes.
        8 len: u64,
    }

    /// `struct flock`.
    pub struct Flock: 32 {
        /// `F_RDLCK`, `F_WRLCK`, `F_UNLCK`.
        0 kind: i16,
        /// `SEEK_*`.
        2 whence: i16,
        /// First byte.
        8 start: i64,
        /// Bytes; 0 to the end.
        16 len: i64,
        /// Holder.
        24 pid: i32,
    }

    /// `struct open_how`.
    pub struct OpenHow: 24 {
        /// `O_*`.
        0 flags: u64,
        /// Permission bits.
        8 mode: u64,
        /// `RESOLVE_*`.
        16 resolve: u64,
    }

    /// Fixed part of `struct linux_dirent64`; the name and a NUL follow, padded to 8 bytes.
    pub struct Dirent64Head: 19 {
        /// Inode number.
        0 inode: u64,
        /// Where the next entry starts (`lseek`).
        8 offset: i64,
        /// Bytes of the whole record.
        16 record_bytes: u16,
        /// `DT_*`.
        18 kind: u8,
    }
}

bitflags! {
    /// Flags of `open(2)` (`O_*`); the access mode is [`OpenFlags::access_mode`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// Write only.
        const WRITE_ONLY = 0o1;
        /// Read and write.
        const READ_WRITE = 0o2;
        /// Create if absent.
        const CREATE = 0o100;
        /// Fail if it exists.
        const EXCLUSIVE = 0o200;
        /// Do not become the controlling terminal.
        const NO_CTTY = 0o400;
        /// Cut to length 0.
        const TRUNCATE = 0o1000;
        /// Write at the end.
        const APPEND = 0o2000;
        /// Do not wait.
        const NONBLOCK = 0o4000;
        /// Data is durable when write returns.
        const DSYNC = 0o10000;
        /// Signal-driven I/O.
        const ASYNC = 0o20000;
        /// Bypass the page cache.
        const DIRECT = 0o40000;
        /// 64-bit offsets; always so here.
        const LARGE_FILE = 0o100000;
        /// Must be a directory.
        const DIRECTORY = 0o200000;
        /// Do not follow a last symbolic link.
        const NO_FOLLOW = 0o400000;
        /// Leave atime alone.
        const NO_ATIME = 0o1000000;
        /// Close on exec.
        const CLOEXEC = 0o2000000;
        /// With `DSYNC`: all of `O_SYNC`.
        const SYNC_ALL = 0o4000000;
        /// Only a place in the tree.
        const PATH = 0o10000000;
        /// With `DIRECTORY`: an unnamed file.
        const TMPFILE = 0o20000000;
    }

    /// Events of poll and epoll; the numbers agree.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// Readable.
        const IN = 0x1;
        /// Urgent data.
        const PRI = 0x2;
        /// Writable.
        const OUT = 0x4;
        /// Error.
        const ERR = 0x8;
        /// Hang-up.
        const HUP = 0x10;
        /// Bad descriptor (poll only).
        const NVAL = 0x20;
        /// Normal data.
        const RDNORM = 0x40;
        /// Priority band data.
        const RDBAND = 0x80;
        /// Writable.
        const WRNORM = 0x100;
        /// Priority data may be written.
        const WRBAND = 0x200;
        /// Message (unused).
        const MSG = 0x400;
        /// Peer closed its sending side.
        const RDHUP = 0x2000;
        /// Wake one epoll only.
        const EXCLUSIVE = 1 << 28;
        /// Keep the system awake.
        const WAKEUP = 1 << 29;
        /// Disarm after one event.
        const ONESHOT = 1 << 30;
        /// Edge-triggered.
        const EDGE = 1 << 31;
    }
}

impl OpenFlags {
    /// `O_ACCMODE` of the word: 0 read, 1 write, 2 both, 3 neither (for ioctl only).
    #[must_use]
    pub const fn access_mode(self) -> u32 {
        self.bits() & 3
    }
}

/// File kinds in `st_mode`.
pub mod mode {
    #![allow(missing_docs)] // names of linux/stat.h
    pub const MASK: u32 = 0o170000;
    pub const SOCKET: u32 = 0o140000;
    pub const LINK: u32 = 0o120000;
    pub const FILE: u32 = 0o100000;
    pub const BLOCK: u32 = 0o060000;
    pub const DIRECTORY: u32 = 0o040000;
    pub const CHAR: u32 = 0o020000;
    pub const FIFO: u32 = 0o010000;
}

/// Kinds of directory entries (`DT_*`).
pub mod dirent {
    #![allow(missing_docs)] // names of dirent.h
    pub const UNKNOWN: u8 = 0;
    pub const FIFO: u8 = 1;
    pub const CHAR: u8 = 2;
    pub const DIRECTORY: u8 = 4;
    pub const BLOCK: u8 = 6;
    pub const FILE: u8 = 8;
    pub const LINK: u8 = 10;
    pub const SOCKET: u8 = 12;
}

/// `AT_*` of the `*at` calls (`linux/fcntl.h`).
pub mod at {
    #![allow(missing_docs)] // names of linux/fcntl.h
    pub const FDCWD: i32 = -100;
    pub const SYMLINK_NOFOLLOW: u32 = 0x100;
    pub const REMOVEDIR: u32 = 0x200;
    pub const EACCESS: u32 = 0x200;
    pub const SYMLINK_FOLLOW: u32 = 0x400;
    pub const NO_AUTOMOUNT: u32 = 0x800;
    pub const EMPTY_PATH: u32 = 0x1000;
    pub const STATX_SYNC_TYPE: u32 = 0x6000;
}

/// Commands of `fcntl(2)`.
pub mod fcntl {
    #![allow(missing_docs)] // names of linux/fcntl.h
    pub const DUPFD: u32 = 0;
    pub const GETFD: u32 = 1;
    pub const SETFD: u32 = 2;
    pub const GETFL: u32 = 3;
    pub const SETFL: u32 = 4;
    pub const GETLK: u32 = 5;
    pub const SETLK: u32 = 6;
    pub const SETLKW: u32 = 7;
    pub const SETOWN: u32 = 8;
    pub const GETOWN: u32 = 9;
    pub const SETSIG: u32 = 10;
    pub const GETSIG: u32 = 11;
    pub const OFD_GETLK: u32 = 36;
    pub const OFD_SETLK: u32 = 37;
    pub const OFD_SETLKW: u32 = 38;
    pub const SETLEASE: u32 = 1024;
    pub const GETLEASE: u32 = 1025;
    pub const DUPFD_CLOEXEC: u32 = 1030;
    pub const SETPIPE_SZ: u32 = 1031;
    pub const GETPIPE_SZ: u32 = 1032;
    pub const ADD_SEALS: u32 = 1033;
    pub const GET_SEALS: u32 = 1034;
    pub const RDLCK: i16 = 0;
    pub const WRLCK: i16 = 1;
    pub const UNLCK: i16 = 2;
    pub const FD_CLOEXEC: u64 = 1;
}

/// Operations of `epoll_ctl(2)`.
pub mod epoll {
    #![allow(missing_docs)] // names of linux/eventpoll.h
    pub const ADD: i32 = 1;
    pub const DEL: i32 = 2;
    pub const MOD: i32 = 3;
}

/// Most entries of an `iovec` array (`UIO_MAXIOV`).
pub const IOV_MAX: usize = 1024;
/// Longest path with its NUL (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;
/// Most bytes that one read or write moves (`MAX_RW_COUNT`).
pub const RW_MAX: usize = 0x7fff_f000;
