//! What the front end lacks, named once each on the log, with what the program got instead.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt::{Arguments, Write};
use spin::Mutex;

/// Sentences that were said already. Bounded: a program cannot fill memory with odd requests.
#[derive(Default)]
pub(crate) struct Report {
    said: Mutex<BTreeSet<String>>,
}

/// Most different sentences.
const SENTENCES: usize = 512;

impl Report {
    /// Writes the sentence on the log unless it was there before.
    pub(crate) fn once(&self, sentence: Arguments) {
        let mut text = String::new();
        if text.write_fmt(sentence).is_err() {
            return;
        }
        let mut said = self.said.lock();
        if said.len() >= SENTENCES || said.contains(&text) {
            return;
        }
        said.insert(text.clone());
        drop(said);
        microkernel::log!("linux: {text}");
    }
}

/// Says once that something is missing: `lacking!("ioctl {request:#x}: ENOTTY")`.
macro_rules! lacking {
    ($($part:tt)*) => { $crate::process::process().report.once(format_args!($($part)*)) };
}
