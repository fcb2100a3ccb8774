//! What open(2) makes of a server's regular file: positions, pages, mappings.

use super::description::File;
use super::node::{Access, Node, Result};
use super::paging::ReadAhead;
use super::served::ServedNode;
use super::server::Handle;
use super::transfer::{Sink, Source};
use super::writing::At;
use crate::mm::MappedFile;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs::{self, AllocateMode};

/// Pages read together at a page fault.
const FAULT_PAGES: u64 = 16;

/// A regular file.
pub(crate) struct ServedFile {
    node: Arc<ServedNode>,
    /// This description's own handle, on a shared volume.
    own: Option<Arc<Handle>>,
    ahead: ReadAhead,
}

impl ServedFile {
    /// A file on `node`; `own` is its handle on a shared volume.
    pub(super) fn new(node: Arc<ServedNode>, own: Option<Arc<Handle>>) -> Self {
        Self { node, own, ahead: ReadAhead::default() }
    }

    fn handle(&self, access: Access) -> Result<Arc<Handle>> {
        match &self.own {
            Some(handle) => Ok(handle.clone()),
            None => self.node.data_handle(access),
        }
    }

    fn read_pages(&self, offset: u64, sink: &mut Sink) -> Result<usize> {
        self.node.parts().1.read_at(&|| self.handle(Access::READ), &self.ahead, offset, sink)
    }

    /// Asks the host once more where a file ends, when a read arrives there.
    fn grown(&self, offset: u64) -> Result<bool> {
        let Some(handle) = &self.own else { return Ok(false) };
        let inode = self.node.parts().1;
        let attr = handle.server().call(fs::GetAttr { node: handle.file() })?;
        inode.refresh(&attr);
        Ok(inode.size() > offset)
    }
}

impl File for ServedFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn node(&self) -> Option<Arc<dyn Node>> {
        Some(self.node.clone())
    }
    fn seekable(&self) -> bool {
        true
    }
    fn read_at(&self, offset: u64, sink: &mut Sink) -> Result<usize> {
        let count = self.read_pages(offset, sink)?;
        if count == 0 && sink.remaining() > 0 && self.grown(offset)? {
            return self.read_pages(offset, sink);
        }
        Ok(count)
    }
    fn write_at(&self, offset: u64, source: &mut Source) -> Result<usize> {
        if source.remaining() == 0 {
            return Ok(0);
        }
        let handle = self.handle(Access::WRITE)?;
        Ok(self.node.parts().1.write(&handle, At::Offset(offset), source)?.0)
    }
    fn append(&self, source: &mut Source) -> Result<(usize, u64)> {
        if source.remaining() == 0 {
            return Ok((0, self.node.parts().1.size()));
        }
        self.node.parts().1.write(&self.handle(Access::WRITE)?, At::End, source)
    }
    fn size(&self) -> Result<u64> {
        Ok(self.node.attr()?.size)
    }
    fn truncate(&self, size: u64) -> Result<()> {
        self.node.parts().1.truncate(&*self.handle(Access::WRITE)?, size)
    }
    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        let (mode, keeps_data) = allocate_mode(mode)?;
        let handle = self.handle(Access::WRITE)?;
        let inode = self.node.parts().1;
        let _inside = inode.order.pass();
        let (first, last) = (offset / PAGE_SIZE as u64, (offset + len).div_ceil(PAGE_SIZE as u64));
        if !keeps_data {
            inode.write_back(first, last)?;
            inode.settle(first, last);
            inode.state.lock().pages.discard(first, last);
        } else if inode.is_dirty() {
            // The server must know how long the file is before it decides whether this lengthens it.
            inode.write_back(0, u64::MAX)?;
        }
        handle.server().call(fs::Allocate { file: handle.file(), offset, len, mode })?;
        let attr = handle.server().call(fs::GetAttr { node: handle.file() })?;
        let mut state = inode.state.lock();
        state.reserved = (0, 0);
        let size = state.attr.size.max(attr.size);
        state.attr = protocol::fs::Attr { size, ..attr };
        Ok(())
    }
    fn sync(&self, data_only: bool) -> Result<()> {
        let inode = self.node.parts().1;
        inode.write_back(0, u64::MAX)?;
        let handle = self.handle(Access::READ)?;
        handle.server().call(fs::Sync { file: handle.file(), data_only })
    }
    fn mapped(self: Arc<Self>) -> Result<Arc<dyn MappedFile>> {
        Ok(self)
    }
    fn flush(&self) -> Result<()> {
        // What a shared mapping changed must be with the host when its next reader opens the file.
        let inode = self.node.parts().1;
        if self.own.is_some() && inode.is_dirty() { inode.write_back(0, u64::MAX) } else { Ok(()) }
    }
}

/// fallocate(2)'s mode word: what the server does, and whether data stays as it is.
fn allocate_mode(mode: u32) -> Result<(AllocateMode, bool)> {
    const KEEP_SIZE: u32 = 1;
    const PUNCH_HOLE: u32 = 2;
    const ZERO_RANGE: u32 = 0x10;
    match mode {
        0 => Ok((AllocateMode::Extend, true)),
        KEEP_SIZE => Ok((AllocateMode::KeepSize, true)),
        m if m == PUNCH_HOLE | KEEP_SIZE => Ok((AllocateMode::PunchHole, false)),
        ZERO_RANGE => Ok((AllocateMode::ZeroRange, false)),
        m if m == ZERO_RANGE | KEEP_SIZE => Ok((AllocateMode::ZeroRangeKeepSize, false)),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

impl MappedFile for ServedFile {
    fn id(&self) -> u64 {
        self.node.parts().1.identity()
    }
    fn page(&self, index: u64, for_write: bool) -> Result<Frame> {
        let inode = self.node.parts().1;
        if for_write {
            let handle = self.handle(Access::WRITE)?;
            if self.own.is_some() {
                *inode.io.lock() = Some(handle);
            } else {
                inode.reserve(&handle, index, 1)?;
            }
        }
        loop {
            let pages = inode.size().div_ceil(PAGE_SIZE as u64);
            if index >= pages {
                return Err(Errno::EFAULT);
            }
            let run = self.ahead.plan(index, FAULT_PAGES, pages);
            if let Some(frame) = inode.page(&|| self.handle(Access::READ), index, run)? {
                return Ok(frame);
            }
        }
    }
    fn cached_page(&self, index: u64) -> Option<Frame> {
        match self.node.parts().1.state.lock().pages.look(index) {
            super::pages::Look::Ready(frame) => Some(frame),
            _ => None,
        }
    }
    fn mark_dirty(&self, index: u64) {
        self.node.parts().1.mark_mapped(index);
    }
    fn size(&self) -> u64 {
        self.node.parts().1.size()
    }
    fn sync_range(&self, first: u64, last: u64) -> Result<()> {
        self.node.parts().1.write_back(first, last)
    }
    fn name(&self) -> Vec<u8> {
        Vec::new()
    }
    fn node(&self) -> (u64, u64) {
        (Node::volume(&*self.node).device(), Node::inode(&*self.node))
    }
}
