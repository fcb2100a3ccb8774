//! What mmap(2) finds behind a descriptor.

use super::Files;
use super::description::OpenFile;
use super::names::Place;
use super::node::Result;
use crate::mm::{MapTarget, MappedFile};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use microkernel::mm::frame::Frame;

/// A mapped file that knows the place it was opened at, for `/proc/self/maps`.
struct Named {
    file: Arc<dyn MappedFile>,
    place: Place,
}

impl MappedFile for Named {
    fn id(&self) -> u64 {
        self.file.id()
    }
    fn page(&self, index: u64, for_write: bool) -> Result<Frame> {
        self.file.page(index, for_write)
    }
    fn cached_page(&self, index: u64) -> Option<Frame> {
        self.file.cached_page(index)
    }
    fn mark_dirty(&self, index: u64) {
        self.file.mark_dirty(index);
    }
    fn size(&self) -> u64 {
        self.file.size()
    }
    fn sync_range(&self, first: u64, last: u64) -> Result<()> {
        self.file.sync_range(first, last)
    }
    fn name(&self) -> Vec<u8> {
        let mut name = crate::process::process().fs.path_of(&self.place);
        if self.place.is_removed() {
            name.extend_from_slice(b" (deleted)");
        }
        name
    }
    fn node(&self) -> (u64, u64) {
        self.file.node()
    }
}

/// What can be mapped of an open file, with its place; `None` if its kind cannot be mapped.
fn mapped(file: &OpenFile) -> Option<Arc<dyn MappedFile>> {
    let mapped = file.file().clone().mapped().ok()?;
    Some(match file.place() {
        Some(place) => Arc::new(Named { file: mapped, place: place.clone() }),
        None => mapped,
    })
}

impl Files {
    /// The object behind `fd` and how it was opened. Errors: `EBADF`.
    pub(crate) fn map_target(&self, fd: i32) -> Result<MapTarget> {
        let file = self.table.get(fd)?;
        file.usable()?;
        Ok(MapTarget { file: mapped(&file), readable: file.readable().is_ok(), writable: file.writable().is_ok() })
    }

    /// The program (or interpreter) at `path`, for exec. Errors: as open(2), `EACCES` (nothing that can be mapped).
    pub(crate) fn program(&self, path: &[u8]) -> Result<Arc<dyn MappedFile>> {
        mapped(&*self.open_path(path)?).ok_or(Errno::EACCES)
    }
}
