//! The block server: serves `block` over one [`BlockDevice`].
//!
//! Owns: the device and the transfers under way. Calls: nobody. Called by: tfs.
//! Waits: for requests, completions, and room in the device's queue; nowhere else.
//!
//! A request may be longer than what the device takes at once: it is split, and the parts are under way together. A
//! device that leaves a transfer unanswered for [`DEADLINE_NS`] is stopped,
//! everything under way answers `Io`, and the task ends, so that its successor opens the device anew.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use alloc::vec::Vec;
use protocol::block::{DiskInfo, Error, Flush, Info, Read, Result, SECTOR_BYTES, Write};
use rt::device::block::{BlockDevice, Geometry, Operation};
use rt::device::{DeviceError, Segment};
use rt::executor::Event;
use rt::pending::{Pending, Transfer};
use rt::service::block::{Handler, Server};
use rt::sys::{Memory, Ports};
use rt::{Context, Runtime};

/// Longest time that the device may take for a transfer.
pub const DEADLINE_NS: u64 = 30_000_000_000;

/// Time for the last answers to leave.
const FAREWELL_NS: u64 = 1_000_000;

/// Most sectors of one request: 1 MiB.
pub const MAX_SECTORS: u32 = 2048;

const PAGE_BYTES: u32 = 4096;
const SECTORS_PER_PAGE: u32 = PAGE_BYTES / SECTOR_BYTES;

type Outcome = core::result::Result<(), DeviceError>;

struct Inner {
    runtime: Runtime,
    device: Rc<dyn BlockDevice>,
    geometry: Geometry,
    /// Sectors that the device surely takes as one transfer.
    part_sectors: u32,
    pending: Pending<Outcome>,
    /// Notified when transfers have ended.
    room: Event,
    /// Notified when a transfer was submitted.
    started: Event,
}

/// The handler of `block`; cheap to clone.
#[derive(Clone)]
pub struct Disk(Rc<Inner>);

impl Disk {
    /// Serves a device that was just opened: collects its completions and watches over its deadlines.
    pub fn new(runtime: &Runtime, device: Rc<dyn BlockDevice>) -> Self {
        let geometry = device.geometry();
        // Memory that does not start at a page boundary touches one page more than it has.
        let pages = geometry.max_pieces.saturating_sub(1).max(1);
        let disk = Self(Rc::new(Inner {
            runtime: runtime.clone(),
            geometry,
            part_sectors: pages.saturating_mul(SECTORS_PER_PAGE).min(MAX_SECTORS),
            pending: Pending::default(),
            room: Event::default(),
            started: Event::default(),
            device,
        }));
        let collector = disk.clone();
        runtime.on_bit(disk.0.device.bit(), move || collector.0.collect());
        let watched = disk.clone();
        runtime.spawn(async move { watched.0.watch().await });
        disk
    }

    /// Moves `count` sectors between the disk and `memory`, from byte `at` on.
    async fn transfer(
        &self,
        operation: Operation,
        sector: u64,
        count: u32,
        memory: Rc<dyn Memory>,
        at: u32,
    ) -> Result<()> {
        let mut parts = Vec::new();
        let mut done = 0;
        while done < count {
            let sectors = (count - done).min(self.0.part_sectors);
            // `check` has seen to it that all of this lies inside the lease.
            let (start, len) = (at as usize + bytes(done), bytes(sectors));
            let segment = Segment { memory: memory.clone(), at: start, len };
            match self.0.submit(operation, sector + u64::from(done), &[segment]).await {
                Ok(part) if count == sectors => return outcome(part.await),
                Ok(part) => parts.push(part),
                Err(error) => return finish(parts, Err(error)).await,
            }
            done += sectors;
        }
        finish(parts, Ok(())).await
    }

    fn check(&self, sector: u64, count: u32) -> Result<()> {
        let end = sector.checked_add(u64::from(count));
        let inside = end.is_some_and(|end| end <= self.0.geometry.sectors);
        if inside && (1..=MAX_SECTORS).contains(&count) { Ok(()) } else { Err(Error::OutOfRange) }
    }
}

