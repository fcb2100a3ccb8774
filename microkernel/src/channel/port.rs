//! Ports: where a server's requests arrive.
//!
//! A port outlives its server. It has a fixed number of call slots, made at boot; a slot holds request, attachments and
//! reply. The dying server's calls in hand end with "gone"; the successor opens the same port anew, with a new
//! generation, and starts with an empty queue.

use super::memory::{Memory, View};
use super::ring::{Detached, End, RingEnd};
use super::{ATTACHMENTS, MESSAGE_BYTES};
use crate::mm::frame::Frame;
use crate::sync::{CoreSection, Lock};
use crate::task::handle::Owned;
use crate::task::thread::{self, Thread};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crossbeam_queue::ArrayQueue;

/// A call of a port: its slot.
pub type Token = u16;

/// Why a call could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// All slots are in use.
    Full,
    /// No server has the port open.
    Gone,
    /// The message is longer than [`MESSAGE_BYTES`], or there are too many attachments.
    TooLong,
}

/// Something lent or handed over with a call.
pub enum Attached {
    /// Memory that the sender holds as a handle.
    Memory {
        /// What is lent.
        memory: LentMemory,
        /// Whether the callee may write.
        write: bool,
    },
    /// Frames that the sender holds directly.
    Frames {
        /// What is lent.
        frames: Arc<[Frame]>,
        /// First byte.
        at: usize,
        /// Bytes.
        len: usize,
        /// Whether the callee may write.
        write: bool,
    },
    /// A ring end, handed over.
    Ring(Detached),
}

/// Opaque: what [`Memory::lend`] gives. It stands in the sender's table until it is sent.
pub struct LentMemory(Owned<View>);

impl Memory {
    /// An attachment that lends this memory.
    pub fn lend(&self, write: bool) -> Attached {
        let _section = CoreSection::enter();
        Attached::Memory { memory: LentMemory(Owned::new(self.0.share())), write }
    }
}

enum Parcel {
    Lease(Arc<View>),
    Ring(Arc<End>),
}

/// Who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Number of the task.
    pub task: u32,
    /// Number of its connection, unique since boot.
    pub connection: u64,
}

/// Who hears of the reply.
pub(crate) enum ReplyTo {
    Thread(Thread),
    Queue(Arc<Completions>),
}

/// Finished calls of one asynchronous connection.
pub(crate) struct Completions {
    pub done: ArrayQueue<Token>,
    pub thread: Thread,
    pub bits: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Queued,
    Taken,
    Done,
    Gone,
    /// Given up by the caller while the server has it.
    Abandoned,
}

struct Slot {
    state: State,
    len: usize,
    origin: Origin,
    reply_to: Option<ReplyTo>,
    parcels: [Option<Parcel>; ATTACHMENTS],
    leases: [Option<Arc<View>>; ATTACHMENTS],
    /// Made when the slot is used for the first time.
    buffer: Option<Box<[u8; MESSAGE_BYTES]>>,
}

impl Slot {
    /// Ends everything that was lent.
    fn end_leases(&mut self) {
        for lease in &mut self.leases {
            if let Some(view) = lease.take() {
                view.revoke();
            }
        }
        self.parcels = [const { None }; ATTACHMENTS];
    }

    fn announce(&mut self, token: Token) {
        match self.reply_to.take() {
            Some(ReplyTo::Thread(caller)) => caller.notify(thread::REPLY),
            Some(ReplyTo::Queue(completions)) => {
                let _ = completions.done.push(token);
                completions.thread.notify(completions.bits);
            }
            None => {}
        }
    }
}

struct Receiver {
    thread: Thread,
    bits: u64,
}

pub(crate) struct PortInner {
    name: String,
    slots: Box<[Lock<Slot>]>,
    free: ArrayQueue<Token>,
    queue: ArrayQueue<Token>,
    receiver: Lock<Option<Receiver>>,
    open: AtomicBool,
    generation: AtomicU32,
    received: AtomicU64,
    /// Threads that wait for a free slot.
    crowd: Lock<Vec<Thread>>,
    crowded: AtomicBool,
}

/// A port. Cheap to clone.
#[derive(Clone)]
pub struct Port(pub(crate) Arc<PortInner>);

