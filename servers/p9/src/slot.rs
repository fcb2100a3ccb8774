//! Message buffers: pages of the core that the device reads requests from and writes replies to.
//!
//! Each buffer has a 9P tag for its lifetime, so that no two messages under way share one. The pool grows when
//! all are in use; how far is bounded by the calls in hand, which the port bounds.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use rt::device::Segment;
use rt::{Machine, Memory};

/// Room for a request: the longest is Tsymlink with a target of 4095 and a name of 255 bytes.
pub(crate) const REQUEST_ROOM: usize = 5 * 1024;
/// Room for a reply: the longest is Rreadlink with a target of 4096 bytes.
pub(crate) const REPLY_ROOM: usize = 7 * 1024;

struct Buffer {
    tag: u16,
    memory: Rc<dyn Memory>,
}

/// Buffers that are not in use, and where more come from.
pub(crate) struct Pool {
    machine: Rc<dyn Machine>,
    free: RefCell<Vec<Buffer>>,
    made: Cell<u16>,
}

impl Pool {
    pub(crate) fn new(machine: Rc<dyn Machine>) -> Rc<Self> {
        Rc::new(Self { machine, free: RefCell::default(), made: Cell::new(0) })
    }

    /// A buffer; `None` when memory is used up.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Slot> {
        let buffer = match self.free.borrow_mut().pop() {
            Some(buffer) => buffer,
            None => self.make()?,
        };
        Some(Slot { buffer: Some(buffer), pool: self.clone() })
    }

    fn make(&self) -> Option<Buffer> {
        let tag = self.made.get();
        if tag == p9_wire::NO_TAG {
            return None;
        }
        let memory = self.machine.pages(REQUEST_ROOM + REPLY_ROOM)?;
        self.made.set(tag + 1);
        Some(Buffer { tag, memory })
    }
}

/// One buffer in use; goes back to the pool when dropped.
pub(crate) struct Slot {
    /// `Some` until dropped.
    buffer: Option<Buffer>,
    pool: Rc<Pool>,
}

impl Slot {
    fn buffer(&self) -> &Buffer {
        self.buffer.as_ref().expect("only drop takes the buffer out")
    }

    /// The tag of the message that uses this buffer.
    pub(crate) fn tag(&self) -> u16 {
        self.buffer().tag
    }

    /// Places `bytes` as the request. `None` if they do not fit or the memory is gone.
    pub(crate) fn write_request(&self, bytes: &[u8]) -> Option<Segment> {
        if bytes.len() > REQUEST_ROOM {
            return None;
        }
        let memory = self.buffer().memory.clone();
        memory.write(0, bytes).ok()?;
        Some(Segment { memory, at: 0, len: bytes.len() })
    }

    /// The first `len` bytes of the reply room.
    pub(crate) fn reply_segment(&self, len: usize) -> Segment {
        Segment { memory: self.buffer().memory.clone(), at: REQUEST_ROOM, len: len.min(REPLY_ROOM) }
    }

    /// Copies the front of the reply room into `out`; `None` if it is longer than the room.
    pub(crate) fn read_reply(&self, out: &mut [u8]) -> Option<()> {
        if out.len() > REPLY_ROOM {
            return None;
        }
        self.buffer().memory.read(REQUEST_ROOM, out).ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.free.borrow_mut().extend(self.buffer.take());
    }
}
