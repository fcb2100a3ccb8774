//! Which pages of one file are held, and in what state: the page cache without any I/O.
//!
//! A page is *busy* while it is being read in (nobody has its frame), else *ready*, and then possibly *dirty* (newer than
//! the server's) or in *writing* (on its way there; it may be dirtied again meanwhile). Generic over the frame, so that it is tested on the host.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

enum Page<F> {
    Busy,
    Ready { frame: F, dirty: bool, writing: bool },
}

/// What a look at one page finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look<F> {
    /// Here it is.
    Ready(F),
    /// Somebody reads it in; wait and look again.
    Busy,
    /// It is not held.
    Missing,
}

/// The pages of one file, by index (4 KiB from the start).
pub(crate) struct Pages<F> {
    map: BTreeMap<u64, Page<F>>,
    dirty: usize,
}

impl<F> Default for Pages<F> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), dirty: 0 }
    }
}

impl<F: Clone> Pages<F> {
    /// Looks at page `index`.
    pub(crate) fn look(&self, index: u64) -> Look<F> {
        match self.map.get(&index) {
            Some(Page::Ready { frame, .. }) => Look::Ready(frame.clone()),
            Some(Page::Busy) => Look::Busy,
            None => Look::Missing,
        }
    }

    /// Whether page `index` is being read in.
    pub(crate) fn is_busy(&self, index: u64) -> bool {
        matches!(self.map.get(&index), Some(Page::Busy))
    }

    /// Makes up to `most` missing pages from `index` on busy; stops at the first that is held. Answers how many.
    pub(crate) fn claim(&mut self, index: u64, most: u64) -> u64 {
        let held = self.map.range(index..index.saturating_add(most)).next();
        let count = held.map_or(most, |(&first, _)| first - index);
        for page in index..index + count {
            self.map.insert(page, Page::Busy);
        }
        count
    }

    /// A busy page has been read in.
    pub(crate) fn filled(&mut self, index: u64, frame: F) {
        if let Some(page @ Page::Busy) = self.map.get_mut(&index) {
            *page = Page::Ready { frame, dirty: false, writing: false };
        }
    }

    /// Busy pages of a range could not be read in.
    pub(crate) fn abandon(&mut self, first: u64, count: u64) {
        for index in first..first + count {
            if matches!(self.map.get(&index), Some(Page::Busy)) {
                self.map.remove(&index);
            }
        }
    }

    /// Page `index` was written: dirty from now on, inserted with `frame` if it was not held.
    pub(crate) fn dirtied(&mut self, index: u64, frame: F) {
        let page = self.map.entry(index).or_insert(Page::Ready { frame, dirty: false, writing: false });
        if let Page::Ready { dirty, .. } = page {
            self.dirty += usize::from(!*dirty);
            *dirty = true;
        }
    }

    /// Whether page `index` is dirty: its space is reserved.
    pub(crate) fn is_dirty(&self, index: u64) -> bool {
        matches!(self.map.get(&index), Some(Page::Ready { dirty: true, .. }))
    }

    /// Dirty pages.
    pub(crate) fn dirty_count(&self) -> usize {
        self.dirty
    }

    /// Pages held.
    pub(crate) fn count(&self) -> usize {
        self.map.len()
    }

    /// Takes the first run of at most `most` dirty pages in `first..last` into writing.
    pub(crate) fn start_writing(&mut self, first: u64, last: u64, most: usize) -> Option<(u64, Vec<F>)> {
        if self.dirty == 0 {
            return None;
        }
        let mut start = None;
        let mut frames = Vec::new();
        for (&index, page) in self.map.range_mut(first..last) {
            match page {
                Page::Ready { frame, dirty, writing } if *dirty && !*writing => {
                    let begin = *start.get_or_insert(index);
                    if index != begin + frames.len() as u64 || frames.len() == most {
                        break;
                    }
                    (*dirty, *writing) = (false, true);
                    self.dirty -= 1;
                    frames.push(frame.clone());
                }
                _ if start.is_some() => break,
                _ => {}
            }
        }
        start.map(|start| (start, frames))
    }

    /// Writing of a run ended; pages that did not reach the server are dirty again.
    pub(crate) fn end_writing(&mut self, first: u64, count: usize, reached: bool) {
        for (_, page) in self.map.range_mut(first..first + count as u64) {
            if let Page::Ready { dirty, writing, .. } = page
                && *writing
            {
                *writing = false;
                if !reached && !*dirty {
                    *dirty = true;
                    self.dirty += 1;
                }
            }
        }
    }

