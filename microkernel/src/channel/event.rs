//! Coalescing notifications with tags: one bit per tag, so that no queue can overflow.

use crate::task::thread::Thread;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

struct Inner {
    words: Box<[AtomicU64]>,
    /// Bit n: word n (modulo 64) may have bits.
    summary: AtomicU64,
    thread: Thread,
    bits: u64,
}

/// A set of tags that were signalled; its thread is notified. Cheap to clone.
#[derive(Clone)]
pub struct EventSet(Arc<Inner>);

impl EventSet {
    /// A set for tags `0..tags`; `bits` of `thread` are notified when one is signalled.
    pub fn new(tags: usize, thread: Thread, bits: u64) -> Self {
        let _section = crate::sync::CoreSection::enter();
        let words = (0..tags.div_ceil(64).max(1)).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { words, summary: AtomicU64::new(0), thread, bits }))
    }

    /// Signals a tag. Tags beyond the set are ignored.
    pub fn signal(&self, tag: u32) {
        let index = tag as usize / 64;
        if let Some(word) = self.0.words.get(index) {
            word.fetch_or(1 << (tag % 64), Ordering::AcqRel);
            self.0.summary.fetch_or(1 << (index % 64), Ordering::AcqRel);
            self.0.thread.notify(self.0.bits);
        }
    }

    /// Takes one signalled tag.
    pub fn take(&self) -> Option<u32> {
        loop {
            let summary = self.0.summary.load(Ordering::Acquire);
            let group = summary.checked_ilog2()? as usize;
            for index in (group..self.0.words.len()).step_by(64) {
                let word = self.0.words[index].load(Ordering::Acquire);
                if word != 0 {
                    let bit = word.trailing_zeros();
                    self.0.words[index].fetch_and(!(1 << bit), Ordering::AcqRel);
                    return Some(index as u32 * 64 + bit);
                }
            }
            self.0.summary.fetch_and(!(1 << group), Ordering::AcqRel);
            // A tag may have been signalled between the look and the clearing.
            let again =
                (group..self.0.words.len()).step_by(64).any(|index| self.0.words[index].load(Ordering::Acquire) != 0);
            if again {
                self.0.summary.fetch_or(1 << group, Ordering::AcqRel);
            }
        }
    }
}
