//! 9P server: serves `fs` from a folder of the host, by 9P2000.L over a virtio-9p device.
//!
//! Owns: the session, its fids, the handles given out. Calls: nobody, only its device. Called by: linux.
//! Waits: for the device's replies, in [`channel`]; nowhere else.
//!
//! Layers, bottom up: [`channel`] moves byte messages, [`slot`] holds their buffers, [`session`] makes requests
//! of them and checks the replies, [`fid`] numbers the host's files, [`walk`] finds and opens them ([`spare`]:
//! in one round trip), [`node`] remembers which handle is which file, and `ops` has one function per call of
//! the protocol.
//!
//! **Coherence.** Nothing is cached here but what an unlinked open file needs: each walk, open and getattr asks the
//! host. A node is known by its inode (`qid.path`); where a fid leads to another one by now, the call is `Stale`.
//!
//! **Trust.** Tags, types, sizes and counts of replies are checked; one bad reply makes one call `Io` and a trace
//! line. A host that lies about contents lies to the program alone.
//!
//! **Host behaviour relied on**: a directory's fid may be walked from after it was opened (QEMU; 9P itself forbids
//! that, but a handle of `fs` is both). Not relied on: that requests are carried out in the order sent, see [`walk`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod channel;
mod convert;
mod fid;
mod node;
mod ops;
mod run;
mod session;
mod slot;
mod spare;
#[cfg(test)]
mod tests;
mod walk;

pub use run::{ConnectError, Options, Server, run};
