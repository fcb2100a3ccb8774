//! The set of regions: lookup, free ranges, cutting and joining. Pure; knows no page tables.

use super::region::Region;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// All regions, by start. Invariant: they do not overlap.
#[derive(Default)]
pub(crate) struct Regions {
    by_start: BTreeMap<u64, Region>,
    bytes: u64,
}

impl Regions {
    /// Number of regions (`/proc/sys/vm/max_map_count` bounds it).
    pub(crate) fn count(&self) -> usize {
        self.by_start.len()
    }

    /// Bytes mapped.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All regions, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.by_start.values()
    }

    /// The region that holds `addr`.
    pub(crate) fn find(&self, addr: u64) -> Option<&Region> {
        self.by_start.range(..=addr).next_back().map(|(_, region)| region).filter(|region| region.contains(addr))
    }

    /// The first region that ends behind `addr`: the one that holds it, or the next one above.
    pub(crate) fn at_or_above(&self, addr: u64) -> Option<&Region> {
        self.find(addr).or_else(|| self.by_start.range(addr..).next().map(|(_, region)| region))
    }

    /// The last region that starts below `addr`.
    pub(crate) fn below(&self, addr: u64) -> Option<&Region> {
        self.by_start.range(..addr).next_back().map(|(_, region)| region)
    }

    /// Regions that touch `start..end`, ascending.
    pub(crate) fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &Region> {
        let first = self.find(start).map_or(start, |region| region.start);
        self.by_start.range(first..end.max(first)).map(|(_, region)| region)
    }

    /// Whether no region touches `start..end`.
    pub(crate) fn is_free(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end).next().is_none()
    }

    /// Highest free range of `len` bytes inside `bottom..top`, keeping `guard` bytes below regions that grow down.
    pub(crate) fn find_free_below(&self, len: u64, bottom: u64, top: u64, guard: u64) -> Option<u64> {
        let mut ceiling = top;
        for region in self.by_start.range(..top).rev().map(|(_, region)| region) {
            if region.end <= ceiling && ceiling - region.end >= len {
                break;
            }
            let floor = if region.grows_down { region.start.saturating_sub(guard) } else { region.start };
            ceiling = ceiling.min(floor);
            if ceiling <= bottom {
                return None;
            }
        }
        ceiling.checked_sub(len).filter(|&start| start >= bottom)
    }

    /// Lowest free range of `len` bytes inside `bottom..top`.
    pub(crate) fn find_free_above(&self, len: u64, bottom: u64, top: u64) -> Option<u64> {
        let mut floor = bottom;
        for region in self.overlapping(bottom, top) {
            if region.start.saturating_sub(floor) >= len {
                break;
            }
            floor = floor.max(region.end);
        }
        floor.checked_add(len).filter(|&end| end <= top).map(|_| floor)
    }

    /// Adds a region, joining it with neighbours that it continues. The range must be free.
    pub(crate) fn insert(&mut self, region: Region) {
        self.bytes += region.len();
        let start = region.start;
        self.by_start.insert(start, region);
        self.join(start);
    }

    /// Takes everything out of `start..end`, handing the pieces to `taken`, ascending.
    pub(crate) fn remove(&mut self, start: u64, end: u64, mut taken: impl FnMut(Region)) {
        if start >= end {
            return;
        }
        self.cut(start);
        self.cut(end);
        while let Some((&at, _)) = self.by_start.range(start..end).next() {
            let Some(region) = self.by_start.remove(&at) else { return };
            self.bytes -= region.len();
            taken(region);
        }
    }

    /// Bytes of `start..end` that are mapped.
    pub(crate) fn bytes_in(&self, start: u64, end: u64) -> u64 {
        self.overlapping(start, end).map(|region| region.end.min(end) - region.start.max(start)).sum()
    }

    /// Changes every region piece inside `start..end`, then joins what became equal.
    pub(crate) fn update(&mut self, start: u64, end: u64, mut change: impl FnMut(&mut Region)) {
        if start >= end {
            return;
        }
        self.cut(start);
        self.cut(end);
        let starts: Vec<u64> = self.by_start.range(start..end).map(|(&start, _)| start).collect();
        for start in &starts {
            if let Some(region) = self.by_start.get_mut(start) {
                change(region);
            }
        }
        for start in starts {
            self.join(start);
        }
        self.join(end);
    }

    /// Moves the start of the region at `start` down to `to`; the range between must be free.
    pub(crate) fn grow_down(&mut self, start: u64, to: u64) {
        if let Some(mut region) = self.by_start.remove(&start) {
            self.bytes += start - to;
            region.start = to;
            self.by_start.insert(to, region);
        }
    }

    /// Whether `start..end` is mapped without a hole.
    pub(crate) fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        for region in self.overlapping(start, end) {
            if region.start > at {
                return false;
            }
            at = region.end;
        }
        at >= end
    }

    /// Splits the region that has `at` strictly inside.
    fn cut(&mut self, at: u64) {
        let Some(start) = self.find(at).map(|region| region.start).filter(|&start| start < at) else { return };
        if let Some(upper) = self.by_start.get_mut(&start).map(|region| region.split_off(at)) {
            self.by_start.insert(at, upper);
        }
    }

    /// Joins the region at `start` with its neighbours where they continue each other.
    fn join(&mut self, start: u64) {
        let Some(region) = self.by_start.get(&start) else { return };
        let mut start = start;
        if let Some(before) = self.below(start).filter(|before| before.continues_in(region)).map(|before| before.start)
        {
            self.absorb(before, start);
            start = before;
        }
        let Some(region) = self.by_start.get(&start) else { return };
        let end = region.end;
        if self.by_start.get(&end).is_some_and(|next| region.continues_in(next)) {
            self.absorb(start, end);
        }
    }

    fn absorb(&mut self, lower: u64, upper: u64) {
        if let Some(upper) = self.by_start.remove(&upper)
            && let Some(lower) = self.by_start.get_mut(&lower)
        {
            lower.end = upper.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::region::{PAGE, Region};
    use super::Regions;
    use linux_abi::memory::Prot;
    use std::vec::Vec;

    fn pages(start: u64, end: u64, prot: Prot) -> Region {
        Region::anonymous(start * PAGE, end * PAGE, prot)
    }

    fn bounds(regions: &Regions) -> Vec<(u64, u64)> {
        regions.iter().map(|region| (region.start / PAGE, region.end / PAGE)).collect()
    }

    #[test]
    fn equal_neighbours_join_and_different_ones_do_not() {
        let mut regions = Regions::default();
        regions.insert(pages(1, 2, Prot::READ));
        regions.insert(pages(3, 4, Prot::READ));
        regions.insert(pages(2, 3, Prot::READ));
        assert_eq!(bounds(&regions), [(1, 4)]);
        regions.insert(pages(4, 5, Prot::WRITE));
        assert_eq!(bounds(&regions), [(1, 4), (4, 5)]);
        assert_eq!(regions.bytes(), 4 * PAGE);
    }

    #[test]
    fn removing_the_middle_leaves_both_ends() {
        let mut regions = Regions::default();
        regions.insert(pages(0, 10, Prot::READ));
        let mut taken = Vec::new();
        regions.remove(3 * PAGE, 5 * PAGE, |region| taken.push(region.len()));
        assert_eq!(taken, [2 * PAGE]);
        assert_eq!(bounds(&regions), [(0, 3), (5, 10)]);
        assert_eq!(regions.bytes(), 8 * PAGE);
    }

    #[test]
    fn a_change_that_is_undone_joins_again() {
        let mut regions = Regions::default();
        regions.insert(pages(0, 10, Prot::READ));
        regions.update(3 * PAGE, 5 * PAGE, |region| region.prot = Prot::empty());
        assert_eq!(bounds(&regions), [(0, 3), (3, 5), (5, 10)]);
        regions.update(3 * PAGE, 5 * PAGE, |region| region.prot = Prot::READ);
        assert_eq!(bounds(&regions), [(0, 10)]);
    }

    #[test]
    fn free_ranges_are_found_from_the_top_and_from_the_bottom() {
        let mut regions = Regions::default();
        regions.insert(pages(10, 20, Prot::READ));
        regions.insert(pages(25, 30, Prot::READ));
        let below = |len, top| regions.find_free_below(len * PAGE, PAGE, top * PAGE, 0).map(|start| start / PAGE);
        assert_eq!(below(5, 30), Some(20));
        assert_eq!(below(6, 30), Some(4));
        assert_eq!(below(9, 30), Some(1));
        assert_eq!(below(10, 30), None);
        assert_eq!(below(3, 40), Some(37));
        assert_eq!(below(5, 28), Some(20));
        assert_eq!(regions.find_free_above(5 * PAGE, 12 * PAGE, 40 * PAGE), Some(20 * PAGE));
        assert_eq!(regions.find_free_above(6 * PAGE, 12 * PAGE, 40 * PAGE), Some(30 * PAGE));
        assert_eq!(regions.find_free_above(11 * PAGE, 12 * PAGE, 40 * PAGE), None);
    }

    #[test]
    fn room_is_kept_below_a_region_that_grows_down() {
        let mut regions = Regions::default();
        let mut stack = pages(100, 110, Prot::READ);
        stack.grows_down = true;
        regions.insert(stack);
        assert_eq!(regions.find_free_below(PAGE, PAGE, 105 * PAGE, 10 * PAGE), Some(89 * PAGE));
    }

    #[test]
    fn a_range_that_ends_before_it_starts_changes_nothing() {
        let mut regions = Regions::default();
        regions.insert(pages(0, 10, Prot::READ));
        regions.remove(5 * PAGE, 3 * PAGE, |_| unreachable!("nothing lies in there"));
        regions.update(5 * PAGE, 5 * PAGE, |_| unreachable!("nothing lies in there"));
        assert_eq!(bounds(&regions), [(0, 10)]);
        assert!(regions.is_free(20 * PAGE, 15 * PAGE));
    }

    #[test]
    fn a_hole_breaks_coverage() {
        let mut regions = Regions::default();
        regions.insert(pages(0, 2, Prot::READ));
        regions.insert(pages(2, 4, Prot::WRITE));
        regions.insert(pages(5, 6, Prot::READ));
        assert!(regions.covers(PAGE, 4 * PAGE));
        assert!(!regions.covers(PAGE, 6 * PAGE));
        assert!(!regions.covers(6 * PAGE, 7 * PAGE));
    }
}
