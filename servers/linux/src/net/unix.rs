//! Local sockets (unix(7)): streams, datagrams and sequenced packets inside the VM, with descriptors travelling along.
//!
//! Every socket owns an [`Inbox`] of messages; a stream's reader takes parts of them and runs them together. Names
//! are abstract, or the inode of a socket node.
//!
//! Locks: a socket's `state`, then an inbox; the registry alone.

use super::address::family;
use super::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::block::{bits, wait_restartable};
use crate::context::Context;
use crate::fs::description::{OpenFile, Patience};
use crate::fs::node::Result;
use crate::fs::resolve::Last;
use crate::fs::transfer::{Room, Sink, Source, partial};
use crate::process::process;
use crate::wait::{READABLE, WRITABLE, until};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use spin::Mutex;

/// Most bytes in an inbox, and of one datagram.
const LIMIT: usize = 212_992;
/// Most bytes of a stream that make one message.
const PART: usize = 32 * 1024;

/// What a bound socket is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// Without a place in the tree; each type of socket has its own.
    Abstract(u32, Vec<u8>),
    /// Device and inode of a socket node.
    Node(u64, u64),
}

/// Bound local sockets.
#[derive(Default)]
pub(crate) struct Registry {
    names: Mutex<BTreeMap<Name, Weak<UnixSocket>>>,
    /// Last number given to a socket that bound itself without a name.
    last: Mutex<u32>,
}

struct Message {
    bytes: Vec<u8>,
    taken: usize,
    from: Vec<u8>,
    rights: Vec<Arc<OpenFile>>,
}

#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Nobody reads any more.
    closed: bool,
    /// Nobody writes any more.
    ended: bool,
}

#[derive(Default)]
struct State {
    /// The address it is bound to, as the program gave it.
    bound: Option<Vec<u8>>,
    name: Option<Name>,
    peer: Option<Weak<UnixSocket>>,
    /// The peer's address at the time of connecting.
    peer_address: Vec<u8>,
    connected: bool,
    /// Connections that wait for accept(2), with the most of them; `None` unless it listens.
    arrived: Option<(VecDeque<Arc<UnixSocket>>, usize)>,
    shut_write: bool,
}

/// A local socket.
pub(crate) struct UnixSocket {
    me: Weak<Self>,
    common: Common,
    state: Mutex<State>,
    inbox: Mutex<Inbox>,
}

fn unnamed() -> Vec<u8> {
    n::AF_UNIX.to_le_bytes().to_vec()
}

/// Path part of a socket address. Errors: `EINVAL`.
fn path_of(address: &[u8]) -> Result<&[u8]> {
    if family(address) != Some(n::AF_UNIX) {
        return Err(Errno::EINVAL);
    }
    match address.get(2..) {
        Some(path) if path.len() <= 108 => Ok(path),
        _ => Err(Errno::EINVAL),
    }
}

/// The path up to its NUL, for one that does not begin with one.
fn c_path(path: &[u8]) -> &[u8] {
    let len = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
    path.get(..len).unwrap_or_default()
}

impl UnixSocket {
    /// A fresh socket.
    pub(crate) fn open(shape: Shape) -> Arc<dyn Socket> {
        Self::build(shape)
    }

