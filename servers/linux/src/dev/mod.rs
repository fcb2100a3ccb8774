//! `/dev`: null, zero, full, random, the standard streams, and links to descriptors.

mod console;
mod memory;

use crate::fs::Files;
use crate::fs::description::{File, OpenFile};
use crate::fs::names::{Dentry, Place};
use crate::fs::node::{Kind, Node, Result};
use crate::fs::synthetic::{self, Item};
use crate::process::process;
use alloc::sync::Arc;
use console::ConsoleFile;
use linux_abi::Errno;
use linux_abi::file::OpenFlags;
use memory::Memory;
use protocol::console::Stream;

/// `DEVTMPFS` shows tmpfs's number (statfs(2)).
const MAGIC: u32 = 0x0102_1994;
/// Device number of the volume.
const DEVICE: u64 = 5;

const fn number(major: u64, minor: u64) -> u64 {
    major << 8 | minor
}

const NULL: u64 = number(1, 3);
const ZERO: u64 = number(1, 5);
const FULL: u64 = number(1, 7);
const RANDOM: u64 = number(1, 8);
const URANDOM: u64 = number(1, 9);
const CONSOLE: u64 = number(5, 1);

static ROOT: Item = Item::Directory(&[
    ("null", Item::Device(NULL, || Ok(Arc::new(Memory::Null)))),
    ("zero", Item::Device(ZERO, || Ok(Arc::new(Memory::Zero)))),
    ("full", Item::Device(FULL, || Ok(Arc::new(Memory::Full)))),
    ("random", Item::Device(RANDOM, || Ok(Arc::new(Memory::Random)))),
    ("urandom", Item::Device(URANDOM, || Ok(Arc::new(Memory::Random)))),
    ("console", Item::Device(CONSOLE, || Ok(ConsoleFile::both()))),
    ("fd", Item::Link(|_| Ok(b"/proc/self/fd".to_vec()))),
    ("stdin", Item::Link(|_| Ok(b"/proc/self/fd/0".to_vec()))),
    ("stdout", Item::Link(|_| Ok(b"/proc/self/fd/1".to_vec()))),
    ("stderr", Item::Link(|_| Ok(b"/proc/self/fd/2".to_vec()))),
    ("shm", Item::Directory(&[])),
]);

/// The root of `/dev`.
pub(crate) fn root() -> Arc<dyn Node> {
    synthetic::root(DEVICE, "devtmpfs", MAGIC, &ROOT)
}

/// Opens a device by number, for a device node on some other volume. Errors: `ENXIO`.
pub(crate) fn open_number(rdev: u64) -> Result<Arc<dyn File>> {
    match rdev {
        NULL => Ok(Arc::new(Memory::Null)),
        ZERO => Ok(Arc::new(Memory::Zero)),
        FULL => Ok(Arc::new(Memory::Full)),
        RANDOM | URANDOM => Ok(Arc::new(Memory::Random)),
        CONSOLE => Ok(ConsoleFile::both()),
        _ => Err(Errno::ENXIO),
    }
}

/// Puts the standard streams under 0, 1 and 2.
pub(crate) fn open_standard_streams(files: &Files) -> Result<()> {
    let place = console_place()?;
    let streams = [
        (ConsoleFile::input(&files.console), OpenFlags::empty()),
        (ConsoleFile::output(&files.console, Stream::Stdout), OpenFlags::WRITE_ONLY),
        (ConsoleFile::output(&files.console, Stream::Stderr), OpenFlags::WRITE_ONLY),
    ];
    for (fd, (file, flags)) in streams.into_iter().enumerate() {
        let open = OpenFile::new(file, flags | OpenFlags::LARGE_FILE, Some(place.clone()));
        drop(files.table.replace(fd, open, false));
    }
    Ok(())
}

/// A place named as the console is, for `/proc/self/fd/1`.
fn console_place() -> Result<Place> {
    let node = root().lookup(b"console")?;
    debug_assert!(node.kind() == Kind::CharDevice);
    Ok(Dentry::anonymous(node, b"/dev/console"))
}

/// The connection to the console server.
fn server() -> Arc<crate::remote::Remote<protocol::console::Console>> {
    process().fs.console.clone()
}
