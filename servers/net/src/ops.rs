//! The handler of `net`: one method per request, in protocol order.

use crate::address::{Unusable, present, present_socket, resolve};
use crate::conn::{Rings, linux_state};
use crate::datagram::{Datagram, Flavour};
use crate::outlet::Counters;
use crate::socket::{Bound, Connected, Kind as SocketKind, Role, Socket as Entry, Stream};
use crate::stack::{LIMIT, Stack};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{RefCell, RefMut};
use core::net::{Ipv4Addr, SocketAddrV4};
use protocol::net::{
    Accept, Accepted, Address, Bind, Close, Connect, Endpoint, Error, Family, GetStatus, Interface, InterfaceInfo,
    Kind, Listen, Open, Result, Rings as RingIds, Set, Setting, Shutdown, Socket, Status, WaitConfigured,
};
use rt::executor::Event;
use rt::service::net::Handler;
use rt::{Context, Runtime};

/// Linux's state numbers of sockets without connection (include/net/tcp_states.h).
const TCP_CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

/// MTU that Linux shows for `lo`.
const LO_MTU: u32 = 65_536;

/// The server; cheap to clone.
#[derive(Clone)]
pub struct Net {
    pub(crate) runtime: Runtime,
    pub(crate) stack: Rc<RefCell<Stack>>,
    /// Notified when the stack has something to work on.
    pub(crate) touched: Rc<Event>,
    /// Latest generation of each caller.
    pub(crate) generations: Rc<RefCell<BTreeMap<u32, u32>>>,
}

impl Net {
    /// The stack, to be worked on afterwards.
    pub(crate) fn touch(&self) -> RefMut<'_, Stack> {
        self.touched.notify();
        self.stack.borrow_mut()
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.runtime.machine().now_ns()
    }

    fn random(&self) -> u64 {
        self.runtime.machine().random()
    }

    /// Sockets of a caller that was started anew are nobody's any more.
    fn note_generation(&self, cx: &Context) {
        let before = self.generations.borrow_mut().insert(cx.caller, cx.generation);
        if before.is_some_and(|before| before != cx.generation) {
            let now_ns = self.now_ns();
            self.touch().drop_all_of(cx.caller, now_ns);
        }
    }

    /// The family of a socket, if it is the caller's. Errors: `BadSocket`.
    fn family(&self, cx: &Context, socket: Socket) -> Result<Family> {
        let stack = self.stack.borrow();
        let entry = stack.sockets.get(socket.0).filter(|entry| entry.caller == cx.caller);
        entry.map(|entry| entry.family).ok_or(Error::BadSocket)
    }

    fn is_stream(&self, socket: Socket) -> bool {
        self.stack.borrow_mut().stream_mut(socket.0).is_ok()
    }

    /// Our end of a connected socket, for a claim on every address the one that is in use.
    fn local(family: Family, bound: Bound) -> Endpoint {
        present(family, bound.address, bound.port)
    }
}

fn rings(cx: &Context, ids: RingIds) -> Result<Rings> {
    let rx = cx.ring(ids.rx).map_err(|_| Error::BadLease)?;
    let tx = cx.ring(ids.tx).map_err(|_| Error::BadLease)?;
    Ok(Rings { rx, tx })
}

/// The caller has let go of the rings: it no longer waits for the answer.
fn is_given_up(rings: &Rings) -> bool {
    rings.rx.consumer_closed().is_some() || rings.tx.producer_closed().is_some()
}

impl Handler for Net {
    async fn open(&self, cx: &Context, call: Open) -> Result<Socket> {
        self.note_generation(cx);
        if call.family == (Family::V6 { only: true }) {
            return Err(Error::NotSupported);
        }
        let flavour = match call.kind {
            Kind::Stream => None,
            Kind::Datagram => Some(Flavour::Udp),
            Kind::Echo => Some(Flavour::Echo),
        };
        let kind = match (flavour, call.rings) {
            (None, None) => SocketKind::Stream(Stream::new()),
            (Some(flavour), Some(ids)) => SocketKind::Datagram(Datagram::new(flavour, call.family, rings(cx, ids)?)),
            _ => return Err(Error::BadLease),
        };
        let mut stack = self.touch();
        if stack.sockets.len() >= LIMIT {
            return Err(Error::NoBuffers);
        }
        let id = stack.sockets.insert(Entry { caller: cx.caller, family: call.family, kind });
        stack.open_datagram(id);
        Ok(Socket(id))
    }

