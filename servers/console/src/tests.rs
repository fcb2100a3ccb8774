//! The console server over a serial device that the tests drive by hand, and over a UART.

use super::{Console, DISCOVERY_NS};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use protocol::console::{Console as Protocol, Drain, Error, Put, Read, Stream, Write};
use protocol::{Bytes, LeaseId};
use rt::device::serial::{Event, Port, SerialDevice, Uart};
use rt::device::{DeviceError, Segment, Tag};
use rt::fake::{FakeMachine, HeapMemory, block_on, loopback};
use rt::service::console::Server;
use rt::sys::{Attachment, Bits};
use rt::{Link, Runtime};

const BIT: u8 = 10;

/// A device whose host reads only when `reading` is set.
struct FakeSerial {
    events: RefCell<VecDeque<Event>>,
    sending: RefCell<VecDeque<(Tag, Port, Segment)>>,
    posted: RefCell<VecDeque<(Tag, Port, Segment)>>,
    host: RefCell<Vec<(Port, Vec<u8>)>>,
    reading: Cell<bool>,
    next: Cell<Tag>,
    pending: Rc<Cell<Bits>>,
}

impl FakeSerial {
    fn raise(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        self.pending.set(self.pending.get() | 1 << BIT);
    }
    fn tag(&self) -> Tag {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }
    fn pump(&self) {
        while self.reading.get() {
            let Some((tag, port, segment)) = self.sending.borrow_mut().pop_front() else { return };
            let mut bytes = vec![0; segment.len];
            segment.memory.read(segment.at, &mut bytes).expect("still lent");
            self.host.borrow_mut().push((port, bytes));
            self.raise(Event::Sent(tag));
        }
    }
    fn input(&self, port: Port, bytes: &[u8]) {
        let at = self.posted.borrow().iter().position(|entry| entry.1 == port).expect("a buffer is posted");
        let (tag, _, segment) = self.posted.borrow_mut().remove(at).expect("just found");
        segment.memory.write(segment.at, bytes).expect("still lent");
        self.raise(Event::Received(tag, bytes.len()));
    }
    fn port(&self, port: Port, name: &str) {
        self.raise(Event::Named(port, name.to_string()));
        self.raise(Event::Opened(port, true));
    }
    fn text(&self, port: Port) -> Vec<u8> {
        self.host.borrow().iter().filter(|entry| entry.0 == port).flat_map(|entry| entry.1.clone()).collect()
    }
}