    fn build(shape: Shape) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            common: Common::new(shape),
            state: Mutex::default(),
            inbox: Mutex::default(),
        })
    }

    /// Two sockets connected with each other (socketpair(2)).
    pub(crate) fn pair(shape: Shape) -> (Arc<dyn Socket>, Arc<dyn Socket>) {
        let (one, other) = (Self::build(shape), Self::build(shape));
        one.join(&other, unnamed());
        other.join(&one, unnamed());
        (one, other)
    }

    fn join(&self, peer: &Arc<Self>, peer_address: Vec<u8>) {
        let mut state = self.state.lock();
        state.peer = Some(Arc::downgrade(peer));
        state.peer_address = peer_address;
        state.connected = true;
    }

    fn is_stream(&self) -> bool {
        self.common.shape.kind == n::SOCK_STREAM
    }

    /// Whether connections are made and accepted.
    fn is_connection(&self) -> bool {
        self.common.shape.kind != n::SOCK_DGRAM
    }

    fn own_address(&self) -> Vec<u8> {
        self.state.lock().bound.clone().unwrap_or_else(unnamed)
    }

    /// What a receiver is told: nothing of who has no name.
    fn sender_address(&self) -> Vec<u8> {
        self.state.lock().bound.clone().unwrap_or_default()
    }

    /// The socket bound to `address`. Errors: `ECONNREFUSED`, those of path resolution, `EPROTOTYPE`.
    fn find(&self, address: &[u8]) -> Result<Arc<Self>> {
        let path = path_of(address)?;
        let name = match path.first() {
            None => return Err(Errno::EINVAL),
            Some(0) => Name::Abstract(self.common.shape.kind, path.into()),
            Some(_) => {
                let files = &process().fs;
                let path = c_path(path);
                let start = files.start(linux_abi::file::at::FDCWD, path)?;
                let place = files.find(&start, path, Last::Follow)?;
                Name::Node(place.volume().device(), place.node()?.inode())
            }
        };
        let found = process().fs.sockets.local.names.lock().get(&name).and_then(Weak::upgrade);
        let found = found.ok_or(Errno::ECONNREFUSED)?;
        if found.common.shape.kind == self.common.shape.kind { Ok(found) } else { Err(Errno::EPROTOTYPE) }
    }

    fn register(&self, name: Name, address: Vec<u8>) -> Result<()> {
        let mut names = process().fs.sockets.local.names.lock();
        if names.get(&name).is_some_and(|socket| socket.strong_count() > 0) {
            return Err(Errno::EADDRINUSE);
        }
        names.insert(name.clone(), self.me.clone());
        drop(names);
        let mut state = self.state.lock();
        state.bound = Some(address);
        state.name = Some(name);
        Ok(())
    }

    /// Binds to a name of five hexadecimal digits that nobody has.
    fn bind_anywhere(&self) -> Result<()> {
        loop {
            let number = {
                let mut last = process().fs.sockets.local.last.lock();
                *last = (*last + 1) & 0xf_ffff;
                *last
            };
            let path = alloc::format!("\0{number:05x}").into_bytes();
            let mut address = unnamed();
            address.extend_from_slice(&path);
            match self.register(Name::Abstract(self.common.shape.kind, path), address) {
                Err(Errno::EADDRINUSE) => {}
                outcome => return outcome,
            }
        }
    }

    /// Where a send goes. Errors: `ENOTCONN`, `EPIPE`, `ECONNREFUSED`, `EISCONN`.
    fn receiver(&self, to: Option<&[u8]>) -> Result<Arc<Self>> {
        match to {
            Some(_) if self.is_connection() => {
                let connected = self.state.lock().connected;
                Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP })
            }
            Some(address) => self.find(address),
            None => {
                let state = self.state.lock();
                if state.shut_write {
                    return Err(Errno::EPIPE);
                }
                if !state.connected {
                    return Err(Errno::ENOTCONN);
                }
                let gone = if self.is_connection() { Errno::EPIPE } else { Errno::ECONNREFUSED };
                state.peer.as_ref().and_then(Weak::upgrade).ok_or(gone)
            }
        }
    }

    /// Puts a message into `to`'s inbox; gives it back if there is no room.
    fn deliver(to: &Self, message: Message) -> core::result::Result<(), (Option<Errno>, Message)> {
        let mut inbox = to.inbox.lock();
        if inbox.closed {
            return Err((Some(Errno::EPIPE), message));
        }
        if inbox.bytes > 0 && inbox.bytes + message.bytes.len() > LIMIT {
            return Err((None, message));
        }
        inbox.bytes += message.bytes.len();
        inbox.messages.push_back(message);
        drop(inbox);
        to.common.queue.wake(READABLE);
        Ok(())
    }

    /// Room in an inbox has become free: whoever sends here may go on.
    fn made_room(&self) {
        let peer = self.state.lock().peer.as_ref().and_then(Weak::upgrade);
        if let Some(peer) = peer {
            peer.common.queue.wake(WRITABLE);
        }
        self.common.queue.wake(WRITABLE);
    }

    /// Copies from a stream's messages under the lock. `None`: nothing there.
    fn take_stream(&self, sink: &mut Sink, peek: bool) -> Option<core::result::Result<Received, crate::fs::transfer::Missing>> {
        let mut inbox = self.inbox.lock();
        if inbox.messages.is_empty() {
            return inbox.ended.then(|| Ok(Received::default()));
        }
        let start = sink.done();
        let mut rights = Vec::new();
        let mut index = 0;
        while sink.remaining() > 0 {
            let Some(message) = inbox.messages.get_mut(index) else { break };
            // Descriptors end a receive, so that none is lost between two.
            if !message.rights.is_empty() && sink.done() > start {
                break;
            }
            let rest = message.bytes.get(message.taken..).unwrap_or_default();
            let before = sink.done();
            let outcome = sink.attempt(|room| match room {
                Room::User(slice) => {
                    let count = rest.len().min(slice.len());
                    slice.write_from(&rest[..count]).map(|()| count)
                }
                Room::Memory(out) => {
                    let count = rest.len().min(out.len());
                    out[..count].copy_from_slice(&rest[..count]);
                    Ok(count)
                }
            });
            let moved = sink.done() - before;
            let through = moved == rest.len();
            if peek {
                if !through {
                    break;
                }
                index += 1;
            } else {
                message.taken += moved;
                let carried = if moved > 0 || through { core::mem::take(&mut message.rights) } else { Vec::new() };
                let ends = !carried.is_empty();
                rights.extend(carried);
                inbox.bytes -= moved;
                if through {
                    inbox.messages.pop_front();
                }
                if ends {
                    break;
                }
            }
            if let Err(missing) = outcome {
                if sink.done() > start {
                    break;
                }
                return Some(Err(missing));
            }
        }
        let len = sink.done() - start;
        Some(Ok(Received { len, full_len: len, from: Vec::new(), rights }))
    }

    /// Takes or copies one whole message.
    fn take_message(&self, peek: bool) -> Option<Message> {
        let mut inbox = self.inbox.lock();
        if peek {
            let first = inbox.messages.front()?;
            let (bytes, from, rights) = (first.bytes.clone(), first.from.clone(), first.rights.clone());
            return Some(Message { bytes, taken: 0, from, rights });
        }
        let Some(message) = inbox.messages.pop_front() else {
            let end = Message { bytes: Vec::new(), taken: 0, from: Vec::new(), rights: Vec::new() };
            return inbox.ended.then_some(end);
        };
        inbox.bytes -= message.bytes.len();
        Some(message)
    }

    fn receive_stream(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let start = sink.done();
        let deadline = self.common.options.receive_deadline();
        let mut joined = None;
        loop {
            let failure = match self.take_stream(sink, how.peek) {
                Some(Ok(received)) => {
                    self.made_room();
                    let more = how.wait_all && !how.peek && received.len > 0 && received.rights.is_empty();
                    if !more || sink.remaining() == 0 {
                        let len = sink.done() - start;
                        return Ok(Received { len, full_len: len, ..received });
                    }
                    None
                }
                Some(Err(missing)) => Sink::bring_in(missing).err(),
                None if sink.done() > start && !how.wait_all => None,
                None if !self.state.lock().connected => Some(Errno::EINVAL),
                None if how.dont_wait => Some(Errno::EAGAIN),
                None if joined.is_none() => {
                    joined = Some(self.common.queue.join(READABLE | Events::RDHUP));
                    None
                }
                None => match wait_restartable(cx, bits::QUEUE, deadline) {
                    Ok(true) => None,
                    Ok(false) => Some(Errno::EAGAIN),
                    Err(errno) => Some(errno),
                },
            };
            if let Some(errno) = failure {
                return partial(sink.done() - start, Err(errno)).map(Received::part);
            }
        }
    }

    /// Tells the peer that nothing more comes from here, or that nobody reads here.
    fn hang_up(&self, read: bool, write: bool) {
        let peer = {
            let mut state = self.state.lock();
            state.shut_write |= write;
            state.peer.as_ref().and_then(Weak::upgrade)
        };
        if read {
            let mut inbox = self.inbox.lock();
            (inbox.closed, inbox.ended) = (true, true);
        }
        if let Some(peer) = peer.filter(|_| self.is_connection()) {
            peer.inbox.lock().ended |= write;
            peer.common.queue.wake_all();
        }
        self.common.queue.wake_all();
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let state = core::mem::take(self.state.get_mut());
        if let Some(name) = state.name {
            process().fs.sockets.local.names.lock().remove(&name);
        }
        let unread = !self.inbox.get_mut().messages.is_empty();
        // Connections that nobody accepted are reset.
        for waiting in state.arrived.iter().flat_map(|(arrived, _)| arrived) {
            let far = waiting.state.lock().peer.as_ref().and_then(Weak::upgrade);
            if let Some(far) = far {
                far.common.fail(Errno::ECONNRESET);
            }
        }
        if let Some(peer) = state.peer.as_ref().and_then(Weak::upgrade)
            && self.common.shape.kind != n::SOCK_DGRAM
        {
            peer.inbox.lock().ended = true;
            if unread {
                peer.common.fail(Errno::ECONNRESET);
            }
            peer.common.queue.wake_all();
        }
    }
}

