//! Requests on TCP sockets: bind, listen, accept, connect, shutdown, close.

use crate::conn::{Conn, Fate, Owner, Rings, Settings, Via};
use crate::frame::Flow;
use crate::ports::{Binding, Ports};
use crate::socket::{Bound, Connected, Kind, Listener, Role, Socket, Stream};
use crate::stack::{LIMIT, Stack, link_of, tag_of};
use crate::timers::Key;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::net::{Ipv4Addr, SocketAddrV4};
use protocol::net::{Error, Result};
use rt::executor::Event;

/// What an accept yields.
pub struct Accepted {
    /// The new socket.
    pub socket: u32,
    /// Both ends.
    pub flow: Flow,
}

impl Stack {
    /// The TCP part of a socket. Errors: `BadSocket`.
    pub fn stream_mut(&mut self, id: u32) -> Result<&mut Stream> {
        self.sockets.get_mut(id).and_then(Socket::stream_mut).ok_or(Error::BadSocket)
    }

    /// The connection of a socket. Errors: `BadSocket`, `NotConnected`.
    fn conn_of(&mut self, id: u32) -> Result<u32> {
        match &self.stream_mut(id)?.role {
            Role::Connected(Connected { conn: Some(conn), .. }) => Ok(*conn),
            _ => Err(Error::NotConnected),
        }
    }

    /// Claims a local address; port 0 lets the stack choose.
    ///
    /// Errors: `BadSocket`, `Invalid`, `AddressInUse`, `AddressNotAvailable`.
    pub fn bind_stream(&mut self, id: u32, wanted: Bound, reuse: (bool, bool), random: u64) -> Result<Bound> {
        if self.stream_mut(id)?.bound.is_some() || !matches!(self.stream_mut(id)?.role, Role::Idle) {
            return Err(Error::Invalid);
        }
        if wanted.address.is_some_and(|address| !self.is_ours(address)) {
            return Err(Error::AddressNotAvailable);
        }
        let (reuse_address, reuse_port) = reuse;
        let binding = Binding { owner: id, address: wanted.address, reuse_address, reuse_port, listening: false };
        let port = match wanted.port {
            0 => Ports::choose(random, |port| self.is_unused(port)).ok_or(Error::AddressInUse)?,
            port if !self.tcp_ports.allows(port, &binding) => return Err(Error::AddressInUse),
            port if !reuse_address && self.flows_on.contains_key(&port) => return Err(Error::AddressInUse),
            port => port,
        };
        self.tcp_ports.add(port, binding);
        let bound = Bound { address: wanted.address, port };
        self.stream_mut(id)?.bound = Some(bound);
        Ok(bound)
    }

    fn is_unused(&self, port: u16) -> bool {
        self.tcp_ports.is_free(port) && !self.flows_on.contains_key(&port)
    }

    /// Makes a socket listen, or changes its backlog.
    ///
    /// Errors: `BadSocket`, `AddressInUse`, `Connected`.
    pub fn listen(&mut self, id: u32, backlog: u16, random: u64) -> Result<Bound> {
        let backlog = backlog.clamp(1, 4096);
        match &mut self.stream_mut(id)?.role {
            Role::Connected(_) => return Err(Error::Connected),
            Role::Listening(listener) => listener.backlog = backlog,
            Role::Idle => {}
        }
        let bound = match self.stream_mut(id)?.bound {
            Some(bound) => bound,
            None => self.bind_stream(id, Bound { address: None, port: 0 }, (false, false), random)?,
        };
        if !self.tcp_ports.listen(bound.port, id) {
            return Err(Error::AddressInUse);
        }
        let stream = self.stream_mut(id)?;
        if let Role::Idle = stream.role {
            let (ready, changed) = (VecDeque::new(), Rc::default());
            stream.role = Role::Listening(Listener { backlog, ready, half_open: 0, changed });
        }
        Ok(bound)
    }

    /// What tells that [`Stack::accept`] may succeed. Errors: `BadSocket`, `Invalid`.
    pub fn accept_event(&mut self, id: u32) -> Result<Rc<Event>> {
        self.stream_mut(id)?.listener_mut().map(|listener| listener.changed.clone()).ok_or(Error::Invalid)
    }

