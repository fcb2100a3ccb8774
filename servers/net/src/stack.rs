//! The whole stack as one value: interfaces, sockets, connections, and what is to be looked at next.
//!
//! Nothing here waits. `ops` (requests), `driver` (frames) and the bells of rings mark what they have touched; then
//! [`Stack::work`] looks at exactly that, and at the timers that are due.

use crate::conn::{Conn, Fate, Owner, Stage, Via, connect_error};
use crate::frame::Flow;
use crate::lan::{Lan, Lease};
use crate::link::Link;
use crate::outlet::Wire;
use crate::pool::Pool;
use crate::ports::Ports;
use crate::rest::Resting;
use crate::slab::Slab;
use crate::socket::{Kind, Role, Socket};
use crate::timers::{Key, Timers};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::net::Ipv4Addr;
use hashbrown::HashMap;
use protocol::net::Fault;
use rt::executor::Event;

/// Loopback frames processed before others get their turn.
const BUDGET: usize = 512;

/// Most connections and most sockets: as many rings as a machine tells apart ([`rt::sys::BELL_TAGS`]).
pub const LIMIT: usize = rt::sys::BELL_TAGS as usize / 2;

/// What the bells of a connection's or a datagram socket's rings say.
pub fn tag_of(key: Key) -> u32 {
    match key {
        Key::Conn(id) => id << 1,
        Key::Datagram(id) => id << 1 | 1,
        Key::Dhcp => rt::sys::BELL_TAGS,
    }
}

/// The stack.
pub struct Stack {
    /// `lo`.
    pub lo: Link,
    /// `eth0`, once its nic has answered.
    pub lan: Option<Lan>,
    /// What the callers hold.
    pub sockets: Slab<Socket>,
    /// TCP connections, also those that nobody holds.
    pub conns: Slab<Conn>,
    /// The connection of a flow.
    pub flows: HashMap<Flow, u32>,
    /// Flows in TIME-WAIT.
    pub resting: Resting,
    /// Connections and resting flows by local port.
    pub flows_on: HashMap<u16, u32>,
    /// TCP buffers.
    pub pool: Pool,
    /// TCP ports.
    pub tcp_ports: Ports,
    /// UDP ports.
    pub udp_ports: Ports,
    /// Identifiers of echo sockets.
    pub echo_ports: Ports,
    /// Notified when the address configuration changes.
    pub configured: Rc<Event>,
    pub(crate) timers: Timers,
    dirty: VecDeque<Key>,
    dhcp_dirty: bool,
    /// Waits for a transmit buffer.
    starved: VecDeque<Key>,
}

impl Stack {
    /// A stack with nothing but the loopback.
    pub fn new(seed: u64, now_ns: u64) -> Self {
        Self {
            lo: Link::loopback(seed, now_ns),
            lan: None,
            sockets: Slab::default(),
            conns: Slab::default(),
            flows: HashMap::new(),
            resting: Resting::default(),
            flows_on: HashMap::new(),
            pool: Pool::default(),
            tcp_ports: Ports::default(),
            udp_ports: Ports::default(),
            echo_ports: Ports::default(),
            configured: Rc::default(),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            dhcp_dirty: false,
            starved: VecDeque::new(),
        }
    }

    /// Puts the interface to the network in place.
    pub fn attach(&mut self, lan: Lan) {
        self.lan = Some(lan);
        self.mark(Key::Dhcp);
        self.lan_changed();
    }

    /// The network's configuration, if there is one.
    pub fn lease(&self) -> Option<Lease> {
        self.lan.as_ref().and_then(Lan::lease)
    }

    /// Whether `address` is one of ours.
    pub fn is_ours(&self, address: Ipv4Addr) -> bool {
        address.is_loopback() || self.lease().is_some_and(|lease| lease.address == address)
    }

    /// The way to `target`, and the address that we have on it.
    pub fn route(&self, target: Ipv4Addr) -> Option<(Via, Ipv4Addr)> {
        if target.is_loopback() {
            return Some((Via::Loopback, Ipv4Addr::LOCALHOST));
        }
        let lease = self.lease()?;
        if lease.address == target {
            return Some((Via::Loopback, target));
        }
        let reachable = lease.gateway.is_some() || lease.is_on_link(target);
        reachable.then_some((Via::Lan, lease.address))
    }

