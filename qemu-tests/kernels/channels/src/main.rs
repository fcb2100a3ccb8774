//! In-kernel test: calls, leases, rings, events, keep pages, with servers that end at inconvenient times.
//!
//! `server` is the server's side of the calls; the other modules each check one mechanism from the first task.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod calls;
mod chaos;
mod deaths;
mod events;
mod leases;
mod rings;
mod server;
#[path = "../../support.rs"]
mod support;

microkernel::entry!(main);

fn main() {
    calls::check();
    leases::check();
    rings::check();
    events::check();
    deaths::check();
    chaos::check();
    microkernel::power::exit(16)
}