    /// Hands over the oldest connection that waits, if there is one. Errors: `Invalid` (no longer listening).
    pub fn accept(&mut self, id: u32, rings: &Rings) -> Result<Option<Accepted>> {
        let socket = self.sockets.get_mut(id).ok_or(Error::Invalid)?;
        let (caller, family) = (socket.caller, socket.family);
        let stream = socket.stream_mut().ok_or(Error::Invalid)?;
        let settings = stream.settings;
        let listener = stream.listener_mut().ok_or(Error::Invalid)?;
        let Some(conn_id) = listener.ready.pop_front() else { return Ok(None) };
        let conn = self.conns.get_mut(conn_id).ok_or(Error::Invalid)?;
        let flow = conn.flow;
        let connected = Connected { flow, conn: Some(conn_id), outcome: Some(Ok(())), changed: Rc::default() };
        let stream = Stream { bound: None, role: Role::Connected(connected), settings };
        let socket = self.sockets.insert(Socket { caller, family, kind: Kind::Stream(stream) });
        conn.owner = Owner::Socket(socket);
        rings.set_tag(tag_of(Key::Conn(conn_id)));
        conn.rings = Some(rings.clone());
        self.mark(Key::Conn(conn_id));
        Ok(Some(Accepted { socket, flow }))
    }

    /// Begins to connect; returns our end.
    ///
    /// Errors: `BadSocket`, `Connected`, `Invalid`, `NetUnreachable`, `AddressNotAvailable`, `AddressInUse`, `NoBuffers`.
    pub fn connect(
        &mut self,
        id: u32,
        target: SocketAddrV4,
        rings: Rings,
        random: u64,
        now_ns: u64,
    ) -> Result<SocketAddrV4> {
        let stream = self.stream_mut(id)?;
        let (bound, settings) = (stream.bound, stream.settings);
        match &stream.role {
            Role::Idle => {}
            Role::Listening(_) => return Err(Error::Invalid),
            Role::Connected(Connected { conn: None, outcome: Some(Err(_)), .. }) => {}
            Role::Connected(_) => return Err(Error::Connected),
        }
        if target.port() == 0 {
            return Err(Error::Refused);
        }
        let (via, default) = self.route(*target.ip()).ok_or(Error::NetUnreachable)?;
        let source = bound.and_then(|bound| bound.address).unwrap_or(default);
        if via == Via::Lan && source != default {
            return Err(Error::Invalid);
        }
        let flow_from = |port| Flow { local: SocketAddrV4::new(source, port), remote: target };
        let is_new = |flow: &Flow| !self.flows.contains_key(flow) && !self.resting.contains(flow);
        let port = match bound {
            Some(bound) if is_new(&flow_from(bound.port)) => bound.port,
            Some(_) => return Err(Error::AddressNotAvailable),
            None => Ports::choose(random, |port| self.tcp_ports.is_free(port) && is_new(&flow_from(port)))
                .ok_or(Error::AddressNotAvailable)?,
        };
        self.start_connect(id, flow_from(port), via, settings, rings, now_ns)?;
        Ok(flow_from(port).local)
    }

    fn start_connect(
        &mut self,
        id: u32,
        flow: Flow,
        via: Via,
        settings: Settings,
        rings: Rings,
        now_ns: u64,
    ) -> Result<()> {
        if self.conns.len() >= LIMIT {
            return Err(Error::NoBuffers);
        }
        let mut block = self.pool.take(self.conns.len()).ok_or(Error::NoBuffers)?;
        let link = link_of(&mut self.lo, &mut self.lan, via).ok_or(Error::NetUnreachable)?;
        let started = block.socket_mut().connect(link.iface.context(), flow.remote, flow.local);
        started.map_err(|_| Error::NetUnreachable)?;
        let mut conn = Conn::new(block, flow, via, Owner::Socket(id), now_ns);
        if via == Via::Loopback {
            conn.quicken();
        }
        conn.apply(settings);
        let conn_id = self.add_conn(conn);
        rings.set_tag(tag_of(Key::Conn(conn_id)));
        if let Some(conn) = self.conns.get_mut(conn_id) {
            conn.rings = Some(rings);
        }
        let connected = Connected { flow, conn: Some(conn_id), outcome: None, changed: Rc::default() };
        self.stream_mut(id)?.role = Role::Connected(connected);
        Ok(())
    }

