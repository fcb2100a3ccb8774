//! A network interface: whole Ethernet frames.

use super::{DeviceError, Segment, Tag};

/// Fixed facts of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Ethernet address.
    pub mac: [u8; 6],
    /// Most bytes of payload per frame.
    pub mtu: u16,
    /// Whether the link is up.
    pub link_up: bool,
    /// Buffers that can be posted for receiving.
    pub receive_depth: u16,
    /// Bytes before the frame that the device uses for its own header, in both directions.
    pub headroom: u16,
}

/// A network interface.
pub trait NetDevice {
    /// Fixed facts.
    fn facts(&self) -> Facts;
    /// Sends the frame that stands behind `headroom` bytes in `segment`; `segment.len` counts both.
    /// Errors: `Full`, `BadMemory`, `BadRequest`.
    fn transmit(&self, segment: &Segment) -> Result<Tag, DeviceError>;
    /// Posts a buffer for one frame. Errors: `Full`, `BadMemory`, `BadRequest` (too small).
    fn post(&self, segment: &Segment) -> Result<Tag, DeviceError>;
    /// Collects one sent frame. Few frames that were sent need not interrupt: whoever sends looks here, too.
    fn transmitted(&self) -> Option<Tag>;
    /// Collects one received frame: its tag and its length without headroom.
    fn received(&self) -> Option<(Tag, usize)>;
    /// The notification bit of the device's interrupt.
    fn bit(&self) -> u8;
    /// Must be called once per notification, before collecting.
    fn acknowledge(&self);
    /// Stops the device and gives all memory back.
    fn reset(&self);
}
