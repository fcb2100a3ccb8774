//! Derived parts of pages: compared with what stands there, or written.
//!
//! A whole page, or what stands in a page between `<!-- NAME -->` and `<!-- end of NAME -->`.

use std::env;
use std::fs;

use qemu_tests::workspace;

use crate::{read, syscalls, tasks};

/// Writes the pages instead of comparing them.
const WRITE: &str = "SKIFF_WRITE_DOCS";

/// Makes `page` hold `wanted`, or fails with the command that does.
fn settle(page: &str, wanted: &str) {
    let path = workspace().join(page);
    if fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
        return;
    }
    if env::var_os(WRITE).is_none() {
        panic!("{page} is not up to date; run {WRITE}=1 cargo test -p qemu-tests --test docs");
    }
    fs::write(&path, wanted).unwrap_or_else(|why| panic!("{page}: {why}"));
}

/// `text` with `part` between the marks called `name`; `None` if it has no such marks.
fn with_part(text: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{part}{end}{after}"))
}

fn settle_part(page: &str, name: &str, part: &str) {
    let wanted = with_part(&read(page), name, part);
    settle(page, &wanted.unwrap_or_else(|| panic!("{page} has no marks for the part {name}")));
}

#[test]
fn the_system_call_page_is_the_front_ends_table() {
    settle("docs/SYSCALLS.md", &syscalls::page());
}

#[test]
fn the_readme_counts_the_system_calls() {
    settle_part("README.md", "system calls", &syscalls::summary());
}

#[test]
fn the_architecture_page_has_the_task_table() {
    settle_part("docs/ARCHITECTURE.md", "task table", &tasks::table());
}

#[test]
fn only_what_stands_between_the_marks_is_replaced() {
    let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
    let wanted = "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n";
    assert_eq!(with_part(page, "x", "new\n").as_deref(), Some(wanted));
    assert_eq!(with_part(page, "y", "new\n"), None);
}
