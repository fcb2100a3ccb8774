//! TCP sockets: states, the two byte rings, standing accepts and connects.
//!
//! Data goes through rings that both sides copy; messages only open, bind, listen, accept, connect and close. A listener keeps a few
//! [`Accept`] calls posted, each with fresh rings, so that a connection is at hand before accept(2) asks. Rings and ended calls
//! signal the socket on the helper thread ([`events::Sink`]), which moves the state on and wakes who waits.
//!
//! Locks: `setup` is held across calls to the server by who binds, listens or connects; `state` is a leaf.

use super::address::{emit, family, nowhere, parse};
use super::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::block::{bits, wait_restartable};
use crate::context::Context;
use crate::errno::from_net;
use crate::events::Sink as Listener;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::fs::transfer::{Room, Sink, Source, Stock, partial};
use crate::process::process;
use crate::remote::{Attached, Remote, Token};
use crate::wait::{Gate, READABLE, WRITABLE};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use linux_abi::{Errno, Layout};
use microkernel::channel::RingEnd;
use microkernel::channel::ring::{DIED, ring};
use protocol::LeaseId;
use protocol::net::{
    Accept, Accepted, Bind, Close, Connect, Endpoint, Family, Fault, KeepAlive, Kind, Listen, Net, Open, Rings, Set,
    Setting,
};
use spin::Mutex;

/// Size of each ring of a connection.
const RING_PAGES: usize = 16;
/// Accepts that a listener keeps posted.
const POSTED: usize = 4;
/// Connections that wait in the front end before no more accepts are posted.
const MOST_READY: usize = 16;
/// Lease numbers of the rings in a call.
const RINGS: Rings = Rings { rx: LeaseId(0), tx: LeaseId(1) };

/// The front end's ends of a connection's rings.
pub(super) struct Ends {
    /// Filled by `net`.
    pub rx: RingEnd,
    /// Filled here.
    pub tx: RingEnd,
}

impl Ends {
    /// Fresh rings of `pages` pages: our ends, and those to hand over. Errors: `ENOBUFS`.
    pub(super) fn create(pages: usize) -> Result<(Self, [Attached; 2])> {
        let (rx_theirs, rx) = ring(pages).ok_or(Errno::ENOBUFS)?;
        let (tx, tx_theirs) = ring(pages).ok_or(Errno::ENOBUFS)?;
        let attached = [Attached::Ring(rx_theirs.detach()), Attached::Ring(tx_theirs.detach())];
        Ok((Self { rx, tx }, attached))
    }

    /// Has both bells signal `tag`.
    pub(super) fn set_bells(&self, tag: u32) {
        let set = process().events.set();
        self.rx.set_bell(set, tag);
        self.tx.set_bell(set, tag);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // Without this the core would tell the server that the front end has died.
        self.tx.close(0);
        self.rx.close(0);
    }
}

struct Posting {
    token: Token,
    ends: Ends,
}

struct Arrived {
    accepted: Accepted,
    ends: Ends,
}

enum State {
    /// Neither listening nor connected.
    Idle,
    Listening {
        arrived: VecDeque<Arrived>,
        posted: Vec<Posting>,
    },
    Connecting(Posting),
    Connected {
        ends: Ends,
        local: Endpoint,
        remote: Endpoint,
        /// The error that ended the connection has been told.
        told: bool,
    },
}

/// A TCP socket.
pub(crate) struct Stream {
    me: Weak<Self>,
    common: Common,
    net: Remote<Net>,
    tag: u32,
    setup: Gate,
    socket: Mutex<Option<protocol::net::Socket>>,
    local: Mutex<Option<Endpoint>>,
    target: Mutex<Option<Endpoint>>,
    state: Mutex<State>,
    shut_read: AtomicBool,
    shut_write: AtomicBool,
}

/// Wakes the socket it belongs to; held by the table of bells, so it must not keep the socket.
struct Bell(Weak<Stream>);

