//! In-kernel test: boot, memory, time, and tasks that die in every way.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use microkernel::{log, power};

microkernel::entry!(main);

fn main() {
    log!("boot: up, command line {:?}", microkernel::device::command_line());
    log!("frames: {:?}", microkernel::mm::frame::stats());
    let t0 = microkernel::time::now_ns();
    microkernel::thread::wait(Some(t0 + 20_000_000));
    log!("slept {} ns, wall {}", microkernel::time::now_ns() - t0, microkernel::time::wall_ns());
    power::exit(16)
}
