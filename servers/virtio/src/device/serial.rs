//! Byte streams to the host (VIRTIO 1.2 section 5.3): many named ports, or one without a name.

use crate::driver::{Driver, OpenError, Parts};
use crate::queue::Chain;
use crate::store::Shape;
use crate::transport::Transport;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use rt::device::serial::{Event, Port, SerialDevice};
use rt::device::{DeviceError, Segment, Tag};

/// Bytes of a control message; the name of a port may follow (section 5.3.6.2).
const CONTROL_BYTES: usize = 8;
/// Longest control message that is read.
const CONTROL_BUFFER: usize = 128;

const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;
/// Queues of 32 ports and of the control channel.
pub(crate) const MOST_QUEUES: u16 = 66;

const FEATURE_MULTIPORT: u64 = 1 << 1;

/// Control events.
mod event {
    pub(super) const DEVICE_READY: u16 = 0;
    pub(super) const PORT_ADD: u16 = 1;
    pub(super) const PORT_REMOVE: u16 = 2;
    pub(super) const PORT_READY: u16 = 3;
    pub(super) const PORT_OPEN: u16 = 6;
    pub(super) const PORT_NAME: u16 = 7;
}

/// What transfers look like on each queue: control messages in the driver's own memory, streams in lent memory.
pub(crate) fn shape(queue: u16) -> Shape {
    let side = match usize::from(queue) {
        CONTROL_RECEIVE => CONTROL_BUFFER,
        CONTROL_TRANSMIT => CONTROL_BYTES,
        _ => 0,
    };
    Shape { side, pieces: 4, segments: 1, depth: 32, tables: false }
}

/// What is known of a port.
#[derive(Clone, Copy, Default)]
struct PortState {
    exists: bool,
    named: bool,
}

struct State {
    driver: Driver,
    /// There is a control channel.
    many: bool,
    ports: Vec<PortState>,
    events: VecDeque<Event>,
    /// Control messages that wait for a free descriptor.
    unsent: VecDeque<[u8; CONTROL_BYTES]>,
    /// Tags of queue n begin at n times this.
    tags_per_queue: u16,
}

/// A serial device in the hands of its driver.
pub(crate) struct Serial(RefCell<State>);

impl Serial {
    /// Takes the device and opens this side of all ports.
    pub(crate) fn open(parts: Parts, transport: Box<dyn Transport>, bit: u8) -> Result<Self, OpenError> {
        let mut driver = Driver::open(parts, transport, FEATURE_MULTIPORT, bit)?;
        let queues = driver.queue_count();
        let many = driver.has(FEATURE_MULTIPORT) && queues > CONTROL_TRANSMIT;
        let tags_per_queue = (0..queues).map(|queue| driver.depth(queue)).max().unwrap_or(1).max(1);
        let usable = queues.min(usize::from(u16::MAX / tags_per_queue));
        let count = if many { usable / 2 - 1 } else { 1 };
        driver.start();
        let mut state = State {
            driver,
            many,
            ports: alloc::vec![PortState::default(); count],
            events: VecDeque::new(),
            unsent: VecDeque::new(),
            tags_per_queue,
        };
        if many {
            state.start_control();
        } else {
            state.add_single_port();
        }
        Ok(Self(RefCell::new(state)))
    }
}

/// Queue that receives for a port; the one that transmits is next to it (section 5.3.2).
fn receive_queue(port: Port) -> usize {
    if port == 0 { 0 } else { 2 + 2 * usize::from(port) }
}

impl State {
    fn start_control(&mut self) {
        while self.post_control() {}
        self.driver.kick(CONTROL_RECEIVE);
        self.send_control(0, event::DEVICE_READY, 1);
    }

    fn add_single_port(&mut self) {
        if let Some(port) = self.ports.first_mut() {
            *port = PortState { exists: true, named: true };
        }
        self.events.push_back(Event::Named(0, String::new()));
        self.events.push_back(Event::Opened(0, true));
    }

    /// Gives the device a buffer for a control message. `false`: the queue is full.
    fn post_control(&mut self) -> bool {
        let chain = Chain { lead: CONTROL_BUFFER as u16, ..Chain::default() };
        self.driver.submit(CONTROL_RECEIVE, &chain).is_ok()
    }

    fn send_control(&mut self, port: Port, event: u16, value: u16) {
        let mut message = [0; CONTROL_BYTES];
        message[..4].copy_from_slice(&u32::from(port).to_le_bytes());
        message[4..6].copy_from_slice(&event.to_le_bytes());
        message[6..].copy_from_slice(&value.to_le_bytes());
        self.unsent.push_back(message);
        self.flush_control();
    }

