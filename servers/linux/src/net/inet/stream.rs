//! TCP sockets: [`Stream`] is the program's socket, [`Shared`] what the helper thread may touch too.
//!
//! A stream goes through [`Phase`]s; [`connect`](super::connect) and [`listener`](super::listener) move it there. Connected, bytes go
//! straight between the program's pages and the rings.

use super::listener::Listener;
use super::wire::{Try, Wire};
use super::{Handle, Line, errno, patiently, settings};
use crate::context::Context;
use crate::events::Sink as EventSink;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source, partial};
use crate::net::address::{emit, nowhere, parse};
use crate::net::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::wait::{Gate, READABLE, WRITABLE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::Errno;
use linux_abi::Layout;
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use protocol::net::{Bind, Endpoint, Kind};
use spin::{Mutex, RwLock};

/// Pages of the rings of a stream when SO_RCVBUF and SO_SNDBUF say nothing.
pub(super) const PAGES: (usize, usize) = (16, 16);

/// How far a stream is.
#[derive(Clone)]
pub(super) enum Phase {
    /// Neither connected nor listening.
    Idle,
    /// The handshake is under way.
    Connecting,
    /// The handshake failed; connect(2) has not said so yet.
    Failed,
    /// Established, perhaps over again.
    Connected(Arc<Wire>),
    /// Takes connections.
    Listening(Arc<Listener>),
    /// The program has closed it.
    Closed,
}

/// What outlives a handler: written to when calls end and bells ring.
pub(super) struct Shared {
    pub(super) common: Common,
    pub(super) phase: RwLock<Phase>,
    /// SHUT_RD was asked for.
    deaf: AtomicBool,
    /// SHUT_WR was asked for.
    mute: AtomicBool,
}

impl Shared {
    pub(super) fn new(shape: Shape, phase: Phase) -> Arc<Self> {
        Arc::new(Self {
            common: Common::new(shape),
            phase: RwLock::new(phase),
            deaf: AtomicBool::new(false),
            mute: AtomicBool::new(false),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.read().clone()
    }

    /// Makes the next phase; what it was before is dropped without the lock.
    pub(super) fn enter(&self, phase: Phase) {
        let before = core::mem::replace(&mut *self.phase.write(), phase);
        drop(before);
    }

    /// The pending error, which is then no longer pending.
    pub(super) fn take_error(&self) -> Option<Errno> {
        if let Phase::Connected(wire) = self.phase() {
            self.note_fault(&wire);
        }
        self.common.take_error()
    }

    fn note_fault(&self, wire: &Wire) {
        if let Some(errno) = wire.take_fault() {
            self.common.fail(errno);
        }
    }

    fn ready(&self) -> Events {
        const OVER: Events = READABLE.union(WRITABLE).union(Events::RDHUP).union(Events::HUP);
        let mut events = match self.phase() {
            Phase::Idle | Phase::Closed => WRITABLE | Events::HUP,
            Phase::Connecting => Events::empty(),
            Phase::Failed => OVER,
            Phase::Listening(listener) => listener.ready(),
            Phase::Connected(wire) => {
                self.note_fault(&wire);
                let input_over = wire.input_over() || self.deaf.load(Ordering::Acquire);
                let output_over = wire.output_over() || self.mute.load(Ordering::Acquire);
                let mut events = Events::empty();
                events.set(READABLE, wire.unread() > 0 || input_over);
                events.set(WRITABLE, wire.room() > 0 || output_over);
                events.set(Events::RDHUP, input_over);
                events.set(Events::HUP, input_over && output_over);
                events
            }
        };
        events.set(Events::ERR, self.common.has_error());
        events
    }
}

impl EventSink for Shared {
    fn signalled(&self) {
        self.common.queue.wake(self.ready());
    }
}

/// Addresses of both ends, as far as they are known.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) local: Option<Endpoint>,
    pub(super) remote: Option<Endpoint>,
}

/// A TCP socket.
pub(super) struct Stream {
    pub(super) line: Line,
    pub(super) shared: Arc<Shared>,
    /// Held by who opens, binds, connects or makes it listen.
    pub(super) gate: Gate,
    pub(super) handle: Mutex<Option<Arc<Handle>>>,
    pub(super) ends: Arc<Mutex<Ends>>,
    /// connect(2) has told of the success.
    pub(super) told: AtomicBool,
}

impl Stream {
    /// A socket that is neither bound nor connected.
    pub(super) fn create(shape: Shape, line: Line) -> Arc<Self> {
        Arc::new(Self {
            line,
            shared: Shared::new(shape, Phase::Idle),
            gate: Gate::new(),
            handle: Mutex::new(None),
            ends: Arc::default(),
            told: AtomicBool::new(false),
        })
    }

    /// The socket in `net`, opened now if it was not before. Call with the gate held.
    pub(super) fn open(&self) -> Result<Arc<Handle>> {
        if let Some(handle) = &*self.handle.lock() {
            return Ok(handle.clone());
        }
        let handle = Arc::new(Handle::open(&self.line, self.common(), Kind::Stream, None)?);
        settings::apply_all(self.common(), &handle)?;
        *self.handle.lock() = Some(handle.clone());
        Ok(handle)
    }

    pub(super) fn opened(&self) -> Option<Arc<Handle>> {
        self.handle.lock().clone()
    }

    /// The rings, when data can move; `None`: nothing will. Errors: as read(2) (`reads`) and write(2) of a TCP socket.
    fn wire(&self, cx: &Context, dont_wait: bool, reads: bool) -> Result<Option<Arc<Wire>>> {
        let options = &self.common().options;
        let deadline = if reads { options.receive_deadline() } else { options.send_deadline() };
        patiently(cx, dont_wait, (&self.common().queue, WRITABLE), deadline, || match self.shared.phase() {
            Phase::Connected(wire) => Some(Ok(Some(wire))),
            Phase::Connecting => None,
            Phase::Failed if reads => Some(self.shared.take_error().map_or(Ok(None), Err)),
            Phase::Idle | Phase::Listening(_) | Phase::Closed if reads => {
                Some(Err(self.shared.take_error().unwrap_or(Errno::ENOTCONN)))
            }
            _ => Some(Err(self.shared.take_error().unwrap_or(Errno::EPIPE))),
        })
    }

    /// One step of receiving; `None`: wait. `peeked`: bytes to pass over, of a look that takes nothing.
    fn step(&self, wire: &Wire, sink: &mut Sink, peeked: Option<usize>) -> Option<Result<usize>> {
        let start = sink.done();
        loop {
            // A step ends with what came before a missing page, too.
            let so_far = sink.done() - start;
            match wire.take(sink, peeked.map(|peeked| peeked + so_far)) {
                Try::Moved(count) => return Some(Ok(so_far + count)),
                Try::Over | Try::Blocked if so_far > 0 => return Some(Ok(so_far)),
                Try::Lacking(missing) => {
                    if let Err(errno) = Sink::bring_in(missing) {
                        return Some(partial(sink.done() - start, Err(errno)));
                    }
                }
                Try::Over => return Some(self.shared.take_error().map_or(Ok(0), Err)),
                Try::Blocked if self.shared.deaf.load(Ordering::Acquire) => return Some(Ok(0)),
                Try::Blocked => return self.shared.take_error().map(Err),
            }
        }
    }

    /// One step of sending; `None`: wait.
    fn put(&self, wire: &Wire, source: &mut Source) -> Option<Result<()>> {
        loop {
            if self.shared.mute.load(Ordering::Acquire) {
                return Some(Err(self.shared.take_error().unwrap_or(Errno::EPIPE)));
            }
            match wire.put(source) {
                Try::Moved(_) => return Some(Ok(())),
                Try::Lacking(missing) => {
                    if let Err(errno) = Source::bring_in(missing) {
                        return Some(Err(errno));
                    }
                }
                Try::Over => return Some(Err(self.shared.take_error().unwrap_or(Errno::EPIPE))),
                Try::Blocked => return self.shared.take_error().map(Err),
            }
        }
    }
}

impl Socket for Stream {
    fn common(&self) -> &Common {
        &self.shared.common
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let local = parse(self.common().shape.family, address)?;
        let _inside = self.gate.pass();
        if self.ends.lock().local.is_some() || !matches!(self.shared.phase(), Phase::Idle) {
            return Err(Errno::EINVAL);
        }
        let handle = self.open()?;
        let options = &self.common().options;
        let call = Bind {
            socket: handle.number()?,
            local,
            reuse_address: options.is_on(n::SOL_SOCKET, n::SO_REUSEADDR),
            reuse_port: options.is_on(n::SOL_SOCKET, n::SO_REUSEPORT),
        };
        let bound = self.line.remote.call(call, []).map_err(errno)?;
        self.ends.lock().local = Some(bound);
        Ok(())
    }

    fn connect(&self, cx: &Context, patience: Patience, address: &[u8]) -> Result<()> {
        super::connect::connect(self, cx, patience, address)
    }
    fn listen(&self, backlog: u32) -> Result<()> {
        super::listener::listen(self, backlog)
    }

    fn accept(&self, cx: &Context, patience: Patience) -> Result<Arc<dyn Socket>> {
        let deadline = self.common().options.receive_deadline();
        let dont_wait = patience == Patience::Never;
        let stream =
            patiently(cx, dont_wait, (&self.common().queue, READABLE), deadline, || match self.shared.phase() {
                Phase::Listening(listener) => listener.take(),
                _ => Some(Err(Errno::EINVAL)),
            })?;
        Ok(stream)
    }

    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize> {
        let wire = self.wire(cx, how.dont_wait, false)?.ok_or(Errno::EPIPE)?;
        let start = source.done();
        if let Some(errno) = self.shared.take_error() {
            return Err(errno);
        }
        let deadline = self.common().options.send_deadline();
        let outcome = loop {
            let queue = (&self.common().queue, WRITABLE);
            match patiently(cx, how.dont_wait, queue, deadline, || self.put(&wire, source)) {
                Ok(()) if source.remaining() > 0 => {}
                other => break other,
            }
        };
        partial(source.done() - start, outcome)
    }

    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let Some(wire) = self.wire(cx, how.dont_wait, true)? else { return Ok(Received::default()) };
        let deadline = self.common().options.receive_deadline();
        let wanted = sink.remaining();
        let mut count = 0;
        let outcome = loop {
            if count >= wanted {
                break Ok(());
            }
            let queue = (&self.common().queue, READABLE);
            let step = || self.step(&wire, sink, how.peek.then_some(count));
            match patiently(cx, how.dont_wait, queue, deadline, step) {
                Ok(0) => break Ok(()),
                Ok(moved) => count += moved,
                Err(errno) => break Err(errno),
            }
            if !how.wait_all {
                break Ok(());
            }
        };
        partial(count, outcome).map(Received::part)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        match self.shared.phase() {
            Phase::Connected(wire) => {
                if wire.output_over() && wire.input_over() {
                    return Err(Errno::ENOTCONN);
                }
                self.shared.deaf.fetch_or(read, Ordering::AcqRel);
                if write && !self.shared.mute.swap(true, Ordering::AcqRel) {
                    wire.finish();
                }
            }
            Phase::Listening(_) if read => super::listener::stop(self),
            Phase::Listening(_) => {}
            Phase::Connecting => {
                let _inside = self.gate.pass();
                self.shared.enter(Phase::Idle);
                let handle = self.handle.lock().take();
                drop(handle);
            }
            Phase::Idle | Phase::Failed | Phase::Closed => return Err(Errno::ENOTCONN),
        }
        self.common().queue.wake_all();
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        let family = self.common().shape.family;
        let known = self.ends.lock().local;
        let local = match (self.shared.phase(), self.opened()) {
            (Phase::Connecting, Some(handle)) => handle.status()?.local.or(known),
            _ => known,
        };
        Ok(emit(family, &local.unwrap_or_else(|| nowhere(family))))
    }
    fn peer(&self) -> Result<Vec<u8>> {
        let Phase::Connected(wire) = self.shared.phase() else { return Err(Errno::ENOTCONN) };
        if wire.output_over() && wire.input_over() && wire.unread() == 0 {
            return Err(Errno::ENOTCONN);
        }
        let remote = self.ends.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(emit(self.common().shape.family, &remote))
    }

    fn option_set(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        let value = i32::get(value);
        if (level, option) == (n::IPPROTO_IPV6, n::IPV6_V6ONLY) && self.opened().is_some() {
            return Err(Errno::EINVAL);
        }
        settings::check(level, option, value)?;
        match self.opened() {
            Some(handle) => settings::apply(self.common(), &handle, level, option, value),
            None => Ok(()),
        }
    }
    fn listens(&self) -> bool {
        matches!(self.shared.phase(), Phase::Listening(_))
    }
    fn ready(&self) -> Events {
        self.shared.ready()
    }
    fn pending(&self) -> usize {
        match self.shared.phase() {
            Phase::Connected(wire) => wire.unread(),
            _ => 0,
        }
    }
    fn unsent(&self) -> usize {
        let Phase::Connected(wire) = self.shared.phase() else { return 0 };
        let behind = self.opened().and_then(|handle| handle.status().ok()).map_or(0, |status| status.unacked_bytes);
        wire.unsent() + behind as usize
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let unread = matches!(self.shared.phase(), Phase::Connected(wire) if wire.unread() > 0);
        // Closing with unread data, or with SO_LINGER 0, resets (RFC 2525 section 2.17).
        let reset = unread || self.common().options.aborts();
        // The rings stay until the server has heard of the closing: their end alone would be a FIN. This is the last reference, as no
        // handler is inside any more.
        if let Some(Ok(mut handle)) = self.handle.get_mut().take().map(Arc::try_unwrap) {
            handle.abort = reset;
            if let Phase::Connected(wire) = self.shared.phase() {
                handle.kept = Some(wire);
            }
        }
        if let Phase::Listening(listener) = self.shared.phase() {
            listener.close();
        }
        self.shared.enter(Phase::Closed);
    }
}
