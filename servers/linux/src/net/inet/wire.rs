//! The two rings of a connected or datagram socket, and the program's bytes on their way through them.

use crate::fs::node::Result;
use crate::fs::transfer::{Missing, Room, Sink, Source, Stock};
use crate::process::process;
use crate::remote::Attached;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::Errno;
use microkernel::channel::ring::{DIED, RingEnd, ring};
use protocol::LeaseId;
use protocol::net::{Fault, Rings};
use spin::Mutex;

/// Our ends of the rings.
pub(super) struct Wire {
    rx: RingEnd,
    tx: RingEnd,
    /// Held while bytes are taken.
    taking: Mutex<()>,
    /// Held while bytes are put.
    putting: Mutex<()>,
    tag: u32,
    noted: AtomicBool,
}

/// Outcome of one try.
pub(super) enum Try {
    /// Bytes that moved.
    Moved(usize),
    /// Nothing can move now.
    Blocked,
    /// The other side has ended this direction.
    Over,
    /// A page of the program is missing.
    Lacking(Missing),
}

impl Wire {
    /// Rings of `rx_pages` and `tx_pages` pages, and the other ends to attach; bells signal `sink`.
    ///
    /// Errors: `ENOBUFS` (no memory), `ENFILE`.
    pub(super) fn create(
        sink: Arc<dyn crate::events::Sink>,
        rx_pages: usize,
        tx_pages: usize,
    ) -> Result<(Arc<Self>, Rings, Vec<Attached>)> {
        let (rx_far, rx) = ring(rx_pages).ok_or(Errno::ENOBUFS)?;
        let (tx, tx_far) = ring(tx_pages).ok_or(Errno::ENOBUFS)?;
        let events = &process().events;
        let tag = events.subscribe(sink)?;
        rx.set_bell(events.set(), tag);
        tx.set_bell(events.set(), tag);
        let wire = Self { rx, tx, taking: Mutex::new(()), putting: Mutex::new(()), tag, noted: AtomicBool::new(false) };
        let attached = [Attached::Ring(rx_far.detach()), Attached::Ring(tx_far.detach())].into();
        Ok((Arc::new(wire), Rings { rx: LeaseId(0), tx: LeaseId(1) }, attached))
    }

    /// Bytes that have come.
    pub(super) fn unread(&self) -> usize {
        self.rx.readable()
    }

