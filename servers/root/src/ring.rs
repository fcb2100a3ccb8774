//! Byte rings of `rt`, bound to the core's.

use core::any::Any;
use microkernel::channel::{EventSet, RingEnd};
use microkernel::sync::section;
use microkernel::task::handle::{Owned, keep};
use rt::sys::Ring;

/// One end of a ring in a server.
pub struct KernelRing {
    end: RingEnd,
    bells: Owned<EventSet>,
}

impl KernelRing {
    /// Wraps an end; its bell, once it has a tag, signals `bells`.
    pub fn new(end: RingEnd, bells: &EventSet) -> Self {
        Self { end, bells: section(|| keep(bells.clone())) }
    }
}

impl Ring for KernelRing {
    fn readable(&self) -> usize {
        self.end.readable()
    }
    fn writable(&self) -> usize {
        self.end.writable()
    }
    fn capacity(&self) -> usize {
        self.end.capacity()
    }
    fn push(&self, bytes: &[u8]) -> usize {
        self.end.push(bytes)
    }
    fn pop(&self, out: &mut [u8]) -> usize {
        self.end.pop(out)
    }
    fn peek(&self, at: usize, out: &mut [u8]) -> usize {
        self.end.peek(at, out)
    }
    fn discard(&self, count: usize) -> usize {
        self.end.discard(count)
    }
    fn close(&self, code: u32) {
        self.end.close(code);
    }
    fn producer_closed(&self) -> Option<u32> {
        self.end.producer_closed()
    }
    fn consumer_closed(&self) -> Option<u32> {
        self.end.consumer_closed()
    }
    fn ring_bell(&self) {
        self.end.ring_bell();
    }
    fn set_tag(&self, tag: u32) {
        self.end.set_bell(&self.bells, tag);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
