//! The nic server over an interface that the tests drive by hand.

use super::Interface;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use protocol::LeaseId;
use protocol::nic::{Error, Info, Nic, Receive, Transmit};
use rt::device::net::{Facts, NetDevice};
use rt::device::{DeviceError, Segment, Tag};
use rt::fake::{FakeMachine, HeapMemory, block_on, loopback};
use rt::service::nic::Server;
use rt::sys::{Attachment, Bits};
use rt::{Link, Runtime};

const BIT: u8 = 10;
const HEADROOM: usize = 12;
const BUFFER_BYTES: usize = HEADROOM + 14 + 1500;

/// A device with two places per direction; the test plays the wire.
struct FakeNic {
    posted: RefCell<VecDeque<(Tag, Segment)>>,
    filled: RefCell<VecDeque<(Tag, usize)>>,
    sending: RefCell<VecDeque<(Tag, Segment)>>,
    sent: RefCell<Vec<Vec<u8>>>,
    pending: Rc<Cell<Bits>>,
    next: Cell<Tag>,
    stuck: Cell<bool>,
    resets: Cell<u32>,
}

impl FakeNic {
    fn tag(&self) -> Tag {
        self.next.set(self.next.get() % 4 + 1);
        self.next.get()
    }
    fn raise(&self) {
        self.pending.set(self.pending.get() | 1 << BIT);
    }
    /// A frame comes in; says whether there was a buffer.
    fn deliver(&self, frame: &[u8]) -> bool {
        let Some((tag, segment)) = self.posted.borrow_mut().pop_front() else { return false };
        segment.memory.write(HEADROOM, frame).expect("large enough");
        self.filled.borrow_mut().push_back((tag, frame.len()));
        self.raise();
        true
    }
}

impl NetDevice for FakeNic {
    fn facts(&self) -> Facts {
        Facts { mac: [2, 0, 0, 0, 0, 1], mtu: 1500, link_up: true, receive_depth: 2, headroom: HEADROOM as u16 }
    }
    fn transmit(&self, segment: &Segment) -> Result<Tag, DeviceError> {
        if self.sending.borrow().len() == 2 {
            return Err(DeviceError::Full);
        }
        let tag = self.tag();
        self.sending.borrow_mut().push_back((tag, segment.clone()));
        self.raise();
        Ok(tag)
    }
    fn post(&self, segment: &Segment) -> Result<Tag, DeviceError> {
        if self.posted.borrow().len() == 2 {
            return Err(DeviceError::Full);
        }
        let tag = self.tag();
        self.posted.borrow_mut().push_back((tag, segment.clone()));
        Ok(tag)
    }
    fn transmitted(&self) -> Option<Tag> {
        if self.stuck.get() {
            return None;
        }
        let (tag, segment) = self.sending.borrow_mut().pop_front()?;
        let mut frame = alloc::vec![0; segment.len - HEADROOM];
        segment.memory.read(HEADROOM, &mut frame).expect("still lent");
        self.sent.borrow_mut().push(frame);
        Some(tag)
    }
    fn received(&self) -> Option<(Tag, usize)> {
        self.filled.borrow_mut().pop_front()
    }
    fn bit(&self) -> u8 {
        BIT
    }
    fn acknowledge(&self) {}
    fn reset(&self) {
        self.resets.set(self.resets.get() + 1);
    }
}

fn start() -> (Runtime, Link<Nic>, Rc<FakeNic>) {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let device = Rc::new(FakeNic {
        posted: RefCell::default(),
        filled: RefCell::default(),
        sending: RefCell::default(),
        sent: RefCell::default(),
        pending: machine.pending(),
        next: Cell::new(0),
        stuck: Cell::new(false),
        resets: Cell::new(0),
    });
    let interface = Interface::new(&runtime, device.clone());
    let link = loopback(&runtime, machine.pending(), 2, 8, Rc::new(Server(interface)));
    (runtime, link, device)
}

