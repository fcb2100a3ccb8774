//! Mounting: from a disk to an open volume, or a sentence that says why not.

use crate::disk::{Buffer, Disk};
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt;
use protocol::block::{self, Block};
use protocol::fs;
use rt::{Link, Runtime};
use tfs_format::mbr;
use tfs_format::replay::Replay;
use tfs_format::{Run, SECTOR, Volume, check::Survey};

/// Most bytes that the replay asks for at once (`tfs_format::replay`).
const REPLAY_BYTES: usize = 64 * 1024;

/// Which volume of the disk is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// The root volume of a partitioned disk, or a bare volume.
    #[default]
    Root,
    /// The boot volume.
    Boot,
}

/// How a volume is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which volume.
    pub partition: Partition,
    /// Nothing is ever written, whatever the disk would allow.
    pub read_only: bool,
}

/// Why there is no volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountError {
    /// The task has no link to a disk.
    NoDisk,
    /// The disk does not answer.
    Disk(block::Error),
    /// Sectors of the log cannot be read.
    Read(Run),
    /// The disk's partition table is unusable.
    Table(mbr::MbrError),
    /// The disk has no boot volume.
    NoBootVolume,
    /// The log cannot be replayed.
    Log(tfs_format::Error),
    /// The log can be replayed, but its tree is unsound.
    Unsound(String),
    /// No pages for transfers.
    NoMemory,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::NoDisk => f.write_str("no disk is attached to this server"),
            MountError::Disk(error) => write!(f, "the disk does not answer ({error:?})"),
            MountError::Read(run) => write!(f, "sectors {}+{} of the log cannot be read", run.sector, run.count),
            MountError::Table(error) => write!(f, "{error}; write the image anew"),
            MountError::NoBootVolume => f.write_str("the disk has no boot volume"),
            MountError::Log(error) => write!(f, "the log is damaged at {error}; restore the image from a copy"),
            MountError::Unsound(problem) => write!(f, "the volume is damaged at {problem}; restore the image from a copy"),
            MountError::NoMemory => f.write_str("no memory for disk transfers; give the VM more"),
        }
    }
}

/// Replays and checks the volume behind `link`. The disk comes back narrowed to it.
pub async fn mount(
    runtime: &Runtime,
    link: Link<Block>,
    options: Options,
) -> Result<(Disk, Volume, Survey), MountError> {
    let mut disk = Disk::open(runtime, link).await.map_err(MountError::Disk)?;
    let memory = runtime.machine().pages(REPLAY_BYTES).ok_or(MountError::NoMemory)?;
    let buffer = Buffer { memory, at: 0 };
    let window = find(&disk, &buffer, options.partition).await?;
    disk.narrow(window);
    let mut replay = Replay::new(window.count);
    let mut bytes = vec![0; REPLAY_BYTES];
    while let Some(run) = replay.next_wanted() {
        let len = run.count as usize * SECTOR;
        let part = bytes.get_mut(..len).ok_or(MountError::NoMemory)?;
        read(&disk, run, &buffer, part).await?;
        replay.feed(part).map_err(MountError::Log)?;
    }
    let replayed = replay.finish().map_err(MountError::Log)?;
    let (volume, survey) = Volume::open(replayed).map_err(|problem| MountError::Unsound(problem.to_string()))?;
    for problem in &survey.problems {
        runtime.machine().log(format_args!("tfs: {problem}"));
    }
    Ok((disk, volume, survey))
}

/// Finds the wanted volume on the disk.
async fn find(disk: &Disk, buffer: &Buffer, partition: Partition) -> Result<Run, MountError> {
    let mut first = [0; SECTOR];
    read(disk, Run { sector: 0, count: 1 }, buffer, &mut first).await?;
    let found = mbr::find(&first, disk.sectors()).map_err(MountError::Table)?;
    match partition {
        Partition::Root => Ok(found.root),
        Partition::Boot => found.boot.ok_or(MountError::NoBootVolume),
    }
}

async fn read(disk: &Disk, run: Run, buffer: &Buffer, bytes: &mut [u8]) -> Result<(), MountError> {
    let failed = |_: fs::Error| MountError::Read(run);
    disk.read(0, run, buffer).await.map_err(failed)?;
    buffer.memory.read(buffer.at, bytes).map_err(|_| MountError::Read(run))
}
