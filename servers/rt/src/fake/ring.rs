//! A byte ring within one thread.

use crate::sys::{BELL_BIT, Bits, Ring};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};

struct Shared {
    bytes: RefCell<VecDeque<u8>>,
    capacity: usize,
    closed: [Cell<Option<u32>>; 2],
    tags: [Cell<Option<u32>>; 2],
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Producer = 0,
    Consumer = 1,
}

struct End {
    shared: Rc<Shared>,
    side: Side,
    bells: Rc<RefCell<Vec<u32>>>,
    pending: Rc<Cell<Bits>>,
}

/// A ring of `capacity` bytes: its producer's and its consumer's end. Bells land in `bells` and set the bell bit.
pub fn ring_pair(
    capacity: usize,
    bells: Rc<RefCell<Vec<u32>>>,
    pending: Rc<Cell<Bits>>,
) -> (Rc<dyn Ring>, Rc<dyn Ring>) {
    let shared =
        Rc::new(Shared { bytes: RefCell::default(), capacity, closed: Default::default(), tags: Default::default() });
    let end = |side| End { shared: shared.clone(), side, bells: bells.clone(), pending: pending.clone() };
    (Rc::new(end(Side::Producer)), Rc::new(end(Side::Consumer)))
}

impl Ring for End {
    fn readable(&self) -> usize {
        self.shared.bytes.borrow().len()
    }
    fn writable(&self) -> usize {
        self.shared.capacity - self.readable()
    }
    fn capacity(&self) -> usize {
        self.shared.capacity
    }
    fn push(&self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.writable());
        self.shared.bytes.borrow_mut().extend(&bytes[..count]);
        count
    }
    fn pop(&self, out: &mut [u8]) -> usize {
        let count = self.peek(0, out);
        self.discard(count)
    }
    fn peek(&self, at: usize, out: &mut [u8]) -> usize {
        let bytes = self.shared.bytes.borrow();
        let mut count = 0;
        for (to, from) in out.iter_mut().zip(bytes.iter().skip(at)) {
            *to = *from;
            count += 1;
        }
        count
    }
    fn discard(&self, count: usize) -> usize {
        let count = count.min(self.readable());
        self.shared.bytes.borrow_mut().drain(..count);
        count
    }
    fn close(&self, code: u32) {
        self.shared.closed[self.side as usize].set(Some(code));
        self.ring_bell();
    }
    fn producer_closed(&self) -> Option<u32> {
        self.shared.closed[Side::Producer as usize].get()
    }
    fn consumer_closed(&self) -> Option<u32> {
        self.shared.closed[Side::Consumer as usize].get()
    }
    fn ring_bell(&self) {
        if let Some(tag) = self.shared.tags[1 - self.side as usize].get() {
            self.bells.borrow_mut().push(tag);
            self.pending.set(self.pending.get() | 1 << BELL_BIT);
        }
    }
    fn set_tag(&self, tag: u32) {
        self.shared.tags[self.side as usize].set(Some(tag));
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
