//! A disk: many transfers in flight, completed in any order.

use super::{DeviceError, Segment, Tag};

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Disk to memory.
    Read,
    /// Memory to disk.
    Write,
    /// Makes completed writes durable; no segments.
    Flush,
}

/// Fixed facts of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// The device refuses writes.
    pub read_only: bool,
    /// Most memory pieces of one transfer (a segment of n pages may count n).
    pub max_pieces: u32,
    /// There is a write cache that `Flush` empties.
    pub has_cache: bool,
}

/// A disk.
pub trait BlockDevice {
    /// Fixed facts.
    fn geometry(&self) -> Geometry;
    /// Starts a transfer of whole sectors. Errors: `Full`, `BadMemory`, `BadRequest`, `NotSupported`.
    fn submit(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<Tag, DeviceError>;
    /// Collects one finished transfer. Errors inside: `Failed`, `NotSupported`.
    fn completed(&self) -> Option<(Tag, Result<(), DeviceError>)>;
    /// The notification bit of the device's interrupt.
    fn bit(&self) -> u8;
    /// Must be called once per notification, before collecting: lets the next interrupt through.
    fn acknowledge(&self);
    /// Stops the device and gives all memory back; transfers under way are lost.
    fn reset(&self);
}
