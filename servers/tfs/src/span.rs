//! Where the blocks of a file are: a sorted list of [`Span`]s and the operations on it, without I/O.
//!
//! A block is 512 bytes of the file. Spans never overlap in the file; `allocated` may exceed `length`: other
//! tools leave spare sectors behind a span. [`take_spares`] makes them a reservation before a file is changed.

use alloc::vec::Vec;
use tfs_format::{Extent, Run};

/// A run of a file's blocks on the volume; an extent without its tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First block of the file.
    pub block: u64,
    /// First sector on the volume.
    pub sector: u64,
    /// Blocks, above 0.
    pub length: u64,
    /// Sectors reserved from `sector`, at least `length`.
    pub allocated: u64,
    /// Reads as zeros.
    pub uninited: bool,
}

impl From<Extent> for Span {
    fn from(e: Extent) -> Self {
        Span { block: e.block, sector: e.sector, length: e.length, allocated: e.allocated, uninited: e.uninited }
    }
}

impl Span {
    /// The block behind the last one.
    pub fn end(&self) -> u64 {
        self.block.saturating_add(self.length)
    }

    /// Whether `next` goes on where this one ends, in the file and on the volume.
    fn joins(&self, next: &Span) -> bool {
        self.end() == next.block
            && self.sector + self.length == next.sector
            && !self.uninited
            && !next.uninited
    }
}

/// What a run of blocks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Data on the volume.
    Written(u64),
    /// Has sectors, reads as zeros.
    Uninited(u64),
    /// No sectors.
    Hole,
}

/// A run of blocks with one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First block.
    pub block: u64,
    /// Blocks.
    pub count: u64,
    /// What they are; sectors are those of the first block.
    pub state: State,
}

/// Index of the first span that ends behind `block`.
fn first_behind(spans: &[Span], block: u64) -> usize {
    spans.partition_point(|span| span.end() <= block)
}

/// Splits the blocks `from..to` into stretches.
pub fn stretches(spans: &[Span], from: u64, to: u64) -> Vec<Stretch> {
    let mut result = Vec::new();
    let mut at = from;
    for span in spans.get(first_behind(spans, from)..).unwrap_or(&[]) {
        if at >= to || span.block >= to {
            break;
        }
        if span.block > at {
            result.push(Stretch { block: at, count: span.block - at, state: State::Hole });
            at = span.block;
        }
        let count = span.end().min(to) - at;
        let sector = span.sector + (at - span.block);
        let state = if span.uninited { State::Uninited(sector) } else { State::Written(sector) };
        result.push(Stretch { block: at, count, state });
        at += count;
    }
    if at < to {
        result.push(Stretch { block: at, count: to - at, state: State::Hole });
    }
    result
}

/// Separates the spare sectors behind all spans from them: the block that each spare could hold first,
/// and its sectors.
pub fn take_spares(spans: &mut [Span]) -> Vec<(u64, Run)> {
    let mut spares = Vec::new();
    for span in spans {
        let count = span.allocated - span.length;
        if count > 0 {
            spares.push((span.end(), Run { sector: span.sector + span.length, count }));
            span.allocated = span.length;
        }
    }
    spares
}

/// Takes the blocks `from..to` out of the file. Returns the sectors that they had; spare sectors
/// behind the last block of a span go with it.
pub fn cut(spans: &mut Vec<Span>, from: u64, to: u64) -> Vec<Run> {
    let mut freed = Vec::new();
    let mut kept = Vec::with_capacity(spans.len() + 1);
    for span in spans.drain(..) {
        let (start, end) = (span.block.max(from), span.end().min(to));
        if start >= end {
            kept.push(span);
            continue;
        }
        let head = start - span.block;
        let tail = span.end() - end;
        if head > 0 {
            kept.push(Span { length: head, allocated: head, ..span });
        }
        let cut_end = if tail > 0 { end - span.block } else { span.allocated };
        freed.push(Run { sector: span.sector + head, count: cut_end - head });
        if tail > 0 {
            let skip = end - span.block;
            kept.push(Span {
                block: end,
                sector: span.sector + skip,
                length: tail,
                allocated: span.allocated - skip,
                uninited: span.uninited,
            });
        }
    }
    *spans = kept;
    freed
}

