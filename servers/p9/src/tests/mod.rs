//! The server against a small 9P2000.L host over a real temporary directory.
//!
//! [`host`] answers messages with the means of `std::fs`; [`device`] is the virtio-9p device in front of it,
//! which can carry requests out in any order and bend replies. [`bench`] joins them with a server and makes
//! calls.

mod bench;
mod calls;
mod data;
mod device;
mod edits;
mod host;
mod hostile;
mod listing;
mod qemu;
