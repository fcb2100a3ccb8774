//! The kernel binary: task table, wiring, boot order; nothing else.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

microkernel::entry!(main);

fn main() {}