impl Listener for Bell {
    fn signalled(&self) {
        if let Some(stream) = self.0.upgrade() {
            stream.progress();
        }
    }
}

/// The family as the server names it.
pub(super) fn family_of(shape: Shape, v6_only: bool) -> Family {
    if shape.family == n::AF_INET6 { Family::V6 { only: v6_only } } else { Family::V4 }
}

impl Stream {
    /// A fresh socket. Errors: `EAFNOSUPPORT`, `ENOBUFS`, `ENFILE`.
    pub(crate) fn open(shape: Shape) -> Result<Arc<dyn Socket>> {
        let stream = Self::build(shape)?;
        stream.reopen(false)?;
        Ok(stream)
    }

    fn build(shape: Shape) -> Result<Arc<Self>> {
        let net = process().fs.sockets.net()?.clone();
        let mut failed = None;
        let stream = Arc::new_cyclic(|me: &Weak<Self>| {
            let tag = process().events.subscribe(Arc::new(Bell(me.clone()))).unwrap_or_else(|errno| {
                failed = Some(errno);
                u32::MAX
            });
            Self {
                me: me.clone(),
                common: Common::new(shape),
                net,
                tag,
                setup: Gate::new(),
                socket: Mutex::new(None),
                local: Mutex::new(None),
                target: Mutex::new(None),
                state: Mutex::new(State::Idle),
                shut_read: AtomicBool::new(false),
                shut_write: AtomicBool::new(false),
            }
        });
        failed.map_or(Ok(stream), Err)
    }

    /// Gets a fresh socket from the server, giving the old one back.
    fn reopen(&self, v6_only: bool) -> Result<protocol::net::Socket> {
        let request = Open { kind: Kind::Stream, family: family_of(self.common.shape, v6_only), rings: None };
        let fresh = self.net.call(request, []).map_err(|error| match from_net(error) {
            Errno::EOPNOTSUPP => Errno::EAFNOSUPPORT,
            errno => errno,
        })?;
        let old = self.socket.lock().replace(fresh);
        if let Some(socket) = old {
            self.give_back(socket, true);
        }
        Ok(fresh)
    }

    fn give_back(&self, socket: protocol::net::Socket, abort: bool) {
        // A full queue or a dead server has nothing to give back to.
        self.net.send_off(Close { socket, abort }, ());
    }

    /// The server's socket, opened anew after a failed connect.
    fn socket(&self) -> Result<protocol::net::Socket> {
        let known = *self.socket.lock();
        match known {
            Some(socket) => Ok(socket),
            None => self.reopen(self.common.options.is_on(n::IPPROTO_IPV6, n::IPV6_V6ONLY)),
        }
    }

    fn bell(&self) -> Arc<dyn Listener> {
        Arc::new(Bell(self.me.clone()))
    }

    /// Looks at what ended meanwhile, and wakes who waits. Runs on the helper thread.
    fn progress(self: Arc<Self>) {
        let mut repost = 0;
        let mut failed = None;
        {
            let mut state = self.state.lock();
            match &mut *state {
                State::Listening { arrived, posted } => repost = self.take_arrivals(arrived, posted),
                State::Connecting(posting) => match self.net.finish::<Connect>(posting.token) {
                    None => {}
                    Some(outcome) => {
                        let before = core::mem::replace(&mut *state, State::Idle);
                        match (outcome, before, *self.target.lock()) {
                            (Ok(local), State::Connecting(Posting { ends, .. }), Some(remote)) => {
                                *state = State::Connected { ends, local, remote, told: false };
                            }
                            (Err(error), before, _) => failed = Some((from_net(error), before)),
                            (Ok(_), ..) => {}
                        }
                    }
                },
                State::Idle | State::Connected { .. } => {}
            }
        }
        if let Some((errno, _gone)) = failed {
            self.common.fail(errno);
            // A socket that failed to connect is of no further use to the server.
            if let Some(socket) = self.socket.lock().take() {
                self.give_back(socket, true);
            }
        }
        (0..repost).for_each(|_| self.post_accept());
        let ready = self.ready();
        self.common.queue.wake(ready);
    }

