//! A node in use: what handles refer to.
//!
//! There is at most one [`Inode`] per node; whoever uses the node holds an `Rc` of it. When the last
//! one is dropped, what must happen then (give reservations back, drop an orphan) is left in the
//! [`Graveyard`], which the store clears at its next opportunity.

use crate::lock::Gate;
use crate::span::Span;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Bound;
use tfs_format::{ObjectId, Run};

/// A node in use.
pub struct Inode {
    /// Its tuple.
    pub node: ObjectId,
    /// Its inode number.
    pub number: u64,
    /// Names that lead to it; 0 for one that was removed while in use.
    pub names: Cell<u64>,
    /// Length of a file in bytes.
    pub size: Cell<u64>,
    /// Where its blocks are, as the log says.
    pub spans: RefCell<Vec<Span>>,
    /// Sectors that are set aside for blocks without any.
    pub reserved: RefCell<Reserved>,
    /// Its extents are in our form (see `Store::adopt`).
    pub adopted: Cell<bool>,
    /// The bytes behind the file's end in its last block are known to be zeros.
    pub tail_is_clean: Cell<bool>,
    /// Shared by transfers, closed by what takes blocks away.
    pub gate: Gate,
    /// Closed while part of a sector is read, changed and written back.
    pub edges: Gate,
    graveyard: Graveyard,
}

/// What is left of an inode that nobody uses any more.
pub struct Grave {
    /// The node.
    pub node: ObjectId,
    /// It has no name: node and data go too.
    pub orphan: bool,
    /// Sectors that were set aside and not used.
    pub reserved: Vec<Run>,
}

/// Where dropped inodes leave their remains.
pub type Graveyard = Rc<RefCell<Vec<Grave>>>;

impl Inode {
    /// An inode for `node`.
    pub fn new(node: ObjectId, number: u64, names: u64, size: u64, spans: Vec<Span>, graveyard: &Graveyard) -> Self {
        Inode {
            node,
            number,
            names: Cell::new(names),
            size: Cell::new(size),
            spans: RefCell::new(spans),
            reserved: RefCell::default(),
            adopted: Cell::new(false),
            tail_is_clean: Cell::new(false),
            gate: Gate::default(),
            edges: Gate::default(),
            graveyard: graveyard.clone(),
        }
    }

    /// Whether the node has lost its last name.
    pub fn is_orphan(&self) -> bool {
        self.names.get() == 0
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let grave = Grave {
            node: self.node,
            orphan: self.is_orphan(),
            reserved: self.reserved.get_mut().cut(0, u64::MAX),
        };
        self.graveyard.borrow_mut().push(grave);
    }
}

/// Sectors set aside for blocks of a file: in memory only, free again after a restart.
#[derive(Default)]
pub struct Reserved(BTreeMap<u64, Run>);

impl Reserved {
    /// Sets sectors aside for the blocks from `block` on, which have none.
    pub fn add(&mut self, block: u64, run: Run) {
        self.0.insert(block, run);
    }

    /// The sectors for `block`: the first one, and for how many blocks they last.
    pub fn at(&self, block: u64) -> Option<(u64, u64)> {
        let (start, run) = self.0.range(..=block).next_back()?;
        let skip = block - start;
        (skip < run.count).then(|| (run.sector + skip, run.count - skip))
    }

    /// The first block behind `block` for which sectors are set aside.
    pub fn next_after(&self, block: u64) -> Option<u64> {
        self.0.range((Bound::Excluded(block), Bound::Unbounded)).next().map(|(start, _)| *start)
    }

    /// Takes the sectors of the blocks `from..to` out.
    pub fn cut(&mut self, from: u64, to: u64) -> Vec<Run> {
        let before = self.0.range(..from).next_back().map(|(start, _)| *start);
        let inside = self.0.range(from..to.max(from)).map(|(start, _)| *start);
        let touched: Vec<u64> = before.into_iter().chain(inside).collect();
        let mut taken = Vec::new();
        for start in touched {
            let Some(run) = self.0.remove(&start) else { continue };
            let end = start.saturating_add(run.count);
            let (cut_start, cut_end) = (start.max(from), end.min(to));
            if cut_start >= cut_end {
                self.0.insert(start, run);
                continue;
            }
            if cut_start > start {
                self.0.insert(start, Run { sector: run.sector, count: cut_start - start });
            }
            if end > cut_end {
                self.0.insert(cut_end, Run { sector: run.sector + (cut_end - start), count: end - cut_end });
            }
            taken.push(Run { sector: run.sector + (cut_start - start), count: cut_end - cut_start });
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_reservation_is_used_up_piece_by_piece() {
        let mut reserved = Reserved::default();
        reserved.add(10, Run { sector: 100, count: 10 });
        assert_eq!(reserved.at(9), None);
        assert_eq!(reserved.at(15), Some((105, 5)));
        assert_eq!(reserved.cut(12, 14), vec![Run { sector: 102, count: 2 }]);
        assert_eq!(reserved.at(12), None);
        assert_eq!(reserved.at(11), Some((101, 1)));
        assert_eq!(reserved.at(14), Some((104, 6)));
        assert_eq!(reserved.next_after(11), Some(14));
        let rest = reserved.cut(0, u64::MAX);
        assert_eq!(rest, vec![Run { sector: 100, count: 2 }, Run { sector: 104, count: 6 }]);
    }
}