    fn flush_control(&mut self) {
        while self.driver.complete(CONTROL_TRANSMIT).is_some() {}
        while let Some(message) = self.unsent.front() {
            let chain = Chain { header: message, ..Chain::default() };
            if self.driver.send(CONTROL_TRANSMIT, &chain).is_err() {
                return;
            }
            self.unsent.pop_front();
        }
    }

    /// Reads control messages until one is an event. Messages that make no sense are skipped.
    fn read_control(&mut self) {
        self.flush_control();
        while self.events.is_empty() {
            let Some(completion) = self.driver.complete(CONTROL_RECEIVE) else { return };
            let mut buffer = [0; CONTROL_BUFFER];
            self.driver.lead(CONTROL_RECEIVE, completion.tag, &mut buffer);
            if !completion.lost {
                self.control(buffer.get(..completion.written).unwrap_or(&[]));
            }
            if self.post_control() {
                self.driver.kick(CONTROL_RECEIVE);
            }
        }
    }

    fn control(&mut self, message: &[u8]) {
        let Some((head, name)) = message.split_first_chunk::<CONTROL_BYTES>() else { return };
        let [i0, i1, i2, i3, e0, e1, v0, v1] = *head;
        let Ok(port) = Port::try_from(u32::from_le_bytes([i0, i1, i2, i3])) else { return };
        let Some(state) = self.ports.get_mut(usize::from(port)) else { return };
        match u16::from_le_bytes([e0, e1]) {
            event::PORT_ADD if !state.exists => {
                *state = PortState { exists: true, named: false };
                self.send_control(port, event::PORT_READY, 1);
                self.send_control(port, event::PORT_OPEN, 1);
            }
            event::PORT_REMOVE if state.exists => {
                *state = PortState::default();
                self.events.push_back(Event::Opened(port, false));
            }
            event::PORT_NAME if state.exists => {
                state.named = true;
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                let name = String::from_utf8_lossy(&name[..end]).into_owned();
                self.events.push_back(Event::Named(port, name));
            }
            event::PORT_OPEN if state.exists => {
                // The host names a port before it opens it; one that is open has no name.
                if !core::mem::replace(&mut state.named, true) {
                    self.events.push_back(Event::Named(port, String::new()));
                }
                self.events.push_back(Event::Opened(port, u16::from_le_bytes([v0, v1]) != 0));
            }
            _ => {}
        }
    }

    /// Collects one finished transfer of any port.
    fn transferred(&mut self) -> Option<Event> {
        for port in 0..self.ports.len() {
            let receive = receive_queue(port as Port);
            if let Some(completion) = self.driver.complete(receive + 1) {
                return Some(Event::Sent(self.tag(receive + 1, completion.tag)));
            }
            if let Some(completion) = self.driver.complete(receive) {
                return Some(Event::Received(self.tag(receive, completion.tag), completion.written));
            }
        }
        None
    }

    /// Tags are counted per queue by the driver, and must differ between queues here.
    fn tag(&self, queue: usize, tag: Tag) -> Tag {
        // `open` keeps only as many ports as can be counted.
        (queue as u16).wrapping_mul(self.tags_per_queue).wrapping_add(tag)
    }

    fn submit(&mut self, port: Port, queue: usize, chain: &Chain<'_>) -> Result<Tag, DeviceError> {
        if !self.ports.get(usize::from(port)).is_some_and(|state| state.exists) {
            return Err(DeviceError::BadRequest);
        }
        let tag = self.driver.send(queue, chain)?;
        Ok(self.tag(queue, tag))
    }
}

impl SerialDevice for Serial {
    fn send(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError> {
        let chain = Chain { output: core::slice::from_ref(segment), ..Chain::default() };
        self.0.borrow_mut().submit(port, receive_queue(port) + 1, &chain)
    }

    fn post(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError> {
        let chain = Chain { input: core::slice::from_ref(segment), ..Chain::default() };
        self.0.borrow_mut().submit(port, receive_queue(port), &chain)
    }

    fn next_event(&self) -> Option<Event> {
        let mut state = self.0.borrow_mut();
        if state.many {
            state.read_control();
        }
        if let Some(event) = state.events.pop_front() {
            return Some(event);
        }
        state.transferred()
    }

    fn bit(&self) -> u8 {
        self.0.borrow().driver.bit()
    }

    fn acknowledge(&self) {
        self.0.borrow_mut().driver.acknowledge();
    }

    fn reset(&self) {
        self.0.borrow_mut().driver.stop();
    }
}

#[cfg(test)]
mod tests;
