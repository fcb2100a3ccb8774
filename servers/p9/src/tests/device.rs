//! A virtio-9p device whose host lives in the same thread.

use super::host::Host;
use rt::Bits;
use rt::device::p9::P9Device;
use rt::device::{DeviceError, Segment, Tag};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Notification bit of the device.
pub const BIT: u8 = 20;

/// In which order the host carries out what came with one kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As sent.
    Sent,
    /// The last first: what depends on an earlier request comes too early, as with QEMU.
    Reversed,
}

/// Changes a reply on its way: the request, and the reply of an honest host.
pub type Bend = Box<dyn FnMut(&[u8], Vec<u8>) -> Vec<u8>>;

struct Exchange {
    tag: Tag,
    request: Vec<u8>,
    reply: Vec<Segment>,
}

pub struct FakeDevice {
    pub host: RefCell<Host>,
    pub order: Cell<Order>,
    pub bend: RefCell<Option<Bend>>,
    /// What the device claims to have written, if not the truth.
    pub claim: Cell<Option<usize>>,
    pub kicks: Cell<usize>,
    /// Most exchanges at once, of those that were.
    pub deepest: Cell<usize>,
    pub depth: Cell<usize>,
    pub pieces: Cell<u32>,
    queued: RefCell<VecDeque<Exchange>>,
    done: RefCell<VecDeque<(Tag, usize)>>,
    in_use: RefCell<Vec<bool>>,
    pending: Rc<Cell<Bits>>,
}

impl FakeDevice {
    pub fn new(host: Host, pending: Rc<Cell<Bits>>) -> Rc<Self> {
        Rc::new(Self {
            host: RefCell::new(host),
            order: Cell::new(Order::Sent),
            bend: RefCell::default(),
            claim: Cell::new(None),
            kicks: Cell::new(0),
            deepest: Cell::new(0),
            depth: Cell::new(64),
            pieces: Cell::new(128),
            queued: RefCell::default(),
            done: RefCell::default(),
            in_use: RefCell::default(),
            pending,
        })
    }

    fn carry_out(&self, exchange: Exchange) {
        let honest = self.host.borrow_mut().answer(&exchange.request);
        let reply = match &mut *self.bend.borrow_mut() {
            Some(bend) => bend(&exchange.request, honest),
            None => honest,
        };
        let mut rest = &reply[..];
        for segment in &exchange.reply {
            let (part, more) = rest.split_at(rest.len().min(segment.len));
            // A lease that has ended meanwhile takes nothing; the device does not notice.
            let _ = segment.memory.write(segment.at, part);
            rest = more;
        }
        let written = reply.len() - rest.len();
        self.done.borrow_mut().push_back((exchange.tag, self.claim.get().unwrap_or(written)));
    }
}

fn gather(segments: &[Segment]) -> Result<Vec<u8>, DeviceError> {
    let mut bytes = vec![];
    for segment in segments {
        let mut part = vec![0; segment.len];
        segment.memory.read(segment.at, &mut part).map_err(|_| DeviceError::BadMemory)?;
        bytes.extend(part);
    }
    Ok(bytes)
}

impl P9Device for FakeDevice {
    fn mount_tag(&self) -> String {
        String::from("test")
    }
    fn max_pieces(&self) -> u32 {
        self.pieces.get()
    }
    fn submit(&self, request: &[Segment], reply: &[Segment]) -> Result<Tag, DeviceError> {
        let mut in_use = self.in_use.borrow_mut();
        in_use.resize(self.depth.get(), false);
        let free = in_use.iter().position(|used| !used).ok_or(DeviceError::Full)?;
        let pieces: usize = request.iter().chain(reply).map(|part| part.len.div_ceil(4096)).sum();
        assert!(pieces <= self.pieces.get() as usize, "{pieces} pieces");
        let request = gather(request)?;
        in_use[free] = true;
        let deep = in_use.iter().filter(|used| **used).count();
        self.deepest.set(self.deepest.get().max(deep));
        let tag = free as Tag;
        self.queued.borrow_mut().push_back(Exchange { tag, request, reply: reply.to_vec() });
        Ok(tag)
    }
    fn kick(&self) {
        self.kicks.set(self.kicks.get() + 1);
        let mut batch: Vec<Exchange> = self.queued.borrow_mut().drain(..).collect();
        if self.order.get() == Order::Reversed {
            batch.reverse();
        }
        batch.into_iter().for_each(|exchange| self.carry_out(exchange));
        self.pending.set(self.pending.get() | 1 << BIT);
    }
    fn completed(&self) -> Option<(Tag, usize)> {
        let done = self.done.borrow_mut().pop_front()?;
        self.in_use.borrow_mut()[usize::from(done.0)] = false;
        Some(done)
    }
    fn bit(&self) -> u8 {
        BIT
    }
    fn acknowledge(&self) {}
    fn reset(&self) {
        self.queued.borrow_mut().clear();
        self.done.borrow_mut().clear();
        self.in_use.borrow_mut().clear();
    }
}
