//! Links whose server lives in the same executor.

use crate::executor::Runtime;
use crate::link::Link;
use crate::service::{Service, serve_on};
use crate::sys::{Arrival, Attachment, Bits, Inbox, Outbox, SendError, Token};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use protocol::{ATTACHMENTS, Protocol};

enum Slot {
    Free,
    Queued(Vec<u8>, Vec<Attachment>),
    Taken,
    Done(Vec<u8>),
    Cancelled,
}

struct Pipe {
    slots: RefCell<Vec<Slot>>,
    queue: RefCell<VecDeque<Token>>,
    done: RefCell<VecDeque<Token>>,
    pending: Rc<Cell<Bits>>,
    request_bit: u8,
    reply_bit: u8,
}

impl Pipe {
    fn raise(&self, bit: u8) {
        self.pending.set(self.pending.get() | 1 << bit);
    }
}

impl Outbox for Pipe {
    fn send(&self, message: &[u8], attachments: &[Attachment]) -> Result<Token, SendError> {
        let mut slots = self.slots.borrow_mut();
        let free = slots.iter().position(|slot| matches!(slot, Slot::Free)).ok_or(SendError::Full)?;
        slots[free] = Slot::Queued(message.to_vec(), attachments.to_vec());
        let token = Token::try_from(free).expect("queues are short");
        self.queue.borrow_mut().push_back(token);
        self.raise(self.request_bit);
        Ok(token)
    }
    fn next_done(&self) -> Option<Token> {
        self.done.borrow_mut().pop_front()
    }
    fn take(&self, token: Token, reply: &mut [u8]) -> Option<usize> {
        let slot = core::mem::replace(&mut self.slots.borrow_mut()[usize::from(token)], Slot::Free);
        let Slot::Done(bytes) = slot else { return None };
        reply[..bytes.len()].copy_from_slice(&bytes);
        Some(bytes.len())
    }
    fn cancel(&self, token: Token) {
        let slot = &mut self.slots.borrow_mut()[usize::from(token)];
        *slot = match slot {
            Slot::Done(_) => Slot::Free,
            _ => Slot::Cancelled,
        };
    }
    fn bit(&self) -> u8 {
        self.reply_bit
    }
    fn generation(&self) -> u32 {
        1
    }
}

impl Inbox for Pipe {
    fn receive(&self, buffer: &mut [u8]) -> Option<Arrival> {
        loop {
            let token = self.queue.borrow_mut().pop_front()?;
            let slot = &mut self.slots.borrow_mut()[usize::from(token)];
            match core::mem::replace(slot, Slot::Taken) {
                Slot::Queued(bytes, attached) => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    let mut attachments = [const { None }; ATTACHMENTS];
                    for (place, attachment) in attachments.iter_mut().zip(attached) {
                        *place = Some(attachment);
                    }
                    return Some(Arrival { token, caller: 1, len: bytes.len(), attachments });
                }
                _ => *slot = Slot::Free,
            }
        }
    }
    fn reply(&self, token: Token, message: &[u8]) {
        let slot = &mut self.slots.borrow_mut()[usize::from(token)];
        if matches!(slot, Slot::Cancelled) {
            *slot = Slot::Free;
        } else {
            *slot = Slot::Done(message.to_vec());
            self.done.borrow_mut().push_back(token);
        }
        self.raise(self.reply_bit);
    }
    fn depth(&self) -> usize {
        self.slots.borrow().len()
    }
}

/// Serves `service` in `runtime` and returns a link to it, `depth` calls deep.
///
/// `bit` and `bit + 1` of the machine's notification word are used; `pending` is
/// [`FakeMachine::pending`](super::FakeMachine::pending).
pub fn loopback<P: Protocol, S: Service>(
    runtime: &Runtime,
    pending: Rc<Cell<Bits>>,
    bit: u8,
    depth: usize,
    service: Rc<S>,
) -> Link<P> {
    let pipe = Rc::new(Pipe {
        slots: RefCell::new((0..depth).map(|_| Slot::Free).collect()),
        queue: RefCell::default(),
        done: RefCell::default(),
        pending,
        request_bit: bit,
        reply_bit: bit + 1,
    });
    serve_on(runtime, bit, pipe.clone(), 1, service);
    Link::new(runtime, pipe, 1)
}
