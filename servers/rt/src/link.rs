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
use protocol::{Call, Envelope, MESSAGE_BYTES, MaybeGone, Protocol};

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
        let inner = Rc::new(Inner { outbox, waiting: RefCell::default(), room: Event::default(), generation });
        let collected = inner.clone();
        runtime.on_bit(bit, move || collected.collect());
        Self { inner, protocol: PhantomData }
    }

    /// Calls the server and waits for the reply. `request` is the request id that the call works for, or 0.
    pub async fn call<'a, C>(&self, request: u64, call: C, attachments: &[Attachment]) -> C::Reply
    where
        C: Call<'a, Protocol = P>,
    {
        let mut buffer = [0; MESSAGE_BYTES];
        let envelope = Envelope::new(self.inner.generation, request);
        let Ok(len) = protocol::encode(&mut buffer, envelope, &call.into()) else {
            return C::Reply::malformed();
        };
        let Some(token) = self.inner.send(&buffer[..len], attachments).await else {
            return C::Reply::peer_gone();
        };
        let guard = Cancel { inner: &self.inner, token: Some(token) };
        poll_fn(|cx| self.inner.poll_done(token, cx.waker())).await;
        guard.disarm();
        let reply_len = self.inner.outbox.take(token, &mut buffer);
        self.inner.room.notify();
        match reply_len {
            None => C::Reply::peer_gone(),
            Some(len) => match protocol::decode(&buffer[..len.min(MESSAGE_BYTES)]) {
                Ok((_, reply)) => reply,
                Err(_) => C::Reply::malformed(),
            },
        }
    }

    /// Generation of the server behind the link.
    pub fn generation(&self) -> u32 {
        self.inner.outbox.generation()
    }
}

impl Inner {
    /// Sends, waiting for room; `None` if the server is gone.
    async fn send(&self, message: &[u8], attachments: &[Attachment]) -> Option<Token> {
        loop {
            let room = self.room.wait();
            match self.outbox.send(message, attachments) {
                Ok(token) => {
                    self.start(token);
                    return Some(token);
                }
                Err(SendError::Full) => room.await,
                Err(SendError::Gone) => return None,
            }
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