    /// Moves ended accepts to the arrived ones; answers how many to post again.
    fn take_arrivals(&self, arrived: &mut VecDeque<Arrived>, posted: &mut Vec<Posting>) -> usize {
        let mut index = 0;
        while index < posted.len() {
            match posted.get(index).and_then(|posting| self.net.finish::<Accept>(posting.token)) {
                None => index += 1,
                Some(outcome) => {
                    let Posting { ends, .. } = posted.swap_remove(index);
                    match outcome {
                        Ok(accepted) => arrived.push_back(Arrived { accepted, ends }),
                        // The server has restarted, or ran out of memory: tell accept(2), and go on with the next.
                        Err(error) => self.common.fail(from_net(error)),
                    }
                }
            }
        }
        if arrived.len() >= MOST_READY { 0 } else { POSTED.saturating_sub(posted.len()) }
    }

    /// Posts one accept with fresh rings, if the socket listens.
    fn post_accept(&self) {
        let Some(socket) = *self.socket.lock() else { return };
        let Ok((ends, attached)) = Ends::create(RING_PAGES) else {
            self.common.fail(Errno::ENOBUFS);
            return;
        };
        let mut state = self.state.lock();
        if let State::Listening { posted, .. } = &mut *state
            && let Some(token) = self.net.start(Accept { socket, rings: RINGS }, attached, self.bell())
        {
            posted.push(Posting { token, ends });
        }
    }

    fn try_accept(&self) -> Option<Result<Arrived>> {
        if let Some(errno) = self.common.take_error() {
            return Some(Err(errno));
        }
        match &mut *self.state.lock() {
            State::Listening { arrived, .. } => arrived.pop_front().map(Ok),
            _ => Some(Err(Errno::EINVAL)),
        }
    }

    fn take_over(&self, arrived: Arrived) -> Result<Arc<dyn Socket>> {
        let Arrived { accepted, ends } = arrived;
        let stream = match Self::build(self.common.shape) {
            Ok(stream) => stream,
            Err(errno) => {
                self.give_back(accepted.socket, true);
                return Err(errno);
            }
        };
        stream.common.options.inherit(&self.common.options);
        *stream.socket.lock() = Some(accepted.socket);
        *stream.local.lock() = Some(accepted.local);
        ends.set_bells(stream.tag);
        *stream.state.lock() =
            State::Connected { ends, local: accepted.local, remote: accepted.remote, told: false };
        Ok(stream)
    }

    fn start_connect(&self, remote: Endpoint) -> Result<()> {
        let _inside = self.setup.pass();
        match &*self.state.lock() {
            State::Idle => {}
            State::Connecting(_) => return Err(Errno::EALREADY),
            State::Connected { .. } => return Err(Errno::EISCONN),
            State::Listening { .. } => return Err(Errno::EISCONN),
        }
        let socket = self.socket()?;
        let (ends, attached) = Ends::create(RING_PAGES)?;
        ends.set_bells(self.tag);
        *self.target.lock() = Some(remote);
        let mut state = self.state.lock();
        let request = Connect { socket, remote, rings: Some(RINGS) };
        let token = self.net.start(request, attached, self.bell()).ok_or(Errno::ENOBUFS)?;
        *state = State::Connecting(Posting { token, ends });
        Ok(())
    }

    /// `None` while it is under way.
    fn connect_outcome(&self) -> Option<Result<()>> {
        match &*self.state.lock() {
            State::Connecting(_) => None,
            State::Connected { .. } => Some(Ok(())),
            State::Idle | State::Listening { .. } => {
                Some(Err(self.common.take_error().unwrap_or(Errno::ECONNABORTED)))
            }
        }
    }