    /// Whether a page in `first..last` is being read in or written.
    pub(crate) fn in_motion(&self, first: u64, last: u64) -> bool {
        let mut pages = self.map.range(first..last);
        pages.any(|(_, page)| matches!(page, Page::Busy | Page::Ready { writing: true, .. }))
    }

    /// Whether a page in `first..last` is being written.
    pub(crate) fn in_writing(&self, first: u64, last: u64) -> bool {
        self.map.range(first..last).any(|(_, page)| matches!(page, Page::Ready { writing: true, .. }))
    }

    /// Lets go of the ready pages in `first..last`, dirty or not; the caller has seen to it that none is in motion.
    pub(crate) fn discard(&mut self, first: u64, last: u64) {
        self.retain(|index, _, _| !(first..last).contains(&index));
    }

    /// Lets go of the clean, resting pages in `first..last`.
    pub(crate) fn discard_clean(&mut self, first: u64, last: u64) {
        self.retain(|index, dirty, _| dirty || !(first..last).contains(&index));
    }

    /// Lets go of at most `most` clean, resting pages that `unused` says nobody else has. Answers how many.
    pub(crate) fn evict(&mut self, most: usize, unused: impl Fn(&F) -> bool) -> usize {
        let mut gone = 0;
        self.retain(|_, dirty, frame| {
            let keep = dirty || gone == most || !unused(frame);
            gone += usize::from(!keep);
            keep
        });
        gone
    }

    /// Keeps busy and writing pages, and of the others those that `keep(index, dirty, frame)` wants.
    fn retain(&mut self, mut keep: impl FnMut(u64, bool, &F) -> bool) {
        let dirty_count = &mut self.dirty;
        self.map.retain(|&index, page| match page {
            Page::Busy | Page::Ready { writing: true, .. } => true,
            Page::Ready { frame, dirty, .. } => {
                let kept = keep(index, *dirty, frame);
                *dirty_count -= usize::from(!kept && *dirty);
                kept
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Pages};
    use alloc::vec;

    #[test]
    fn a_claim_stops_at_the_first_held_page() {
        let mut pages = Pages::default();
        pages.dirtied(5, 50);
        assert_eq!(pages.claim(2, 10), 3);
        assert_eq!(pages.look(4), Look::Busy);
        assert_eq!(pages.claim(5, 10), 0);
        pages.filled(2, 20);
        pages.abandon(2, 3);
        assert_eq!((pages.look(2), pages.look(3), pages.look(5)), (Look::Ready(20), Look::Missing, Look::Ready(50)));
    }

    #[test]
    fn writing_takes_contiguous_dirty_runs() {
        let mut pages = Pages::default();
        for index in [1, 2, 3, 7] {
            pages.dirtied(index, index);
        }
        assert_eq!(pages.start_writing(0, u64::MAX, 2), Some((1, vec![1, 2])));
        assert_eq!(pages.start_writing(0, u64::MAX, 9), Some((3, vec![3])));
        assert_eq!(pages.start_writing(0, u64::MAX, 9), Some((7, vec![7])));
        assert_eq!(pages.start_writing(0, u64::MAX, 9), None);
        assert!(pages.in_writing(1, 2));
        pages.end_writing(1, 2, true);
        pages.end_writing(7, 1, false);
        assert_eq!(pages.dirty_count(), 1);
        assert!(pages.is_dirty(7) && !pages.is_dirty(1));
    }

    #[test]
    fn a_page_dirtied_while_it_is_written_is_written_again() {
        let mut pages = Pages::default();
        pages.dirtied(0, 0);
        assert!(pages.start_writing(0, 1, 1).is_some());
        pages.dirtied(0, 0);
        assert_eq!(pages.start_writing(0, 1, 1), None);
        pages.end_writing(0, 1, true);
        assert!(pages.start_writing(0, 1, 1).is_some());
    }

    #[test]
    fn eviction_spares_dirty_busy_and_used_pages() {
        let mut pages = Pages::default();
        pages.dirtied(0, 0);
        assert_eq!(pages.claim(1, 3), 3);
        pages.filled(1, 1);
        pages.filled(2, 2);
        assert_eq!(pages.evict(9, |&frame| frame != 2), 1);
        assert_eq!((pages.look(1), pages.look(2), pages.look(3)), (Look::Missing, Look::Ready(2), Look::Busy));
        pages.discard(0, 3);
        assert_eq!((pages.count(), pages.dirty_count()), (1, 0));
    }
}