impl Port {
    /// A closed port with `depth` slots.
    pub fn new(name: &str, depth: u16) -> Self {
        let _section = CoreSection::enter();
        let depth = depth.max(1);
        let slot = || {
            Lock::new(Slot {
                state: State::Free,
                len: 0,
                origin: Origin::default(),
                reply_to: None,
                parcels: [const { None }; ATTACHMENTS],
                leases: [const { None }; ATTACHMENTS],
                buffer: None,
            })
        };
        let free = ArrayQueue::new(usize::from(depth));
        (0..depth).for_each(|token| free.push(token).expect("as many as the queue is long"));
        Self(Arc::new(PortInner {
            name: String::from(name),
            slots: (0..depth).map(|_| slot()).collect(),
            free,
            queue: ArrayQueue::new(usize::from(depth)),
            receiver: Lock::new(None),
            open: AtomicBool::new(false),
            generation: AtomicU32::new(0),
            received: AtomicU64::new(0),
            crowd: Lock::new(Vec::new()),
            crowded: AtomicBool::new(false),
        }))
    }

    /// Name of the instance behind the port.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Times that the port was opened.
    pub fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Whether a server has it open.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    /// Messages received so far, over all generations.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Calls that wait in the queue.
    pub fn queued(&self) -> usize {
        self.0.queue.len()
    }

    /// Opens the port for the running thread, which has `bits` notified at each message. Closing is the dropping of
    /// the inbox, or the task's death.
    pub fn open(&self, bits: u64) -> Inbox {
        let _section = CoreSection::enter();
        let inner = &self.0;
        inner.close();
        *inner.receiver.lock() = Some(Receiver { thread: thread::current(), bits });
        inner.generation.fetch_add(1, Ordering::AcqRel);
        inner.open.store(true, Ordering::Release);
        Inbox(Owned::new(Arc::new(OpenPort(inner.clone()))))
    }
}

/// An open port in a task's table: closes when it is dropped there.
pub(crate) struct OpenPort(Arc<PortInner>);

impl Drop for OpenPort {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl PortInner {
    /// Ends all calls in hand with "gone".
    fn close(&self) {
        self.open.store(false, Ordering::Release);
        let receiver = self.receiver.lock().take();
        drop(receiver);
        while self.queue.pop().is_some() {}
        for (token, slot) in self.slots.iter().enumerate() {
            let token = token as Token;
            let mut slot = slot.lock();
            match slot.state {
                State::Queued | State::Taken => {
                    slot.end_leases();
                    slot.state = State::Gone;
                    slot.announce(token);
                }
                State::Abandoned => self.release(&mut slot, token),
                State::Free | State::Done | State::Gone => {}
            }
        }
        self.relieve();
    }

    /// Makes a slot free again.
    fn release(&self, slot: &mut Slot, token: Token) {
        slot.end_leases();
        slot.state = State::Free;
        slot.reply_to = None;
        let _ = self.free.push(token);
        self.relieve();
    }

    /// Wakes those who wait for a free slot.
    fn relieve(&self) {
        if self.crowded.swap(false, Ordering::AcqRel) {
            let crowd = core::mem::take(&mut *self.crowd.lock());
            crowd.iter().for_each(|thread| thread.notify(thread::ROOM));
        }
    }

