//! Trace rings: the last events of each task, for whoever looks at it, alive or dead.
//!
//! A ring exists while its task is traced and stands in the core, so that it survives the task's death until it is
//! reaped. What an event says is the task's business; the core keeps time, request id and text.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Events that a ring holds.
const EVENTS: usize = 64;
/// Longest text of an event, in bytes; the rest is cut.
pub const TEXT_BYTES: usize = 112;

/// One event.
#[derive(Clone, Copy)]
pub struct Record {
    /// Nanoseconds since boot.
    pub at_ns: u64,
    /// Request id that the event belongs to, or 0.
    pub request: u64,
    text: [u8; TEXT_BYTES],
    len: usize,
}

impl Record {
    const EMPTY: Self = Self { at_ns: 0, request: 0, text: [0; TEXT_BYTES], len: 0 };

    /// An event of now. The words are formatted here, in the task's own time, not in the core's.
    pub(crate) fn new(at_ns: u64, request: u64, what: fmt::Arguments<'_>) -> Self {
        let mut record = Self { at_ns, request, ..Self::EMPTY };
        let _ = record.write_fmt(what);
        record
    }

    /// What happened.
    pub fn text(&self) -> &str {
        let bytes = self.text.get(..self.len).unwrap_or_default();
        // The cut may have split a character.
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl Write for Record {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.text[self.len..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        Ok(())
    }
}

/// The last events of one task, oldest first once it is full.
pub(crate) struct Ring {
    records: Box<[Record]>,
    /// Events recorded so far.
    total: u64,
}

impl Ring {
    /// An empty ring. `None`: no memory.
    pub(crate) fn new() -> Option<Self> {
        let mut records = Vec::new();
        records.try_reserve_exact(EVENTS).ok()?;
        records.resize(EVENTS, Record::EMPTY);
        Some(Self { records: records.into_boxed_slice(), total: 0 })
    }

    /// Adds an event; the oldest gives way.
    pub(crate) fn push(&mut self, record: Record) {
        self.records[(self.total % EVENTS as u64) as usize] = record;
        self.total += 1;
    }

    /// The last `count` events, oldest first.
    pub(crate) fn last(&self, count: usize) -> impl Iterator<Item = &Record> {
        let held = self.total.min(EVENTS as u64).min(count as u64);
        (self.total - held..self.total).filter_map(|at| self.records.get((at % EVENTS as u64) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_in_order_and_long_words_are_cut() {
        let mut ring = Ring::new().expect("memory");
        for number in 0..EVENTS as u64 + 3 {
            ring.push(Record::new(number, number, format_args!("event {number}")));
        }
        let last: Vec<_> =
            ring.last(2).map(|record| (record.request, alloc::string::String::from(record.text()))).collect();
        assert_eq!(last, [(65, "event 65".into()), (66, "event 66".into())]);
        assert_eq!(ring.last(1000).next().map(|record| record.request), Some(3));
        ring.push(Record::new(0, 0, format_args!("{}", "ü".repeat(TEXT_BYTES))));
        assert_eq!(ring.last(1).next().map(|record| record.text().len()), Some(TEXT_BYTES));
    }

    #[test]
    fn a_ring_that_is_not_full_holds_what_was_put() {
        let mut ring = Ring::new().expect("memory");
        assert_eq!(ring.last(5).count(), 0);
        ring.push(Record::new(1, 2, format_args!("one")));
        assert_eq!(ring.last(5).map(|record| record.text().len()).sum::<usize>(), 3);
    }
}
