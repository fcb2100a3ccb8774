//! Which tasks are traced from the start: `skiff.trace=` on the command line, then `skiff_trace` of the manifest.
//!
//! Both are lists of instance names (`tfs:/`), kinds (`tfs`) or `all`, with commas. Only the command line is known early
//! enough to show how the root volume is mounted.

use crate::instances::{Instance, system};
use crate::system::{Kind, row};
use microkernel::device;

const WORD: &str = "skiff.trace=";

fn names(list: &str, instance: &Instance) -> bool {
    // The console carries the log: tracing it into the log would never end, so it must be asked for by name.
    let all = instance.kind != Kind::Console;
    list.split(',').any(|word| word == "all" && all || word == instance.name || word == row(instance.kind).word)
}

/// Whether the command line names the instance.
pub fn wanted_at_boot(instance: &Instance) -> bool {
    let mut lists = device::command_line().split_whitespace().filter_map(|word| word.strip_prefix(WORD));
    lists.any(|list| names(list, instance))
}

/// Turns traces on for all started instances that the manifest's list names.
pub fn apply(list: &str) {
    for (_, instance) in system().all() {
        if let Some(task) = &*instance.task.lock()
            && names(list, instance)
        {
            task.set_tracing(true);
        }
    }
}
