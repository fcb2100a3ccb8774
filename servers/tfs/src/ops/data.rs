//! read, write, reserve: file data, by DMA between the disk and the caller's memory.

use super::edge::{Fill, edges, whole};
use super::{Mount, bad_lease};
use crate::disk::Buffer;
use crate::inode::Inode;
use crate::join;
use crate::span::{self, State};
use crate::storage::BLOCKS_MAX;
use crate::store::block_of;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use protocol::fs::{Access, Error, Read, Reserve, Result, Write};
use rt::{Context, Memory};
use tfs_format::{Run, SECTOR_BYTES, symbols};

type Transfers<'a> = Vec<Pin<Box<dyn Future<Output = Result<()>> + 'a>>>;

impl Mount {
    /// Waits for the file's gate and the disk. Meanwhile the file may grow and be written, but its blocks stay
    /// where they are.
    pub async fn read(&self, cx: &Context, call: Read) -> Result<u32> {
        let inode = self.handles.opened(cx, call.file, Access::READ)?;
        self.must_be_file(&inode)?;
        let dest = cx.writable(call.dest, call.len as usize).map_err(|_| Error::BadLease)?;
        let _shared = inode.gate.share().await;
        let size = inode.size.get();
        let len = self.io_len(call.len).min(size.saturating_sub(call.offset));
        if len == 0 {
            return Ok(0);
        }
        let end = call.offset + len;
        let transfers = self.read_transfers(cx.request, &inode, call.offset, end, &dest)?;
        join::all(transfers).await?;
        if end == size {
            self.zero_behind_end(&dest, len, size)?;
        }
        Ok(len as u32)
    }