    fn try_send(&self, source: &mut Source) -> Step {
        if self.shut_write.load(Ordering::Acquire) {
            return Step::Failed(Errno::EPIPE);
        }
        let state = self.state.lock();
        let ends = match &*state {
            State::Connected { ends, .. } => ends,
            State::Connecting(_) => return Step::Blocked,
            State::Idle | State::Listening { .. } => {
                drop(state);
                return Step::Failed(self.common.take_error().unwrap_or(Errno::EPIPE));
            }
        };
        if let Some(code) = ends.tx.consumer_closed() {
            drop(state);
            return Step::Failed(self.end_error(code).unwrap_or(Errno::EPIPE));
        }
        let outcome = source.attempt(|stock| match stock {
            Stock::User(slice) => ends.tx.push_from_user(slice),
            Stock::Memory(bytes) => Ok(ends.tx.push(bytes)),
        });
        match outcome {
            Ok(0) => Step::Blocked,
            Ok(count) => {
                // The server sleeps only on an empty ring; if it had emptied it, only our bytes are in there now.
                if ends.tx.readable() <= count {
                    ends.tx.ring_bell();
                }
                Step::Moved(count)
            }
            Err(missing) => Step::Lacking(missing),
        }
    }

    /// The error behind a closing code; told once.
    fn end_error(&self, code: u32) -> Option<Errno> {
        let errno = if code == DIED { Some(Errno::ECONNRESET) } else { fault_errno(code) };
        let errno = errno?;
        match &mut *self.state.lock() {
            State::Connected { told, .. } if !*told => {
                *told = true;
                Some(errno)
            }
            _ => None,
        }
    }

    fn try_receive(&self, sink: &mut Sink, peek: Option<usize>) -> Step {
        if self.shut_read.load(Ordering::Acquire) {
            return Step::Ended;
        }
        let state = self.state.lock();
        let ends = match &*state {
            State::Connected { ends, .. } => ends,
            State::Connecting(_) => return Step::Blocked,
            State::Idle | State::Listening { .. } => {
                drop(state);
                return Step::Failed(self.common.take_error().unwrap_or(Errno::ENOTCONN));
            }
        };
        // Looked at before the ring, so that data which arrived before the closing is not missed.
        let closed = ends.rx.producer_closed();
        let outcome = sink.attempt(|room| match (room, peek) {
            (Room::User(slice), None) => ends.rx.pop_to_user(slice),
            (Room::User(slice), Some(skip)) => ends.rx.peek_to_user(skip, slice),
            (Room::Memory(out), None) => Ok(ends.rx.pop(out)),
            (Room::Memory(out), Some(skip)) => Ok(ends.rx.peek(skip, out)),
        });
        match (outcome, closed) {
            (Ok(0), Some(code)) => {
                drop(state);
                self.end_error(code).map_or(Step::Ended, Step::Failed)
            }
            (Ok(0), None) => Step::Blocked,
            (Ok(count), _) => {
                // The server waits only for room in a full ring; if it was full, only our bytes are free now.
                if peek.is_none() && ends.rx.writable() <= count {
                    ends.rx.ring_bell();
                }
                Step::Moved(count)
            }
            (Err(missing), _) => Step::Lacking(missing),
        }
    }

    fn set_on_server(&self, setting: Setting) -> Result<()> {
        let socket = self.socket()?;
        self.net.call(Set { socket, setting }, []).map_err(from_net)
    }

    fn keep_alive(&self, on: bool, option: i32, value: i32) -> Option<KeepAlive> {
        let pick = |own: i32, default: i32| {
            let seconds = if option == own { value } else { self.common.options.number(n::IPPROTO_TCP, own, default) };
            seconds.max(1).cast_unsigned()
        };
        on.then(|| KeepAlive { idle_seconds: pick(n::TCP_KEEPIDLE, 7200), interval_seconds: pick(n::TCP_KEEPINTVL, 75) })
    }
}

