//! `nic`: Ethernet frames of one interface. Served by `nic:N`; called by `net`.
//!
//! There are no handles: a port is an interface. Frames are whole Ethernet frames without checksum.
//! `Transmit` is answered when the device has taken the frame over. `Receive` is a standing request: the caller keeps
//! several posted, each with an empty buffer, and gets one back per frame. Order of frames is kept.
//! Full queue: `Transmit` answers `Busy` instead of waiting, so that `net` may drop as a wire would.

use crate::{Failure, LeaseId};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// The device queue is full.
    Busy,
    /// The frame is shorter than a header or longer than the MTU allows, or the buffer is too small.
    Length,
    /// The device reported a failure or was reset.
    Io,
    /// A lease is missing, too small, or of the wrong direction.
    BadLease,
    /// The server died with this call in hand.
    PeerGone,
    /// The message could not be decoded.
    Malformed,
}

impl Failure for Error {
    const PEER_GONE: Self = Self::PeerGone;
    const MALFORMED: Self = Self::Malformed;
}

/// Shorthand for replies of this protocol.
pub type Result<T> = core::result::Result<T, Error>;

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct NicInfo {
    /// Ethernet address.
    pub mac: [u8; 6],
    /// Most bytes of a frame's payload (without the 14-byte header).
    pub mtu: u16,
    /// Whether the link is up.
    pub link_up: bool,
    /// `Receive` requests that the device can use at once.
    pub receive_depth: u16,
    /// Room before the frame that the device wants in every buffer, in bytes (virtio-net header).
    pub headroom: u16,
}

/// Asks what the interface is. Errors: `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Info {}

/// Sends one frame. Errors: `Busy`, `Length`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Transmit {
    /// Bytes of the frame.
    pub len: u32,
    /// Holds `headroom` bytes for the driver, then the frame.
    pub frame: LeaseId,
}

/// Lends a buffer for one received frame. Reply: length of the frame, which stands behind `headroom` bytes.
///
/// Waits until a frame arrives. Errors: `Length`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Receive {
    /// The buffer, at least `headroom` + 14 + MTU bytes.
    pub buffer: LeaseId,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    Info(Info),
    Transmit(Transmit),
    Receive(Receive),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! nic_calls {
    ($apply:path) => {
        $apply! { 'a Nic nic "nic" Request {
            Info(Info) info<> -> Result<NicInfo>, Idempotent;
            Transmit(Transmit) transmit<> -> Result<()>, Idempotent;
            Receive(Receive) receive<> -> Result<u32>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request;

nic_calls!(crate::calls::implement_calls);