    /// How a connect has ended, or what will tell. Errors: `Aborted` (the socket is gone).
    pub fn connect_outcome(&mut self, id: u32) -> Result<core::result::Result<Result<()>, Rc<Event>>> {
        match &self.stream_mut(id).map_err(|_| Error::Aborted)?.role {
            Role::Connected(connected) => Ok(connected.outcome.ok_or_else(|| connected.changed.clone())),
            _ => Err(Error::Aborted),
        }
    }

    /// Ends directions. Errors: `BadSocket`, `NotConnected`.
    pub fn shutdown_stream(&mut self, id: u32, read: bool, write: bool) -> Result<()> {
        let conn_id = self.conn_of(id)?;
        if let Some(conn) = self.conns.get_mut(conn_id) {
            conn.shutdown(read, write);
        }
        self.mark(Key::Conn(conn_id));
        Ok(())
    }

    /// Sets what the owner wants. Errors: `BadSocket`.
    pub fn set_stream(&mut self, id: u32, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let stream = self.stream_mut(id)?;
        change(&mut stream.settings);
        let settings = stream.settings;
        if let Ok(conn_id) = self.conn_of(id)
            && let Some(conn) = self.conns.get_mut(conn_id)
        {
            conn.apply(settings);
            self.mark(Key::Conn(conn_id));
        }
        Ok(())
    }

    /// Gives a TCP socket back.
    pub fn close_stream(&mut self, id: u32, abort: bool, now_ns: u64) {
        let Some(Socket { kind: Kind::Stream(stream), .. }) = self.sockets.remove(id) else { return };
        if let Some(bound) = stream.bound {
            self.tcp_ports.remove(bound.port, id);
        }
        match stream.role {
            Role::Idle => {}
            Role::Listening(listener) => {
                listener.changed.notify();
                self.abort_pending(id);
            }
            Role::Connected(connected) => {
                connected.changed.notify();
                if let Some(conn_id) = connected.conn {
                    self.leave_conn(conn_id, abort, now_ns);
                }
            }
        }
    }

    /// Nobody will accept what a closed listener has collected.
    fn abort_pending(&mut self, listener: u32) {
        let mut pending = alloc::vec::Vec::new();
        for (id, conn) in self.conns.iter_mut().filter(|(_, conn)| conn.owner == Owner::Listener(listener)) {
            conn.owner = Owner::Nobody;
            conn.abort();
            pending.push(Key::Conn(id));
        }
        for key in pending {
            self.mark(key);
        }
    }

    /// The owner of a connection goes. As on Linux, unread data turns the farewell into a reset.
    fn leave_conn(&mut self, id: u32, abort: bool, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if abort || conn.has_unread() || !conn.is_established() || matches!(conn.fate(), Fate::Over(_)) {
            conn.owner = Owner::Nobody;
            conn.abort();
        } else {
            conn.orphan(now_ns);
        }
        self.mark(Key::Conn(id));
    }

    /// Our address in a connection or a claim, and the peer's.
    pub fn ends(stream: &Stream) -> (Option<Bound>, Option<SocketAddrV4>) {
        match &stream.role {
            Role::Connected(Connected { flow, .. }) => {
                (Some(Bound { address: Some(*flow.local.ip()), port: flow.local.port() }), Some(flow.remote))
            }
            _ => (stream.bound, None),
        }
    }

    /// The address that an unspecified target stands for: this machine (ip(7)).
    pub fn target(address: Option<Ipv4Addr>) -> Ipv4Addr {
        address.unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// Closes every socket of a caller, with RST.
    pub fn drop_all_of(&mut self, caller: u32, now_ns: u64) {
        let ids: alloc::vec::Vec<_> =
            self.sockets.iter_mut().filter(|(_, socket)| socket.caller == caller).map(|(id, _)| id).collect();
        for id in ids {
            self.close(id, true, now_ns);
        }
    }

    /// Gives any socket back.
    pub fn close(&mut self, id: u32, abort: bool, now_ns: u64) {
        match self.sockets.get(id).map(|socket| &socket.kind) {
            Some(Kind::Stream(_)) => self.close_stream(id, abort, now_ns),
            Some(Kind::Datagram(_)) => self.close_datagram(id, now_ns),
            None => {}
        }
    }
}
