//! A server whose requests say what it does: their first byte is an order.

use crate::support::{USUAL, spawn, until};
use alloc::vec::Vec;
use microkernel::channel::port::Gift;
use microkernel::channel::{Connection, Inbox, Memory, MemoryError, Port, Received, RingEnd, Token};
use microkernel::sync::{Lock, section};
use microkernel::task::Task;
use microkernel::thread::{self, Thread};

/// Calls that the port has room for.
pub const DEPTH: u16 = 8;
/// Order: reply with the message.
pub const ECHO: u8 = b'e';
/// Order: keep the call in hand.
pub const HOLD: u8 = b'h';
/// Order: reply to all calls in hand, last one first, then to this one.
pub const ANSWER_ALL: u8 = b'a';
/// Order: add 1 to each byte of the lent memory and keep it; reply with what the access gave.
pub const BORROW: u8 = b'b';
/// Order: access the memory of the last [`BORROW`] or [`HOLD`]; reply with what that gave.
pub const TOUCH: u8 = b't';
/// Order: pin the memory of the last `BORROW`, and keep the pin.
pub const PIN: u8 = b'p';
/// Order: let go of memory and pin.
pub const LET_GO: u8 = b'l';
/// Order: take the ring, and give back what comes out of it until its producer closes; reply with the sum.
pub const SUM: u8 = b's';
/// Order: take the ring and keep it.
pub const TAKE_RING: u8 = b'r';
/// Order: add 1 to the first byte of the keep pages and reply with it.
pub const COUNT: u8 = b'c';
/// Order: lend the memory of this call on to the second server, which holds it, and reply when released.
pub const LEND_ON: u8 = b'o';
/// Order: reply to a token that no call has, twice.
pub const BABBLE: u8 = b'x';
/// Order: panic.
pub const DIE: u8 = b'd';
/// Order: end without replying.
pub const RETURN: u8 = b'q';

/// Notification bit of the server: its port.
const INBOX: u64 = 1;
/// Notification bit of the server: a ring.
const RING: u64 = 2;
/// Notification bit of the server: reply to all calls in hand.
pub const RELEASE: u64 = 4;
/// What a server keeps over its death.
pub const KEEP_BYTES: usize = 8192;

static PORTS: [Lock<Option<Port>>; 2] = [const { Lock::new(None) }; 2];
static THREADS: [Lock<Option<Thread>>; 2] = [const { Lock::new(None) }; 2];

/// The port of the first or the second server, made at the first call.
pub fn port(which: usize) -> Port {
    PORTS[which].lock().get_or_insert_with(|| Port::new("subject", DEPTH)).clone()
}

/// Starts the first or the second server and waits until its port is open.
pub fn start(which: usize) -> Task {
    let port = port(which);
    let generation = port.generation();
    let task = spawn(USUAL, serve, which);
    until("the server", || port.generation() > generation && port.is_open());
    task
}

/// Has a server reply to all calls in hand.
pub fn release(which: usize) {
    THREADS[which].lock().as_ref().expect("it was started").notify(RELEASE);
}

/// How an access ended, as a reply.
pub fn told(outcome: Result<(), MemoryError>) -> &'static [u8] {
    match outcome {
        Ok(()) => b"done",
        Err(MemoryError::Revoked) => b"revoked",
        Err(MemoryError::ReadOnly) => b"read-only",
        Err(MemoryError::OutOfRange) => b"outside",
    }
}

#[derive(Default)]
struct Server {
    held: Vec<Token>,
    memory: Option<Memory>,
    pin: Option<microkernel::channel::Pin>,
    ring: Option<RingEnd>,
}

fn serve(which: usize) {
    let inbox = port(which).open(INBOX);
    section(|| *THREADS[which].lock() = Some(thread::current()));
    let mut server = Server::default();
    let mut message = [0; 1024];
    loop {
        if thread::wait(None) & RELEASE != 0 {
            server.answer_all(&inbox);
        }
        while let Some(received) = inbox.receive(&mut message) {
            let len = received.len;
            if !server.obey(&inbox, received, &message[..len]) {
                return;
            }
        }
    }
}

