//! A 9P transport: requests and replies as byte messages, many in flight.

use super::{DeviceError, Segment, Tag};
use alloc::string::String;

/// A virtio-9p device (VIRTIO 1.2 section 5.13 has only its number; the layout is QEMU's).
pub trait P9Device {
    /// The mount tag that the host gave.
    fn mount_tag(&self) -> String;
    /// Most memory pieces of one exchange, both directions together (a segment of n pages may count n).
    fn max_pieces(&self) -> u32;
    /// Queues one exchange: the device reads `request` as one message and fills `reply`.
    /// The host sees it with the next [`P9Device::kick`]. Errors: `Full`, `BadMemory`, `BadRequest`.
    fn submit(&self, request: &[Segment], reply: &[Segment]) -> Result<Tag, DeviceError>;
    /// Tells the host about everything that was queued.
    fn kick(&self);
    /// Collects one finished exchange: its tag and how many bytes of the reply were written.
    fn completed(&self) -> Option<(Tag, usize)>;
    /// The notification bit of the device's interrupt.
    fn bit(&self) -> u8;
    /// Must be called once per notification, before collecting.
    fn acknowledge(&self);
    /// Stops the device and gives all memory back.
    fn reset(&self);
}
