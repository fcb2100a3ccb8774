//! Devices as their servers see them: object-safe, asynchronous, safe.
//!
//! Bound by `servers/virtio` in the kernel and by fakes on the host. A submission hands memory to the
//! device until its completion is collected; the device's notification bit says when to look.

use crate::sys::Memory;
use alloc::rc::Rc;

pub mod block;
pub mod entropy;
pub mod net;
pub mod p9;
pub mod serial;

/// Part of a memory that takes part in a transfer.
#[derive(Clone)]
pub struct Segment {
    /// The memory; kept alive, and its frames pinned, until the transfer has ended.
    pub memory: Rc<dyn Memory>,
    /// First byte.
    pub at: usize,
    /// Bytes.
    pub len: usize,
}

/// Why a transfer could not be handed to a device, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// No free descriptors; try again after a completion.
    Full,
    /// The memory is no longer lent, or not device-accessible.
    BadMemory,
    /// The request does not fit the device (too many segments, outside the disk).
    BadRequest,
    /// The device does not have the operation.
    NotSupported,
    /// The device reported an error, misbehaved, or was reset.
    Failed,
}

/// Names a transfer under way.
pub type Tag = u16;
