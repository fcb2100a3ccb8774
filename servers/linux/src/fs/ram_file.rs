//! Data of a file in memory, with holes and seals, and what open(2) makes of it.

use super::description::File;
use super::inode::next_identity;
use super::node::{Node, Result};
use super::ram::RamNode;
use super::server::zeroed_frame;
use super::transfer::{Sink, Source, partial};
use crate::mm::MappedFile;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_abi::Errno;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use spin::Mutex;

const PAGE: u64 = PAGE_SIZE as u64;

/// Seals of memfd_create(2) (`linux/fcntl.h`).
pub(crate) mod seal {
    /// No further seals.
    pub(crate) const SEAL: u32 = 1;
    /// The length does not shrink.
    pub(crate) const SHRINK: u32 = 2;
    /// The length does not grow.
    pub(crate) const GROW: u32 = 4;
    /// Contents do not change.
    pub(crate) const WRITE: u32 = 8;
    /// No new ways to change contents.
    pub(crate) const FUTURE_WRITE: u32 = 16;
    /// Execute bits stay.
    pub(crate) const EXEC: u32 = 32;
    /// All of them.
    pub(crate) const ALL: u32 = 63;
}

#[derive(Default)]
struct Data {
    size: u64,
    pages: BTreeMap<u64, Frame>,
}

/// Pages of a file in memory; what is not there is zero.
pub(crate) struct Contents {
    data: Mutex<Data>,
    seals: AtomicU32,
    identity: u64,
}

impl Default for Contents {
    fn default() -> Self {
        Self { data: Mutex::default(), seals: AtomicU32::new(seal::SEAL), identity: next_identity() }
    }
}