    /// The transfers that fill `dest` with the bytes `start..end`; what is not on the disk is zeroed at once.
    fn read_transfers<'a>(
        &'a self,
        request: u64,
        inode: &Inode,
        start: u64,
        end: u64,
        dest: &Rc<dyn Memory>,
    ) -> Result<Transfers<'a>> {
        let mut transfers: Transfers<'a> = Vec::new();
        let stretches = span::stretches(&inode.spans.borrow(), block_of(start), end.div_ceil(SECTOR_BYTES));
        for stretch in stretches {
            let first = stretch.block * SECTOR_BYTES;
            let from = first.max(start);
            let to = (first + stretch.count * SECTOR_BYTES).min(end);
            let State::Written(sector) = stretch.state else {
                let at = (from - start) as usize;
                dest.zero(at, (to - from) as usize).map_err(bad_lease)?;
                continue;
            };
            // A last sector that is wanted in part is read whole if the memory has room for it.
            let whole_to = to.next_multiple_of(SECTOR_BYTES);
            let to = if whole_to - start <= dest.len() as u64 { whole_to } else { to };
            let buffer = |at: u64| Buffer { memory: dest.clone(), at: (at - start) as usize };
            for edge in edges(from, to) {
                let (sector, to) = (sector + block_of(edge.start) - stretch.block, buffer(edge.start));
                transfers.push(Box::pin(async move { self.store.read_edge(request, sector, edge, &to).await }));
            }
            let (from, to) = whole(from, to);
            if from < to {
                let sector = sector + block_of(from) - stretch.block;
                let run = Run { sector, count: (to - from) / SECTOR_BYTES };
                let to = buffer(from);
                transfers.push(Box::pin(async move { self.store.disk.read(request, run, &to).await }));
            }
        }
        Ok(transfers)
    }

    /// The caller's page must not show what lies on the disk behind the end of the file.
    fn zero_behind_end(&self, dest: &Rc<dyn Memory>, len: u64, size: u64) -> Result<()> {
        let tail = size.next_multiple_of(SECTOR_BYTES) - size;
        let tail = tail.min(dest.len() as u64 - len);
        dest.zero(len as usize, tail as usize).map_err(bad_lease)
    }

    /// Waits for the file's gate and the disk. Meanwhile others may write to the file and grow it.
    pub async fn write(&self, cx: &Context, call: Write) -> Result<u32> {
        let inode = self.handles.opened(cx, call.file, Access::WRITE)?;
        self.must_be_file(&inode)?;
        self.store.writable()?;
        let src = cx.readable(call.src, call.len as usize).map_err(|_| Error::BadLease)?;
        let len = self.io_len(call.len);
        let end = checked_end(call.offset, len)?;
        if len == 0 {
            return Ok(0);
        }
        let _shared = inode.gate.share().await;
        self.store.adopt(&inode)?;
        if call.offset > inode.size.get() {
            self.zero_tail(cx.request, &inode).await?;
        }
        let end = self.reserve_prefix(cx.request, &inode, call.offset, end).await?;
        for edge in edges(call.offset, end) {
            let from = Fill::From(&src, (edge.start - call.offset) as usize);
            self.store.write_edge(cx.request, &inode, edge, from).await?;
        }
        let (from, to) = whole(call.offset, end);
        if from < to {
            self.write_whole(cx.request, &inode, from, to, &src, call.offset).await?;
        }
        if end > inode.size.get() {
            self.store.set_size(&inode, end)?;
        }
        self.store.touch(&inode, &[symbols::MTIME, symbols::CTIME]);
        Ok((end - call.offset) as u32)
    }

    /// Writes whole blocks from memory whose first byte is byte `origin` of the file, then makes extents of those
    /// that are new.
    async fn write_whole(
        &self,
        request: u64,
        inode: &Inode,
        from: u64,
        to: u64,
        src: &Rc<dyn Memory>,
        origin: u64,
    ) -> Result<()> {
        let mut new = Vec::new();
        let mut transfers: Transfers<'_> = Vec::new();
        for (block, run, is_new) in self.placed(inode, block_of(from), block_of(to))? {
            let at = (block * SECTOR_BYTES - origin) as usize;
            let buffer = Buffer { memory: src.clone(), at };
            transfers.push(Box::pin(async move { self.store.disk.write(request, run, &buffer).await }));
            if is_new {
                new.push((block, run));
            }
        }
        join::all(transfers).await?;
        self.store.commit(inode, &new, false)
    }

    /// Where the blocks `from..to` go, all of which have sectors: block, sectors, and whether they hold no
    /// data yet.
    pub(super) fn placed(&self, inode: &Inode, from: u64, to: u64) -> Result<Vec<(u64, Run, bool)>> {
        let mut placed = Vec::new();
        for stretch in span::stretches(&inode.spans.borrow(), from, to) {
            match stretch.state {
                State::Written(sector) => placed.push((stretch.block, Run { sector, count: stretch.count }, false)),
                State::Uninited(sector) => placed.push((stretch.block, Run { sector, count: stretch.count }, true)),
                State::Hole => {
                    let (mut block, end) = (stretch.block, stretch.block + stretch.count);
                    while block < end {
                        let (sector, room) = inode.reserved.borrow().at(block).ok_or(Error::Io)?;
                        let count = room.min(end - block);
                        placed.push((block, Run { sector, count }, true));
                        block += count;
                    }
                }
            }
        }
        Ok(placed)
    }

    /// Sets sectors aside for `start..end`; where space runs out on the way, the range ends there.
    async fn reserve_prefix(&self, request: u64, inode: &Inode, start: u64, end: u64) -> Result<u64> {
        let (from, to) = (block_of(start), end.div_ceil(SECTOR_BYTES));
        match self.store.reserve_surely(request, inode, from, to).await {
            Ok(()) => return Ok(end),
            Err(Error::NoSpace) => {}
            Err(error) => return Err(error),
        }
        let mut reached = from;
        for stretch in span::stretches(&inode.spans.borrow(), from, to) {
            reached = stretch.block + stretch.count;
            if stretch.state == State::Hole {
                let mut block = stretch.block;
                while let Some((_, room)) = inode.reserved.borrow().at(block).filter(|_| block < reached) {
                    block += room;
                }
                if block < reached {
                    reached = block;
                    break;
                }
            }
        }
        let end = (reached * SECTOR_BYTES).min(end);
        if end > start { Ok(end) } else { Err(Error::NoSpace) }
    }

    /// Waits for the file's gate, and for a flush if that frees space.
    pub async fn reserve(&self, cx: &Context, call: Reserve) -> Result<()> {
        let inode = self.handles.opened(cx, call.file, Access::WRITE)?;
        self.must_be_file(&inode)?;
        self.store.writable()?;
        let end = checked_end(call.offset, call.len)?;
        let _shared = inode.gate.share().await;
        self.store.room_for_records()?;
        let (from, to) = (block_of(call.offset), end.div_ceil(SECTOR_BYTES));
        self.store.reserve_surely(cx.request, &inode, from, to).await
    }

    fn io_len(&self, len: u32) -> u64 {
        u64::from(len).min(self.store.disk.max_sectors() * SECTOR_BYTES)
    }

    /// Error: `IsDirectory`, or `Invalid` for what else has no data.
    pub(super) fn must_be_file(&self, inode: &Inode) -> Result<()> {
        match self.store.tree().kind(inode.node) {
            tfs_format::Kind::File => Ok(()),
            tfs_format::Kind::Directory => Err(Error::IsDirectory),
            _ => Err(Error::Invalid),
        }
    }
}

/// The end of a range. Error: `FileTooLarge`.
pub(super) fn checked_end(offset: u64, len: u64) -> Result<u64> {
    let end = offset.checked_add(len).ok_or(Error::FileTooLarge)?;
    if end.div_ceil(SECTOR_BYTES) > BLOCKS_MAX { Err(Error::FileTooLarge) } else { Ok(end) }
}
