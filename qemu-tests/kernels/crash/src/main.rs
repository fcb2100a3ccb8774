//! In-kernel test: a core that fails on purpose. The last word of the command line says how.
//!
//! The machine must end with a report and status 125; when this code goes on after the failure, it ends with 16.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod failures;

use microkernel::{device, log, power};

microkernel::entry!(main);

fn main() {
    match device::command_line().rsplit(' ').next() {
        Some("panic") => outer(3),
        Some("text") => failures::write_text(),
        Some("constants") => failures::write_constants(),
        Some("alias") => failures::write_text_through_the_physical_map(),
        Some("data") => failures::execute_data(),
        Some("low") => failures::read_low_memory(),
        Some("recursion") => {
            recurse(0);
        }
        other => log!("no such failure: {other:?}"),
    }
    log!("went on");
    power::exit(16)
}

/// A few frames for the backtrace.
#[inline(never)]
fn outer(depth: usize) {
    match depth {
        0 => panic!("on purpose"),
        _ => outer(core::hint::black_box(depth - 1)),
    }
    core::hint::black_box(depth);
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn recurse(depth: usize) -> usize {
    let room = core::hint::black_box([depth; 16]);
    recurse(depth + 1) + room[depth % 16]
}
