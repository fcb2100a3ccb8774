//! What is mounted where, how a mount point comes to exist, and the thread that writes dirty pages back.

use super::Files;
use super::names::{Child, Place};
use super::node::{Kind, Result, Volume};
use super::ram::RamVolume;
use super::resolve::{Found, Last};
use crate::process::process;
use alloc::vec::Vec;

use linux_abi::Errno;
use microkernel::task::thread;
use spin::Mutex;

/// One line of `/proc/mounts`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it comes from.
    pub source: Vec<u8>,
    /// Where it is mounted.
    pub path: Vec<u8>,
    /// Type name.
    pub type_name: &'static str,
    /// Changes are refused.
    pub read_only: bool,
    /// Device number.
    pub device: u64,
}

/// The list of mounts.
#[derive(Default)]
pub(crate) struct Mounts {
    records: Mutex<Vec<Record>>,
    /// Devices of volumes on which something else is mounted and whose names are not cached.
    crossed: Mutex<Vec<u64>>,
}

impl Mounts {
    /// Adds a line.
    pub(crate) fn record(&self, source: &[u8], path: &[u8], volume: &dyn Volume) {
        self.records.lock().push(Record {
            source: source.into(),
            path: path.into(),
            type_name: volume.type_name(),
            read_only: volume.read_only(),
            device: volume.device(),
        });
    }

    /// All mounts in order.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.records.lock().clone()
    }

    /// Whether something is mounted on a place of the volume with this device number.
    pub(crate) fn crosses(&self, device: u64) -> bool {
        self.crossed.lock().contains(&device)
    }

    fn note_crossing(&self, volume: &dyn Volume) {
        if !volume.caches_names() && !self.crosses(volume.device()) {
            self.crossed.lock().push(volume.device());
        }
    }
}

/// Device number of the directories that exist only as mount points.
const POINT_DEVICE: u64 = 0x20;

/// The place at absolute `path`, made to exist without asking the volume for the last component.
pub(super) fn point(files: &Files, tree: &Place, path: &[u8]) -> Result<Place> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|&name| name == b"." || name == b"..") {
        return Err(Errno::EINVAL);
    }
    let mut here = tree.clone();
    for (index, name) in names.iter().enumerate() {
        files.mounts.note_crossing(&**here.volume());
        let known = here.known(name).0;
        here = match known {
            Some(Child::Present(place)) if index + 1 < names.len() => place.topmost(),
            Some(Child::Present(place)) => place,
            _ if index + 1 < names.len() => match files.resolve(&here, name, Last::Follow, None) {
                Ok(Found::Place(place)) if place.kind() == Kind::Directory => place,
                _ => here.pin(name, RamVolume::create(POINT_DEVICE, 0o755)),
            },
            _ => here.pin(name, RamVolume::create(POINT_DEVICE, 0o755)),
        };
    }
    Ok(here)
}

/// How long written data may wait for write-back, in nanoseconds (Linux: `dirty_writeback_centisecs`).
const INTERVAL_NS: u64 = 5_000_000_000;
/// Of the background threads of the front end; as important as the program.
const PRIORITY: u8 = 0;

/// Starts the thread that writes dirty pages back. Errors: `ENOMEM`.
pub(super) fn start_write_back() -> Result<()> {
    thread::spawn_kernel("linux-writeback", PRIORITY, write_back_forever, 0).map(drop).map_err(|_| Errno::ENOMEM)
}

fn write_back_forever(_: usize) {
    loop {
        let deadline = microkernel::time::now_ns().saturating_add(INTERVAL_NS);
        thread::wait_for(crate::block::bits::EVENT, Some(deadline));
        process().fs.write_back();
    }
}
