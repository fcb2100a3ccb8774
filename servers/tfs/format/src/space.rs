//! Free sectors of a volume (FORMAT section 8). Kept in memory only: the log says what is used.

use alloc::collections::BTreeMap;
use core::ops::Bound;

/// A run of sectors of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// First sector, counted from the start of the volume.
    pub sector: u64,
    /// Number of sectors.
    pub count: u64,
}

impl Run {
    /// The sector after the last one; `None` if that is no 64-bit number.
    #[must_use]
    pub fn end(self) -> Option<u64> {
        self.sector.checked_add(self.count)
    }
}

/// Why sectors could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// They reach past the end of the volume.
    Outside,
    /// Some of them are in use already.
    Overlap,
}

/// The free runs of a volume. Runs never touch or overlap each other.
#[derive(Clone, Debug)]
pub struct Space {
    /// First sector of a free run to its length (above 0).
    free: BTreeMap<u64, u64>,
    /// Sum of the lengths.
    total: u64,
    sectors: u64,
}

impl Space {
    /// A volume of `sectors`, all free.
    #[must_use]
    pub fn new(sectors: u64) -> Self {
        let free = if sectors > 0 { BTreeMap::from([(0, sectors)]) } else { BTreeMap::new() };
        Space { free, total: sectors, sectors }
    }

    /// Free sectors.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.total
    }

    /// Sectors of the volume.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Takes exactly `run` out of the free space, or nothing.
    pub fn claim(&mut self, run: Run) -> Result<(), ClaimError> {
        let end = run.end().filter(|end| *end <= self.sectors).ok_or(ClaimError::Outside)?;
        if run.count == 0 {
            return Ok(());
        }
        let (start, count) = self.run_at(run.sector).ok_or(ClaimError::Overlap)?;
        if end > start + count {
            return Err(ClaimError::Overlap);
        }
        self.cut(start, count, run);
        Ok(())
    }

    /// Finds the first gap of at least `count` sectors and takes its beginning.
    pub fn allocate(&mut self, count: u64) -> Option<Run> {
        let (&start, &length) = self.free.iter().find(|(_, length)| **length >= count)?;
        let run = Run { sector: start, count };
        self.cut(start, length, run);
        Some(run)
    }

    /// Takes `count` sectors if a gap is that long, else the longest gap of at least `least`.
    pub fn allocate_between(&mut self, least: u64, count: u64) -> Option<Run> {
        if let Some(run) = self.allocate(count) {
            return Some(run);
        }
        let longest = self.free.values().copied().max().filter(|longest| *longest >= least)?;
        self.allocate(longest)
    }

    /// Takes up to `count` free sectors that begin exactly at `sector`; the number taken.
    pub fn extend_at(&mut self, sector: u64, count: u64) -> u64 {
        let Some((start, length)) = self.run_at(sector) else { return 0 };
        let taken = count.min(start + length - sector);
        self.cut(start, length, Run { sector, count: taken });
        taken
    }

    /// Gives sectors back. Sectors that are free already stay free and are not counted twice.
    pub fn release(&mut self, run: Run) {
        let Some(mut end) = run.end().map(|end| end.min(self.sectors)) else { return };
        let mut start = run.sector;
        if start >= end {
            return;
        }
        // Swallow every free run that touches the released one.
        while let Some((&s, &n)) = self.free.range(..=end).next_back() {
            if s + n < start {
                break;
            }
            self.free.remove(&s);
            self.total -= n;
            start = start.min(s);
            end = end.max(s + n);
        }
        self.free.insert(start, end - start);
        self.total += end - start;
    }

    /// The free run that contains `sector`.
    fn run_at(&self, sector: u64) -> Option<(u64, u64)> {
        let (&start, &count) = self.free.range((Bound::Unbounded, Bound::Included(sector))).next_back()?;
        (sector < start + count).then_some((start, count))
    }

    /// Removes `run` from the free run `start`, `count` that contains it.
    fn cut(&mut self, start: u64, count: u64, run: Run) {
        if run.count == 0 {
            return;
        }
        self.free.remove(&start);
        if run.sector > start {
            self.free.insert(start, run.sector - start);
        }
        let (end, cut_end) = (start + count, run.sector + run.count);
        if end > cut_end {
            self.free.insert(cut_end, end - cut_end);
        }
        self.total -= run.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sector: u64, count: u64) -> Run {
        Run { sector, count }
    }

    #[test]
    fn claims_outside_or_twice_are_refused() {
        let mut space = Space::new(100);
        assert_eq!(space.claim(run(10, 10)), Ok(()));
        assert_eq!(space.claim(run(19, 2)), Err(ClaimError::Overlap));
        assert_eq!(space.claim(run(5, 6)), Err(ClaimError::Overlap));
        assert_eq!(space.claim(run(99, 2)), Err(ClaimError::Outside));
        assert_eq!(space.claim(run(u64::MAX, 2)), Err(ClaimError::Outside));
        assert_eq!(space.free(), 90);
    }

    #[test]
    fn allocation_is_first_fit() {
        let mut space = Space::new(100);
        space.claim(run(4, 16)).unwrap();
        assert_eq!(space.allocate(5), Some(run(20, 5)));
        assert_eq!(space.allocate(4), Some(run(0, 4)));
        assert_eq!(space.allocate(76), None);
        assert_eq!(space.allocate_between(10, 76), Some(run(25, 75)));
        assert_eq!(space.free(), 0);
    }

    #[test]
    fn released_runs_grow_together() {
        let mut space = Space::new(100);
        space.claim(run(0, 100)).unwrap();
        space.release(run(10, 10));
        space.release(run(30, 10));
        space.release(run(15, 20));
        assert_eq!(space.free(), 30);
        assert_eq!(space.allocate(30), Some(run(10, 30)));
        space.release(run(90, 50));
        assert_eq!(space.free(), 10);
    }

    #[test]
    fn a_file_grows_in_place_as_far_as_the_gap_allows() {
        let mut space = Space::new(100);
        space.claim(run(20, 10)).unwrap();
        assert_eq!(space.extend_at(10, 50), 10);
        assert_eq!(space.extend_at(10, 1), 0);
        assert_eq!(space.free(), 80);
    }
}
