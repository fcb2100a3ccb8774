//! What the tests that need a machine are written with.
//!
//! [`vm`] boots a Linux program with imagegen and gives its streams and exit status; [`serial`] boots anything else
//! that speaks through the UART (kernels of one feature each, plain disk images); [`http`] asks a server;
//! [`build`] makes the programs and kernels; [`disk`] has an independent checker look at an image.
//!
//! Every machine has a time limit, everything lies in temporary folders, and nothing is left running.

#![forbid(unsafe_code)]

pub mod build;
pub mod disk;
pub mod http;
pub mod serial;
pub mod vm;

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;

/// The accelerator of all test machines; `SKIFF_TEST_ACCEL` chooses another.
pub fn accel() -> String {
    env::var("SKIFF_TEST_ACCEL").unwrap_or_else(|_| "tcg".to_owned())
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is above this crate")
}

/// A TCP port that nobody listens on now.
///
/// # Panics
/// When this computer has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