    /// Has the running thread notified ([`thread::ROOM`]) when a slot is freed.
    pub(crate) fn join_crowd(&self) {
        self.crowd.lock().push(thread::current());
        self.crowded.store(true, Ordering::Release);
        if !self.free.is_empty() || !self.open.load(Ordering::Acquire) {
            self.relieve();
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn send(
        &self,
        origin: Origin,
        message: &[u8],
        attached: Vec<Attached>,
        reply_to: ReplyTo,
    ) -> Result<Token, (SendError, Vec<Attached>)> {
        if message.len() > MESSAGE_BYTES || attached.len() > ATTACHMENTS {
            return Err((SendError::TooLong, attached));
        }
        if !self.open.load(Ordering::Acquire) {
            return Err((SendError::Gone, attached));
        }
        let Some(token) = self.free.pop() else { return Err((SendError::Full, attached)) };
        {
            let mut slot = self.slots[usize::from(token)].lock();
            slot.state = State::Queued;
            slot.origin = origin;
            slot.reply_to = Some(reply_to);
            slot.len = message.len();
            slot.buffer.get_or_insert_with(|| Box::new([0; MESSAGE_BYTES]))[..message.len()].copy_from_slice(message);
            for (index, item) in attached.into_iter().enumerate() {
                slot.parcels[index] = Some(pack(item));
            }
            // With the slot still locked: a port that closes now finds the call either way.
            let _ = self.queue.push(token);
        }
        match &*self.receiver.lock() {
            Some(receiver) => receiver.thread.notify(receiver.bits),
            // The server died meanwhile.
            None => self.close(),
        }
        Ok(token)
    }

    /// Whether a call has ended, and how: `Some(None)` means gone.
    pub(crate) fn finish(&self, token: Token, reply: &mut [u8]) -> Option<Option<usize>> {
        let mut slot = self.slots.get(usize::from(token))?.lock();
        let outcome = match slot.state {
            State::Done => {
                let len = slot.len.min(reply.len());
                if let Some(buffer) = &slot.buffer {
                    reply[..len].copy_from_slice(&buffer[..len]);
                }
                Some(len)
            }
            State::Gone => None,
            _ => return None,
        };
        self.release(&mut slot, token);
        Some(outcome)
    }

    pub(crate) fn cancel(&self, token: Token) {
        if let Some(slot) = self.slots.get(usize::from(token)) {
            self.abandon(&mut slot.lock(), token);
        }
    }

    /// Gives up all calls of a connection that nobody holds any more.
    pub(crate) fn cancel_all(&self, connection: u64) {
        for (token, slot) in self.slots.iter().enumerate() {
            let mut slot = slot.lock();
            if slot.origin.connection == connection {
                self.abandon(&mut slot, token as Token);
            }
        }
    }

    fn abandon(&self, slot: &mut Slot, token: Token) {
        slot.reply_to = None;
        match slot.state {
            State::Done | State::Gone => self.release(slot, token),
            // A queued call is dropped when it is taken out.
            State::Queued | State::Taken => {
                slot.end_leases();
                slot.state = State::Abandoned;
            }
            State::Free | State::Abandoned => {}
        }
    }
}

fn pack(item: Attached) -> Parcel {
    match item {
        Attached::Memory { memory, write } => Parcel::Lease(Arc::new(View::lease(&memory.0.share(), write))),
        Attached::Frames { frames, at, len, write } => Parcel::Lease(Arc::new(View::new(frames, at, len, write))),
        Attached::Ring(end) => Parcel::Ring(end.send()),
    }
}

/// A server's end of its port.
pub struct Inbox(Owned<OpenPort>);

/// What came with a message.
pub enum Gift {
    /// Lent memory.
    Memory(Memory),
    /// A ring end.
    Ring(RingEnd),
}

/// A message that was received.
pub struct Received {
    /// Names the call in [`Inbox::reply`].
    pub token: Token,
    /// Number of the calling task.
    pub caller: u32,
    /// Bytes placed in the buffer.
    pub len: usize,
    /// What was attached.
    pub gifts: [Option<Gift>; ATTACHMENTS],
}

impl Inbox {
    /// Calls that can be in hand at once.
    pub fn depth(&self) -> usize {
        self.0.0.depth()
    }

    /// Takes the next message, if there is one.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<Received> {
        let _section = CoreSection::enter();
        let port = &self.0.0;
        loop {
            let token = port.queue.pop()?;
            let mut slot = port.slots[usize::from(token)].lock();
            match slot.state {
                State::Queued => {}
                State::Abandoned => {
                    port.release(&mut slot, token);
                    continue;
                }
                // A call of an earlier generation that the queue still named.
                _ => continue,
            }
            slot.state = State::Taken;
            port.received.fetch_add(1, Ordering::Relaxed);
            let len = slot.len.min(buffer.len());
            if let Some(bytes) = &slot.buffer {
                buffer[..len].copy_from_slice(&bytes[..len]);
            }
            let gifts = unpack(&mut slot);
            return Some(Received { token, caller: slot.origin.task, len, gifts });
        }
    }

    /// Answers a call and ends what was lent for it.
    pub fn reply(&self, token: Token, message: &[u8]) {
        let _section = CoreSection::enter();
        let port = &self.0.0;
        let Some(slot) = port.slots.get(usize::from(token)) else { return };
        let mut slot = slot.lock();
        match slot.state {
            State::Taken => {
                slot.end_leases();
                let len = message.len().min(MESSAGE_BYTES);
                slot.len = len;
                if let Some(buffer) = &mut slot.buffer {
                    buffer[..len].copy_from_slice(&message[..len]);
                }
                slot.state = State::Done;
                slot.announce(token);
            }
            State::Abandoned => port.release(&mut slot, token),
            _ => {}
        }
    }
}

fn unpack(slot: &mut Slot) -> [Option<Gift>; ATTACHMENTS] {
    core::array::from_fn(|index| {
        Some(match slot.parcels[index].take()? {
            Parcel::Lease(view) => {
                slot.leases[index] = Some(view.clone());
                Gift::Memory(Memory::from_view(view))
            }
            Parcel::Ring(end) => Gift::Ring(RingEnd::attach(end)),
        })
    })
}
