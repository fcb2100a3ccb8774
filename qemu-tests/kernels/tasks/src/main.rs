//! In-kernel test: tasks with heaps of their own, priorities, turns, waits, and servers that die in every way.
//!
//! `deaths` has the ways to die, `faults` the few instructions that safe code cannot express.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod deaths;
mod faults;
#[path = "../../support.rs"]
mod support;
mod turns;

microkernel::entry!(main);

fn main() {
    turns::check();
    deaths::check();
    microkernel::power::exit(16)
}
