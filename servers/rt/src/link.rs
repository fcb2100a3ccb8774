//! The caller's end of a protocol: typed calls over an [`Outbox`].
//!
//! [`Link::call`] encodes, sends (waiting while the queue is full), and resolves to the typed reply. A call
//! in hand when the server dies resolves to the protocol's `PeerGone`; dropping the future cancels it.

use crate::executor::{Event, Runtime};
use crate::sys::{Attachment, Outbox, SendError, Token};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::marker::PhantomData;
use core::task::{Poll, Waker};
use protocol::{Call, CodecError, Envelope, MESSAGE_BYTES, MaybeGone, Protocol};
use serde::{Deserialize, Serialize};

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    done: bool,
}

struct Inner {
    outbox: Rc<dyn Outbox>,
    waiting: RefCell<Vec<Waiting>>,
    /// Notified when a call has ended, so that another may be sent.
    room: Event,
    generation: u32,
    /// Where messages are put together and taken apart; never across an await.
    scratch: RefCell<[u8; MESSAGE_BYTES]>,
}

/// A connection to a server that speaks protocol `P`; cheap to clone.
pub struct Link<P: Protocol> {
    inner: Rc<Inner>,
    protocol: PhantomData<P>,
}

impl<P: Protocol> Clone for Link<P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), protocol: PhantomData }
    }
}

impl<P: Protocol> Link<P> {
    /// Connects `outbox` to the executor. `generation` is the caller's own.
    pub fn new(runtime: &Runtime, outbox: Rc<dyn Outbox>, generation: u32) -> Self {
        let bit = outbox.bit();
        let scratch = RefCell::new([0; MESSAGE_BYTES]);
        let inner = Rc::new(Inner { outbox, waiting: RefCell::default(), room: Event::default(), generation, scratch });
        let collected = inner.clone();
        runtime.on_bit(bit, move || collected.collect());
        Self { inner, protocol: PhantomData }
    }

    /// Calls the server and waits for the reply. `request` is the request id that the call works for, or 0.
    pub async fn call<'a, C>(&self, request: u64, call: C, attachments: &[Attachment]) -> C::Reply
    where
        C: Call<'a, Protocol = P>,
    {
        let envelope = Envelope::new(self.inner.generation, request);
        let body: P::Request<'a> = call.into();
        let token = match self.inner.send(envelope, &body, attachments).await {
            Ok(Some(token)) => token,
            Ok(None) => return C::Reply::peer_gone(),
            Err(_) => return C::Reply::malformed(),
        };
        let guard = Cancel { inner: &self.inner, token: Some(token) };
        poll_fn(|cx| self.inner.poll_done(token, cx.waker())).await;
        guard.disarm();
        let reply = self.inner.take(token);
        self.inner.room.notify();
        reply
    }

    /// Generation of the server behind the link.
    pub fn generation(&self) -> u32 {
        self.inner.outbox.generation()
    }
}

impl Inner {
    /// Sends, waiting for room; `None` if the server is gone. Errors: the message does not fit.
    async fn send<T: Serialize>(
        &self,
        envelope: Envelope,
        body: &T,
        attachments: &[Attachment],
    ) -> Result<Option<Token>, CodecError> {
        loop {
            let room = self.room.wait();
            match self.try_send(envelope, body, attachments)? {
                Ok(token) => {
                    self.start(token);
                    return Ok(Some(token));
                }
                Err(SendError::Full) => room.await,
                Err(SendError::Gone) => return Ok(None),
            }
        }
    }

    fn try_send<T: Serialize>(
        &self,
        envelope: Envelope,
        body: &T,
        attachments: &[Attachment],
    ) -> Result<Result<Token, SendError>, CodecError> {
        let mut scratch = self.scratch.borrow_mut();
        let len = protocol::encode(&mut scratch[..], envelope, body)?;
        Ok(self.outbox.send(&scratch[..len], attachments))
    }

    /// Takes the reply of a finished call.
    fn take<R: MaybeGone + for<'de> Deserialize<'de>>(&self, token: Token) -> R {
        let mut scratch = self.scratch.borrow_mut();
        match self.outbox.take(token, &mut scratch[..]) {
            None => R::peer_gone(),
            Some(len) => match protocol::decode(&scratch[..len.min(MESSAGE_BYTES)]) {
                Ok((_, reply)) => reply,
                Err(_) => R::malformed(),
            },
        }
    }

    fn start(&self, token: Token) {
        let mut waiting = self.waiting.borrow_mut();
        let index = usize::from(token);
        if waiting.len() <= index {
            waiting.resize_with(index + 1, Waiting::default);
        }
        waiting[index] = Waiting::default();
    }

    fn poll_done(&self, token: Token, waker: &Waker) -> Poll<()> {
        let mut waiting = self.waiting.borrow_mut();
        let entry = &mut waiting[usize::from(token)];
        if entry.done {
            return Poll::Ready(());
        }
        entry.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Marks and wakes every call that has been answered.
    fn collect(&self) {
        while let Some(token) = self.outbox.next_done() {
            if let Some(entry) = self.waiting.borrow_mut().get_mut(usize::from(token)) {
                entry.done = true;
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}

/// Cancels a call whose future is dropped before the reply.
struct Cancel<'a> {
    inner: &'a Inner,
    token: Option<Token>,
}

impl Cancel<'_> {
    fn disarm(mut self) {
        self.token = None;
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            self.inner.outbox.cancel(token);
            self.inner.room.notify();
        }
    }
}
