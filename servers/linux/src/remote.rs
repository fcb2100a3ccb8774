//! Typed, synchronous calls to servers, for handlers.
//!
//! [`Remote::call`] encodes, calls on the thread's own time, decodes. A peer that died with the call in hand answers
//! with the protocol's `PeerGone`; what then happens (repeat, look, give up) is the caller's business, by `Call::RETRY`.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};
use microkernel::channel::{Attachment, CallError, Client, Wait};
use protocol::{Call, Envelope, MESSAGE_BYTES, MaybeGone, Protocol};

/// A connection to a server that speaks `P`.
pub(crate) struct Remote<P: Protocol> {
    client: Client,
    protocol: PhantomData<fn() -> P>,
}

/// Ids that tie a system call to the requests made for it.
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

/// A call's outcome, if it was not ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl<P: Protocol> Remote<P> {
    /// Wraps the core's client.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, protocol: PhantomData }
    }

    /// The core's client, for standing calls (`start`, `finish`).
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Encodes a request for a standing call; `None` if it does not fit (a bug in the protocol).
    pub(crate) fn encode<'a, C: Call<'a, Protocol = P>>(&self, call: C) -> Option<Vec<u8>> {
        let mut message = [0; MESSAGE_BYTES];
        let len = protocol::encode(&mut message, next_envelope(), &call.into()).ok()?;
        message.get(..len).map(Vec::from)
    }

    /// Decodes a reply of a standing call.
    pub(crate) fn decode<'a, C: Call<'a, Protocol = P>>(&self, reply: &[u8]) -> C::Reply {
        protocol::decode(reply).map_or_else(|_| C::Reply::malformed(), |(_, reply)| reply)
    }

    /// Calls and waits; only the end of the program ends the wait early, as `PeerGone`.
    pub(crate) fn call<'a, C: Call<'a, Protocol = P>>(&self, call: C, attachments: &[Attachment]) -> C::Reply {
        self.exchange(call, attachments, Wait::Killable).unwrap_or_else(|Interrupted| C::Reply::peer_gone())
    }

    /// Calls and waits; a signal cancels the call.
    pub(crate) fn call_interruptible<'a, C: Call<'a, Protocol = P>>(
        &self,
        call: C,
        attachments: &[Attachment],
    ) -> Result<C::Reply, Interrupted> {
        self.exchange(call, attachments, Wait::Interruptible)
    }

    fn exchange<'a, C: Call<'a, Protocol = P>>(
        &self,
        call: C,
        attachments: &[Attachment],
        wait: Wait,
    ) -> Result<C::Reply, Interrupted> {
        let mut message = [0; MESSAGE_BYTES];
        let mut reply = [0; MESSAGE_BYTES];
        let Ok(len) = protocol::encode(&mut message, next_envelope(), &call.into()) else {
            return Ok(C::Reply::malformed());
        };
        match self.client.call(&message[..len], attachments, &mut reply, wait) {
            Ok(len) => Ok(self.decode::<C>(reply.get(..len).unwrap_or_default())),
            Err(CallError::Gone) => Ok(C::Reply::peer_gone()),
            Err(CallError::Interrupted) => Err(Interrupted),
        }
    }
}

fn next_envelope() -> Envelope {
    Envelope::new(1, NEXT_REQUEST.fetch_add(1, Ordering::Relaxed))
}
