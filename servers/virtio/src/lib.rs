//! Virtio devices for servers: discovery, and drivers behind the traits of `rt::device`.
//!
//! [`discover`] runs at boot and yields [`Found`] devices on MMIO and PCI; a driver task opens one and gets
//! an object that is safe, asynchronous, and good for many transfers in flight. Layers, from below:
//! `area` and `registers` (all access to shared memory and registers, unsafe inside), `ring` (the format),
//! `store` (what outlives a driver), `queue` (transfers in flight), `transport` (MMIO, PCI, old PCI), `driver`
//! (take-over, failure, reset), `device` (one file per kind). Neighbours: `microkernel::device` and `irq` below,
//! `servers/root` above. No lock is ever held: a driver may be killed at any instruction.
#![no_std]

extern crate alloc;

mod area;
mod command_line;
mod device;
mod discover;
mod driver;
#[cfg(test)]
mod fake;
mod found;
mod memory;
mod pci;
mod queue;
mod registers;
mod ring;
mod store;
mod transport;

pub use device::Kind;
pub use discover::{Inventory, discover};
pub use driver::OpenError;
pub use found::Found;
pub use memory::KernelMemory;
