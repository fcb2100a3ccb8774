//! Ports and links of `rt`, bound to the core's ports and connections.

use crate::machine::KernelMachine;
use crate::ring::KernelRing;
use alloc::rc::Rc;
use alloc::vec::Vec;
use microkernel::channel::{self, Attached, Connection, Port, port};
use microkernel::sync::section;
use microkernel::thread;
use protocol::ATTACHMENTS;
use rt::sys::{Arrival, Attachment, INBOX_BIT, Inbox, Outbox, SendError, Token};
use virtio::KernelMemory;

const _: () = assert!(channel::MESSAGE_BYTES == protocol::MESSAGE_BYTES && channel::ATTACHMENTS == ATTACHMENTS);

/// The task's own port.
pub struct KernelInbox {
    inbox: channel::Inbox,
    machine: Rc<KernelMachine>,
}

impl KernelInbox {
    /// Opens `port` for the running task.
    pub fn open(port: &Port, machine: &Rc<KernelMachine>) -> Rc<Self> {
        Rc::new(Self { inbox: port.open(1 << INBOX_BIT), machine: machine.clone() })
    }

    fn attachment(&self, gift: port::Gift) -> Attachment {
        match gift {
            port::Gift::Memory(memory) if memory.is_writable() => Attachment::Write(Rc::new(KernelMemory(memory))),
            port::Gift::Memory(memory) => Attachment::Read(Rc::new(KernelMemory(memory))),
            port::Gift::Ring(end) => Attachment::Ring(Rc::new(KernelRing::new(end, self.machine.bells()))),
        }
    }
}

impl Inbox for KernelInbox {
    fn receive(&self, buffer: &mut [u8]) -> Option<Arrival> {
        let received = self.inbox.receive(buffer)?;
        let attachments = received.gifts.map(|gift| gift.map(|gift| self.attachment(gift)));
        Some(Arrival { token: received.token, caller: received.caller, len: received.len, attachments })
    }
    fn reply(&self, token: Token, message: &[u8]) {
        self.inbox.reply(token, message);
    }
    fn depth(&self) -> usize {
        self.inbox.depth()
    }
}

/// A connection to another task's port.
pub struct KernelOutbox {
    connection: Connection,
    bit: u8,
}

impl KernelOutbox {
    /// Connects the running task; its thread is notified at `bit`.
    pub fn new(port: &Port, bit: u8) -> Rc<Self> {
        let connection = section(|| Connection::new(port, thread::current(), 1 << bit));
        Rc::new(Self { connection, bit })
    }
}

fn lend(attachment: &Attachment) -> Option<Attached> {
    let (memory, write) = match attachment {
        Attachment::Read(memory) => (memory, false),
        Attachment::Write(memory) => (memory, true),
        // Servers do not hand rings on.
        Attachment::Ring(_) => return None,
    };
    Some(memory.as_any().downcast_ref::<KernelMemory>()?.0.lend(write))
}

impl Outbox for KernelOutbox {
    fn send(&self, message: &[u8], attachments: &[Attachment]) -> Result<Token, SendError> {
        let attached: Option<Vec<_>> = attachments.iter().map(lend).collect();
        let attached = attached.expect("servers attach memory of the core only");
        self.connection.start(message, attached).map_err(|(error, _)| match error {
            port::SendError::Full => SendError::Full,
            port::SendError::Gone | port::SendError::TooLong => SendError::Gone,
        })
    }
    fn next_done(&self) -> Option<Token> {
        self.connection.next_done()
    }
    fn take(&self, token: Token, reply: &mut [u8]) -> Option<usize> {
        self.connection.finish(token, reply).flatten()
    }
    fn cancel(&self, token: Token) {
        self.connection.cancel(token);
    }
    fn bit(&self) -> u8 {
        self.bit
    }
    fn generation(&self) -> u32 {
        self.connection.generation()
    }
}