    async fn close(&self, cx: &Context, call: Close) -> Result<()> {
        self.family(cx, call.socket)?;
        let now_ns = self.now_ns();
        self.touch().close(call.socket.0, call.abort, now_ns);
        Ok(())
    }

    async fn bind(&self, cx: &Context, call: Bind) -> Result<Endpoint> {
        let family = self.family(cx, call.socket)?;
        let (address, port) = resolve(family, call.local).map_err(|why| match why {
            Unusable::Family => Error::NotSupported,
            Unusable::Address => Error::AddressNotAvailable,
        })?;
        let (wanted, reuse) = (Bound { address, port }, (call.reuse_address, call.reuse_port));
        let random = self.random();
        let mut stack = self.touch();
        let bound = match stack.stream_mut(call.socket.0) {
            Ok(_) => stack.bind_stream(call.socket.0, wanted, reuse, random)?,
            Err(_) => stack.bind_datagram(call.socket.0, wanted, reuse, random)?,
        };
        Ok(Self::local(family, bound))
    }

    async fn listen(&self, cx: &Context, call: Listen) -> Result<Endpoint> {
        let family = self.family(cx, call.socket)?;
        let random = self.random();
        let bound = self.touch().listen(call.socket.0, call.backlog, random)?;
        Ok(Self::local(family, bound))
    }

    /// Waits; whether the socket still listens is asked anew after each wait.
    async fn accept(&self, cx: &Context, call: Accept) -> Result<Accepted> {
        let family = self.family(cx, call.socket)?;
        let rings = rings(cx, call.rings)?;
        let changed = self.stack.borrow_mut().accept_event(call.socket.0)?;
        loop {
            let wait = changed.wait();
            if is_given_up(&rings) {
                return Err(Error::Invalid);
            }
            let accepted = self.touch().accept(call.socket.0, &rings)?;
            if let Some(crate::stream::Accepted { socket, flow }) = accepted {
                let (local, remote) = (present_socket(family, flow.local), present_socket(family, flow.remote));
                return Ok(Accepted { socket: Socket(socket), local, remote });
            }
            wait.await;
        }
    }

    /// A stream waits for the handshake; meanwhile the socket may be closed, which ends the wait.
    async fn connect(&self, cx: &Context, call: Connect) -> Result<Endpoint> {
        let family = self.family(cx, call.socket)?;
        let unreachable = |why| match why {
            Unusable::Family => Error::NotSupported,
            Unusable::Address => Error::NetUnreachable,
        };
        let (address, port) = resolve(family, call.remote).map_err(unreachable)?;
        let random = self.random();
        if !self.is_stream(call.socket) {
            let peer = address.map(|address| SocketAddrV4::new(address, port));
            let bound = self.touch().connect_datagram(call.socket.0, peer, random)?;
            return Ok(Self::local(family, bound));
        }
        let rings = rings(cx, call.rings.ok_or(Error::BadLease)?)?;
        let target = SocketAddrV4::new(Stack::target(address), port);
        let now_ns = self.now_ns();
        let local = self.touch().connect(call.socket.0, target, rings, random, now_ns)?;
        loop {
            let changed = match self.stack.borrow_mut().connect_outcome(call.socket.0)? {
                Ok(outcome) => return outcome.map(|()| present_socket(family, local)),
                Err(changed) => changed,
            };
            changed.wait().await;
        }
    }

    async fn shutdown(&self, cx: &Context, call: Shutdown) -> Result<()> {
        self.family(cx, call.socket)?;
        let mut stack = self.touch();
        if stack.stream_mut(call.socket.0).is_ok() {
            return stack.shutdown_stream(call.socket.0, call.read, call.write);
        }
        let datagram = stack.datagram_mut(call.socket.0)?;
        if datagram.peer.is_none() {
            return Err(Error::NotConnected);
        }
        datagram.deaf |= call.read;
        Ok(())
    }

