//! The machine as a server sees it: object-safe traits, bound in `servers/root` and in `fake`.
//!
//! Nothing here blocks but [`Machine::wait`], and only the [`executor`](crate::executor) calls that.
//! Every source of events (port, link, device, bell) owns one bit of the thread's notification word.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::any::Any;
use protocol::ATTACHMENTS;

/// Notification bits: bit n is set when source n has something.
pub type Bits = u64;

/// Bit of the task's own port.
pub const INBOX_BIT: u8 = 0;
/// Bit of all bells of rings.
pub const BELL_BIT: u8 = 1;
/// Bells that one task can tell apart; a higher tag is never heard.
pub const BELL_TAGS: u32 = 16 * 1024;
/// First bit for links; devices follow behind them.
pub const FIRST_FREE_BIT: u8 = 2;

/// Time, memory, randomness, log: what the machine gives to a task.
pub trait Machine {
    /// Nanoseconds since boot; never goes back.
    fn now_ns(&self) -> u64;

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    fn wall_ns(&self) -> u64;

    /// Sleeps until a notification bit is set or `deadline_ns` (of [`Machine::now_ns`]) has come.
    ///
    /// Takes and clears all bits; 0 means the deadline.
    fn wait(&self, deadline_ns: Option<u64>) -> Bits;

    /// Core-owned, zeroed, page-aligned memory of at least `bytes`, fit for DMA; charged to the task.
    /// `None` when memory or the task's limit is used up.
    fn pages(&self, bytes: usize) -> Option<Rc<dyn Memory>>;

    /// The region that survives the death of this task and is found again by its successor.
    fn keep(&self) -> Rc<dyn Memory>;

    /// The tag of one ring whose bell was rung since (see [`Ring::set_tag`]).
    fn next_bell(&self) -> Option<u32>;

    /// Unpredictable bits.
    fn random(&self) -> u64;

    /// One line for Skiff's log.
    fn log(&self, line: core::fmt::Arguments<'_>);

    /// Whether trace events of this task are wanted now.
    fn tracing(&self) -> bool;

    /// Records one trace event.
    fn trace(&self, event: &crate::trace::Event<'_>);
}

/// Why memory could not be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The range does not lie inside.
    OutOfRange,
    /// The lease has ended, or does not allow this direction.
    Revoked,
}

/// Memory that a task may touch by copying: lent by another task, or its own pages.
pub trait Memory: Any {
    /// Size in bytes.
    fn len(&self) -> usize;

    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies out. Errors: `OutOfRange`, `Revoked`.
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies in. Errors: `OutOfRange`, `Revoked`.
    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), MemoryError>;

    /// Fills with zeros. Errors: `OutOfRange`, `Revoked`.
    fn zero(&self, at: usize, len: usize) -> Result<(), MemoryError>;

    /// Copies from other memory. Errors: `OutOfRange`, `Revoked`.
    fn copy_from(&self, at: usize, from: &dyn Memory, from_at: usize, len: usize) -> Result<(), MemoryError> {
        let mut bounce = [0; 512];
        let mut done = 0;
        while done < len {
            let part = &mut bounce[..(len - done).min(512)];
            from.read(from_at + done, part)?;
            self.write(at + done, part)?;
            done += part.len();
        }
        Ok(())
    }

    /// For the binder, which must find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// Why a call could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// As many calls as the queue is deep are under way.
    Full,
    /// The server is gone and no successor has come.
    Gone,
}

/// One of the things attached to a call.
#[derive(Clone)]
pub enum Attachment {
    /// The callee may read.
    Read(Rc<dyn Memory>),
    /// The callee may read and write.
    Write(Rc<dyn Memory>),
    /// One end of a byte ring changes hands.
    Ring(Rc<dyn Ring>),
}

/// A call under way: a small number, below the depth of the queue.
pub type Token = u16;

/// The caller's end of a connection to another task's port.
pub trait Outbox {
    /// Sends a message with its attachments; leases end with the reply. Errors: `Full`, `Gone`.
    fn send(&self, message: &[u8], attachments: &[Attachment]) -> Result<Token, SendError>;

    /// One call that has been answered, or whose server died.
    fn next_done(&self) -> Option<Token>;

    /// Takes the reply of a finished call, and ends the call. `None`: the server died with it.
    fn take(&self, token: Token, reply: &mut [u8]) -> Option<usize>;

    /// Gives a call up: its leases end at once, its reply is dropped.
    fn cancel(&self, token: Token);

    /// The notification bit that says that [`Outbox::next_done`] has something.
    fn bit(&self) -> u8;

    /// Generation of the server behind the port; grows when it is started anew.
    fn generation(&self) -> u32;
}

/// A message that has arrived.
pub struct Arrival {
    /// Names the call in [`Inbox::reply`].
    pub token: Token,
    /// Number of the calling task.
    pub caller: u32,
    /// Bytes placed in the buffer.
    pub len: usize,
    /// What was attached.
    pub attachments: [Option<Attachment>; ATTACHMENTS],
}

/// The receiving end of a task's port.
pub trait Inbox {
    /// Takes the next message, if there is one.
    fn receive(&self, buffer: &mut [u8]) -> Option<Arrival>;

    /// Answers a call and ends its leases.
    fn reply(&self, token: Token, message: &[u8]);

    /// Calls that can be in hand at once.
    fn depth(&self) -> usize;
}

/// One end of a bounded byte queue between two tasks: one producer, one consumer.
pub trait Ring: Any {
    /// Bytes that can be taken.
    fn readable(&self) -> usize;
    /// Bytes that can be put.
    fn writable(&self) -> usize;
    /// Size in bytes.
    fn capacity(&self) -> usize;
    /// Puts as many bytes as fit; returns how many.
    fn push(&self, bytes: &[u8]) -> usize;
    /// Takes up to `out.len()` bytes; returns how many.
    fn pop(&self, out: &mut [u8]) -> usize;
    /// Looks at bytes `at` behind the first one without taking them; returns how many.
    fn peek(&self, at: usize, out: &mut [u8]) -> usize;
    /// Drops up to `count` bytes; returns how many.
    fn discard(&self, count: usize) -> usize;
    /// Closes this end. As producer: no more bytes will come, `code` says why (0: end of stream).
    /// As consumer: no more bytes are wanted.
    fn close(&self, code: u32);
    /// The code with which the producer closed its end.
    fn producer_closed(&self) -> Option<u32>;
    /// The code with which the consumer closed its end (or died).
    fn consumer_closed(&self) -> Option<u32>;
    /// Wakes the other side.
    fn ring_bell(&self);
    /// What [`Machine::next_bell`] says when the other side rings; below [`BELL_TAGS`].
    fn set_tag(&self, tag: u32);
    /// For the binder.
    fn as_any(&self) -> &dyn Any;
}

/// What a server's entry function is given by the binder.
pub struct Ports {
    /// The machine.
    pub machine: Rc<dyn Machine>,
    /// The task's own port.
    pub inbox: Rc<dyn Inbox>,
    /// Connections in the order of the task table.
    pub links: Box<[Rc<dyn Outbox>]>,
    /// Name of this instance (`p9:/static`).
    pub name: Box<str>,
    /// Times that this task was started, from 1.
    pub generation: u32,
}
