//! Shared anonymous memory: a nameless object that mappings share.

use super::{MappedFile, PAGE, zeroed_frame};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::Errno;
use microkernel::mm::frame::Frame;
use spin::Mutex;

/// Identities above every inode-based one that the page cache hands out.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 63);

/// Pages that appear as zeros when first touched and live as long as a mapping.
pub(super) struct SharedMemory {
    id: u64,
    len: u64,
    pages: Mutex<BTreeMap<u64, Frame>>,
}

impl SharedMemory {
    pub(super) fn new(len: u64) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), len, pages: Mutex::default() }
    }
}

impl MappedFile for SharedMemory {
    fn id(&self) -> u64 {
        self.id
    }

    fn page(&self, index: u64, _for_write: bool) -> Result<Frame, Errno> {
        if index.checked_mul(PAGE).is_none_or(|at| at >= self.len) {
            return Err(Errno::EFAULT);
        }
        if let Some(frame) = self.pages.lock().get(&index) {
            return Ok(frame.clone());
        }
        let fresh = zeroed_frame().ok_or(Errno::ENOMEM)?;
        Ok(self.pages.lock().entry(index).or_insert(fresh).clone())
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        self.pages.lock().get(&index).cloned()
    }

    fn mark_dirty(&self, _index: u64) {}

    fn size(&self) -> u64 {
        self.len
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/zero (deleted)".to_vec()
    }

    fn node(&self) -> (u64, u64) {
        (1, self.id & 0xffff_ffff)
    }
}
