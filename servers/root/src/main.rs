//! The kernel binary: task table, wiring, boot order; nothing else.
//!
//! Order: devices are found, instances made, servers started by importance, then the front end, which reads the
//! manifest and starts the rest. The first thread stays as the watcher of all tasks.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod drain;
mod entries;
mod instances;
mod machine;
mod options;
mod ports;
mod program;
mod ring;
mod system;
mod tracing;

use instances::System;
use microkernel::thread::{self, Thread};
use microkernel::{log, power};
use protocol::control::SKIFF_FAILED;
use spin::Once;

microkernel::entry!(main);

/// Bit of the watcher: a task has died.
const DEATH_BIT: u8 = 0;
/// A word on the command line that ends the VM at once: somebody asks whether it runs at all.
const PROBE: &str = "skiff.probe";

/// What the probe ends with: QEMU makes 33 of it, which nothing else ends with by chance.
const PROBED: u8 = 16;

static WATCHER: Once<Thread> = Once::new();

/// The thread that hears of deaths.
fn watcher() -> Thread {
    WATCHER.get().expect("set before the first task").clone()
}

fn main() {
    if microkernel::device::command_line().split_whitespace().any(|word| word == PROBE) {
        power::exit(PROBED);
    }
    WATCHER.call_once(thread::current);
    let system = System::install(virtio::discover());
    for position in 0..system.servers.len() {
        instances::start(position, (watcher(), 1 << DEATH_BIT)).expect("memory at boot");
    }
    drain::spawn();
    program::spawn();
    watch(system)
}

/// Reports deaths. A server that the program needs cannot be replaced yet: the VM ends with the reason.
fn watch(system: &System) -> ! {
    loop {
        thread::wait_for(1 << DEATH_BIT, None);
        for (_, instance) in system.all() {
            let death = instance.task.lock().as_ref().and_then(microkernel::task::Task::death);
            if let Some(cause) = death {
                log::use_uart();
                log!("{} died: {cause:?}", instance.name);
                power::exit(SKIFF_FAILED);
            }
        }
    }
}