/// Gives the blocks of `new` their sectors, replacing what stood there (on the same sectors, or a hole).
pub fn insert(spans: &mut Vec<Span>, mut new: Span) {
    for run in cut(spans, new.block, new.end()) {
        // Spare sectors behind a span that is replaced stay behind it.
        if run.sector <= new.sector && run.sector + run.count > new.sector + new.allocated {
            new.allocated = run.sector + run.count - new.sector;
        }
    }
    let mut at = spans.partition_point(|span| span.block < new.block);
    if let Some(before) = at.checked_sub(1).and_then(|i| spans.get(i)).copied()
        && before.joins(&new)
    {
        at -= 1;
        spans.remove(at);
        let length = before.length + new.length;
        let allocated = before.allocated.max(before.length + new.allocated);
        new = Span { length, allocated, ..before };
    }
    if let Some(after) = spans.get(at).copied()
        && new.joins(&after)
    {
        spans.remove(at);
        let allocated = new.length + after.allocated;
        new = Span { length: new.length + after.length, allocated, ..new };
    }
    spans.insert(at, new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn span(block: u64, sector: u64, length: u64) -> Span {
        Span { block, sector, length, allocated: length, uninited: false }
    }

    #[test]
    fn neighbours_in_file_and_volume_become_one() {
        let mut spans = Vec::new();
        insert(&mut spans, span(0, 100, 8));
        insert(&mut spans, span(16, 116, 8));
        insert(&mut spans, span(8, 108, 8));
        assert_eq!(spans, vec![span(0, 100, 24)]);
        insert(&mut spans, span(4, 104, 2));
        assert_eq!(spans, vec![span(0, 100, 24)]);
    }

    #[test]
    fn spare_sectors_become_room_for_an_append() {
        let mut spans = vec![Span { allocated: 16, ..span(0, 100, 8) }];
        assert_eq!(take_spares(&mut spans), vec![(8, Run { sector: 108, count: 8 })]);
        insert(&mut spans, span(8, 108, 2));
        assert_eq!(spans, vec![span(0, 100, 10)]);
        assert_eq!(take_spares(&mut spans), vec![]);
    }

    #[test]
    fn a_write_into_an_uninited_span_splits_it() {
        let whole = Span { uninited: true, allocated: 40, ..span(0, 100, 30) };
        let mut spans = vec![whole];
        insert(&mut spans, span(10, 110, 10));
        let head = Span { uninited: true, ..span(0, 100, 10) };
        let tail = Span { uninited: true, allocated: 20, ..span(20, 120, 10) };
        assert_eq!(spans, vec![head, span(10, 110, 10), tail]);
        insert(&mut spans, span(20, 120, 10));
        assert_eq!(spans, vec![head, Span { allocated: 30, ..span(10, 110, 20) }]);
    }

    #[test]
    fn cutting_frees_sectors_and_spare() {
        let mut spans = vec![span(0, 100, 10), Span { allocated: 20, ..span(20, 200, 10) }];
        assert_eq!(cut(&mut spans, 5, 25), vec![Run { sector: 105, count: 5 }, Run { sector: 200, count: 5 }]);
        assert_eq!(spans, vec![span(0, 100, 5), Span { allocated: 15, ..span(25, 205, 5) }]);
        assert_eq!(cut(&mut spans, 6, u64::MAX), vec![Run { sector: 205, count: 15 }]);
    }

    #[test]
    fn stretches_cover_the_range_without_gaps() {
        let spans = vec![span(2, 100, 2), Span { uninited: true, ..span(6, 200, 4) }];
        let found: Vec<_> = stretches(&spans, 1, 12).iter().map(|s| (s.block, s.count, s.state)).collect();
        assert_eq!(
            found,
            vec![
                (1, 1, State::Hole),
                (2, 2, State::Written(100)),
                (4, 2, State::Hole),
                (6, 4, State::Uninited(200)),
                (10, 2, State::Hole),
            ]
        );
    }
}
