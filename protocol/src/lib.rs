//! Every message that travels between Skiff's tasks, and the envelope around it.
//!
//! One file is one protocol and reads as its manual: who serves it, who calls it, how long a
//! handle lives, which calls may wait. There is no I/O here and no dependency on the workspace.
//!
//! A message is at most [`MESSAGE_BYTES`] inline bytes: an [`Envelope`] and one request or reply,
//! both in postcard. Bulk data never travels inside a message; it is lent through a lease that is
//! attached to the call and named in the message by its [`LeaseId`].
//!
//! Wire rules: postcard encodes an enum by declaration index, so variants are appended and never
//! reordered. `tests/golden.rs` pins the bytes.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt::Debug;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

mod bytes;
mod calls;

pub mod block;
pub mod console;
pub mod control;
pub mod fs;
pub mod net;
pub mod nic;
pub mod supervisor;

pub use bytes::{Bytes, Name, NameError, Path};

/// Most bytes that one message carries inline, envelope included.
pub const MESSAGE_BYTES: usize = 1024;

/// Version of the envelope and of every protocol below it; a peer with another version is refused.
pub const VERSION: u8 = 1;

/// Most leases and rings that can be attached to one call.
pub const ATTACHMENTS: usize = 4;

/// Names one of the leases or rings attached to the call that carries it, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct LeaseId(pub u8);

/// What stands before every request and every reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Envelope {
    /// [`VERSION`] of the sender.
    pub version: u8,
    /// Generation of the caller: grows by one each time that its task is started anew.
    pub generation: u32,
    /// Request id: one number from the system call through every server that works for it.
    /// 0 where no program asked (background work).
    pub request: u64,
}

impl Envelope {
    /// An envelope of this protocol version.
    pub const fn new(generation: u32, request: u64) -> Self {
        Self { version: VERSION, generation, request }
    }
}

/// Room that is left for the request or reply itself.
pub const BODY_BYTES: usize = MESSAGE_BYTES - Envelope::POSTCARD_MAX_SIZE;

/// What a repeated call does after the server died with the first one in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Issued again: twice has the effect of once.
    Idempotent,
    /// Issued again with the same id; the server finds id and reply in its keep pages.
    Deduplicated,
    /// Neither: the caller looks at the state that it finds, else reports an I/O error.
    Ambiguous,
}

/// A request type: ties it to its protocol, its reply and its repetition rule.
pub trait Call<'a>: Into<<Self::Protocol as Protocol>::Request<'a>> {
    /// The protocol that the request belongs to.
    type Protocol: Protocol;
    /// What the server answers.
    type Reply: Serialize + for<'de> Deserialize<'de> + Debug + MaybeGone;
    /// How the call is repeated after the death of the server.
    const RETRY: Retry;
}

/// One service: a name and the enum of its requests.
pub trait Protocol {
    /// All requests, in the order of their numbers.
    type Request<'a>: Serialize + Deserialize<'a> + Debug;
    /// Short name, as it stands in traces.
    const NAME: &'static str;
}

/// A reply that can say "the server died with this call in hand".
pub trait MaybeGone {
    /// The reply that stands for a dead peer.
    fn peer_gone() -> Self;
    /// The reply that stands for a message that could not be decoded.
    fn malformed() -> Self;
}

impl<T, E: Failure> MaybeGone for Result<T, E> {
    fn peer_gone() -> Self {
        Err(E::PEER_GONE)
    }
    fn malformed() -> Self {
        Err(E::MALFORMED)
    }
}

/// A protocol's error enum: two values that the transport itself produces.
pub trait Failure {
    /// The server died, or its port is closed.
    const PEER_GONE: Self;
    /// The message could not be decoded, or came from another protocol version.
    const MALFORMED: Self;
}

/// Why a message could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Bytes are missing, left over, or do not form the expected type.
    Malformed,
    /// The sender speaks another [`VERSION`].
    Version(u8),
    /// The message does not fit in the buffer.
    TooLong,
}

/// Writes envelope and body into `buffer`; returns the bytes used.
///
/// Errors: `TooLong`.
pub fn encode<T: Serialize>(buffer: &mut [u8], envelope: Envelope, body: &T) -> Result<usize, CodecError> {
    let head = postcard::to_slice(&envelope, buffer).map_err(|_| CodecError::TooLong)?.len();
    let rest = buffer.get_mut(head..).ok_or(CodecError::TooLong)?;
    let tail = postcard::to_slice(body, rest).map_err(|_| CodecError::TooLong)?.len();
    Ok(head + tail)
}

/// Reads envelope and body; the body may borrow from `message`.
///
/// Errors: `Malformed`, `Version`.
pub fn decode<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<(Envelope, T), CodecError> {
    let (envelope, rest) = postcard::take_from_bytes::<Envelope>(message).map_err(|_| CodecError::Malformed)?;
    if envelope.version != VERSION {
        return Err(CodecError::Version(envelope.version));
    }
    let (body, rest) = postcard::take_from_bytes(rest).map_err(|_| CodecError::Malformed)?;
    if rest.is_empty() { Ok((envelope, body)) } else { Err(CodecError::Malformed) }
}
