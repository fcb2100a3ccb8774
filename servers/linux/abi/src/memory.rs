//! Memory maps: flags of mmap, mremap, madvise, msync and protection bits.

use bitflags::bitflags;

bitflags! {
    /// Protection of a mapping (`PROT_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Prot: u32 {
        /// Readable.
        const READ = 1;
        /// Writable.
        const WRITE = 2;
        /// Executable.
        const EXEC = 4;
        /// For mprotect: extend to the start of a mapping that grows down.
        const GROWSDOWN = 0x0100_0000;
        /// For mprotect: extend to the end of a mapping that grows up.
        const GROWSUP = 0x0200_0000;
    }

    /// Flags of `mmap(2)` (`MAP_*`), without the type bits ([`MAP_TYPE`]).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MapFlags: u32 {
        /// At exactly this address, replacing what is there.
        const FIXED = 0x10;
        /// No file behind it.
        const ANONYMOUS = 0x20;
        /// Below 2 GiB.
        const BITS_32 = 0x40;
        /// Grows down like a stack.
        const GROWSDOWN = 0x100;
        /// Ignored by Linux.
        const DENYWRITE = 0x800;
        /// Ignored by Linux.
        const EXECUTABLE = 0x1000;
        /// Lock in memory.
        const LOCKED = 0x2000;
        /// No reservation of swap.
        const NORESERVE = 0x4000;
        /// Fault everything in at once.
        const POPULATE = 0x8000;
        /// With `POPULATE`: no read-ahead.
        const NONBLOCK = 0x1_0000;
        /// Hint of a stack; ignored by Linux.
        const STACK = 0x2_0000;
        /// Huge pages.
        const HUGETLB = 0x4_0000;
        /// Synchronous page faults (DAX).
        const SYNC = 0x8_0000;
        /// At exactly this address, or fail with EEXIST.
        const FIXED_NOREPLACE = 0x10_0000;
        /// Not zeroed; ignored with an MMU.
        const UNINITIALIZED = 0x400_0000;
    }
}

/// Bits that say whether a mapping is shared.
pub const MAP_TYPE: u32 = 0xf;
/// Changes are seen by all who map the object.
pub const MAP_SHARED: u32 = 1;
/// Copy on write.
pub const MAP_PRIVATE: u32 = 2;
/// As `MAP_SHARED`, with unknown flags refused.
pub const MAP_SHARED_VALIDATE: u32 = 3;

/// `MREMAP_MAYMOVE`.
pub const MREMAP_MAYMOVE: u32 = 1;
/// `MREMAP_FIXED`.
pub const MREMAP_FIXED: u32 = 2;
/// `MREMAP_DONTUNMAP`.
pub const MREMAP_DONTUNMAP: u32 = 4;

/// `MS_ASYNC`.
pub const MS_ASYNC: u32 = 1;
/// `MS_INVALIDATE`.
pub const MS_INVALIDATE: u32 = 2;
/// `MS_SYNC`.
pub const MS_SYNC: u32 = 4;

/// Advice of `madvise(2)`.
pub mod advice {
    #![allow(missing_docs)] // names of asm-generic/mman-common.h
    pub const NORMAL: i32 = 0;
    pub const RANDOM: i32 = 1;
    pub const SEQUENTIAL: i32 = 2;
    pub const WILLNEED: i32 = 3;
    pub const DONTNEED: i32 = 4;
    pub const FREE: i32 = 8;
    pub const REMOVE: i32 = 9;
    pub const DONTFORK: i32 = 10;
    pub const DOFORK: i32 = 11;
    pub const MERGEABLE: i32 = 12;
    pub const UNMERGEABLE: i32 = 13;
    pub const HUGEPAGE: i32 = 14;
    pub const NOHUGEPAGE: i32 = 15;
    pub const DONTDUMP: i32 = 16;
    pub const DODUMP: i32 = 17;
    pub const WIPEONFORK: i32 = 18;
    pub const KEEPONFORK: i32 = 19;
    pub const COLD: i32 = 20;
    pub const PAGEOUT: i32 = 21;
    pub const POPULATE_READ: i32 = 22;
    pub const POPULATE_WRITE: i32 = 23;
    pub const COLLAPSE: i32 = 25;
}

/// Flags of `mlockall(2)` and `mlock2(2)`.
pub mod lock {
    #![allow(missing_docs)] // names of asm-generic/mman.h
    pub const MCL_CURRENT: u32 = 1;
    pub const MCL_FUTURE: u32 = 2;
    pub const MCL_ONFAULT: u32 = 4;
    pub const MLOCK_ONFAULT: u32 = 1;
}
