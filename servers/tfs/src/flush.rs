//! Making changes durable: the order of writes, the timer, and the rewriting of a log that has grown old.

use crate::disk::Buffer;
use crate::lock::Gate;
use crate::store::Store;
use alloc::rc::Rc;
use core::cell::Cell;
use protocol::fs::{Error, Result};
use rt::{Memory, Runtime};
use tfs_format::log::SectorWrite;
use tfs_format::{Run, SECTOR, SECTOR_BYTES};

/// A change is on disk after this time at the latest.
const DELAY_NS: u64 = 1_000_000_000;
/// With this much waiting, a flush starts at once.
const PENDING_BYTES: usize = 256 * 1024;
/// Size of the buffer that log writes go through; taken once, for a flush must not wait for memory.
const BUFFER_BYTES: usize = 64 * 1024;

/// State of flushing. One flush runs at a time.
pub struct Flusher {
    gate: Gate,
    buffer: Rc<dyn Memory>,
    /// A flush will come by itself.
    armed: Cell<bool>,
    /// Set when it comes without delay.
    urgent: Cell<bool>,
    /// The log could not be written: what is on disk is sound but old, and nothing changes any more.
    failed: Cell<bool>,
}

impl Flusher {
    /// Takes the buffer; `None` without memory.
    pub fn new(runtime: &Runtime) -> Option<Self> {
        let buffer = runtime.machine().pages(BUFFER_BYTES)?;
        Some(Flusher {
            gate: Gate::default(),
            buffer,
            armed: Cell::default(),
            urgent: Cell::default(),
            failed: Cell::default(),
        })
    }

    /// Whether an earlier flush could not write the log.
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Sees to it that a change just made is flushed in time.
    pub fn note_change(&self, store: &Rc<Store>) {
        if !self.armed.replace(true) {
            spawn_flush(store, DELAY_NS);
        }
        if store.volume().pending_bytes() > PENDING_BYTES && !self.urgent.replace(true) {
            spawn_flush(store, 0);
        }
    }
}

fn spawn_flush(store: &Rc<Store>, delay_ns: u64) {
    let store = store.clone();
    let runtime = store.runtime.clone();
    runtime.clone().spawn(async move {
        runtime.sleep(delay_ns).await;
        let flusher = &store.flusher;
        if delay_ns > 0 {
            flusher.armed.set(false);
        } else {
            flusher.urgent.set(false);
        }
        // A failure was logged, and everybody who changes something is told.
        let _ = store.sync(0).await;
    });
}

impl Store {
    /// Makes everything durable that was done before the call. Errors: `Io`, `NoMemory`.
    ///
    /// Across the await anything may change; such changes may or may not be included.
    pub async fn sync(self: &Rc<Self>, request: u64) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        let _closed = self.flusher.gate.close().await;
        if self.flusher.has_failed() {
            return Err(Error::Io);
        }
        self.bury();
        self.log_times();
        if self.volume().wants_compaction() && self.volume().compact().is_err() {
            self.runtime.machine().log(format_args!("tfs: no space to rewrite the log; remove files or enlarge the disk"));
        }
        let plan = self.volume().plan();
        // Data first: the records of the plan name sectors that were written before they were appended.
        self.disk.flush(request).await?;
        let Some(flush) = plan else { return Ok(()) };
        for stage in &flush.plan.stages {
            self.write_stage(request, stage).await.inspect_err(|error| self.fail(*error))?;
        }
        self.volume().written(&flush);
        Ok(())
    }

    /// Writes one stage and empties the disk's cache.
    async fn write_stage(&self, request: u64, stage: &[SectorWrite]) -> Result<()> {
        for write in stage {
            let mut sector = write.sector;
            for piece in write.bytes.chunks(BUFFER_BYTES) {
                let memory = &self.flusher.buffer;
                memory.write(0, piece).map_err(|_| Error::Io)?;
                let run = Run { sector, count: (piece.len() / SECTOR) as u64 };
                self.disk.write(request, run, &Buffer { memory: memory.clone(), at: 0 }).await?;
                sector += piece.len() as u64 / SECTOR_BYTES;
            }
        }
        self.disk.flush(request).await
    }

    fn fail(&self, error: Error) {
        self.flusher.failed.set(true);
        self.runtime.machine().log(format_args!(
            "tfs: the log cannot be written ({error:?}): no more changes are accepted; what is on disk is sound"
        ));
    }
}
