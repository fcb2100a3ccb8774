//! The control server between a made-up host and a made-up front end.

use super::Control;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use protocol::console::{self, Drain, Put, Read, Stream, Write};
use protocol::control::{
    Await, Command, Control as Protocol, Error, Exit, Frame, FromHost, ToHost, emit_frame, parse_frame,
};
use rt::executor::Event;
use rt::fake::{FakeMachine, block_on, loopback};
use rt::service::{console as service, control};
use rt::{Context, Link, Runtime};

/// A console whose control stream is two queues; `None` in the input is a new session, a missing input is no port.
#[derive(Default)]
struct Host {
    input: RefCell<Option<VecDeque<Option<Vec<u8>>>>>,
    output: RefCell<Vec<u8>>,
    drained: RefCell<Vec<usize>>,
    deaths: RefCell<u32>,
    changed: Event,
}

impl Host {
    fn send(&self, item: Option<Vec<u8>>) {
        self.input.borrow_mut().get_or_insert_default().push_back(item);
        self.changed.notify();
    }
    fn frames(&self) -> Vec<ToHost> {
        let bytes = self.output.borrow();
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while let Frame::Whole(frame, len) = parse_frame::<ToHost>(rest) {
            frames.push(frame);
            rest = &rest[len..];
        }
        frames
    }
}

struct FakeConsole(Rc<Host>);

impl service::Handler for FakeConsole {
    async fn write(&self, _: &Context, _: Write) -> console::Result<u32> {
        Err(console::Error::NoStream)
    }
    async fn put<'a>(&self, _: &Context, call: Put<'a>) -> console::Result<u32> {
        assert_eq!(call.stream, Stream::Control);
        if *self.0.deaths.borrow() > 0 {
            *self.0.deaths.borrow_mut() -= 1;
            return Err(console::Error::PeerGone);
        }
        if self.0.input.borrow().is_none() {
            return Err(console::Error::NoStream);
        }
        self.0.output.borrow_mut().extend_from_slice(call.bytes.get());
        Ok(call.bytes.get().len() as u32)
    }
    async fn read(&self, cx: &Context, call: Read) -> console::Result<u32> {
        let dest = cx.writable(call.dest, call.len as usize).map_err(|_| console::Error::BadLease)?;
        loop {
            let changed = self.0.changed.wait();
            let item = self.0.input.borrow_mut().as_mut().ok_or(console::Error::NoStream)?.pop_front();
            match item {
                Some(Some(bytes)) => {
                    dest.write(0, &bytes).map_err(|_| console::Error::BadLease)?;
                    return Ok(bytes.len() as u32);
                }
                Some(None) => return Ok(0),
                None => changed.await,
            }
        }
    }
    async fn drain(&self, _: &Context, _: Drain) -> console::Result<()> {
        self.0.drained.borrow_mut().push(self.0.output.borrow().len());
        Ok(())
    }
}

fn start(host: Host) -> (Runtime, Link<Protocol>, Rc<Host>) {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let host = Rc::new(host);
    let console = loopback(&runtime, machine.pending(), 2, 8, Rc::new(service::Server(FakeConsole(host.clone()))));
    let server = Rc::new(control::Server(Control::new(&runtime, console)));
    let link = loopback(&runtime, machine.pending(), 4, 8, server);
    (runtime, link, host)
}

fn with_host() -> (Runtime, Link<Protocol>, Rc<Host>) {
    let host = Host::default();
    host.send(None);
    start(host)
}

fn stop(deadline_ms: u32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let len = emit_frame(&mut buffer, &FromHost::Command(Command::Stop { deadline_ms })).expect("fits");
    buffer[..len].to_vec()
}

#[test]
fn the_host_is_greeted_and_its_commands_reach_the_front_end() {
    let (runtime, link, host) = with_host();
    let (mut both, later) = (stop(5), stop(6));
    both.extend_from_slice(&later[..3]);
    host.send(Some(both));
    host.send(Some(later[3..].to_vec()));
    block_on(&runtime, async move {
        assert_eq!(link.call(0, Await {}, &[]).await, Ok(Command::Stop { deadline_ms: 5 }));
        assert_eq!(link.call(0, Await {}, &[]).await, Ok(Command::Stop { deadline_ms: 6 }));
    });
    assert_eq!(host.frames(), [ToHost::Hello]);
}

#[test]
fn the_exit_status_is_with_the_host_before_the_answer() {
    let (runtime, link, host) = with_host();
    *host.deaths.borrow_mut() = 2;
    let reply = block_on(&runtime, async move { link.call(0, Exit { status: 130 }, &[]).await });
    assert_eq!(reply, Ok(()));
    assert_eq!(host.frames().iter().filter(|frame| **frame == ToHost::Exit { status: 130 }).count(), 1);
    assert_eq!(*host.drained.borrow(), [host.output.borrow().len()]);
}

#[test]
fn an_unknown_frame_is_refused_and_skipped() {
    let (runtime, link, host) = with_host();
    let mut bytes = vec![3, 0, 0, 0, 99, 1, 2];
    bytes.extend(stop(7));
    host.send(Some(bytes));
    let reply = block_on(&runtime, async move { link.call(0, Await {}, &[]).await });
    assert_eq!(reply, Ok(Command::Stop { deadline_ms: 7 }));
    assert_eq!(host.frames(), [ToHost::Hello, ToHost::Refused]);
}

#[test]
fn after_a_senseless_length_everything_is_ignored_until_the_host_comes_anew() {
    let (runtime, link, host) = with_host();
    host.send(Some([vec![0xff; 8], stop(1)].concat()));
    host.send(Some(stop(2)));
    host.send(None);
    host.send(Some(stop(3)));
    let reply = block_on(&runtime, async move { link.call(0, Await {}, &[]).await });
    assert_eq!(reply, Ok(Command::Stop { deadline_ms: 3 }));
    assert_eq!(host.frames(), [ToHost::Hello, ToHost::Refused, ToHost::Hello]);
}

#[test]
fn without_a_port_calls_answer_no_device() {
    let (runtime, link, _) = start(Host::default());
    block_on(&runtime, async move {
        assert_eq!(link.call(0, Await {}, &[]).await, Err(Error::NoDevice));
        assert_eq!(link.call(0, Exit { status: 0 }, &[]).await, Err(Error::NoDevice));
    });
}
