//! Byte streams to the host: the named ports of one virtio-serial device, or a UART.

use super::{DeviceError, Segment, Tag};
use alloc::string::String;

/// One end of a byte stream, by number within its device.
pub type Port = u16;

/// What a serial device has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A port exists and has this name.
    Named(Port, String),
    /// The host has opened (`true`) or closed its end.
    Opened(Port, bool),
    /// A transfer towards the host is done.
    Sent(Tag),
    /// A buffer posted with `post` holds this many bytes from the host.
    Received(Tag, usize),
}

/// A device with several byte streams.
pub trait SerialDevice {
    /// Sends bytes; order within a port is kept. Errors: `Full`, `BadMemory`, `BadRequest` (no such port).
    fn send(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError>;
    /// Lends a buffer for bytes from the host. Errors: `Full`, `BadMemory`, `BadRequest` (no such port).
    fn post(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError>;
    /// Collects the next event.
    fn next_event(&self) -> Option<Event>;
    /// The notification bit of the device's interrupt.
    fn bit(&self) -> u8;
    /// Must be called once per notification, before collecting.
    fn acknowledge(&self);
    /// Stops the device and gives all memory back.
    fn reset(&self);
}

/// A UART as a sink of last resort: writes at once, byte by byte.
pub trait Uart {
    /// Sends all of `bytes`, as they are.
    fn write(&self, bytes: &[u8]);
}
