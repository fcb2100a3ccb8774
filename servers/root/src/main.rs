//! The kernel binary: task table, wiring, boot order; nothing else.
//!
//! Order: devices are found, instances made, servers started by importance, then the front end, which reads the
//! manifest and starts the rest. The first thread becomes the supervisor.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod drain;
mod entries;
mod entropy;
mod instances;
mod machine;
mod options;
mod ports;
mod program;
mod ring;
mod system;
mod tracing;
mod watch;

use instances::System;
use microkernel::{log, power};

microkernel::entry!(main);

/// A word on the command line that ends the VM at once: somebody asks whether it runs at all.
const PROBE: &str = "skiff.probe";
/// What the VM then ends with: QEMU's exit status is 33, which no error of QEMU itself has.
const PROBE_STATUS: u8 = 16;

fn main() {
    if microkernel::device::command_line().split_whitespace().any(|word| word == PROBE) {
        power::exit(PROBE_STATUS);
    }
    log::hold();
    seed_hash_maps();
    System::install(virtio::discover());
    watch::run()
}

/// Makes the seed that all hash maps share, before there is a second thread.
///
/// Its first user makes it while others spin: one of more importance would spin for ever in the place of the first.
fn seed_hash_maps() {
    let _seeded = hashbrown::DefaultHashBuilder::default();
}
