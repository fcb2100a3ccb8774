//! The server's end of a protocol: handler traits and the loop that serves them.
//!
//! Each protocol has a module here with its `Handler` trait, one async method per call, made from the
//! list in the protocol file: a forgotten call does not compile. [`serve`] takes messages from the
//! [`Inbox`](crate::sys::Inbox), runs each handler as a job of its own, and sends the reply when it ends, in any order.

use crate::executor::Runtime;
use crate::sys::{Arrival, Attachment, INBOX_BIT, Inbox, Memory, Ring, Token};
use crate::trace::Event;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Debug;
use core::future::Future;
use protocol::{ATTACHMENTS, Envelope, Failure, LeaseId, MESSAGE_BYTES};
use serde::Serialize;

/// Who called, and what was attached to the call.
pub struct Context {
    /// Number of the calling task; handles belong to it.
    pub caller: u32,
    /// Generation of the caller; a new one means that all handles of an earlier one are void.
    pub generation: u32,
    /// Request id: passed on in every call made on its behalf.
    pub request: u64,
    attachments: [Option<Attachment>; ATTACHMENTS],
}

/// A lease or ring is not attached, or not of the wanted direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAttached;

impl Context {
    /// A context for a handler that is called directly, as tests do.
    pub fn new(caller: u32, generation: u32, request: u64, attachments: &[Attachment]) -> Self {
        let mut slots = [const { None }; ATTACHMENTS];
        for (slot, attachment) in slots.iter_mut().zip(attachments) {
            *slot = Some(attachment.clone());
        }
        Self { caller, generation, request, attachments: slots }
    }

    fn attachment(&self, id: LeaseId) -> Result<&Attachment, NotAttached> {
        self.attachments.get(usize::from(id.0)).and_then(Option::as_ref).ok_or(NotAttached)
    }

    /// Memory that may be read, at least `len` bytes of it. Errors: [`NotAttached`].
    pub fn readable(&self, id: LeaseId, len: usize) -> Result<Rc<dyn Memory>, NotAttached> {
        match self.attachment(id)? {
            Attachment::Read(memory) | Attachment::Write(memory) if memory.len() >= len => Ok(memory.clone()),
            _ => Err(NotAttached),
        }
    }

    /// Memory that may be written, at least `len` bytes of it. Errors: [`NotAttached`].
    pub fn writable(&self, id: LeaseId, len: usize) -> Result<Rc<dyn Memory>, NotAttached> {
        match self.attachment(id)? {
            Attachment::Write(memory) if memory.len() >= len => Ok(memory.clone()),
            _ => Err(NotAttached),
        }
    }

    /// One end of a ring. Errors: [`NotAttached`].
    pub fn ring(&self, id: LeaseId) -> Result<Rc<dyn Ring>, NotAttached> {
        match self.attachment(id)? {
            Attachment::Ring(ring) => Ok(ring.clone()),
            _ => Err(NotAttached),
        }
    }
}

/// A message as it was received, before it is decoded.
pub struct Message {
    token: Token,
    arrival_ns: u64,
    len: usize,
    bytes: [u8; MESSAGE_BYTES],
    caller: u32,
    attachments: [Option<Attachment>; ATTACHMENTS],
}

impl Message {
    fn empty() -> Self {
        let attachments = [const { None }; ATTACHMENTS];
        Self { token: 0, arrival_ns: 0, len: 0, bytes: [0; MESSAGE_BYTES], caller: 0, attachments }
    }

    /// Splits into the decodable bytes and what builds the context.
    fn parts(&mut self) -> (&[u8], u32, [Option<Attachment>; ATTACHMENTS]) {
        let attachments = core::mem::replace(&mut self.attachments, [const { None }; ATTACHMENTS]);
        (&self.bytes[..self.len], self.caller, attachments)
    }
}

/// Where replies go; cheap to clone.
#[derive(Clone)]
pub struct Responder(Rc<Desk>);

/// What the handlers of one port share.
struct Desk {
    runtime: Runtime,
    inbox: Rc<dyn Inbox>,
    generation: u32,
    /// Where replies are put together.
    scratch: RefCell<[u8; MESSAGE_BYTES]>,
    /// Messages that were dealt with: making one costs more than all else that is done with it here. A KiB moves by pointer.
    #[allow(clippy::vec_box)]
    spare: RefCell<Vec<Box<Message>>>,
}

/// Messages that are kept for reuse.
const SPARE: usize = 32;

impl Responder {
    fn new(runtime: &Runtime, inbox: Rc<dyn Inbox>, generation: u32) -> Self {
        let scratch = RefCell::new([0; MESSAGE_BYTES]);
        Self(Rc::new(Desk { runtime: runtime.clone(), inbox, generation, scratch, spare: RefCell::default() }))
    }

