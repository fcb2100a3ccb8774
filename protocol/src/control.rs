//! `control`: the host's window into a running VM.
//!
//! Two faces. Inside, `control` serves this protocol to `linux`: the front end keeps one `Await` posted and
//! gets a [`Command`] as its reply, and reports the program's end with `Exit`. Outside, frames travel over
//! the virtio-serial port `skiff.control`: a little-endian `u32` length, then that many bytes of postcard:
//! [`FromHost`] towards the VM, [`ToHost`] towards the host, each with [`HOST_VERSION`] first.
//! A frame that is too long or cannot be decoded is answered with `ToHost::Refused` and skipped.

use crate::Failure;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port.
pub const PORT_NAME: &str = "skiff.control";

/// Version of the frames between host and VM.
pub const HOST_VERSION: u8 = 1;

/// Longest frame, in bytes, without its length word.
pub const FRAME_BYTES: usize = 4096;

/// Exit status that stands for a failure of Skiff itself.
pub const SKIFF_FAILED: u8 = 125;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// There is no control port.
    NoDevice,
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

/// What the host wants of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Command {
    /// Send SIGTERM; if it still runs after `deadline_ms`, end it.
    Stop {
        /// Milliseconds.
        deadline_ms: u32,
    },
}

/// Waits for the next command of the host. Errors: `NoDevice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Await {}

/// Reports the program's end; answered when the host has it, or has none. Errors: `NoDevice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Exit {
    /// 0..=255; 128 + n for signal n; 125 for Skiff's own failure.
    pub status: u8,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    Await(Await),
    Exit(Exit),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! control_calls {
    ($apply:path) => {
        $apply! { 'a Control control "control" Request {
            Await(Await) await_command<> -> Result<Command>, Idempotent;
            Exit(Exit) exit<> -> Result<()>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request;

control_calls!(crate::calls::implement_calls);

/// A frame from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHost {
    /// For the program.
    Command(Command),
}

/// A frame to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// First frame: the VM is up.
    Hello,
    /// The program ended with this status; power-off follows.
    Exit {
        /// As in [`Exit`].
        status: u8,
    },
    /// A frame from the host could not be used.
    Refused,
}

/// Writes one frame, length word included; `None` if `out` is too small.
pub fn emit_frame<T: Serialize>(out: &mut [u8], body: &T) -> Option<usize> {
    let (head, rest) = out.split_at_mut_checked(4)?;
    let len = postcard::to_slice(&(HOST_VERSION, body), rest).ok()?.len();
    head.copy_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
    Some(4 + len)
}

/// What stands at the start of a byte stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<T> {
    /// More bytes are needed.
    Incomplete,
    /// A frame; it took this many bytes.
    Whole(T, usize),
    /// A frame of another version or form, of this many bytes.
    Unknown(usize),
    /// The length word is out of bounds: the stream cannot be followed any more.
    Lost,
}

/// Reads the frame at the start of `bytes`.
pub fn parse_frame<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Frame<T> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
        return Frame::Incomplete;
    };
    let len = u32::from_le_bytes(*head) as usize;
    if len > FRAME_BYTES {
        return Frame::Lost;
    }
    let Some(body) = rest.get(..len) else {
        return Frame::Incomplete;
    };
    match postcard::from_bytes::<(u8, T)>(body) {
        Ok((HOST_VERSION, frame)) => Frame::Whole(frame, 4 + len),
        _ => Frame::Unknown(4 + len),
    }
}