/// Outcome of one try to move data.
pub(super) enum Step {
    /// Bytes moved.
    Moved(usize),
    /// Nothing can move now.
    Blocked,
    /// End of stream.
    Ended,
    /// A page of the program is missing.
    Lacking(crate::fs::transfer::Missing),
    /// An error.
    Failed(Errno),
}

/// The errno of a ring's closing code.
fn fault_errno(code: u32) -> Option<Errno> {
    match Fault::from_code(code) {
        Fault::None => None,
        Fault::Reset => Some(Errno::ECONNRESET),
        Fault::TimedOut => Some(Errno::ETIMEDOUT),
        Fault::Refused => Some(Errno::ECONNREFUSED),
        Fault::HostUnreachable => Some(Errno::EHOSTUNREACH),
        Fault::NetUnreachable => Some(Errno::ENETUNREACH),
        Fault::Aborted => Some(Errno::ECONNABORTED),
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        process().events.unsubscribe(self.tag);
        let state = core::mem::replace(self.state.get_mut(), State::Idle);
        let unread = match &state {
            State::Connected { ends, .. } => ends.rx.readable() > 0,
            _ => false,
        };
        match &state {
            State::Listening { posted, arrived } => {
                posted.iter().for_each(|posting| self.net.cancel(posting.token));
                arrived.iter().for_each(|arrived| self.give_back(arrived.accepted.socket, true));
            }
            State::Connecting(posting) => self.net.cancel(posting.token),
            State::Idle | State::Connected { .. } => {}
        }
        // Closing with unread data, or with SO_LINGER 0, resets (RFC 2525 section 2.17).
        let abort = unread || self.common.options.aborts();
        let Some(socket) = self.socket.get_mut().take() else { return };
        if abort {
            // A closed ring would end the stream in order; so the rings live until the reset is out.
            self.net.send_off(Close { socket, abort }, Mutex::new(state));
        } else {
            // The rings are closed first: what was sent goes out, then FIN.
            drop(state);
            self.give_back(socket, abort);
        }
    }
}

impl Socket for Stream {
    fn common(&self) -> &Common {
        &self.common
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let local = parse(self.common.shape.family, address)?;
        let _inside = self.setup.pass();
        if self.local.lock().is_some() || !matches!(&*self.state.lock(), State::Idle) {
            return Err(Errno::EINVAL);
        }
        let options = &self.common.options;
        let request = Bind {
            socket: self.socket()?,
            local,
            reuse_address: options.is_on(n::SOL_SOCKET, n::SO_REUSEADDR),
            reuse_port: options.is_on(n::SOL_SOCKET, n::SO_REUSEPORT),
        };
        let bound = self.net.call(request, []).map_err(from_net)?;
        *self.local.lock() = Some(bound);
        Ok(())
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        let inside = self.setup.pass();
        if matches!(&*self.state.lock(), State::Connecting(_) | State::Connected { .. }) {
            return Err(Errno::EINVAL);
        }
        let backlog = u16::try_from(backlog.clamp(1, 4096)).unwrap_or(4096);
        let bound = self.net.call(Listen { socket: self.socket()?, backlog }, []).map_err(from_net)?;
        *self.local.lock() = Some(bound);
        let begins = {
            let mut state = self.state.lock();
            let begins = matches!(&*state, State::Idle);
            if begins {
                *state = State::Listening { arrived: VecDeque::new(), posted: Vec::new() };
            }
            begins
        };
        drop(inside);
        if begins {
            (0..POSTED).for_each(|_| self.post_accept());
        }
        Ok(())
    }