fn add_one(memory: &Memory) -> Result<(), MemoryError> {
    let mut bytes = alloc::vec![0; memory.len()];
    memory.read(0, &mut bytes)?;
    bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
    memory.write(0, &bytes)
}

/// Reads a ring to its end.
fn sum(ring: &RingEnd) -> u64 {
    let events = microkernel::channel::EventSet::new(1, thread::current(), RING);
    ring.set_bell(&events, 0);
    let (mut sum, mut bytes) = (0, [0; 777]);
    loop {
        let count = ring.pop(&mut bytes);
        sum += bytes[..count].iter().map(|&byte| u64::from(byte)).sum::<u64>();
        if count > 0 {
            ring.ring_bell();
        } else if ring.producer_closed().is_some() && ring.readable() == 0 {
            return sum;
        } else {
            thread::wait_for(RING, None);
        }
    }
}

fn count() -> [u8; 1] {
    let keep = microkernel::channel::keep::region("subject", KEEP_BYTES).expect("there is memory");
    let mut byte = [0];
    keep.read(KEEP_BYTES - 1, &mut byte).expect("inside");
    byte[0] += 1;
    keep.write(KEEP_BYTES - 1, &byte).expect("inside");
    byte
}

impl Server {
    fn answer_all(&mut self, inbox: &Inbox) {
        self.held.drain(..).rev().for_each(|held| inbox.reply(held, b"held"));
    }

    /// Starts a call of the second server that it does not end.
    fn lend_on(&self) {
        let Some(memory) = &self.memory else { return };
        let connection = Connection::new(&port(1), thread::current(), 0);
        let sent = connection.start(&[HOLD], alloc::vec![memory.lend(true)]);
        assert!(sent.is_ok(), "the second server lives");
        thread::wait_for(RELEASE, None);
        core::mem::forget(connection);
    }

    /// Does what a message orders. False: the server is to end.
    fn obey(&mut self, inbox: &Inbox, received: Received, message: &[u8]) -> bool {
        let token = received.token;
        for gift in received.gifts.into_iter().flatten() {
            match gift {
                Gift::Memory(memory) => self.memory = Some(memory),
                Gift::Ring(ring) => self.ring = Some(ring),
            }
        }
        let touch = |memory: &Option<Memory>| told(memory.as_ref().map_or(Err(MemoryError::OutOfRange), add_one));
        match message.first().copied().unwrap_or(0) {
            ECHO => inbox.reply(token, message),
            HOLD => self.held.push(token),
            ANSWER_ALL => {
                self.answer_all(inbox);
                inbox.reply(token, b"all");
            }
            BORROW | TOUCH => inbox.reply(token, touch(&self.memory)),
            PIN => {
                self.pin = self.memory.as_ref().and_then(|memory| memory.pin(0, 4096, true, &mut |_, _| {}).ok());
                inbox.reply(token, if self.pin.is_some() { b"done" } else { b"fail" });
            }
            LET_GO => {
                (self.memory, self.pin) = (None, None);
                inbox.reply(token, b"done");
            }
            SUM => inbox.reply(token, &self.ring.take().as_ref().map_or(0, sum).to_le_bytes()),
            TAKE_RING => inbox.reply(token, b"done"),
            COUNT => inbox.reply(token, &count()),
            LEND_ON => {
                self.lend_on();
                inbox.reply(token, b"done");
            }
            BABBLE => {
                inbox.reply(DEPTH - 1, b"nobody asked");
                inbox.reply(Token::MAX, b"nobody asked");
                inbox.reply(token, b"first");
                inbox.reply(token, b"second");
            }
            DIE => panic!("as ordered"),
            RETURN => return false,
            order => unreachable!("no such order: {order}"),
        }
        true
    }
}