fn settle(runtime: &Runtime) {
    let clock = runtime.clone();
    block_on(runtime, async move { clock.sleep(1_000_000).await });
}

#[test]
fn the_interface_is_described_and_not_stopped_by_its_new_driver() {
    let (runtime, link, device) = start();
    let info = block_on(&runtime, async move { link.call(0, Info {}, &[]).await }).expect("described");
    assert_eq!((info.mac, info.mtu, info.headroom), ([2, 0, 0, 0, 0, 1], 1500, HEADROOM as u16));
    assert_eq!(device.resets.get(), 0);
}

#[test]
fn a_frame_is_sent_from_behind_the_headroom() {
    let (runtime, link, device) = start();
    let mut buffer = alloc::vec![0xee; HEADROOM];
    buffer.extend_from_slice(&[7; 60]);
    let lease = [Attachment::Read(HeapMemory::new(buffer))];
    let reply = block_on(&runtime, async move { link.call(0, Transmit { len: 60, frame: LeaseId(0) }, &lease).await });
    assert_eq!(reply, Ok(()));
    assert_eq!(*device.sent.borrow(), [[7; 60].to_vec()]);
}

#[test]
fn a_full_device_answers_busy() {
    let (runtime, link, device) = start();
    device.stuck.set(true);
    for _ in 0..2 {
        let link = link.clone();
        runtime.spawn(async move {
            let lease = [Attachment::Read(HeapMemory::zeroed(BUFFER_BYTES))];
            link.call(0, Transmit { len: 60, frame: LeaseId(0) }, &lease).await.expect("sent at last");
        });
    }
    settle(&runtime);
    let third = block_on(&runtime, async move {
        let lease = [Attachment::Read(HeapMemory::zeroed(BUFFER_BYTES))];
        link.call(0, Transmit { len: 60, frame: LeaseId(0) }, &lease).await
    });
    assert_eq!(third, Err(Error::Busy));
}

#[test]
fn lengths_and_leases_are_checked() {
    let (runtime, link, _) = start();
    block_on(&runtime, async move {
        for len in [13, 1515, u32::MAX] {
            let lease = [Attachment::Read(HeapMemory::zeroed(BUFFER_BYTES))];
            assert_eq!(link.call(0, Transmit { len, frame: LeaseId(0) }, &lease).await, Err(Error::Length));
        }
        let short = [Attachment::Read(HeapMemory::zeroed(HEADROOM + 59))];
        assert_eq!(link.call(0, Transmit { len: 60, frame: LeaseId(0) }, &short).await, Err(Error::BadLease));
        let small = [Attachment::Write(HeapMemory::zeroed(BUFFER_BYTES - 1))];
        assert_eq!(link.call(0, Receive { buffer: LeaseId(0) }, &small).await, Err(Error::Length));
        let wrong = [Attachment::Read(HeapMemory::zeroed(BUFFER_BYTES))];
        assert_eq!(link.call(0, Receive { buffer: LeaseId(0) }, &wrong).await, Err(Error::BadLease));
    });
}

#[test]
fn frames_arrive_in_order_also_with_more_buffers_than_the_device_holds() {
    let (runtime, link, device) = start();
    let seen = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..5 {
        let (link, seen) = (link.clone(), seen.clone());
        runtime.spawn(async move {
            let memory = HeapMemory::zeroed(BUFFER_BYTES);
            let len = link.call(0, Receive { buffer: LeaseId(0) }, &[Attachment::Write(memory.clone())]).await;
            seen.borrow_mut().push((len.expect("received"), memory.to_vec()[HEADROOM]));
        });
    }
    settle(&runtime);
    for number in 0..5 {
        assert!(device.deliver(&alloc::vec![number; 60 + usize::from(number)]));
        settle(&runtime);
    }
    assert_eq!(*seen.borrow(), [(60, 0), (61, 1), (62, 2), (63, 3), (64, 4)]);
    assert!(!device.deliver(&[0; 60]));
}
