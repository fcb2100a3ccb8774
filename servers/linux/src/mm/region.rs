//! One mapping: a range of pages with one protection and one backing.

use super::MappedFile;
use alloc::sync::Arc;
use linux_abi::memory::Prot;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Where the contents of a region come from.
#[derive(Clone)]
pub(crate) enum Backing {
    /// Zeros, private to the region.
    Anonymous,
    /// Pages of a file, from page `first` on.
    File {
        /// The file.
        file: Arc<dyn MappedFile>,
        /// Its page at the start of the region.
        first: u64,
    },
}

/// What `/proc/self/maps` calls a region without a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// Nothing.
    None,
    /// `[heap]`.
    Heap,
    /// `[stack]`.
    Stack,
}

/// A mapping. Invariant: `start < end`, both multiples of [`PAGE`].
#[derive(Clone)]
pub(crate) struct Region {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What the program may do.
    pub prot: Prot,
    /// Changes go to the backing and are seen by others.
    pub shared: bool,
    /// `PROT_WRITE` may be given (false for a shared mapping of a file opened for reading).
    pub may_write: bool,
    /// Grows towards lower addresses when touched below.
    pub grows_down: bool,
    /// Under mlock.
    pub locked: bool,
    /// Counts towards memory that may be needed (private, writable, reserved).
    pub accounted: bool,
    /// Contents.
    pub backing: Backing,
    /// Name without a file.
    pub label: Label,
}

impl Region {
    /// A private anonymous region.
    pub(crate) fn anonymous(start: u64, end: u64, prot: Prot) -> Self {
        Self {
            start,
            end,
            prot,
            shared: false,
            may_write: true,
            grows_down: false,
            locked: false,
            accounted: prot.contains(Prot::WRITE),
            backing: Backing::Anonymous,
            label: Label::None,
        }
    }

    /// Bytes.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether `addr` lies inside.
    pub(crate) fn contains(&self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Page of the file at `addr`, for a region with a file.
    pub(crate) fn file_page(&self, addr: u64) -> Option<(&Arc<dyn MappedFile>, u64)> {
        match &self.backing {
            Backing::Anonymous => None,
            Backing::File { file, first } => Some((file, first + addr.checked_sub(self.start)? / PAGE)),
        }
    }

    /// Cuts the region in two at `at`, which must lie strictly inside; keeps the lower part.
    pub(crate) fn split_off(&mut self, at: u64) -> Self {
        let mut upper = self.clone();
        if let Backing::File { first, .. } = &mut upper.backing {
            *first += (at - self.start) / PAGE;
        }
        upper.start = at;
        self.end = at;
        upper
    }

    /// Whether `next` continues this region in every respect.
    pub(crate) fn continues_in(&self, next: &Self) -> bool {
        let same_backing = match (&self.backing, &next.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::File { file, first }, Backing::File { file: next_file, first: next_first }) => {
                Arc::ptr_eq(file, next_file) && first + self.len() / PAGE == *next_first
            }
            _ => false,
        };
        same_backing
            && self.end == next.start
            && self.prot == next.prot
            && self.shared == next.shared
            && self.may_write == next.may_write
            && self.grows_down == next.grows_down
            && self.locked == next.locked
            && self.accounted == next.accounted
            && self.label == next.label
    }
}
