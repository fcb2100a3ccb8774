//! In-kernel test: programs of a few instructions in user mode, and the front end that the core calls for them.
//!
//! `programs` has the instructions, `front_end` what is injected; the other modules each check one part of the way.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod faults;
mod front_end;
mod programs;
mod registers;
mod sharing;

microkernel::entry!(main);

fn main() {
    front_end::install();
    registers::check();
    faults::check();
    sharing::check();
    microkernel::power::exit(16)
}
