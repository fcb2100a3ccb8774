//! Transfers that begin or end inside a sector: through a page of our own, read, changed and written back.

use super::bad_lease;
use crate::disk::Buffer;
use crate::inode::Inode;
use crate::span::{self, State};
use crate::store::{Store, block_of};
use alloc::rc::Rc;
use protocol::fs::{Error, Result};
use rt::Memory;
use tfs_format::{Run, SECTOR, SECTOR_BYTES};

/// Bytes of a file within one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// First byte in the file.
    pub start: u64,
    /// Byte behind the last one, in the same block or its end.
    pub end: u64,
}

impl Edge {
    fn block(self) -> u64 {
        block_of(self.start)
    }

    /// First byte within the block.
    fn skip(self) -> usize {
        (self.start % SECTOR_BYTES) as usize
    }

    fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// The parts of `start..end` that are not whole blocks: none, one or two.
pub fn edges(start: u64, end: u64) -> impl Iterator<Item = Edge> {
    let first_whole = start.next_multiple_of(SECTOR_BYTES);
    let last_whole = end / SECTOR_BYTES * SECTOR_BYTES;
    let (head, tail) = if first_whole > last_whole {
        (Edge { start, end }, Edge { start: end, end })
    } else {
        (Edge { start, end: first_whole }, Edge { start: last_whole, end })
    };
    [head, tail].into_iter().filter(|edge| edge.start < edge.end)
}

/// The whole blocks inside `start..end`, as byte positions; empty if the first is not below the second.
pub fn whole(start: u64, end: u64) -> (u64, u64) {
    (start.next_multiple_of(SECTOR_BYTES), end / SECTOR_BYTES * SECTOR_BYTES)
}

/// What a part of a sector is filled with.
pub enum Fill<'a> {
    /// Bytes of the caller's memory from a position on.
    From(&'a Rc<dyn Memory>, usize),
    /// Zeros.
    Zeros,
}

impl Store {
    /// Reads part of the sector `sector` into the caller's memory.
    pub async fn read_edge(&self, request: u64, sector: u64, edge: Edge, to: &Buffer) -> Result<()> {
        let bounce = self.bounce(SECTOR_BYTES)?;
        self.disk.read(request, Run { sector, count: 1 }, &bounce).await?;
        to.memory.copy_from(to.at, &*bounce.memory, edge.skip(), edge.len()).map_err(bad_lease)
    }

    /// Changes part of a block of a file that has sectors (its own, or set aside). A block that held no data
    /// becomes an extent at once, so that the next edge in it finds what this one left.
    ///
    /// Waits for other edges of the file and the disk; the gate of the file keeps its sectors in place.
    pub async fn write_edge(self: &Rc<Self>, request: u64, inode: &Inode, edge: Edge, fill: Fill<'_>) -> Result<()> {
        let _alone = inode.edges.close().await;
        let block = edge.block();
        let (sector, written) = self.sector_of(inode, block)?;
        let run = Run { sector, count: 1 };
        let bounce = self.bounce(SECTOR_BYTES)?;
        // Nothing in front of the edge and the file's end behind it: the old bytes do not matter.
        let replaces_all = edge.skip() == 0 && edge.end >= inode.size.get();
        if written && !replaces_all {
            self.disk.read(request, run, &bounce).await?;
        }
        let memory = &bounce.memory;
        let grows = matches!(fill, Fill::From(..));
        match fill {
            Fill::From(from, at) => memory.copy_from(edge.skip(), &**from, at, edge.len()).map_err(bad_lease)?,
            Fill::Zeros => memory.zero(edge.skip(), edge.len()).map_err(bad_lease)?,
        }
        if edge.end >= inode.size.get() {
            let used = edge.skip() + edge.len();
            memory.zero(used, SECTOR - used).map_err(bad_lease)?;
        }
        self.disk.write(request, run, &bounce).await?;
        if !written {
            self.commit(inode, &[(block, run)], false)?;
        }
        // Before the next edge comes: it must not take these bytes for what lies behind the end.
        if grows && edge.end > inode.size.get() { self.set_size(inode, edge.end) } else { Ok(()) }
    }

    /// Zeros part of a block if it holds data.
    pub async fn zero_edge(self: &Rc<Self>, request: u64, inode: &Inode, edge: Edge) -> Result<()> {
        let stretch = span::stretches(&inode.spans.borrow(), edge.block(), edge.block() + 1);
        match stretch.first().map(|stretch| stretch.state) {
            Some(State::Written(_)) => self.write_edge(request, inode, edge, Fill::Zeros).await,
            _ => Ok(()),
        }
    }

    /// The sector of a block, and whether it holds data.
    fn sector_of(&self, inode: &Inode, block: u64) -> Result<(u64, bool)> {
        let stretch = span::stretches(&inode.spans.borrow(), block, block + 1);
        match stretch.first().map(|stretch| stretch.state) {
            Some(State::Written(sector)) => Ok((sector, true)),
            Some(State::Uninited(sector)) => Ok((sector, false)),
            _ => inode.reserved.borrow().at(block).map(|(sector, _)| (sector, false)).ok_or(Error::Io),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn edges_and_whole_blocks_make_up_the_range() {
        let parts = |start, end| edges(start, end).map(|e| (e.start, e.end)).collect::<Vec<_>>();
        assert_eq!(parts(0, 1024), vec![]);
        assert_eq!(parts(10, 20), vec![(10, 20)]);
        assert_eq!(parts(10, 512), vec![(10, 512)]);
        assert_eq!(parts(0, 100), vec![(0, 100)]);
        assert_eq!(parts(500, 1030), vec![(500, 512), (1024, 1030)]);
        assert_eq!(whole(500, 1030), (512, 1024));
        assert_eq!(parts(500, 520), vec![(500, 512), (512, 520)]);
    }
}
