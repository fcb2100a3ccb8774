//! What every server runs on, in the kernel and on the host alike.
//!
//! A server is safe code over four things: [`sys`] (the traits that stand for the machine: memory
//! lent and owned, rings, ports, time), [`device`] (traits of the devices), [`executor`] (async
//! handlers on the task's one thread), and [`service`] with [`link`] (the protocols' two ends). `servers/root`
//! binds the traits to the microkernel; [`fake`] binds them to plain memory for tests.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod device;
pub mod executor;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod link;
pub mod pending;
pub mod service;
pub mod sys;
pub mod trace;

pub use executor::Runtime;
pub use link::Link;
pub use pending::Pending;
pub use service::{Context, serve};
pub use sys::{Bits, Inbox, Machine, Memory, MemoryError, Outbox, Ring};
