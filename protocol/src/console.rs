//! `console`: the byte streams between the program and the host. Served by `console`; called by `linux`
//! (stdin, stdout, stderr), by `control` (the control port's bytes) and, for Skiff's log, by the log drain in `supervisor`.
//!
//! Streams are byte-transparent and independent: each is one virtio-serial port, or the UART where
//! there is none. `Write` and `Put` are answered when the device has the bytes (they wait while the host does not
//! read); order within a stream is the order of the requests. `Read` waits for input. While the host has its end closed,
//! output is discarded and stdin is at its end.
//! Full queue: the sender waits.

use crate::{Bytes, Failure, LeaseId};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// The stream is in the other direction, or has no device.
    NoStream,
    /// The device failed.
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

/// One of the byte streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Stream {
    /// The program's standard output.
    Stdout,
    /// The program's standard error.
    Stderr,
    /// Skiff's own words.
    Log,
    /// The program's standard input.
    Stdin,
    /// The control port, both directions; never the UART. `Read` answers 0 once each time that the host has opened
    /// its end anew, and otherwise waits.
    Control,
}

/// Most bytes of one `Put`.
pub const PUT_BYTES: usize = 960;

/// Writes bytes from a lease. Reply: bytes taken. Errors: `NoStream`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Write {
    /// Where to.
    pub stream: Stream,
    /// Bytes.
    pub len: u32,
    /// Holds the bytes.
    pub src: LeaseId,
}

/// Writes a few bytes that travel in the message itself. Reply: bytes taken. Errors: `NoStream`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Put<'a> {
    /// Where to.
    pub stream: Stream,
    /// The bytes.
    #[serde(borrow)]
    pub bytes: Bytes<'a, PUT_BYTES>,
}

/// Reads input. Reply: bytes placed in the lease, 0 at the end of input. Waits for the first byte.
///
/// Errors: `NoStream`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Read {
    /// Where from.
    pub stream: Stream,
    /// Room in the lease, in bytes.
    pub len: u32,
    /// Receives the bytes.
    pub dest: LeaseId,
}

/// Answered when everything written before is with the host. Errors: `NoStream`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Drain {
    /// Which stream.
    pub stream: Stream,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request<'a> {
    Write(Write),
    Put(#[serde(borrow)] Put<'a>),
    Read(Read),
    Drain(Drain),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! console_calls {
    ($apply:path) => {
        $apply! { 'a Console console "console" Request<'a> {
            Write(Write) write<> -> Result<u32>, Ambiguous;
            Put(Put<'a>) put<'a> -> Result<u32>, Ambiguous;
            Read(Read) read<> -> Result<u32>, Ambiguous;
            Drain(Drain) drain<> -> Result<()>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request<'static>;

console_calls!(crate::calls::implement_calls);