    /// Takes a message back that nobody looks at any more.
    fn recycle(&self, message: Box<Message>) {
        let mut spare = self.0.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(message);
        }
    }

    fn received(&self, request: u64, what: &dyn Debug) {
        let machine = self.0.runtime.machine();
        if machine.tracing() {
            machine.trace(&Event::Request { request, what });
        }
    }

    fn reply<R: Serialize + Debug>(&self, token: Token, request: u64, arrival_ns: u64, reply: &R) {
        let machine = self.0.runtime.machine();
        if machine.tracing() {
            let took_ns = machine.now_ns().saturating_sub(arrival_ns);
            machine.trace(&Event::Reply { request, what: reply, took_ns });
        }
        let mut scratch = self.0.scratch.borrow_mut();
        let envelope = Envelope::new(self.0.generation, request);
        let len = protocol::encode(&mut scratch[..], envelope, reply).expect("replies are bounded by their types");
        self.0.inbox.reply(token, &scratch[..len]);
    }
}

/// One protocol served by a handler: decodes, dispatches, replies.
pub trait Service: 'static {
    /// Handles one message to the end.
    fn dispatch(self: Rc<Self>, message: Box<Message>, responder: Responder) -> impl Future<Output = ()>;
}

/// Serves from now on: whatever arrives at `inbox` runs as a job of its own.
///
/// The depth of the port bounds how many are in hand at once.
pub fn serve<S: Service>(runtime: &Runtime, inbox: Rc<dyn Inbox>, generation: u32, service: Rc<S>) {
    serve_on(runtime, INBOX_BIT, inbox, generation, service);
}

/// [`serve`] for a port that is announced by notification bit `bit`.
pub fn serve_on<S: Service>(runtime: &Runtime, bit: u8, inbox: Rc<dyn Inbox>, generation: u32, service: Rc<S>) {
    let responder = Responder::new(runtime, inbox, generation);
    let pump = {
        let runtime = runtime.clone();
        move || {
            while let Some(message) = next_message(&responder) {
                runtime.spawn(service.clone().dispatch(message, responder.clone()));
            }
        }
    };
    // Messages may have come before the server was ready.
    pump();
    runtime.on_bit(bit, pump);
}

fn next_message(responder: &Responder) -> Option<Box<Message>> {
    let desk = &responder.0;
    let mut message = desk.spare.borrow_mut().pop().unwrap_or_else(|| Box::new(Message::empty()));
    let Some(Arrival { token, caller, len, attachments }) = desk.inbox.receive(&mut message.bytes) else {
        responder.recycle(message);
        return None;
    };
    let machine = desk.runtime.machine();
    message.token = token;
    message.arrival_ns = if machine.tracing() { machine.now_ns() } else { 0 };
    message.len = len.min(MESSAGE_BYTES);
    message.caller = caller;
    message.attachments = attachments;
    Some(message)
}

/// Generates one protocol's handler trait and dispatcher.
macro_rules! handler {
    ($lt:lifetime $protocol:ident $module:ident $name:literal $all:ty {
        $( $variant:ident($request:ty) $method:ident<$($own:lifetime)?> -> $reply:ty, $retry:ident; )*
    }) => {
        /// What a server of this protocol implements; each method is documented at its request.
        #[allow(missing_docs)]
        pub trait Handler: 'static {
            $( fn $method<$($own)?>(&self, cx: &Context, request: $request) -> impl Future<Output = $reply>; )*
        }

        /// Makes a [`Service`] of a handler.
        pub struct Server<H>(pub H);

        impl<H: Handler> Service for Server<H> {
            async fn dispatch(self: Rc<Self>, mut message: Box<Message>, responder: Responder) {
                let (token, arrival_ns) = (message.token, message.arrival_ns);
                let (bytes, caller, attachments) = message.parts();
                let Ok((envelope, request)) = protocol::decode::<Request>(bytes) else {
                    responder.reply(token, 0, arrival_ns, &Result::<()>::Err(<Error as Failure>::MALFORMED));
                    return;
                };
                let id = envelope.request;
                responder.received(id, &request);
                let cx = Context { caller, generation: envelope.generation, request: id, attachments };
                match request {
                    $( Request::$variant(request) => {
                        let reply = self.0.$method(&cx, request).await;
                        drop(cx);
                        responder.reply(token, id, arrival_ns, &reply);
                    } )*
                }
                responder.recycle(message);
            }
        }
    };
}

macro_rules! protocol_module {
    ($(#[$doc:meta])* $module:ident $list:ident) => {
        $(#[$doc])*
        pub mod $module {
            use super::{Box, Context, Failure, Future, Message, Rc, Responder, Service};
            use protocol::$module::*;
            protocol::$list!(handler);
        }
    };
}

protocol_module! {
    /// Serving `fs`.
    fs fs_calls
}
protocol_module! {
    /// Serving `block`.
    block block_calls
}
protocol_module! {
    /// Serving `nic`.
    nic nic_calls
}
protocol_module! {
    /// Serving `net`.
    net net_calls
}
protocol_module! {
    /// Serving `console`.
    console console_calls
}
protocol_module! {
    /// Serving `control`.
    control control_calls
}
protocol_module! {
    /// Serving `supervisor`.
    supervisor supervisor_calls
}