    /// Has `key` looked at by the next [`Stack::work`].
    pub fn mark(&mut self, key: Key) {
        let flag = match key {
            Key::Conn(id) => self.conns.get_mut(id).map(|conn| &mut conn.dirty),
            Key::Datagram(id) => {
                self.sockets.get_mut(id).and_then(Socket::datagram_mut).map(|socket| &mut socket.dirty)
            }
            Key::Dhcp => Some(&mut self.dhcp_dirty),
        };
        if let Some(flag) = flag
            && !core::mem::replace(flag, true)
        {
            self.dirty.push_back(key);
        }
    }

    /// A ring's bell was rung.
    pub fn bell(&mut self, tag: u32) {
        self.mark(if tag & 1 == 0 { Key::Conn(tag >> 1) } else { Key::Datagram(tag >> 1) });
    }

    /// A transmit buffer is free again.
    pub fn feed_starved(&mut self) {
        for _ in 0..self.starved.len() {
            if let Some(key) = self.starved.pop_front() {
                self.mark(key);
            }
        }
    }

    /// A neighbour has answered: whoever had to wait for it may go on.
    pub fn mark_all_on_lan(&mut self) {
        let conns: alloc::vec::Vec<_> =
            self.conns.iter_mut().filter(|(_, conn)| conn.via == Via::Lan).map(|(id, _)| Key::Conn(id)).collect();
        let datagrams: alloc::vec::Vec<_> = self
            .sockets
            .iter_mut()
            .filter_map(|(id, socket)| socket.datagram_mut().map(|_| Key::Datagram(id)))
            .collect();
        for key in conns.into_iter().chain(datagrams) {
            self.mark(key);
        }
    }

    /// Looks at everything that was touched or is due. Says whether there is more to do at once.
    pub fn work(&mut self, now_ns: u64) -> bool {
        while let Some(flow) = self.resting.expired(now_ns) {
            self.forget_port(&flow);
        }
        while let Some(key) = self.timers.due(now_ns) {
            self.clear_armed(key);
            self.mark(key);
        }
        let mut budget = BUDGET;
        loop {
            while budget > 0
                && let Some(frame) = self.lo.outlet.returned()
            {
                self.ingress_loopback(&frame, now_ns);
                self.lo.outlet.recycle(frame);
                budget -= 1;
            }
            if self.dirty.is_empty() {
                return budget == 0;
            }
            while let Some(key) = self.dirty.pop_front() {
                self.service(key, now_ns);
            }
        }
    }

    fn clear_armed(&mut self, key: Key) {
        let armed = match key {
            Key::Conn(id) => self.conns.get_mut(id).map(|conn| &mut conn.armed),
            Key::Datagram(id) => {
                self.sockets.get_mut(id).and_then(Socket::datagram_mut).map(|socket| &mut socket.armed)
            }
            Key::Dhcp => self.lan.as_mut().map(|lan| &mut lan.armed),
        };
        if let Some(armed) = armed {
            *armed = None;
        }
    }

    fn service(&mut self, key: Key, now_ns: u64) {
        match key {
            Key::Conn(id) => self.service_conn(id, now_ns),
            Key::Datagram(id) => self.service_datagram(id, now_ns),
            Key::Dhcp => self.service_lan(now_ns),
        }
    }

    fn service_lan(&mut self, now_ns: u64) {
        self.dhcp_dirty = false;
        let Some(lan) = &mut self.lan else { return };
        let changed = lan.service(now_ns);
        let wanted = lan.deadline_ns(now_ns);
        self.timers.arm(Key::Dhcp, &mut lan.armed, wanted);
        if changed {
            self.lan_changed();
        }
    }

    /// The loopback answers for the network's address too; connections from an old address end by themselves.
    fn lan_changed(&mut self) {
        self.lo.set_alias(self.lease().map(|lease| lease.address));
        self.mark_all_on_lan();
        self.configured.notify();
    }

