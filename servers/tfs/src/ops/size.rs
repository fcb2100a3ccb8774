//! Truncation, growth and fallocate(2). What takes blocks away has the file for itself.

use super::Mount;
use super::data::checked_end;
use super::edge::{Edge, edges, whole};
use crate::inode::Inode;
use crate::store::block_of;
use alloc::rc::Rc;
use alloc::vec::Vec;
use protocol::fs::{Access, Allocate, AllocateMode, Error, Result};
use rt::Context;
use tfs_format::{SECTOR_BYTES, symbols};

impl Mount {
    /// Waits until no transfer of the file is under way, and for the disk. Nothing of the file changes meanwhile
    /// but its attributes.
    pub(super) async fn resize(&self, cx: &Context, inode: &Rc<Inode>, size: u64) -> Result<()> {
        checked_end(size, 0)?;
        let _alone = inode.gate.close().await;
        self.store.room_for_records()?;
        self.store.adopt(inode)?;
        if size < inode.size.get() {
            let last = Edge { start: size, end: size.next_multiple_of(SECTOR_BYTES) };
            if last.start < last.end {
                self.store.zero_edge(cx.request, inode, last).await?;
            }
            self.store.free_blocks(inode, size.div_ceil(SECTOR_BYTES), u64::MAX)?;
        } else {
            self.zero_tail(cx.request, inode).await?;
        }
        self.store.set_size(inode, size)?;
        self.store.touch(inode, &[symbols::MTIME, symbols::CTIME]);
        Ok(())
    }

    /// Before a file grows past its end: other tools may have left bytes behind it in the last block.
    pub(super) async fn zero_tail(&self, request: u64, inode: &Inode) -> Result<()> {
        let size = inode.size.get();
        let tail = Edge { start: size, end: size.next_multiple_of(SECTOR_BYTES) };
        if tail.start == tail.end || inode.tail_is_clean.get() {
            return Ok(());
        }
        self.store.zero_edge(request, inode, tail).await?;
        inode.tail_is_clean.set(true);
        Ok(())
    }

    /// Waits until no transfer of the file is under way, and for the disk.
    pub async fn allocate(&self, cx: &Context, call: Allocate) -> Result<()> {
        let inode = self.handles.opened(cx, call.file, Access::WRITE)?;
        self.must_be_file(&inode)?;
        self.store.writable()?;
        if call.len == 0 {
            return Err(Error::Invalid);
        }
        let end = checked_end(call.offset, call.len)?;
        let _alone = inode.gate.close().await;
        self.store.room_for_records()?;
        self.store.adopt(&inode)?;
        match call.mode {
            AllocateMode::Extend | AllocateMode::KeepSize => self.allocate_range(cx, &inode, call.offset, end).await?,
            AllocateMode::PunchHole => self.punch(cx, &inode, call.offset, end).await?,
            AllocateMode::ZeroRange | AllocateMode::ZeroRangeKeepSize => {
                self.zero_range(cx, &inode, call.offset, end).await?;
            }
        }
        let grows = matches!(call.mode, AllocateMode::Extend | AllocateMode::ZeroRange);
        if grows && end > inode.size.get() {
            self.zero_tail(cx.request, &inode).await?;
            self.store.set_size(&inode, end)?;
        }
        self.store.touch(&inode, &[symbols::MTIME, symbols::CTIME]);
        Ok(())
    }

    /// Gives all holes of the range sectors that read as zeros.
    async fn allocate_range(&self, cx: &Context, inode: &Inode, start: u64, end: u64) -> Result<()> {
        let (from, to) = (block_of(start), end.div_ceil(SECTOR_BYTES));
        self.store.reserve_surely(cx.request, inode, from, to).await?;
        let placed = self.placed(inode, from, to)?;
        let new: Vec<_> = placed.into_iter().filter(|(.., new)| *new).map(|(b, run, _)| (b, run)).collect();
        self.store.commit(inode, &new, true)
    }

    async fn punch(&self, cx: &Context, inode: &Inode, start: u64, end: u64) -> Result<()> {
        self.zero_edges(cx, inode, start, end).await?;
        let (from, to) = whole(start, end);
        if from < to {
            self.store.free_blocks(inode, block_of(from), block_of(to))?;
        }
        Ok(())
    }

    /// Makes whole blocks `uninited`, on the sectors that they have, and zeros the rest.
    async fn zero_range(&self, cx: &Context, inode: &Inode, start: u64, end: u64) -> Result<()> {
        self.allocate_range(cx, inode, start, end).await?;
        self.zero_edges(cx, inode, start, end).await?;
        let (from, to) = whole(start, end);
        if from < to {
            let placed = self.placed(inode, block_of(from), block_of(to))?;
            let all: Vec<_> = placed.into_iter().map(|(block, run, _)| (block, run)).collect();
            self.store.commit(inode, &all, true)?;
        }
        Ok(())
    }

    async fn zero_edges(&self, cx: &Context, inode: &Inode, start: u64, end: u64) -> Result<()> {
        for edge in edges(start, end) {
            self.store.zero_edge(cx.request, inode, edge).await?;
        }
        Ok(())
    }
}
