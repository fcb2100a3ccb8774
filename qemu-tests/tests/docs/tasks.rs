//! The task table, read from its source: `servers/root` builds for the bare machine only, so no test can link it.
//!
//! Knows just enough of the language for `servers/root/src/system.rs`: one `field: value,` per line, products, and lists
//! of `Kind::X`.

use std::fmt::Write;

use crate::read;

const SOURCE: &str = "servers/root/src/system.rs";

/// The value of `field` in a row's text.
fn value<'a>(row: &'a str, field: &str) -> &'a str {
    let line = row.lines().find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(": "));
    line.and_then(|words| words.strip_suffix(',')).unwrap_or_else(|| panic!("{SOURCE}: a row without {field}"))
}

/// A size in bytes as people write it: `4 * MIB` becomes `4 MiB`.
fn size(value: &str) -> String {
    match value.trim_start_matches("1 * ") {
        "0" => "none".to_owned(),
        "MIB" => "1 MiB".to_owned(),
        "KIB" => "1 KiB".to_owned(),
        product => product.replace(" * MIB", " MiB").replace(" * KIB", " KiB"),
    }
}

fn calls(value: &str) -> String {
    let list = value.trim_start_matches("&[").trim_end_matches(']').replace("Kind::", "").to_lowercase();
    if list.is_empty() { "nobody".to_owned() } else { list }
}

fn on_death(value: &str) -> &'static str {
    match value {
        "Restart::Anew" => "started anew",
        "Restart::EndVm" => "the VM ends",
        other => panic!("{SOURCE}: unknown policy {other}"),
    }
}

/// One line per task, most important first.
pub fn table() -> String {
    let source = read(SOURCE);
    let rows = source.split_once("pub const TABLE").expect("the table is there").1;
    let rows = rows.split_once("];\n").expect("the table has an end").0;
    let mut rows: Vec<&str> = rows.split("    Row {").skip(1).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(value(row, "priority").parse::<u8>().expect("priorities are numbers")));
    let mut table = String::from(
        "| task | priority | queue | heap at most | stack | keep pages | may call | on death |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let cells = [
            value(row, "word").trim_matches('"').to_owned(),
            value(row, "priority").to_owned(),
            value(row, "depth").to_owned(),
            size(value(row, "heap_bytes")),
            size(value(row, "stack_bytes")),
            size(value(row, "keep_bytes")),
            calls(value(row, "calls")),
            on_death(value(row, "restart")).to_owned(),
        ];
        writeln!(table, "| {} |", cells.join(" | ")).expect("strings take any text");
    }
    table
}

#[test]
fn sizes_and_lists_read_as_people_write_them() {
    assert_eq!([size("4 * MIB"), size("MIB"), size("64 * KIB"), size("0")], ["4 MiB", "1 MiB", "64 KiB", "none"]);
    assert_eq!([calls("&[Kind::Block, Kind::P9]"), calls("&[]")], ["block, p9", "nobody"]);
}