    fn service_conn(&mut self, id: u32, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.dirty = false;
        let Some(link) = link_of(&mut self.lo, &mut self.lan, conn.via) else { return };
        let wire = &mut Wire { frame: None, outlet: &mut link.outlet };
        conn.service(&mut link.iface, wire, now_ns);
        let fate = match conn.fate() {
            Fate::TimeWait if conn.owes_answer(&mut link.iface, now_ns) => Fate::Alive,
            fate => fate,
        };
        match fate {
            Fate::Alive => {
                let wanted = conn.deadline_ns(&mut link.iface, now_ns);
                self.timers.arm(Key::Conn(id), &mut conn.armed, wanted);
                if !link.outlet.has_room() {
                    self.starved.push_back(Key::Conn(id));
                }
                if conn.stage == Stage::Opening && conn.is_established() {
                    self.opened(id);
                }
            }
            Fate::TimeWait => self.release(id, Fault::None, Some(now_ns)),
            Fate::Over(fault) => self.release(id, fault, None),
            Fate::Unborn => self.release(id, Fault::Reset, None),
        }
    }

    /// The handshake is done.
    fn opened(&mut self, id: u32) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.stage = Stage::Open;
        match conn.owner {
            Owner::Socket(socket) => self.connect_ended(socket, Ok(())),
            Owner::Listener(socket) => {
                if let Some(listener) =
                    self.sockets.get_mut(socket).and_then(Socket::stream_mut).and_then(|s| s.listener_mut())
                {
                    listener.half_open -= 1;
                    listener.ready.push_back(id);
                    listener.changed.notify();
                }
            }
            Owner::Nobody => {}
        }
    }

    fn connect_ended(&mut self, socket: u32, outcome: protocol::net::Result<()>) {
        if let Some(Socket { kind: Kind::Stream(stream), .. }) = self.sockets.get_mut(socket)
            && let Role::Connected(connected) = &mut stream.role
        {
            connected.outcome.get_or_insert(outcome);
            connected.changed.notify();
        }
    }

    /// Adds a connection.
    pub fn add_conn(&mut self, conn: Conn) -> u32 {
        let flow = conn.flow;
        let id = self.conns.insert(conn);
        self.flows.insert(flow, id);
        *self.flows_on.entry(flow.local.port()).or_default() += 1;
        self.mark(Key::Conn(id));
        id
    }

    /// Ends a connection here; `rest` lays its flow to rest.
    pub fn release(&mut self, id: u32, fault: Fault, rest: Option<u64>) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        self.timers.disarm(Key::Conn(id), &mut conn.armed);
        self.flows.remove(&conn.flow);
        let gone = match rest {
            Some(now_ns) => self.resting.insert(conn.flow, now_ns),
            None => Some(conn.flow),
        };
        if let Some(flow) = gone {
            self.forget_port(&flow);
        }
        conn.close_rings(fault);
        match conn.owner {
            Owner::Socket(socket) => {
                let failed = if rest.is_some() { Ok(()) } else { Err(connect_error(fault)) };
                self.connect_ended(socket, failed);
                if let Some(Socket { kind: Kind::Stream(stream), .. }) = self.sockets.get_mut(socket)
                    && let Role::Connected(connected) = &mut stream.role
                {
                    connected.conn = None;
                }
            }
            Owner::Listener(socket) => self.forget_pending(socket, id, conn.stage),
            Owner::Nobody => {}
        }
        self.pool.give(conn.block);
    }

    fn forget_pending(&mut self, listener: u32, id: u32, stage: Stage) {
        let listener =
            self.sockets.get_mut(listener).and_then(Socket::stream_mut).and_then(|stream| stream.listener_mut());
        let Some(listener) = listener else { return };
        match stage {
            Stage::Opening => listener.half_open -= 1,
            Stage::Open => listener.ready.retain(|&ready| ready != id),
        }
    }

    /// A flow no longer counts for its local port.
    pub fn forget_port(&mut self, flow: &Flow) {
        let port = flow.local.port();
        if let Some(count) = self.flows_on.get_mut(&port) {
            *count -= 1;
            if *count == 0 {
                self.flows_on.remove(&port);
            }
        }
    }
}

/// The link of an interface; `None` while there is no nic.
pub fn link_of<'a>(lo: &'a mut Link, lan: &'a mut Option<Lan>, via: Via) -> Option<&'a mut Link> {
    match via {
        Via::Loopback => Some(lo),
        Via::Lan => lan.as_mut().map(|lan| &mut lan.link),
    }
}