/// `count` sectors in bytes; at most 1 MiB.
fn bytes(count: u32) -> usize {
    count as usize * SECTOR_BYTES as usize
}

/// Waits for every part, so that the lease is not answered while the device still uses it.
async fn finish(parts: Vec<Transfer<Outcome>>, mut result: Result<()>) -> Result<()> {
    for part in parts {
        result = result.and(outcome(part.await));
    }
    result
}

fn outcome(outcome: Outcome) -> Result<()> {
    outcome.map_err(|error| match error {
        DeviceError::BadMemory => Error::BadLease,
        DeviceError::NotSupported => Error::NotSupported,
        DeviceError::Full | DeviceError::BadRequest | DeviceError::Failed => Error::Io,
    })
}

impl Inner {
    /// Hands a transfer to the device, waiting while its queue is full.
    async fn submit(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<Transfer<Outcome>> {
        loop {
            let room = self.room.wait();
            match self.device.submit(operation, sector, segments) {
                Ok(tag) => {
                    let transfer = self.pending.start(tag, self.runtime.machine().now_ns());
                    self.started.notify();
                    return Ok(transfer);
                }
                Err(DeviceError::Full) => room.await,
                Err(error) => {
                    outcome(Err(error))?;
                }
            }
        }
    }

    fn collect(&self) {
        self.device.acknowledge();
        while let Some((tag, result)) = self.device.completed() {
            if !self.pending.finish(tag, result) {
                self.runtime
                    .machine()
                    .log(format_args!("block: the device completed transfer {tag}, which nobody began"));
            }
        }
        self.room.notify();
    }

    /// Gives the device up when it has left a transfer unanswered for too long.
    ///
    /// # Panics
    ///
    /// Then: the task's end is what brings a successor with a fresh device.
    async fn watch(&self) {
        loop {
            let started = self.started.wait();
            let Some(oldest_ns) = self.pending.oldest_ns() else {
                started.await;
                continue;
            };
            let deadline_ns = oldest_ns.saturating_add(DEADLINE_NS);
            if self.runtime.machine().now_ns() < deadline_ns {
                self.runtime.sleep_until(deadline_ns).await;
                continue;
            }
            self.device.reset();
            self.pending.finish_all(Err(DeviceError::Failed));
            self.room.notify();
            // The callers are answered first.
            self.runtime.sleep(FAREWELL_NS).await;
            panic!("the disk did not answer for 30 s");
        }
    }
}

impl Handler for Disk {
    async fn info(&self, _: &Context, _: Info) -> Result<DiskInfo> {
        let Geometry { sectors, read_only, has_cache, .. } = self.0.geometry;
        Ok(DiskInfo { sectors, read_only, max_sectors: MAX_SECTORS, has_cache })
    }

    async fn read(&self, cx: &Context, call: Read) -> Result<()> {
        self.check(call.sector, call.count)?;
        let end = (call.at as usize).checked_add(bytes(call.count)).ok_or(Error::BadLease)?;
        let memory = cx.writable(call.dest, end).map_err(|_| Error::BadLease)?;
        self.transfer(Operation::Read, call.sector, call.count, memory, call.at).await
    }

    async fn write(&self, cx: &Context, call: Write) -> Result<()> {
        if self.0.geometry.read_only {
            return Err(Error::ReadOnly);
        }
        self.check(call.sector, call.count)?;
        let end = (call.at as usize).checked_add(bytes(call.count)).ok_or(Error::BadLease)?;
        let memory = cx.readable(call.src, end).map_err(|_| Error::BadLease)?;
        self.transfer(Operation::Write, call.sector, call.count, memory, call.at).await
    }

    async fn flush(&self, _: &Context, _: Flush) -> Result<()> {
        if !self.0.geometry.has_cache {
            return Ok(());
        }
        outcome(self.0.submit(Operation::Flush, 0, &[]).await?.await)
    }
}

/// Entry of the task.
pub fn run(ports: Ports, device: Rc<dyn BlockDevice>) -> ! {
    let runtime = Runtime::new(ports.machine);
    let disk = Disk::new(&runtime, device);
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(disk)));
    runtime.run()
}
