//! The system call table: one row per number that the front end knows, and how much of it there is.
//!
//! The rows stand in [`process`] and [`files`]; the README's list is made from [`ROWS`]. Numbers without a row
//! answer `ENOSYS` and are named once on the log.

use crate::context::{Context, SysResult};
use crate::syscall::absent;
use linux_abi::sysno;

pub(crate) mod files;
pub(crate) mod process;

/// How much of a call there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As Linux does it.
    Full,
    /// What is missing, in a few words.
    Partial(&'static str),
    /// Accepted without effect, and why that is right here.
    Stub(&'static str),
    /// Answers an error on purpose, and which.
    Absent(&'static str),
}

/// A handler with its arguments still in registers.
pub(crate) type Entry = fn(&mut Context) -> SysResult;

/// One system call.
pub struct Row {
    /// Number in `rax`.
    pub number: u16,
    /// Name as in the man pages.
    pub name: &'static str,
    /// How much of it there is.
    pub support: Support,
    pub(crate) entry: Entry,
}

/// `row!(0, read, read_write::read, Full)`: number, name, handler, support.
macro_rules! row {
    ($number:literal, $name:ident, $handler:path, $support:expr) => {
        $crate::table::Row {
            number: $number,
            name: stringify!($name),
            support: $support,
            entry: |cx| $crate::context::Handler::invoke($handler, cx),
        }
    };
}
pub(crate) use row;

/// Both halves of the table; each is sorted by number.
pub const ROWS: [&[Row]; 2] = [process::ROWS, files::ROWS];

/// Entries by number.
pub(crate) static DISPATCH: [Entry; sysno::COUNT] = dense();

const fn dense() -> [Entry; sysno::COUNT] {
    let mut entries: [Entry; sysno::COUNT] = [absent; sysno::COUNT];
    let mut half = 0;
    while half < ROWS.len() {
        let rows = ROWS[half];
        let mut at = 0;
        while at < rows.len() {
            entries[rows[at].number as usize] = rows[at].entry;
            at += 1;
        }
        half += 1;
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::ROWS;
    use linux_abi::sysno;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_its_linux_name_and_no_number_comes_twice() {
        let mut seen = BTreeSet::new();
        for row in ROWS.iter().flat_map(|half| half.iter()) {
            assert_eq!(sysno::name(u64::from(row.number)), Some(row.name));
            assert!(seen.insert(row.number), "{} comes twice", row.name);
        }
    }

    #[test]
    fn rows_ascend_within_each_half() {
        for half in ROWS {
            assert!(half.windows(2).all(|pair| pair[0].number < pair[1].number));
        }
    }
}
