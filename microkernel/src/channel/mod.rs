//! How tasks talk: ports with bounded queues, memory lent for a call, byte rings, coalescing events, keep pages.
//!
//! The core moves bytes and references and never decodes a message. A call is a slot of the server's
//! [`Port`]: request and reply share its buffer. Whatever was lent ends with the reply, the cancelling of the call, or
//! the death of either side.

pub mod connection;
pub mod event;
pub mod keep;
pub mod memory;
pub mod port;
pub mod ring;

pub use connection::{CallError, Connection, Wait};
pub use event::EventSet;
pub use memory::{Memory, MemoryError, Pin};
pub use port::{Attached, Inbox, Port, Received, SendError, Token};
pub use ring::RingEnd;

/// Most bytes of a message.
pub const MESSAGE_BYTES: usize = 1024;
/// Most attachments of a call.
pub const ATTACHMENTS: usize = 4;
