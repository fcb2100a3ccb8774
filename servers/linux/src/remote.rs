//! Typed calls to servers: synchronous ones for handlers, standing ones for the helper thread.
//!
//! [`Remote::call`] encodes, calls on the thread's own time, decodes. A peer that died with the call in hand answers
//! with the protocol's `PeerGone`; what then happens (repeat, look, give up) is the caller's business, by `Call::RETRY`.
//!
//! A standing call ([`Remote::start`]) returns at once; its [`Sink`] runs on the helper thread when it has ended.

use crate::events::{Events, Sink};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};
use microkernel::channel::memory::gather;
use microkernel::channel::{CallError, Connection, Port, SendError, Wait};
use microkernel::mm::frame::Frame;
use protocol::{Call, Envelope, MESSAGE_BYTES, MaybeGone, Protocol};
use spin::Mutex;

pub(crate) use microkernel::channel::{Attached, Token};

/// Lends `len` bytes from byte `at` of `frames` for the time of a call.
pub(crate) fn lend(frames: Vec<Frame>, at: usize, len: usize, write: bool) -> Attached {
    Attached::Frames { frames: gather(frames), at, len, write }
}

/// An untyped connection of the front end to one port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Line>);

struct Line {
    connection: Connection,
    /// What is to be done when a call without a waiting thread has ended.
    standing: Mutex<BTreeMap<Token, Afterwards>>,
}

/// What follows the end of a call that no thread waits for.
enum Afterwards {
    /// The sink is told, and takes the reply.
    Tell(Arc<dyn Sink>),
    /// Nobody wants the reply; what the call needed is dropped.
    Forget(Box<dyn Send + Sync>),
}

impl Client {
    /// Connects to `port`; `events` hears of standing calls.
    pub(crate) fn new(port: &Port, events: &Events) -> Self {
        let (helper, bits) = events.helper();
        let line = Line { connection: Connection::new(port, helper, bits), standing: Mutex::default() };
        let client = Self(Arc::new(line));
        events.poll_too(client.0.clone());
        client
    }
}

impl Sink for Line {
    fn signalled(&self) {
        loop {
            // Under the lock, so that `start` has entered its sink before its completion is looked up.
            let (token, afterwards) = {
                let mut standing = self.standing.lock();
                let Some(token) = self.connection.next_done() else { return };
                (token, standing.remove(&token))
            };
            match afterwards {
                Some(Afterwards::Tell(sink)) => sink.signalled(),
                // The slot of the call is free again only when its reply was taken.
                Some(Afterwards::Forget(kept)) => {
                    let _ = self.connection.finish(token, &mut []);
                    drop(kept);
                }
                None => {}
            }
        }
    }
}

/// A connection to a server that speaks `P`. Cheap to clone.
pub(crate) struct Remote<P: Protocol> {
    client: Client,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Protocol> Clone for Remote<P> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone())
    }
}

/// Ids that tie a system call to the requests made for it.
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

impl<P: Protocol> Remote<P> {
    /// Speaks `P` over `client`.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, protocol: PhantomData }
    }

    /// Which life of the server this is: grows with each.
    pub(crate) fn generation(&self) -> u32 {
        self.client.0.connection.generation()
    }

    /// Calls and waits for the reply, whatever signals come.
    pub(crate) fn call<'a, C: Call<'a, Protocol = P>>(&self, call: C, attached: impl Into<Vec<Attached>>) -> C::Reply {
        let mut reply = [0; MESSAGE_BYTES];
        let mut message = [0; MESSAGE_BYTES];
        let Ok(len) = protocol::encode(&mut message, next_envelope(), &call.into()) else {
            return C::Reply::malformed();
        };
        let request = message.get(..len).unwrap_or_default();
        match self.client.0.connection.call(request, attached.into(), &mut reply, Wait::ForReply) {
            Ok(len) => decode::<C>(reply.get(..len).unwrap_or_default()),
            Err(CallError::Gone | CallError::Interrupted) => C::Reply::peer_gone(),
        }
    }

    /// Starts a standing call; `sink` is signalled once when it has ended. `None`: the queue is full or nobody serves.
    pub(crate) fn start<'a, C: Call<'a, Protocol = P>>(
        &self,
        call: C,
        attached: impl Into<Vec<Attached>>,
        sink: Arc<dyn Sink>,
    ) -> Option<Token> {
        self.begin(call, attached.into(), Afterwards::Tell(sink))
    }

    /// Starts a call whose reply nobody wants; `kept` is dropped when it has ended, or at once if it cannot be sent.
    /// `false`: it could not be sent.
    pub(crate) fn send_off<'a, C: Call<'a, Protocol = P>>(&self, call: C, kept: impl Send + Sync + 'static) -> bool {
        self.begin(call, Vec::new(), Afterwards::Forget(Box::new(kept))).is_some()
    }

    fn begin<'a, C: Call<'a, Protocol = P>>(
        &self,
        call: C,
        attached: Vec<Attached>,
        afterwards: Afterwards,
    ) -> Option<Token> {
        let mut message = [0; MESSAGE_BYTES];
        let len = protocol::encode(&mut message, next_envelope(), &call.into()).ok()?;
        let mut standing = self.client.0.standing.lock();
        let started: Result<Token, (SendError, Vec<Attached>)> =
            self.client.0.connection.start(message.get(..len)?, attached);
        let token = started.ok()?;
        standing.insert(token, afterwards);
        Some(token)
    }

    /// Takes the reply of a standing call; `None` while it has not ended.
    pub(crate) fn finish<'a, C: Call<'a, Protocol = P>>(&self, token: Token) -> Option<C::Reply> {
        let mut reply = [0; MESSAGE_BYTES];
        let outcome = self.client.0.connection.finish(token, &mut reply)?;
        Some(match outcome {
            Some(len) => decode::<C>(reply.get(..len).unwrap_or_default()),
            None => C::Reply::peer_gone(),
        })
    }
}

fn decode<'a, C: Call<'a>>(reply: &[u8]) -> C::Reply {
    protocol::decode(reply).map_or_else(|_| C::Reply::malformed(), |(_, reply)| reply)
}

fn next_envelope() -> Envelope {
    Envelope::new(1, NEXT_REQUEST.fetch_add(1, Ordering::Relaxed))
}