impl Socket for UnixSocket {
    fn common(&self) -> &Common {
        &self.common
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let path = path_of(address)?;
        if self.state.lock().bound.is_some() {
            return Err(Errno::EINVAL);
        }
        match path.first() {
            None => self.bind_anywhere(),
            Some(0) => self.register(Name::Abstract(self.common.shape.kind, path.into()), address.into()),
            Some(_) => {
                let place = crate::dir::make_socket(&process().fs, c_path(path))?;
                let mut shown = unnamed();
                shown.extend_from_slice(c_path(path));
                shown.push(0);
                self.register(Name::Node(place.volume().device(), place.node()?.inode()), shown)
            }
        }
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        if !self.is_connection() {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut state = self.state.lock();
        if state.bound.is_none() || state.connected {
            return Err(Errno::EINVAL);
        }
        let most = (backlog as usize).min(4096) + 1;
        match &mut state.arrived {
            Some((_, limit)) => *limit = most,
            None => state.arrived = Some((VecDeque::new(), most)),
        }
        Ok(())
    }

    fn accept(&self, cx: &Context, patience: Patience) -> Result<Arc<dyn Socket>> {
        if !self.is_connection() {
            return Err(Errno::EOPNOTSUPP);
        }
        let attempt = || match &mut self.state.lock().arrived {
            None => Some(Err(Errno::EINVAL)),
            Some((arrived, _)) => arrived.pop_front().map(Ok),
        };
        let socket = match patience {
            Patience::Never => attempt().unwrap_or(Err(Errno::EAGAIN))?,
            Patience::Wait => {
                let deadline = self.common.options.receive_deadline();
                until(cx, &self.common.queue, READABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)?
            }
        };
        // Whoever waits for room in the backlog hangs on this queue.
        self.common.queue.wake(WRITABLE);
        Ok(socket)
    }

    fn connect(&self, cx: &Context, patience: Patience, address: &[u8]) -> Result<()> {
        if family(address) == Some(n::AF_UNSPEC) && !self.is_connection() {
            let mut state = self.state.lock();
            (state.peer, state.connected) = (None, false);
            return Ok(());
        }
        let target = self.find(address)?;
        let me = self.me.upgrade().ok_or(Errno::EINVAL)?;
        if !self.is_connection() {
            self.join(&target, target.own_address());
            return Ok(());
        }
        {
            let state = self.state.lock();
            if state.connected {
                return Err(Errno::EISCONN);
            }
            if state.arrived.is_some() {
                return Err(Errno::EINVAL);
            }
        }
        let accepted = Self::build(self.common.shape);
        accepted.state.lock().bound = target.state.lock().bound.clone();
        let attempt = || match &mut target.state.lock().arrived {
            None => Some(Err(Errno::ECONNREFUSED)),
            Some((arrived, most)) if arrived.len() >= *most => None,
            Some((arrived, _)) => {
                arrived.push_back(accepted.clone());
                Some(Ok(()))
            }
        };
        accepted.join(&me, self.own_address());
        match patience {
            Patience::Never => attempt().unwrap_or(Err(Errno::EAGAIN))?,
            Patience::Wait => {
                let deadline = self.common.options.send_deadline();
                until(cx, &target.common.queue, WRITABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)?;
            }
        }
        self.join(&accepted, target.own_address());
        target.common.queue.wake(READABLE);
        self.common.queue.wake(WRITABLE);
        Ok(())
    }

    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize> {
        let start = source.done();
        let deadline = self.common.options.send_deadline();
        let total = source.remaining();
        if !self.is_stream() && total > LIMIT {
            return Err(Errno::EMSGSIZE);
        }
        let mut rights = how.rights.clone();
        loop {
            let receiver = match self.receiver(how.to) {
                Ok(receiver) => receiver,
                Err(errno) => return partial(source.done() - start, Err(errno)),
            };
            let want = if self.is_stream() { source.remaining().min(PART) } else { total };
            let mut bytes = alloc::vec![0; want];
            let got = match source.get(&mut bytes) {
                Ok(got) => got,
                Err(errno) => return partial(source.done() - start, Err(errno)),
            };
            bytes.truncate(got);
            if self.is_stream() && got == 0 && total > 0 {
                return Ok(source.done() - start);
            }
            let mut message =
                Some(Message { bytes, taken: 0, from: self.sender_address(), rights: core::mem::take(&mut rights) });
            let attempt = || match Self::deliver(&receiver, message.take()?) {
                Ok(()) => Some(Ok(())),
                Err((Some(errno), _)) => Some(Err(errno)),
                Err((None, back)) => {
                    message = Some(back);
                    None
                }
            };
            let outcome = wait_to_send(cx, self, &receiver, how.dont_wait, deadline, attempt);
            if let Err(errno) = outcome {
                return partial(source.done() - start - got, Err(errno));
            }
            if !self.is_stream() || source.remaining() == 0 {
                return Ok(source.done() - start);
            }
        }
    }

    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        if let Some(errno) = self.common.take_error() {
            return Err(errno);
        }
        if self.is_stream() {
            return self.receive_stream(cx, how, sink);
        }
        if self.is_connection() && !self.state.lock().connected {
            return Err(Errno::ENOTCONN);
        }
        let attempt = || self.take_message(how.peek).map(Ok);
        let message: Message = if how.dont_wait {
            attempt().unwrap_or(Err(Errno::EAGAIN))?
        } else {
            let deadline = self.common.options.receive_deadline();
            until(cx, &self.common.queue, READABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)?
        };
        self.made_room();
        let len = if message.bytes.is_empty() { 0 } else { sink.put(&message.bytes)? };
        Ok(Received { len, full_len: message.bytes.len(), from: message.from, rights: message.rights })
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        if !self.state.lock().connected {
            return Err(Errno::ENOTCONN);
        }
        self.hang_up(read, write);
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        Ok(self.own_address())
    }
    fn peer(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        if state.connected { Ok(state.peer_address.clone()) } else { Err(Errno::ENOTCONN) }
    }
    fn listens(&self) -> bool {
        self.state.lock().arrived.is_some()
    }