    async fn set(&self, cx: &Context, call: Set) -> Result<()> {
        self.family(cx, call.socket)?;
        let id = call.socket.0;
        let mut stack = self.touch();
        let is_stream = stack.stream_mut(id).is_ok();
        match call.setting {
            Setting::HopLimit(0) => Err(Error::Invalid),
            Setting::HopLimit(limit) if is_stream => stack.set_stream(id, |set| set.hop_limit = Some(limit)),
            Setting::HopLimit(limit) => stack.datagram_mut(id).map(|datagram| datagram.hop_limit = Some(limit)),
            Setting::Broadcast(on) if !is_stream => stack.datagram_mut(id).map(|datagram| datagram.broadcast = on),
            Setting::Broadcast(_) => Ok(()),
            Setting::JoinGroup(_) | Setting::LeaveGroup(_) => Err(Error::NotSupported),
            // What only streams have is kept by the front end for others, as Linux does (SO_KEEPALIVE on a UDP socket).
            _ if !is_stream => Ok(()),
            Setting::NoDelay(on) => stack.set_stream(id, |set| set.no_delay = on),
            Setting::KeepAlive(times) => stack.set_stream(id, |set| set.keep_alive = times),
            Setting::UserTimeout(ms) => stack.set_stream(id, |set| set.user_timeout_ms = ms),
        }
    }

    async fn get_status(&self, cx: &Context, call: GetStatus) -> Result<Status> {
        let family = self.family(cx, call.socket)?;
        let stack = self.stack.borrow();
        let entry = stack.sockets.get(call.socket.0).ok_or(Error::BadSocket)?;
        let (local, remote, conn, idle_state) = match &entry.kind {
            SocketKind::Stream(stream) => {
                let (local, remote) = Stack::ends(stream);
                match &stream.role {
                    Role::Connected(Connected { conn, .. }) => (local, remote, *conn, TCP_CLOSE),
                    Role::Listening(_) => (local, remote, None, TCP_LISTEN),
                    Role::Idle => (local, remote, None, TCP_CLOSE),
                }
            }
            SocketKind::Datagram(datagram) => (datagram.bound, datagram.peer, None, TCP_CLOSE),
        };
        let conn = conn.and_then(|id| stack.conns.get(id));
        Ok(Status {
            local: local.map(|bound| Self::local(family, bound)),
            remote: remote.map(|remote| present_socket(family, remote)),
            tcp_state: conn.map_or(idle_state, |conn| linux_state(conn.block.socket())),
            unacked_bytes: conn.map_or(0, crate::conn::Conn::unacked_bytes),
        })
    }

    async fn interface(&self, _: &Context, call: Interface) -> Result<InterfaceInfo> {
        let stack = self.stack.borrow();
        match (call.position, &stack.lan) {
            (0, _) => Ok(loopback_info(&stack)),
            (1, Some(lan)) => Ok(lan_info(lan)),
            _ => Err(Error::Invalid),
        }
    }

    async fn wait_configured(&self, _: &Context, call: WaitConfigured) -> Result<()> {
        let configured = self.stack.borrow().configured.clone();
        let deadline_ns = self.now_ns().saturating_add(u64::from(call.timeout_ms) * 1_000_000);
        loop {
            let changed = configured.wait();
            if self.stack.borrow().lease().is_some() {
                return Ok(());
            }
            if self.now_ns() >= deadline_ns {
                return Err(Error::TimedOut);
            }
            crate::either(changed, self.runtime.sleep_until(deadline_ns)).await;
        }
    }
}

fn v4(address: Ipv4Addr) -> Address {
    Address::V4(address.octets())
}

fn numbers(counters: &Counters) -> [u64; 4] {
    [counters.frames_in, counters.frames_out, counters.bytes_in, counters.bytes_out]
}

fn loopback_info(stack: &Stack) -> InterfaceInfo {
    InterfaceInfo {
        index: 1,
        mac: [0; 6],
        mtu: LO_MTU,
        address: Some((v4(Ipv4Addr::LOCALHOST), 8)),
        gateway: None,
        up: true,
        dns: [None; 3],
        counters: numbers(&stack.lo.outlet.counters),
    }
}

fn lan_info(lan: &crate::lan::Lan) -> InterfaceInfo {
    let lease = lan.lease();
    InterfaceInfo {
        index: 2,
        mac: lan.info.mac,
        mtu: lan.info.mtu.into(),
        address: lease.map(|lease| (v4(lease.address), lease.prefix_len)),
        gateway: lease.and_then(|lease| lease.gateway).map(v4),
        up: lan.info.link_up && lan.link.outlet.is_up(),
        dns: lease.map_or([None; 3], |lease| lease.dns.map(|server| server.map(v4))),
        counters: numbers(&lan.link.outlet.counters),
    }
}