impl SerialDevice for FakeSerial {
    fn send(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError> {
        if self.sending.borrow().len() >= 3 {
            return Err(DeviceError::Full);
        }
        let tag = self.tag();
        self.sending.borrow_mut().push_back((tag, port, segment.clone()));
        self.pump();
        Ok(tag)
    }
    fn post(&self, port: Port, segment: &Segment) -> Result<Tag, DeviceError> {
        let tag = self.tag();
        self.posted.borrow_mut().push_back((tag, port, segment.clone()));
        Ok(tag)
    }
    fn next_event(&self) -> Option<Event> {
        self.events.borrow_mut().pop_front()
    }
    fn bit(&self) -> u8 {
        BIT
    }
    fn acknowledge(&self) {}
    fn reset(&self) {}
}

#[derive(Default)]
struct FakeUart(RefCell<Vec<u8>>);

impl Uart for FakeUart {
    fn write(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }
}

struct Setup {
    runtime: Runtime,
    link: Link<Protocol>,
    serial: Rc<FakeSerial>,
    uart: Rc<FakeUart>,
}

fn start() -> Setup {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let serial = Rc::new(FakeSerial {
        events: RefCell::default(),
        sending: RefCell::default(),
        posted: RefCell::default(),
        host: RefCell::default(),
        reading: Cell::new(true),
        next: Cell::new(0),
        pending: machine.pending(),
    });
    let uart = Rc::new(FakeUart::default());
    let console = Console::new(&runtime, Some(serial.clone()), Some(uart.clone()));
    let link = loopback(&runtime, machine.pending(), 2, 16, Rc::new(Server(console)));
    Setup { runtime, link, serial, uart }
}

async fn put(link: &Link<Protocol>, stream: Stream, bytes: &[u8]) -> Result<u32, Error> {
    link.call(0, Put { stream, bytes: Bytes::new(bytes).expect("short") }, &[]).await
}

async fn read(link: &Link<Protocol>, stream: Stream, len: u32) -> Result<Vec<u8>, Error> {
    let memory = HeapMemory::zeroed(len as usize);
    let call = Read { stream, len, dest: LeaseId(0) };
    let count = link.call(0, call, &[Attachment::Write(memory.clone())]).await?;
    Ok(memory.to_vec()[..count as usize].to_vec())
}

fn settle(runtime: &Runtime) {
    let clock = runtime.clone();
    block_on(runtime, async move { clock.sleep(1_000_000).await });
}

#[test]
fn streams_go_to_their_ports_and_binary_bytes_survive() {
    let Setup { runtime, link, serial, uart } = start();
    serial.port(1, "skiff.stdout");
    serial.port(2, "skiff.stderr");
    block_on(&runtime, async move {
        assert_eq!(put(&link, Stream::Stdout, b"a\0\xff\n").await, Ok(4));
        assert_eq!(put(&link, Stream::Stderr, b"no").await, Ok(2));
        let lease = [Attachment::Read(HeapMemory::new(vec![7; 100_000]))];
        let write = Write { stream: Stream::Stdout, len: 100_000, src: LeaseId(0) };
        assert_eq!(link.call(0, write, &lease).await, Ok(100_000));
    });
    assert_eq!(serial.text(1), [&b"a\0\xff\n"[..], &[7; 100_000]].concat());
    assert_eq!(serial.text(2), b"no");
    assert!(uart.0.borrow().is_empty());
}

#[test]
fn a_write_before_the_port_is_named_waits_for_it() {
    let Setup { runtime, link, serial, .. } = start();
    runtime.spawn(async move {
        put(&link, Stream::Stdout, b"early").await.expect("written");
    });
    settle(&runtime);
    serial.port(1, "skiff.stdout");
    settle(&runtime);
    assert_eq!(serial.text(1), b"early");
}

#[test]
fn without_a_port_output_goes_to_the_uart_and_input_is_at_its_end() {
    let Setup { runtime, link, uart, .. } = start();
    let clock = runtime.clone();
    block_on(&runtime, async move {
        assert_eq!(put(&link, Stream::Stdout, b"out ").await, Ok(4));
        assert!(clock.machine().now_ns() >= DISCOVERY_NS);
        assert_eq!(put(&link, Stream::Log, b"log").await, Ok(3));
        assert_eq!(read(&link, Stream::Stdin, 10).await, Ok(vec![]));
        assert_eq!(put(&link, Stream::Control, b"x").await, Err(Error::NoStream));
        assert_eq!(read(&link, Stream::Control, 10).await, Err(Error::NoStream));
    });
    assert_eq!(*uart.0.borrow(), b"out log");
}

#[test]
fn writes_wait_while_the_host_does_not_read_and_keep_their_order() {
    let Setup { runtime, link, serial, .. } = start();
    serial.port(1, "skiff.stdout");
    serial.reading.set(false);
    let done = Rc::new(Cell::new(0));
    for number in 0..10_u8 {
        let (link, done) = (link.clone(), done.clone());
        runtime.spawn(async move {
            put(&link, Stream::Stdout, &[number; 3]).await.expect("written");
            done.set(done.get() + 1);
        });
    }
    let drained = Rc::new(Cell::new(false));
    let (flag, drainer) = (drained.clone(), link.clone());
    settle(&runtime);
    runtime.spawn(async move {
        drainer.call(0, Drain { stream: Stream::Stdout }, &[]).await.expect("drained");
        flag.set(true);
    });
    settle(&runtime);
    assert_eq!((done.get(), drained.get()), (0, false));
    serial.reading.set(true);
    serial.pump();
    settle(&runtime);
    assert_eq!((done.get(), drained.get()), (10, true));
    assert_eq!(serial.text(1), (0..10).flat_map(|number| [number; 3]).collect::<Vec<u8>>());
}

#[test]
fn when_the_host_has_closed_its_end_output_is_dropped_and_stdin_ends_behind_its_last_bytes() {
    let Setup { runtime, link, serial, uart } = start();
    serial.port(1, "skiff.stdout");
    serial.port(3, "skiff.stdin");
    settle(&runtime);
    serial.input(3, b"last words");
    serial.raise(Event::Opened(1, false));
    serial.raise(Event::Opened(3, false));
    settle(&runtime);
    block_on(&runtime, async move {
        assert_eq!(put(&link, Stream::Stdout, b"gone").await, Ok(4));
        assert_eq!(read(&link, Stream::Stdin, 4).await, Ok(b"last".to_vec()));
        assert_eq!(read(&link, Stream::Stdin, 100).await, Ok(b" words".to_vec()));
        assert_eq!(read(&link, Stream::Stdin, 100).await, Ok(vec![]));
    });
    assert!(serial.host.borrow().is_empty() && uart.0.borrow().is_empty());
}

#[test]
fn a_reader_that_gave_up_takes_nothing_away() {
    let Setup { runtime, link, serial, .. } = start();
    serial.port(3, "skiff.stdin");
    let lost = HeapMemory::zeroed(10);
    let (given_up, first) = (link.clone(), lost.clone());
    runtime.spawn(async move {
        let call = Read { stream: Stream::Stdin, len: 10, dest: LeaseId(0) };
        assert_eq!(given_up.call(0, call, &[Attachment::Write(first)]).await, Err(Error::BadLease));
    });
    settle(&runtime);
    lost.revoke();
    serial.input(3, b"kept");
    let bytes = block_on(&runtime, async move { read(&link, Stream::Stdin, 10).await });
    assert_eq!(bytes, Ok(b"kept".to_vec()));
}

#[test]
fn input_beyond_the_limit_stays_with_the_host_until_it_is_read() {
    let Setup { runtime, link, serial, .. } = start();
    serial.port(3, "skiff.stdin");
    settle(&runtime);
    let mut sent = 0;
    while !serial.posted.borrow().is_empty() {
        serial.input(3, &[5; 4096]);
        sent += 4096;
        settle(&runtime);
    }
    assert!((super::INPUT_BYTES..super::INPUT_BYTES + 3 * 4096).contains(&sent));
    let bytes = block_on(&runtime, async move { read(&link, Stream::Stdin, 60_000).await });
    assert_eq!(bytes.map(|bytes| bytes.len()), Ok(60_000));
    assert!(!serial.posted.borrow().is_empty());
}

#[test]
fn the_control_stream_marks_each_new_session_of_the_host() {
    let Setup { runtime, link, serial, .. } = start();
    serial.port(4, "skiff.control");
    settle(&runtime);
    serial.input(4, b"one");
    settle(&runtime);
    let first = link.clone();
    block_on(&runtime, async move {
        assert_eq!(read(&first, Stream::Control, 10).await, Ok(vec![]));
        assert_eq!(read(&first, Stream::Control, 10).await, Ok(b"one".to_vec()));
    });
    serial.input(4, b"rest");
    serial.raise(Event::Opened(4, false));
    serial.raise(Event::Opened(4, true));
    settle(&runtime);
    serial.input(4, b"two");
    settle(&runtime);
    block_on(&runtime, async move {
        assert_eq!(read(&link, Stream::Control, 10).await, Ok(b"rest".to_vec()));
        assert_eq!(read(&link, Stream::Control, 10).await, Ok(vec![]));
        assert_eq!(read(&link, Stream::Control, 10).await, Ok(b"two".to_vec()));
    });
}

#[test]
fn streams_in_the_wrong_direction_are_refused() {
    let Setup { runtime, link, .. } = start();
    block_on(&runtime, async move {
        assert_eq!(put(&link, Stream::Stdin, b"x").await, Err(Error::NoStream));
        assert_eq!(read(&link, Stream::Stdout, 1).await, Err(Error::NoStream));
    });
}