    fn ready(&self) -> Events {
        let mut events = Events::empty();
        events.set(Events::ERR, self.common.has_error());
        let (peer, connected, shut_write) = {
            let state = self.state.lock();
            if let Some((arrived, _)) = &state.arrived {
                events.set(READABLE, !arrived.is_empty());
                return events;
            }
            (state.peer.as_ref().and_then(Weak::upgrade), state.connected, state.shut_write)
        };
        {
            let inbox = self.inbox.lock();
            events.set(READABLE, inbox.ended || !inbox.messages.is_empty());
            events.set(Events::RDHUP, inbox.ended);
            let gone = connected && peer.is_none() && self.is_connection();
            events.set(Events::HUP, gone || (inbox.ended && shut_write) || (!connected && self.is_connection()));
        }
        let room = match &peer {
            Some(peer) => peer.inbox.lock().bytes * 4 <= LIMIT,
            None => true,
        };
        events.set(WRITABLE, room);
        events
    }
    fn pending(&self) -> usize {
        let inbox = self.inbox.lock();
        if self.is_connection() { inbox.bytes } else { inbox.messages.front().map_or(0, |message| message.bytes.len()) }
    }
}

/// Tries until the receiver has room. A datagram's sender hangs on the receiver's queue, a stream's on its own.
fn wait_to_send(
    cx: &Context,
    own: &UnixSocket,
    receiver: &Arc<UnixSocket>,
    dont_wait: bool,
    deadline: Option<u64>,
    mut attempt: impl FnMut() -> Option<Result<()>>,
) -> Result<()> {
    if dont_wait {
        return attempt().unwrap_or(Err(Errno::EAGAIN));
    }
    let queue = if own.is_connection() { &own.common.queue } else { &receiver.common.queue };
    until(cx, queue, WRITABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)
}
