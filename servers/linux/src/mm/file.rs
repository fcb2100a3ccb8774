//! What a mapping needs of a file: its pages. Implemented by the page cache and by shared anonymous memory.

use alloc::vec::Vec;
use linux_abi::Errno;
use microkernel::mm::frame::Frame;

/// An object whose pages can be mapped. Calls that may wait are made without any lock of `mm` held.
pub(crate) trait MappedFile: Send + Sync {
    /// Identity: equal for every mapping of one file (inode), different from every other live file's.
    fn id(&self) -> u64;

    /// The frame of page `index` (counted in 4 KiB from the start), read in if needed; may wait.
    ///
    /// With `for_write` the page is about to be written through a shared mapping: space is reserved.
    /// Errors: `EFAULT` if the page lies wholly behind the end (the access gets SIGBUS), `EIO`, `ENOMEM`, `ENOSPC`.
    fn page(&self, index: u64, for_write: bool) -> Result<Frame, Errno>;

    /// The frame if it is at hand without waiting; lets a fault map its neighbours too.
    fn cached_page(&self, index: u64) -> Option<Frame> {
        let _ = index;
        None
    }

    /// The page is being made writable in a shared mapping: it must be written back some time.
    fn mark_dirty(&self, index: u64);

    /// Length in bytes.
    fn size(&self) -> u64;

    /// Writes back the pages `first..last` (msync(2)); may wait. Errors: `EIO`, `ENOSPC`.
    fn sync_range(&self, first: u64, last: u64) -> Result<(), Errno> {
        let _ = (first, last);
        Ok(())
    }

    /// Path for `/proc/self/maps`.
    fn name(&self) -> Vec<u8>;

    /// Device and inode number for `/proc/self/maps`.
    fn node(&self) -> (u64, u64);
}

/// A descriptor seen by mmap(2): what `fs::Files::map_target(fd)` finds.
pub(crate) struct MapTarget {
    /// The object; `None` if its kind cannot be mapped (ENODEV).
    pub file: Option<alloc::sync::Arc<dyn MappedFile>>,
    /// The descriptor was opened for reading.
    pub readable: bool,
    /// The descriptor was opened for writing.
    pub writable: bool,
}
