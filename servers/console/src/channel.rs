//! One byte stream: its port, what the host has done with it, and what came in.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use protocol::console::Stream;
use rt::device::serial::Port;
use rt::executor::Event;
use rt::sys::Memory;

/// Number of streams.
pub const STREAMS: usize = 5;

/// The host's name of a stream's port.
pub const fn port_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "skiff.stdout",
        Stream::Stderr => "skiff.stderr",
        Stream::Log => "skiff.log",
        Stream::Stdin => "skiff.stdin",
        Stream::Control => protocol::control::PORT_NAME,
    }
}

/// All streams, in the order of their indices.
pub const ALL: [Stream; STREAMS] = [Stream::Stdout, Stream::Stderr, Stream::Log, Stream::Stdin, Stream::Control];

/// Whether bytes of the stream go to the host.
pub const fn is_output(stream: Stream) -> bool {
    !matches!(stream, Stream::Stdin)
}

/// Whether bytes of the stream come from the host.
pub const fn is_input(stream: Stream) -> bool {
    matches!(stream, Stream::Stdin | Stream::Control)
}

/// How far the host is with its end of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostEnd {
    /// Nothing was heard yet.
    Unknown,
    /// Open.
    Open,
    /// Closed after it was open.
    Closed,
}

/// State of one stream.
pub struct Channel {
    /// Which.
    pub stream: Stream,
    /// Its port, once the device has named it.
    pub port: Cell<Option<Port>>,
    /// The host's end.
    pub host: Cell<HostEnd>,
    /// Notified when anything here changes.
    pub changed: Event,
    /// Writers take turns, so that the bytes of one request stay together and in order.
    pub turn: Turn,
    /// Transfers handed to the device, and those that came back.
    pub submitted: Cell<u64>,
    /// See `submitted`.
    pub finished: Cell<u64>,
    /// What came in.
    pub input: RefCell<Input>,
}

impl Channel {
    /// A stream without a port.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            port: Cell::new(None),
            host: Cell::new(HostEnd::Unknown),
            changed: Event::default(),
            turn: Turn::default(),
            submitted: Cell::new(0),
            finished: Cell::new(0),
            input: RefCell::default(),
        }
    }

    /// The host opened or closed its end.
    pub fn host_changed(&self, open: bool) {
        if open && self.host.get() != HostEnd::Open && self.stream == Stream::Control {
            self.input.borrow_mut().mark();
        }
        self.host.set(if open { HostEnd::Open } else { HostEnd::Closed });
        self.changed.notify();
    }
}

/// What a look at the input yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// This many bytes were placed.
    Bytes(usize),
    /// A new session of the host begins here.
    Mark,
    /// Nothing there.
    Empty,
    /// The reader's memory could not be written; nothing is lost.
    BadLease,
}

/// Bytes from the host that nobody has read yet.
#[derive(Default)]
pub struct Input {
    bytes: VecDeque<u8>,
    /// Bytes before the point where the host opened its end anew.
    mark: Option<usize>,
}

impl Input {
    /// Unread bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn mark(&mut self) {
        self.mark = Some(self.bytes.len());
    }

    /// Moves up to `len` bytes into `dest`. Bytes leave only when they are placed: a reader that has given up
    /// (its lease has ended) takes nothing away from the next.
    pub fn take(&mut self, dest: &dyn Memory, len: usize) -> Taken {
        if self.mark == Some(0) {
            self.mark = None;
            return Taken::Mark;
        }
        let count = len.min(self.mark.unwrap_or(usize::MAX)).min(self.bytes.len());
        if count == 0 {
            return Taken::Empty;
        }
        let (front, back) = self.bytes.as_slices();
        let front = &front[..count.min(front.len())];
        let back = &back[..count - front.len()];
        if dest.write(0, front).and_then(|()| dest.write(front.len(), back)).is_err() {
            return Taken::BadLease;
        }
        self.bytes.drain(..count);
        if let Some(mark) = &mut self.mark {
            *mark -= count;
        }
        Taken::Bytes(count)
    }
}

/// A queue for one place: first come, first served.
#[derive(Default)]
pub struct Turn {
    next: Cell<u64>,
    serving: Cell<u64>,
    moved: Event,
}

impl Turn {
    /// Waits for the place; it is free again when the guard is dropped.
    pub async fn take(&self) -> TurnGuard<'_> {
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        while self.serving.get() != ticket {
            self.moved.wait().await;
        }
        TurnGuard(self)
    }
}

/// Holds the place of a [`Turn`].
pub struct TurnGuard<'a>(&'a Turn);

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        self.0.serving.set(self.0.serving.get() + 1);
        self.0.moved.notify();
    }
}