impl Contents {
    /// Length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.data.lock().size
    }

    /// Pages that hold something.
    pub(crate) fn pages(&self) -> u64 {
        self.data.lock().pages.len() as u64
    }

    /// Seals in force; tmpfs files are born with `SEAL`, so that none can be added.
    pub(crate) fn seals(&self) -> u32 {
        self.seals.load(Ordering::Acquire)
    }

    /// Sets the first seals of a memfd.
    pub(crate) fn start_seals(&self, seals: u32) {
        self.seals.store(seals, Ordering::Release);
    }

    /// Adds seals. Errors: `EPERM` (sealed against it).
    pub(crate) fn add_seals(&self, seals: u32) -> Result<()> {
        if self.seals() & seal::SEAL != 0 {
            return Err(Errno::EPERM);
        }
        self.seals.fetch_or(seals, Ordering::AcqRel);
        Ok(())
    }

    fn may(&self, forbidden: u32) -> Result<()> {
        if self.seals() & forbidden == 0 { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Sets the length. Errors: `EPERM` (sealed), `EFBIG`.
    pub(crate) fn truncate(&self, size: u64) -> Result<()> {
        if i64::try_from(size).is_err() {
            return Err(Errno::EFBIG);
        }
        let mut data = self.data.lock();
        match size.cmp(&data.size) {
            core::cmp::Ordering::Less => self.may(seal::SHRINK)?,
            core::cmp::Ordering::Greater => self.may(seal::GROW)?,
            core::cmp::Ordering::Equal => return Ok(()),
        }
        data.size = size;
        let gone = data.pages.split_off(&size.div_ceil(PAGE));
        if let Some(last) = data.pages.get(&(size / PAGE)) {
            let at = (size % PAGE) as usize;
            last.zero(at, PAGE_SIZE - at);
        }
        drop(data);
        drop(gone);
        if let Some(process) = crate::process::installed() {
            process.mm.drop_file_pages(self.identity, size.div_ceil(PAGE), u64::MAX);
        }
        Ok(())
    }

    /// The frame of page `index`, made if it is not there. Errors: `ENOMEM`.
    fn page(&self, index: u64) -> Result<Frame> {
        if let Some(frame) = self.data.lock().pages.get(&index) {
            return Ok(frame.clone());
        }
        let fresh = zeroed_frame()?;
        Ok(self.data.lock().pages.entry(index).or_insert(fresh).clone())
    }

    fn read_at(&self, mut offset: u64, sink: &mut Sink) -> Result<usize> {
        const ZEROS: [u8; 512] = [0; 512];
        let start = sink.done();
        loop {
            let (frame, size) = {
                let data = self.data.lock();
                (data.pages.get(&(offset / PAGE)).cloned(), data.size)
            };
            if offset >= size || sink.remaining() == 0 {
                return Ok(sink.done() - start);
            }
            let at = (offset % PAGE) as usize;
            let count = (PAGE_SIZE - at).min(sink.remaining()).min(usize::try_from(size - offset).unwrap_or(PAGE_SIZE));
            let moved = match frame {
                Some(frame) => sink.put_frame(&frame, at, count),
                None => sink.put(&ZEROS[..count.min(512)]),
            };
            match moved {
                Ok(0) => return Ok(sink.done() - start),
                Ok(moved) => offset += moved as u64,
                Err(errno) if sink.done() == start => return Err(errno),
                Err(_) => return Ok(sink.done() - start),
            }
        }
    }

    fn write_at(&self, mut offset: u64, source: &mut Source) -> Result<(usize, u64)> {
        self.may(seal::WRITE | seal::FUTURE_WRITE)?;
        let start = source.done();
        let mut result = Ok(());
        while source.remaining() > 0 && result.is_ok() {
            if offset >= i64::MAX as u64 {
                result = Err(Errno::EFBIG);
                break;
            }
            let at = (offset % PAGE) as usize;
            let mut count = (PAGE_SIZE - at).min(source.remaining());
            if self.seals() & seal::GROW != 0 {
                count = count.min(usize::try_from(self.size().saturating_sub(offset)).unwrap_or(count));
                if count == 0 {
                    result = Err(Errno::EPERM);
                    break;
                }
            }
            result = self.page(offset / PAGE).and_then(|frame| source.get_frame(&frame, at, count)).map(|moved| {
                offset += moved as u64;
                let mut data = self.data.lock();
                data.size = data.size.max(offset);
            });
        }
        Ok((partial(source.done() - start, result)?, offset))
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        self.may(seal::WRITE)?;
        let end = offset.saturating_add(len);
        let mut data = self.data.lock();
        let indices: Vec<u64> = data.pages.range(offset / PAGE..end.div_ceil(PAGE)).map(|(&index, _)| index).collect();
        for index in indices {
            let (first, behind) = (offset.max(index * PAGE), end.min((index + 1) * PAGE));
            if behind - first == PAGE {
                data.pages.remove(&index);
            } else if let Some(frame) = data.pages.get(&index) {
                frame.zero((first % PAGE) as usize, (behind - first) as usize);
            }
        }
        Ok(())
    }
}

/// An open file in memory.
pub(crate) struct RamFile {
    node: Arc<RamNode>,
}

impl RamFile {
    /// A file on `node`.
    pub(crate) fn new(node: Arc<RamNode>) -> Self {
        Self { node }
    }

    /// The data.
    pub(crate) fn contents(&self) -> Result<&Contents> {
        self.node.contents().ok_or(Errno::EINVAL)
    }
}

impl File for RamFile {
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
        self.contents()?.read_at(offset, sink)
    }
    fn write_at(&self, offset: u64, source: &mut Source) -> Result<usize> {
        let count = self.contents()?.write_at(offset, source)?.0;
        self.node.touch();
        Ok(count)
    }
    fn append(&self, source: &mut Source) -> Result<(usize, u64)> {
        let contents = self.contents()?;
        let written = contents.write_at(contents.size(), source);
        self.node.touch();
        written
    }
    fn size(&self) -> Result<u64> {
        Ok(self.contents()?.size())
    }
    fn seek_extent(&self, offset: u64, data: bool) -> Result<u64> {
        let held = self.contents()?.data.lock();
        if offset >= held.size {
            return Err(Errno::ENXIO);
        }
        if data {
            let next = held.pages.range(offset / PAGE..).next().map(|(&index, _)| (index * PAGE).max(offset));
            return next.filter(|&next| next < held.size).ok_or(Errno::ENXIO);
        }
        let mut index = offset / PAGE;
        while held.pages.contains_key(&index) {
            index += 1;
        }
        Ok((index * PAGE).max(offset).min(held.size))
    }
    fn truncate(&self, size: u64) -> Result<()> {
        self.contents()?.truncate(size)?;
        self.node.touch();
        Ok(())
    }
    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        const KEEP_SIZE: u32 = 1;
        const PUNCH_HOLE: u32 = 2;
        let contents = self.contents()?;
        match mode {
            m if m == PUNCH_HOLE | KEEP_SIZE => contents.punch(offset, len),
            0 | KEEP_SIZE => {
                let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
                if mode == 0 && end > contents.size() {
                    contents.truncate(end)?;
                }
                (offset / PAGE..end.div_ceil(PAGE)).try_for_each(|index| contents.page(index).map(drop))
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
    fn sync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }
    fn mapped(self: Arc<Self>) -> Result<Arc<dyn MappedFile>> {
        Ok(self)
    }
}

impl MappedFile for RamFile {
    fn id(&self) -> u64 {
        self.node.contents().map_or(0, |contents| contents.identity)
    }
    fn page(&self, index: u64, _for_write: bool) -> Result<Frame> {
        let contents = self.contents()?;
        if index >= contents.size().div_ceil(PAGE) {
            return Err(Errno::EFAULT);
        }
        contents.page(index)
    }
    fn cached_page(&self, index: u64) -> Option<Frame> {
        self.node.contents()?.data.lock().pages.get(&index).cloned()
    }
    fn mark_dirty(&self, _index: u64) {}
    fn size(&self) -> u64 {
        self.node.contents().map_or(0, Contents::size)
    }
    fn name(&self) -> Vec<u8> {
        Vec::new()
    }
    fn node(&self) -> (u64, u64) {
        (Node::volume(&*self.node).device(), Node::inode(&*self.node))
    }
}
