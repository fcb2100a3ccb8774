//! The control server: the host's window into a running VM.
//!
//! Owns: the half-read frame and the commands that nobody has fetched. Calls: console, whose `Control` stream carries
//! the frames. Called by: linux. Waits: for input of the host, for linux to fetch commands; nowhere else.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use protocol::console::{self, Console, Drain, PUT_BYTES, Put, Read, Stream};
use protocol::control::{
    Await, Command, Error, Exit, FRAME_BYTES, Frame, FromHost, Result, ToHost, emit_frame, parse_frame,
};
use protocol::{Bytes, LeaseId};
use rt::executor::Event;
use rt::service::control::{Handler, Server};
use rt::sys::{Attachment, Ports};
use rt::{Context, Link, Runtime};

/// Pause before the console is tried again after it died.
const RETRY_NS: u64 = 50_000_000;

/// Commands that may wait for the front end; the oldest give way.
const WAITING: usize = 16;

struct Inner {
    runtime: Runtime,
    console: Link<Console>,
    commands: RefCell<VecDeque<Command>>,
    /// There is no control port.
    absent: Cell<bool>,
    changed: Event,
}

/// The handler of `control`; cheap to clone.
#[derive(Clone)]
pub struct Control(Rc<Inner>);

impl Control {
    /// Starts to listen to the host through `console`.
    pub fn new(runtime: &Runtime, console: Link<Console>) -> Self {
        let control = Self(Rc::new(Inner {
            runtime: runtime.clone(),
            console,
            commands: RefCell::default(),
            absent: Cell::new(false),
            changed: Event::default(),
        }));
        let listener = control.0.clone();
        runtime.spawn(async move { listener.listen().await });
        control
    }
}

/// What the host has sent of the current session.
#[derive(Default)]
struct Session {
    bytes: Vec<u8>,
    /// A frame's length made no sense: nothing behind it can be read.
    lost: bool,
}

impl Session {
    /// The next frame: a command, or `Err` for one that cannot be used.
    fn next(&mut self) -> Option<core::result::Result<FromHost, ()>> {
        let (frame, len) = match parse_frame::<FromHost>(&self.bytes) {
            Frame::Incomplete => return None,
            Frame::Whole(frame, len) => (Ok(frame), len),
            Frame::Unknown(len) => (Err(()), len),
            Frame::Lost => {
                self.lost = true;
                (Err(()), self.bytes.len())
            }
        };
        self.bytes.drain(..len);
        Some(frame)
    }
}

impl Inner {
    /// Reads the host's bytes for ever, or until it is clear that there is no port.
    async fn listen(&self) {
        let Some(page) = self.runtime.machine().pages(FRAME_BYTES) else {
            self.runtime.machine().log(format_args!("control: no memory for the host's bytes"));
            return self.give_up();
        };
        let mut session = Session::default();
        loop {
            let call = Read { stream: Stream::Control, len: FRAME_BYTES as u32, dest: LeaseId(0) };
            match self.console.call(0, call, &[Attachment::Write(page.clone())]).await {
                Ok(0) => {
                    session = Session::default();
                    // A host that has gone again already misses nothing.
                    let _ = self.send(&ToHost::Hello).await;
                }
                Ok(_) if session.lost => {}
                Ok(len) => {
                    let mut bytes = [0; FRAME_BYTES];
                    let filled = &mut bytes[..(len as usize).min(FRAME_BYTES)];
                    if page.read(0, filled).is_ok() {
                        session.bytes.extend_from_slice(filled);
                    }
                    self.take_frames(&mut session).await;
                }
                Err(console::Error::NoStream) => return self.give_up(),
                Err(_) => self.runtime.sleep(RETRY_NS).await,
            }
        }
    }

    async fn take_frames(&self, session: &mut Session) {
        while let Some(frame) = session.next() {
            match frame {
                Ok(FromHost::Command(command)) => self.queue(command),
                Err(()) => {
                    // As with Hello: if the host is gone there is nobody to tell.
                    let _ = self.send(&ToHost::Refused).await;
                }
            }
        }
    }

    fn queue(&self, command: Command) {
        let mut commands = self.commands.borrow_mut();
        if commands.len() == WAITING {
            commands.pop_front();
        }
        commands.push_back(command);
        self.changed.notify();
    }

    fn give_up(&self) {
        self.absent.set(true);
        self.changed.notify();
    }

    async fn send(&self, body: &ToHost) -> Result<()> {
        let mut buffer = [0; 64];
        let len = emit_frame(&mut buffer, body).expect("frames to the host are a few bytes");
        const { assert!(PUT_BYTES >= 64) };
        loop {
            let bytes = Bytes::new(&buffer[..len]).expect("64 bytes fit");
            let put = self.console.call(0, Put { stream: Stream::Control, bytes }, &[]).await;
            match settled(put)? {
                Some(_) => return Ok(()),
                None => self.runtime.sleep(RETRY_NS).await,
            }
        }
    }

    async fn drain(&self) -> Result<()> {
        loop {
            let drained = self.console.call(0, Drain { stream: Stream::Control }, &[]).await;
            match settled(drained)? {
                Some(()) => return Ok(()),
                None => self.runtime.sleep(RETRY_NS).await,
            }
        }
    }
}

/// `None`: the console died, ask again. A frame that arrives twice says the same twice.
fn settled<T>(reply: console::Result<T>) -> Result<Option<T>> {
    match reply {
        Ok(value) => Ok(Some(value)),
        Err(console::Error::PeerGone) => Ok(None),
        Err(_) => Err(Error::NoDevice),
    }
}

impl Handler for Control {
    async fn await_command(&self, _: &Context, _: Await) -> Result<Command> {
        loop {
            let changed = self.0.changed.wait();
            if let Some(command) = self.0.commands.borrow_mut().pop_front() {
                return Ok(command);
            }
            if self.0.absent.get() {
                return Err(Error::NoDevice);
            }
            changed.await;
        }
    }

    async fn exit(&self, _: &Context, call: Exit) -> Result<()> {
        self.0.send(&ToHost::Exit { status: call.status }).await?;
        self.0.drain().await
    }
}

/// Entry of the task; `ports.links` holds the console.
///
/// # Panics
///
/// When the task table gives no link to the console.
pub fn run(ports: Ports) -> ! {
    let runtime = Runtime::new(ports.machine);
    let outbox = ports.links.first().expect("the task table links control to console").clone();
    let control = Control::new(&runtime, Link::new(&runtime, outbox, ports.generation));
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(control)));
    runtime.run()
}
