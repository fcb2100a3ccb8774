//! Connections: the right to call a port.
//!
//! A server calls asynchronously (a notification bit says when [`Connection::next_done`] has something); a program thread calls
//! and waits in [`Connection::call`].

use super::port::{Attached, Completions, Origin, Port, PortInner, ReplyTo, SendError, Token};
use crate::sync::CoreSection;
use crate::task::handle::Owned;
use crate::task::thread::{self, ATTENTION, REPLY, ROOM, Thread};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam_queue::ArrayQueue;

struct Inner {
    port: Arc<PortInner>,
    completions: Arc<Completions>,
    origin: Origin,
}

/// Number of the next connection; 0 is none.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Drop for Inner {
    /// The task has dropped the connection or has died: nobody will take the replies, and what was lent ends.
    fn drop(&mut self) {
        self.port.cancel_all(self.origin.connection);
    }
}

/// A connection of one task to one port.
pub struct Connection(Owned<Inner>);

/// What ends the wait of a synchronous call early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: it waits for the reply.
    ForReply,
    /// [`ATTENTION`]: the call is cancelled.
    Interruptible,
}

/// Why a synchronous call has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The server died with it, or is not there.
    Gone,
    /// The thread is wanted.
    Interrupted,
}

impl Connection {
    /// Connects the running task. `bits` of `thread` are notified when an asynchronous call has ended.
    pub fn new(port: &Port, thread: Thread, bits: u64) -> Self {
        let _section = CoreSection::enter();
        let completions = Arc::new(Completions { done: ArrayQueue::new(port.0.depth()), thread, bits });
        let origin = Origin { task: crate::task::current().id(), connection: NEXT.fetch_add(1, Ordering::Relaxed) };
        Self(Owned::new(Arc::new(Inner { port: port.0.clone(), completions, origin })))
    }

    /// Generation of the server behind the port.
    pub fn generation(&self) -> u32 {
        self.0.port.generation()
    }

    /// Starts a call. On failure the attachments come back. Errors: each of [`SendError`].
    pub fn start(&self, message: &[u8], attached: Vec<Attached>) -> Result<Token, (SendError, Vec<Attached>)> {
        let _section = CoreSection::enter();
        let reply_to = ReplyTo::Queue(self.0.completions.clone());
        self.0.port.send(self.0.origin, message, attached, reply_to)
    }

    /// One call that has ended.
    pub fn next_done(&self) -> Option<Token> {
        self.0.completions.done.pop()
    }

    /// Takes the reply of a call that has ended: its length, or `None` if the server died with it. The outer `None`: it
    /// has not ended.
    pub fn finish(&self, token: Token, reply: &mut [u8]) -> Option<Option<usize>> {
        let _section = CoreSection::enter();
        self.0.port.finish(token, reply)
    }

    /// Gives a call up; what was lent ends at once.
    pub fn cancel(&self, token: Token) {
        let _section = CoreSection::enter();
        self.0.port.cancel(token);
    }

    /// Calls and waits; returns the length of the reply.
    ///
    /// While all slots are in use, waits for one. Errors: each of [`CallError`].
    pub fn call(
        &self,
        message: &[u8],
        attached: Vec<Attached>,
        reply: &mut [u8],
        wait: Wait,
    ) -> Result<usize, CallError> {
        let token = self.send_waiting(message, attached)?;
        let mask = match wait {
            Wait::ForReply => REPLY,
            Wait::Interruptible => REPLY | ATTENTION,
        };
        loop {
            if let Some(outcome) = self.finish(token, reply) {
                return outcome.ok_or(CallError::Gone);
            }
            if thread::wait_for(mask, None) & ATTENTION != 0 {
                // The reply may have come at the same time.
                if let Some(outcome) = self.finish(token, reply) {
                    return outcome.ok_or(CallError::Gone);
                }
                self.cancel(token);
                return Err(CallError::Interrupted);
            }
        }
    }

    fn send_waiting(&self, message: &[u8], mut attached: Vec<Attached>) -> Result<Token, CallError> {
        loop {
            let sent = {
                let _section = CoreSection::enter();
                self.0.port.send(self.0.origin, message, attached, ReplyTo::Thread(thread::current()))
            };
            match sent {
                Ok(token) => return Ok(token),
                Err((SendError::Full, back)) => {
                    attached = back;
                    {
                        let _section = CoreSection::enter();
                        self.0.port.join_crowd();
                    }
                    thread::wait_for(ROOM, None);
                }
                Err(_) => return Err(CallError::Gone),
            }
        }
    }
}
