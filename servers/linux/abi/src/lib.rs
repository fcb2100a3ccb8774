//! The Linux x86-64 ABI as data: numbers, names, structures as bytes, flag words.
//!
//! No behaviour, no I/O, no dependency on the workspace; the front end and host tools read it. Structures are declared
//! with [`layout!`], which states each field's offset; they implement [`Layout`].
#![no_std]
#![forbid(unsafe_code)]

mod errno;
pub mod file;
mod layout;
pub mod memory;
pub mod process;
pub mod signal;
pub mod socket;
pub mod sysno;
pub mod terminal;
pub mod time;

pub use errno::Errno;
pub use layout::Layout;
