//! The volume's sectors, through the block server.
//!
//! Requests that a dying block server leaves unanswered are issued again to its successor: reads and
//! writes of given sectors may happen twice.

use alloc::rc::Rc;
use core::cell::Cell;
use protocol::LeaseId;
use protocol::block::{self, Block, DiskInfo};
use protocol::fs::{Error, Result};
use rt::sys::Attachment;
use rt::{Link, Memory, Runtime};
use tfs_format::{Run, SECTOR};

/// How long a block server may be away before its callers get an I/O error.
const PATIENCE_NS: u64 = 20_000_000_000;
/// Pause between two attempts to reach it.
const RETRY_NS: u64 = 2_000_000;

/// Part of some memory.
#[derive(Clone)]
pub struct Buffer {
    /// The memory, lent on to the block server for the time of a transfer.
    pub memory: Rc<dyn Memory>,
    /// First byte.
    pub at: usize,
}

/// A run of a disk's sectors: the volume.
pub struct Disk {
    runtime: Runtime,
    link: Link<Block>,
    info: DiskInfo,
    window: Run,
    /// Something was written since the cache was last emptied.
    unflushed: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    FromDisk,
    ToDisk,
}

impl Disk {
    /// The whole disk behind `link`. Error: the disk does not answer.
    pub async fn open(runtime: &Runtime, link: Link<Block>) -> core::result::Result<Self, block::Error> {
        let info = link.call(0, block::Info {}, &[]).await?;
        let window = Run { sector: 0, count: info.sectors };
        Ok(Disk { runtime: runtime.clone(), link, info, window, unflushed: Cell::new(false) })
    }

    /// Narrows the view to one partition, which lies inside.
    pub fn narrow(&mut self, window: Run) {
        self.window = window;
    }

    /// Sectors of the volume.
    pub fn sectors(&self) -> u64 {
        self.window.count
    }

    /// The disk refuses writes.
    pub fn is_read_only(&self) -> bool {
        self.info.read_only
    }

    /// Most sectors of one transfer.
    pub fn max_sectors(&self) -> u64 {
        u64::from(self.info.max_sectors.max(1))
    }

    /// Reads sectors of the volume into `to`. Errors: `Io`, `BadLease`.
    pub async fn read(&self, request: u64, run: Run, to: &Buffer) -> Result<()> {
        self.transfer(Direction::FromDisk, request, run, to).await
    }

    /// Writes sectors of the volume from `from`. Errors: `Io`, `BadLease`, `ReadOnly`.
    pub async fn write(&self, request: u64, run: Run, from: &Buffer) -> Result<()> {
        let result = self.transfer(Direction::ToDisk, request, run, from).await;
        self.unflushed.set(true);
        result
    }

    /// Makes everything durable that was written and answered before.
    pub async fn flush(&self, request: u64) -> Result<()> {
        if !self.unflushed.replace(false) || !self.info.has_cache {
            return Ok(());
        }
        let deadline = self.deadline();
        loop {
            match self.link.call(request, block::Flush {}, &[]).await {
                Err(block::Error::PeerGone) if self.may_retry(deadline).await => {}
                Ok(()) | Err(block::Error::NotSupported) => return Ok(()),
                Err(error) => {
                    self.unflushed.set(true);
                    return Err(convert(error));
                }
            }
        }
    }

    async fn transfer(&self, direction: Direction, request: u64, run: Run, buffer: &Buffer) -> Result<()> {
        let inside = run.end().is_some_and(|end| end <= self.window.count);
        if !inside {
            return Err(Error::Io);
        }
        let mut done = 0;
        while done < run.count {
            let count = (run.count - done).min(self.max_sectors());
            let sector = self.window.sector + run.sector + done;
            let at = buffer.at + done as usize * SECTOR;
            self.piece(direction, request, Run { sector, count }, &buffer.memory, at).await?;
            done += count;
        }
        Ok(())
    }

    async fn piece(&self, direction: Direction, request: u64, run: Run, memory: &Rc<dyn Memory>, at: usize) -> Result<()> {
        let deadline = self.deadline();
        let (sector, lease) = (run.sector, LeaseId(0));
        let count = u32::try_from(run.count).map_err(|_| Error::Io)?;
        let at = u32::try_from(at).map_err(|_| Error::BadLease)?;
        loop {
            let result = match direction {
                Direction::FromDisk => {
                    let call = block::Read { sector, count, dest: lease, at };
                    self.link.call(request, call, &[Attachment::Write(memory.clone())]).await
                }
                Direction::ToDisk => {
                    let call = block::Write { sector, count, src: lease, at };
                    self.link.call(request, call, &[Attachment::Read(memory.clone())]).await
                }
            };
            match result {
                Err(block::Error::PeerGone) if self.may_retry(deadline).await => {}
                other => return other.map_err(convert),
            }
        }
    }

    fn deadline(&self) -> u64 {
        self.runtime.machine().now_ns().saturating_add(PATIENCE_NS)
    }

    async fn may_retry(&self, deadline: u64) -> bool {
        self.runtime.sleep(RETRY_NS).await;
        self.runtime.machine().now_ns() < deadline
    }
}

fn convert(error: block::Error) -> Error {
    match error {
        block::Error::ReadOnly => Error::ReadOnly,
        block::Error::BadLease => Error::BadLease,
        block::Error::OutOfRange
        | block::Error::Io
        | block::Error::NotSupported
        | block::Error::PeerGone
        | block::Error::Malformed => Error::Io,
    }
}
