//! Seeds the core's generator from a virtio-rng device, once, where there is one.
//!
//! A short-lived thread of root: nobody waits for it, and a device that never answers costs only its sleep.

use crate::instances::system;
use alloc::rc::Rc;
use microkernel::channel::Memory;
use microkernel::{log, random, thread};
use rt::device::Segment;
use virtio::{KernelMemory, Kind};

const BIT: u8 = 0;
const PRIORITY: u8 = 3;
/// Random bytes asked for.
const BYTES: usize = 64;

/// Starts the thread, if there is a device.
pub fn spawn() {
    if system().inventory.devices.iter().any(|found| found.kind() == Kind::Rng) {
        thread::spawn_kernel("entropy", PRIORITY, run, 0).expect("memory at boot");
    }
}

fn run(_: usize) {
    let Some(found) = system().inventory.devices.iter().find(|found| found.kind() == Kind::Rng) else { return };
    let device = match found.open_rng(BIT) {
        Ok(device) => device,
        Err(error) => return log!("{}: {error}", found.name()),
    };
    let Some(memory) = Memory::alloc(BYTES) else { return };
    let memory = Rc::new(KernelMemory(memory));
    let segment = Segment { memory: memory.clone(), at: 0, len: BYTES };
    if let Err(error) = device.request(&segment) {
        return log!("{}: no random bytes: {error:?}", found.name());
    }
    loop {
        thread::wait_for(1 << BIT, None);
        device.acknowledge();
        if let Some((_, len)) = device.completed() {
            return seed(&memory.0, len.min(BYTES));
        }
    }
}

fn seed(memory: &Memory, len: usize) {
    for at in (0..len / 8 * 8).step_by(8) {
        let mut word = [0; 8];
        if memory.read(at, &mut word).is_ok() {
            random::add(u64::from_le_bytes(word));
        }
    }
}