    fn accept(&self, cx: &Context, patience: Patience) -> Result<Arc<dyn Socket>> {
        let attempt = || self.try_accept();
        let arrived = match patience {
            Patience::Never => attempt().unwrap_or(Err(Errno::EAGAIN))?,
            Patience::Wait => {
                let deadline = self.common.options.receive_deadline();
                crate::wait::until(cx, &self.common.queue, READABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)?
            }
        };
        // Room for one more.
        let lacking = match &*self.state.lock() {
            State::Listening { posted, arrived } if arrived.len() < MOST_READY => POSTED.saturating_sub(posted.len()),
            _ => 0,
        };
        (0..lacking).for_each(|_| self.post_accept());
        self.take_over(arrived)
    }

    fn connect(&self, cx: &Context, patience: Patience, address: &[u8]) -> Result<()> {
        if family(address) == Some(n::AF_UNSPEC) {
            return Err(Errno::EAFNOSUPPORT);
        }
        let remote = parse(self.common.shape.family, address)?;
        self.start_connect(remote)?;
        if patience == Patience::Never {
            return Err(Errno::EINPROGRESS);
        }
        let deadline = self.common.options.send_deadline();
        crate::wait::until(cx, &self.common.queue, WRITABLE, deadline, || self.connect_outcome())?
            .ok_or(Errno::EINPROGRESS)
    }

    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize> {
        let start = source.done();
        let deadline = self.common.options.send_deadline();
        let mut joined = None;
        while source.remaining() > 0 {
            let failure = match self.try_send(source) {
                Step::Moved(_) => None,
                Step::Lacking(missing) => Source::bring_in(missing).err(),
                Step::Failed(errno) => Some(errno),
                Step::Ended => Some(Errno::EPIPE),
                Step::Blocked if how.dont_wait => Some(Errno::EAGAIN),
                Step::Blocked if joined.is_none() => {
                    joined = Some(self.common.queue.join(WRITABLE));
                    None
                }
                Step::Blocked => match wait_restartable(cx, bits::QUEUE, deadline) {
                    Ok(true) => None,
                    Ok(false) => Some(Errno::EAGAIN),
                    Err(errno) => Some(errno),
                },
            };
            if let Some(errno) = failure {
                return partial(source.done() - start, Err(errno));
            }
        }
        Ok(source.done() - start)
    }

    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let start = sink.done();
        let deadline = self.common.options.receive_deadline();
        let mut joined = None;
        while sink.remaining() > 0 {
            let done = sink.done() - start;
            let failure = match self.try_receive(sink, how.peek.then_some(done)) {
                Step::Moved(_) => None,
                Step::Ended => return Ok(Received::part(done)),
                Step::Lacking(missing) => Sink::bring_in(missing).err(),
                Step::Failed(errno) => Some(errno),
                Step::Blocked if done > 0 && !how.wait_all => return Ok(Received::part(done)),
                Step::Blocked if how.dont_wait => Some(Errno::EAGAIN),
                Step::Blocked if joined.is_none() => {
                    joined = Some(self.common.queue.join(READABLE | Events::RDHUP));
                    None
                }
                Step::Blocked => match wait_restartable(cx, bits::QUEUE, deadline) {
                    Ok(true) => None,
                    Ok(false) => Some(Errno::EAGAIN),
                    Err(errno) => Some(errno),
                },
            };
            if let Some(errno) = failure {
                return partial(sink.done() - start, Err(errno)).map(Received::part);
            }
        }
        Ok(Received::part(sink.done() - start))
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        {
            let mut state = self.state.lock();
            match &mut *state {
                State::Connected { ends, .. } => {
                    if write {
                        ends.tx.close(0);
                    }
                    if read {
                        self.shut_read.store(true, Ordering::Release);
                    }
                    self.shut_write.fetch_or(write, Ordering::AcqRel);
                }
                State::Listening { .. } if read => {
                    let before = core::mem::replace(&mut *state, State::Idle);
                    drop(state);
                    if let State::Listening { posted, arrived } = &before {
                        posted.iter().for_each(|posting| self.net.cancel(posting.token));
                        arrived.iter().for_each(|arrived| self.give_back(arrived.accepted.socket, true));
                    }
                }
                State::Listening { .. } => {}
                State::Idle | State::Connecting(_) => return Err(Errno::ENOTCONN),
            }
        }
        self.common.queue.wake_all();
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        let family = self.common.shape.family;
        let connected = match &*self.state.lock() {
            State::Connected { local, .. } => Some(*local),
            _ => None,
        };
        let local = connected.or(*self.local.lock());
        Ok(emit(family, &local.unwrap_or_else(|| nowhere(family))))
    }
    fn peer(&self) -> Result<Vec<u8>> {
        match &*self.state.lock() {
            State::Connected { remote, .. } => Ok(emit(self.common.shape.family, remote)),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn option_set(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        let value = i32::get(value);
        let alive = self.common.options.is_on(n::SOL_SOCKET, n::SO_KEEPALIVE);
        match (level, option) {
            (n::IPPROTO_TCP, n::TCP_NODELAY) => self.set_on_server(Setting::NoDelay(value != 0)),
            (n::SOL_SOCKET, n::SO_KEEPALIVE) => {
                self.set_on_server(Setting::KeepAlive(self.keep_alive(value != 0, option, value)))
            }
            (n::IPPROTO_TCP, n::TCP_KEEPIDLE | n::TCP_KEEPINTVL) if value < 1 => Err(Errno::EINVAL),
            (n::IPPROTO_TCP, n::TCP_KEEPIDLE | n::TCP_KEEPINTVL) if alive => {
                self.set_on_server(Setting::KeepAlive(self.keep_alive(true, option, value)))
            }
            (n::IPPROTO_TCP, n::TCP_USER_TIMEOUT) => {
                self.set_on_server(Setting::UserTimeout(value.max(0).cast_unsigned()))
            }
            (n::IPPROTO_IP, n::IP_TTL) => match u8::try_from(value) {
                Ok(hops) if hops > 0 => self.set_on_server(Setting::HopLimit(hops)),
                _ => Err(Errno::EINVAL),
            },
            (n::IPPROTO_IPV6, n::IPV6_V6ONLY) => {
                if self.local.lock().is_some() {
                    return Err(Errno::EINVAL);
                }
                self.reopen(value != 0).map(drop)
            }
            _ => Ok(()),
        }
    }
    fn listens(&self) -> bool {
        matches!(&*self.state.lock(), State::Listening { .. })
    }

    fn ready(&self) -> Events {
        let mut events = Events::empty();
        events.set(Events::ERR, self.common.has_error());
        let (shut_read, shut_write) = (self.shut_read.load(Ordering::Acquire), self.shut_write.load(Ordering::Acquire));
        match &*self.state.lock() {
            State::Idle => events | WRITABLE | Events::HUP,
            State::Connecting(_) => events,
            State::Listening { arrived, .. } => {
                events.set(READABLE, !arrived.is_empty() || self.common.has_error());
                events
            }
            State::Connected { ends, .. } => {
                let ended = ends.rx.producer_closed().is_some() || shut_read;
                let broken = ends.rx.producer_closed().is_some_and(|code| code != 0);
                events.set(READABLE, ended || ends.rx.readable() > 0);
                events.set(Events::RDHUP, ended);
                let room = ends.tx.writable() >= ends.tx.capacity() / 3 || ends.tx.consumer_closed().is_some();
                events.set(WRITABLE, room || shut_write);
                events.set(Events::HUP, broken || (ended && shut_write));
                events.set(Events::ERR, broken || self.common.has_error());
                events
            }
        }
    }
    fn pending(&self) -> usize {
        match &*self.state.lock() {
            State::Connected { ends, .. } => ends.rx.readable(),
            _ => 0,
        }
    }
    fn unsent(&self) -> usize {
        match &*self.state.lock() {
            State::Connected { ends, .. } => ends.tx.readable(),
            _ => 0,
        }
    }
}
