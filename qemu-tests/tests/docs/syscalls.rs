//! The list of system calls, from the table that dispatches them (`linux::ROWS`).

use std::fmt::Write;

use linux::{ROWS, Row, Support};
use linux_abi::sysno::NAMES;

/// Words before the list.
const HEAD: &str = "\
# System calls

This page is made from the table that dispatches them (`servers/linux/src/table/`); a test keeps it true.

- **full**: as Linux does it, for one process that is root and has no children.
- **partial**: works; the note says what is missing.
- **stub**: accepted without effect; the note says why that is right here.
- **absent**: answers an error on purpose; the note says which.

A call that is not in the first list answers `ENOSYS` and is named once on Skiff's log.

";

/// Support levels in the order of the page, with the word for each.
const LEVELS: [&str; 4] = ["full", "partial", "stub", "absent"];

fn rows() -> Vec<&'static Row> {
    let mut rows: Vec<&Row> = ROWS.iter().flat_map(|half| half.iter()).collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// The word and the note of a row.
fn words(support: Support) -> (&'static str, &'static str) {
    match support {
        Support::Full => ("full", ""),
        Support::Partial(note) => ("partial", note),
        Support::Stub(note) => ("stub", note),
        Support::Absent(note) => ("absent", note),
    }
}

fn count(level: &str) -> usize {
    rows().iter().filter(|row| words(row.support).0 == level).count()
}

/// Names that have no row.
fn without_row() -> Vec<&'static str> {
    let rows = rows();
    let known = |number: u16| rows.iter().any(|row| row.number == number);
    NAMES.iter().filter(|(number, _)| !known(*number)).map(|(_, name)| *name).collect()
}

/// How many there are of each level, in one sentence.
pub fn summary() -> String {
    let counts = LEVELS.map(|level| format!("{} {level}", count(level))).join(", ");
    format!(
        "Of the {} system calls of Linux on x86-64: {counts}, {} without a row.\n",
        NAMES.len(),
        without_row().len()
    )
}

/// The whole page.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str(&summary());
    page.push_str("\n| number | name | support | note |\n|---|---|---|---|\n");
    for row in rows() {
        let (level, note) = words(row.support);
        let note = note.replace('|', "\\|");
        writeln!(page, "| {} | {} | {level} | {note} |", row.number, row.name).expect("strings take any text");
    }
    page.push_str("\n## Without a row\n\n");
    page.push_str(&wrapped(&without_row()));
    page
}

/// Names with commas, in lines of readable length.
fn wrapped(names: &[&str]) -> String {
    const WIDTH: usize = 110;
    let mut text = String::new();
    let mut line = String::new();
    for (index, name) in names.iter().enumerate() {
        let end = if index + 1 == names.len() { "." } else { "," };
        if !line.is_empty() && line.len() + name.len() + 2 > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
        line.push_str(end);
    }
    text.push_str(&line);
    text.push('\n');
    text
}

#[test]
fn every_level_is_counted() {
    let counted: usize = LEVELS.iter().map(|level| count(level)).sum();
    assert_eq!(counted, rows().len());
    assert_eq!(counted + without_row().len(), NAMES.len());
}

#[test]
fn long_lists_are_wrapped_and_end_with_a_full_stop() {
    assert_eq!(wrapped(&["a", "b"]), "a, b.\n");
    assert!(wrapped(&["name"; 60]).lines().all(|line| line.len() <= 110));
}
