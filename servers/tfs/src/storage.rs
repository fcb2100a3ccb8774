//! Room for the blocks of a file: reservations, and from reservations to extents.

use crate::inode::Inode;
use crate::span::{self, Span, State};
use crate::store::Store;
use alloc::rc::Rc;
use alloc::vec::Vec;
use protocol::fs::{Error, Result};
use tfs_format::{Run, SECTOR_BYTES};

/// Reservations are made in pages, so that neighbouring blocks become neighbours on the volume.
const PAGE_BLOCKS: u64 = 8;
/// A file that grows at its end gets as much more room as it has, up to this many blocks (256 KiB).
const AHEAD_BLOCKS: u64 = 512;
/// Largest block number that any file may have; keeps all byte positions within 63 bits.
pub const BLOCKS_MAX: u64 = 1 << 53;

impl Store {
    /// Sees to it that each block of `from..to` has sectors, set aside if it has none yet.
    ///
    /// Error: `NoSpace`; what was set aside until then stays so until the file is closed.
    pub fn reserve(self: &Rc<Self>, inode: &Inode, from: u64, to: u64) -> Result<()> {
        self.adopt(inode)?;
        let holes = span::stretches(&inode.spans.borrow(), from, to);
        for hole in holes.iter().filter(|stretch| stretch.state == State::Hole) {
            self.reserve_hole(inode, hole.block, hole.block + hole.count)?;
        }
        Ok(())
    }

    /// [`Store::reserve`]; if space runs out while freed sectors wait for a flush, flushes and tries again.
    ///
    /// The caller has a share of the file's gate, or has it closed: nothing takes the sectors away meanwhile.
    pub async fn reserve_surely(self: &Rc<Self>, request: u64, inode: &Inode, from: u64, to: u64) -> Result<()> {
        let result = self.reserve(inode, from, to);
        if result != Err(Error::NoSpace) || !self.volume().holds_freed() {
            return result;
        }
        self.sync(request).await?;
        self.reserve(inode, from, to)
    }

    /// Brings the extents of a file that another tool wrote into our form, before the file is changed for the
    /// first time: data behind its end is dropped (it would show when the file grows), and spare sectors
    /// behind extents become a reservation.
    pub fn adopt(self: &Rc<Self>, inode: &Inode) -> Result<()> {
        if inode.adopted.get() {
            return Ok(());
        }
        let mut spans = inode.spans.borrow().clone();
        let spares = span::take_spares(&mut spans);
        let end = inode.size.get().div_ceil(SECTOR_BYTES);
        let behind: Vec<_> = span::stretches(&spans, end, u64::MAX);
        let mut freed = Vec::new();
        for stretch in behind.iter().filter(|stretch| matches!(stretch.state, State::Written(_))) {
            freed.extend(span::cut(&mut spans, stretch.block, stretch.block + stretch.count));
        }
        self.set_spans(inode, spans)?;
        inode.adopted.set(true);
        for (block, run) in spares {
            let rest = self.keep_spare(inode, block, run);
            freed.push(rest);
        }
        let mut volume = self.volume();
        freed.into_iter().for_each(|run| volume.release_when_written(run));
        Ok(())
    }

    /// Sets spare sectors aside for the hole that begins at `block`; returns what is too much.
    fn keep_spare(&self, inode: &Inode, block: u64, run: Run) -> Run {
        let after = span::stretches(&inode.spans.borrow(), block, block.saturating_add(run.count));
        let hole = after.first().filter(|first| first.state == State::Hole);
        let room = hole.map_or(0, |hole| hole.count);
        if room > 0 {
            inode.reserved.borrow_mut().add(block, Run { sector: run.sector, count: room });
        }
        Run { sector: run.sector + room, count: run.count - room }
    }

    /// Sets sectors aside for the blocks `from..to`, none of which has an extent.
    fn reserve_hole(&self, inode: &Inode, from: u64, to: u64) -> Result<()> {
        let mut block = from;
        while block < to {
            if let Some((_, count)) = inode.reserved.borrow().at(block) {
                block += count;
                continue;
            }
            let until = inode.reserved.borrow().next_after(block).map_or(to, |next| next.min(to));
            let run = self.take_sectors(inode, block, until)?;
            block += run.count;
        }
        Ok(())
    }

    /// Takes sectors for the blocks from `block` on, at least one and at most as many as are free of
    /// sectors in the file; more than asked for if the file grows at its end.
    fn take_sectors(&self, inode: &Inode, block: u64, until: u64) -> Result<Run> {
        self.bury();
        let limit = self.next_used(inode, block);
        let mut wanted = (until - block).next_multiple_of(PAGE_BLOCKS);
        if limit == u64::MAX {
            wanted += block.min(AHEAD_BLOCKS);
        }
        let wanted = wanted.min(limit - block);
        let mut volume = self.volume();
        if let Some(sector) = sector_before(inode, block) {
            let count = volume.extend_at(sector, wanted);
            if count > 0 {
                let run = Run { sector, count };
                inode.reserved.borrow_mut().add(block, run);
                return Ok(run);
            }
        }
        let run = volume.allocate(wanted, wanted).or_else(|| volume.allocate(1, until - block));
        let run = run.ok_or(Error::NoSpace)?;
        inode.reserved.borrow_mut().add(block, run);
        Ok(run)
    }

    /// The first block behind `block` that has sectors.
    fn next_used(&self, inode: &Inode, block: u64) -> u64 {
        let spans = inode.spans.borrow();
        let extent = spans.get(spans.partition_point(|span| span.block <= block)).map(|span| span.block);
        let reserved = inode.reserved.borrow().next_after(block);
        [extent, reserved].into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// Makes extents of blocks that now hold data (or, `uninited`, shall read as zeros). The blocks have
    /// sectors: these, set aside or in an uninited extent.
    pub fn commit(self: &Rc<Self>, inode: &Inode, runs: &[(u64, Run)], uninited: bool) -> Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let mut spans = inode.spans.borrow().clone();
        for (block, run) in runs {
            let new = Span { block: *block, sector: run.sector, length: run.count, allocated: run.count, uninited };
            span::insert(&mut spans, new);
        }
        self.set_spans(inode, spans)?;
        let mut reserved = inode.reserved.borrow_mut();
        for (block, run) in runs {
            reserved.cut(*block, block + run.count);
        }
        Ok(())
    }

    /// Takes all sectors of the blocks `from..to` away: extents and reservations.
    pub fn free_blocks(self: &Rc<Self>, inode: &Inode, from: u64, to: u64) -> Result<()> {
        let mut spans = inode.spans.borrow().clone();
        let freed = span::cut(&mut spans, from, to);
        if !freed.is_empty() {
            self.set_spans(inode, spans)?;
        }
        let unused: Vec<Run> = inode.reserved.borrow_mut().cut(from, to);
        let mut volume = self.volume();
        freed.into_iter().for_each(|run| volume.release_when_written(run));
        unused.into_iter().for_each(|run| volume.release(run));
        Ok(())
    }
}

/// The sector that would continue the block before `block` on the volume.
fn sector_before(inode: &Inode, block: u64) -> Option<u64> {
    let before = block.checked_sub(1)?;
    if let Some((sector, _)) = inode.reserved.borrow().at(before) {
        return Some(sector + 1);
    }
    let spans = inode.spans.borrow();
    let span = spans.get(spans.partition_point(|span| span.block <= before).checked_sub(1)?)?;
    (span.end() == block).then_some(span.sector + span.length)
}
