//! A source of randomness (VIRTIO 1.2 section 5.4).

use super::{DeviceError, Segment, Tag};

/// An entropy device.
pub trait EntropyDevice {
    /// Asks for the segment to be filled. Errors: `Full`, `BadMemory`.
    fn request(&self, segment: &Segment) -> Result<Tag, DeviceError>;
    /// Collects one answer: its tag and how many bytes are random.
    fn completed(&self) -> Option<(Tag, usize)>;
    /// The notification bit of the device's interrupt.
    fn bit(&self) -> u8;
    /// Must be called once per notification, before collecting.
    fn acknowledge(&self);
}
