//! Booting an image in QEMU.
//!
//! [`command`] writes the command line, [`accel`] decides between KVM and TCG, [`ports`] looks whether the host's ports
//! are free, [`streams`] carries the program's bytes, [`control`] the control frames, and [`process`] starts QEMU and
//! watches it to its end.

pub mod accel;
pub mod command;
pub mod control;
pub mod ports;
pub mod process;
pub mod streams;

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Name of the emulator's program.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Finds QEMU in `PATH`. Errors: [`Error::NoQemu`].
pub fn find() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).map(|folder| folder.join(PROGRAM));
    let runnable =
        |file: &PathBuf| file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    candidates.into_iter().find(runnable).ok_or(Error::NoQemu)
}