    /// Bytes that the stack has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.tx.readable()
    }

    /// Bytes that can be sent now.
    pub(super) fn room(&self) -> usize {
        self.tx.writable()
    }

    /// Bytes that can be sent at most.
    pub(super) fn capacity(&self) -> usize {
        self.tx.capacity()
    }

    /// Nothing more will come.
    pub(super) fn input_over(&self) -> bool {
        self.rx.producer_closed().is_some()
    }

    /// Nothing more will be taken.
    pub(super) fn output_over(&self) -> bool {
        self.tx.consumer_closed().is_some()
    }

    /// Ends our direction: the stack sends FIN behind what is in the ring.
    pub(super) fn finish(&self) {
        self.tx.close(Fault::None as u32);
    }

    /// Why the connection broke; once.
    pub(super) fn take_fault(&self) -> Option<Errno> {
        let input = self.rx.producer_closed();
        let code = input.filter(|&code| code != 0).or_else(|| self.tx.consumer_closed().filter(|&code| code != 0))?;
        if self.noted.swap(true, Ordering::AcqRel) {
            return None;
        }
        match Fault::from_code(code) {
            _ if code == DIED => Some(Errno::ECONNRESET),
            Fault::None => None,
            // Reset after the peer's FIN: our data met nobody.
            Fault::Reset if input == Some(0) => Some(Errno::EPIPE),
            Fault::Reset => Some(Errno::ECONNRESET),
            Fault::TimedOut => Some(Errno::ETIMEDOUT),
            Fault::Refused => Some(Errno::ECONNREFUSED),
            Fault::HostUnreachable => Some(Errno::EHOSTUNREACH),
            Fault::NetUnreachable => Some(Errno::ENETUNREACH),
            Fault::Aborted => Some(Errno::ECONNABORTED),
        }
    }

    /// Puts what the source has, as far as there is room.
    pub(super) fn put(&self, source: &mut Source) -> Try {
        if self.output_over() {
            return Try::Over;
        }
        let start = source.done();
        let outcome = {
            let _putting = self.putting.lock();
            loop {
                let step = source.attempt(|stock| match stock {
                    Stock::User(slice) => self.tx.push_from_user(slice),
                    Stock::Memory(bytes) => Ok(self.tx.push(bytes)),
                });
                match step {
                    Ok(0) => break None,
                    Ok(_) => {}
                    Err(missing) => break Some(missing),
                }
            }
        };
        let moved = source.done() - start;
        if moved > 0 && self.tx.readable() <= moved {
            self.tx.ring_bell();
        }
        match outcome {
            Some(missing) => Try::Lacking(missing),
            None if moved == 0 && source.remaining() > 0 => Try::Blocked,
            None => Try::Moved(moved),
        }
    }

    /// Takes what has come, as far as the sink has room; with `peek` it stays, and that many bytes are passed over.
    pub(super) fn take(&self, sink: &mut Sink, peek: Option<usize>) -> Try {
        // Asked for before the bytes are counted: what was put before the closing is then seen.
        let over = self.input_over();
        let start = sink.done();
        let outcome = {
            let _taking = self.taking.lock();
            loop {
                let skip = peek.map(|skip| skip + sink.done() - start);
                let step = sink.attempt(|room| match (room, skip) {
                    (Room::User(slice), None) => self.rx.pop_to_user(slice),
                    (Room::User(slice), Some(skip)) => self.rx.peek_to_user(skip, slice),
                    (Room::Memory(out), None) => Ok(self.rx.pop(out)),
                    (Room::Memory(out), Some(skip)) => Ok(self.rx.peek(skip, out)),
                });
                match step {
                    Ok(0) => break None,
                    Ok(_) => {}
                    Err(missing) => break Some(missing),
                }
            }
        };
        let moved = sink.done() - start;
        if peek.is_none() {
            self.made_room(moved);
        }
        match outcome {
            Some(missing) => Try::Lacking(missing),
            None if moved == 0 && sink.remaining() > 0 => {
                if over {
                    Try::Over
                } else {
                    Try::Blocked
                }
            }
            None => Try::Moved(moved),
        }
    }

    /// The stack waits for room only when the ring was full.
    fn made_room(&self, taken: usize) {
        if taken > 0 && self.rx.writable() <= taken {
            self.rx.ring_bell();
        }
    }

    /// Puts a record of two parts, if both fit.
    pub(super) fn put_record(&self, head: &[u8], body: &[u8]) -> bool {
        let total = head.len() + body.len();
        {
            let _putting = self.putting.lock();
            if self.tx.writable() < total {
                return false;
            }
            self.tx.push(head);
            self.tx.push(body);
        }
        if self.tx.readable() <= total {
            self.tx.ring_bell();
        }
        true
    }

    /// Looks at the first record: a head of `N` bytes, from which `len` tells the length of the rest; at most `most` bytes of that are
    /// copied. Unless `peek`, the record is taken. `None`: no record is there in full.
    pub(super) fn take_record<const N: usize>(
        &self,
        len: impl Fn(&[u8; N]) -> usize,
        most: usize,
        peek: bool,
    ) -> Option<([u8; N], Vec<u8>)> {
        let _taking = self.taking.lock();
        let mut head = [0; N];
        if self.rx.peek(0, &mut head) < N {
            return None;
        }
        let len = len(&head);
        if self.rx.readable() < N + len {
            return None;
        }
        let mut body = alloc::vec![0; len.min(most)];
        self.rx.peek(N, &mut body);
        if !peek {
            self.rx.discard(N + len);
        }
        Some((head, body))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Otherwise the server would be told that we have died.
        self.tx.close(Fault::None as u32);
        self.rx.close(Fault::None as u32);
        process().events.unsubscribe(self.tag);
    }
}
