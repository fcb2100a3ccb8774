//! The machine on the host: plain memory, a clock that jumps, servers linked within one executor.
//!
//! [`FakeMachine`] never sleeps: when nothing is ready, time jumps to the next timer. [`loopback`] connects a
//! [`Link`](crate::Link) to a [`Service`](crate::service::Service) in the same executor, with messages encoded and decoded as in the kernel.

mod link;
mod machine;
mod memory;
mod ring;
#[cfg(test)]
mod tests;

pub use link::loopback;
pub use machine::{FakeMachine, block_on};
pub use memory::HeapMemory;
pub use ring::ring_pair;
