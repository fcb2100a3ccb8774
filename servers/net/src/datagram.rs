//! UDP and ICMP echo sockets.
//!
//! Outgoing records go from the tx ring into a smoltcp socket, which finds the neighbour. Incoming packets are taken from the frame
//! straight to the rx rings: nothing is kept in between, and a full ring loses them, as UDP may.

use crate::conn::{Rings, Via, instant, nanoseconds};
use crate::frame::{Flow, Packet};
use crate::link::Link;
use crate::ports::Binding;
use crate::socket::{Bound, Socket};
use crate::stack::{Stack, link_of, tag_of};
use crate::timers::Key;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::{Ipv4Addr, SocketAddrV4};
use protocol::net::datagram::{HEAD_BYTES, Head};
use protocol::net::{Error, Family, Fault, Result};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{IpAddress, IpEndpoint, UdpPacket};

/// Smallest send buffer, in bytes.
const SEND_BYTES: usize = 4096;

/// Datagrams that may wait for a neighbour.
const SEND_COUNT: usize = 16;

/// Bytes of IP and UDP, or IP and ICMP, headers.
const HEADERS: usize = 28;

/// Longest payload that a record can announce.
const LONGEST: usize = u16::MAX as usize;

/// UDP or echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// UDP.
    Udp,
    /// ICMP echo: the port is the identifier.
    Echo,
}

/// A datagram socket.
pub struct Datagram {
    /// UDP or echo.
    pub flavour: Flavour,
    /// Its family, which decides how senders are shown.
    pub family: Family,
    /// Where data comes from and goes to.
    pub rings: Rings,
    /// Its claim on a port.
    pub bound: Option<Bound>,
    /// The only peer, once connected.
    pub peer: Option<SocketAddrV4>,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// IP_TTL; `None` is the default.
    pub hop_limit: Option<u8>,
    /// SHUT_RD was asked for.
    pub deaf: bool,
    /// Already in the queue of those to be looked at.
    pub dirty: bool,
    /// Where its timer stands.
    pub armed: Option<u64>,
    senders: [Option<Sender>; 2],
}

/// smoltcp's part: one per interface, made when it is needed.
struct Sender {
    set: SocketSet<'static>,
    handle: SocketHandle,
    bytes: usize,
}

impl Sender {
    fn new(flavour: Flavour, port: u16, bytes: usize) -> Option<Self> {
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = match flavour {
            Flavour::Udp => {
                let rx = udp::PacketBuffer::new(Vec::new(), Vec::new());
                let tx = udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; SEND_COUNT], vec![0; bytes]);
                let mut socket = udp::Socket::new(rx, tx);
                socket.bind(port).ok()?;
                set.add(socket)
            }
            Flavour::Echo => {
                let rx = icmp::PacketBuffer::new(Vec::new(), Vec::new());
                let tx = icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; SEND_COUNT], vec![0; bytes]);
                let mut socket = icmp::Socket::new(rx, tx);
                socket.bind(icmp::Endpoint::Ident(port)).ok()?;
                set.add(socket)
            }
        };
        Some(Self { set, handle, bytes })
    }

    fn is_idle(&self, flavour: Flavour) -> bool {
        match flavour {
            Flavour::Udp => self.set.get::<udp::Socket<'_>>(self.handle).send_queue() == 0,
            Flavour::Echo => self.set.get::<icmp::Socket<'_>>(self.handle).send_queue() == 0,
        }
    }
}

/// What became of a record at the front of the tx ring.
enum Step {
    /// It went on its way, or nobody can want it: bytes it took.
    Done(usize),
    /// It must wait.
    Wait,
}

impl Datagram {
    /// A socket without address.
    pub fn new(flavour: Flavour, family: Family, rings: Rings) -> Self {
        Self {
            flavour,
            family,
            rings,
            bound: None,
            peer: None,
            broadcast: false,
            hop_limit: None,
            deaf: false,
            dirty: false,
            armed: None,
            senders: [None, None],
        }
    }

    /// The sender for datagrams of `len` bytes through `via`; `None` while an older, smaller one is busy.
    fn sender(&mut self, via: Via, port: u16, len: usize) -> Option<&mut Sender> {
        let place = &mut self.senders[via as usize];
        let fits = place.as_ref().is_some_and(|sender| sender.bytes >= len);
        let idle = place.as_ref().is_none_or(|sender| sender.is_idle(self.flavour));
        if !fits && idle {
            *place = Sender::new(self.flavour, port, len.next_power_of_two().max(SEND_BYTES));
        }
        place.as_mut().filter(|_| fits || idle)
    }

    /// Puts a packet of `len` bytes, which stand behind the head in the tx ring, into smoltcp's buffer.
    fn queue(&mut self, via: Via, source: Ipv4Addr, port: u16, target: SocketAddrV4, len: usize) -> Step {
        let (flavour, hop_limit, tx) = (self.flavour, self.hop_limit, self.rings.tx.clone());
        let Some(sender) = self.sender(via, port, len) else { return Step::Wait };
        let buffer = match flavour {
            Flavour::Udp => {
                let socket = sender.set.get_mut::<udp::Socket<'_>>(sender.handle);
                socket.set_hop_limit(hop_limit);
                let mut meta: udp::UdpMetadata = IpEndpoint::from(target).into();
                meta.local_address = Some(source.into());
                socket.send(len, meta).ok()
            }
            Flavour::Echo => {
                let socket = sender.set.get_mut::<icmp::Socket<'_>>(sender.handle);
                socket.set_hop_limit(hop_limit);
                socket.send(len, IpAddress::Ipv4(*target.ip())).ok()
            }
        };
        let Some(buffer) = buffer else { return Step::Wait };
        tx.discard(HEAD_BYTES);
        tx.pop(buffer);
        if flavour == Flavour::Echo {
            complete_echo(buffer, port);
        }
        Step::Done(HEAD_BYTES + len)
    }

    /// Puts a record into the rx ring, or loses it.
    fn receive(&self, source: SocketAddrV4, payload: &[u8]) {
        let rx = &self.rings.rx;
        let total = HEAD_BYTES + payload.len();
        let Ok(len) = u16::try_from(payload.len()) else { return };
        if self.deaf || rx.writable() < total {
            return;
        }
        rx.push(&Head { len, peer: crate::address::present_socket(self.family, source) }.emit());
        rx.push(payload);
        if rx.readable() <= total {
            rx.ring_bell();
        }
    }
}

/// Turns what the program wrote into an echo request of this socket; smoltcp adds the checksum.
fn complete_echo(message: &mut [u8], identifier: u16) {
    if let Some(head) = message.first_chunk_mut::<8>() {
        head[0] = 8;
        head[1] = 0;
        head[4..6].copy_from_slice(&identifier.to_be_bytes());
    }
}

impl Stack {
    fn datagram_ports(&mut self, flavour: Flavour) -> &mut crate::ports::Ports {
        match flavour {
            Flavour::Udp => &mut self.udp_ports,
            Flavour::Echo => &mut self.echo_ports,
        }
    }

    /// The datagram part of a socket. Errors: `BadSocket`.
    pub fn datagram_mut(&mut self, id: u32) -> Result<&mut Datagram> {
        self.sockets.get_mut(id).and_then(Socket::datagram_mut).ok_or(Error::BadSocket)
    }

    /// Has a new socket's bells say who it is.
    pub fn open_datagram(&mut self, id: u32) {
        if let Ok(datagram) = self.datagram_mut(id) {
            datagram.rings.set_tag(tag_of(Key::Datagram(id)));
        }
        // Something may have been put into the ring before it had a tag.
        self.mark(Key::Datagram(id));
    }

    /// Claims a local address; port 0 lets the stack choose.
    ///
    /// Errors: `BadSocket`, `Invalid`, `AddressInUse`, `AddressNotAvailable`.
    pub fn bind_datagram(&mut self, id: u32, wanted: Bound, reuse: (bool, bool), random: u64) -> Result<Bound> {
        let datagram = self.datagram_mut(id)?;
        let flavour = datagram.flavour;
        if datagram.bound.is_some() {
            return Err(Error::Invalid);
        }
        let usable = |address: Ipv4Addr| address.is_multicast() || self.is_ours(address) || self.is_broadcast(address);
        if wanted.address.is_some_and(|address| !usable(address)) {
            return Err(Error::AddressNotAvailable);
        }
        let (reuse_address, reuse_port) = reuse;
        let binding = Binding { owner: id, address: wanted.address, reuse_address, reuse_port, listening: false };
        let ports = self.datagram_ports(flavour);
        let port = match wanted.port {
            0 => crate::ports::Ports::choose(random, |port| ports.is_free(port)).ok_or(Error::AddressInUse)?,
            port if !ports.allows(port, &binding) => return Err(Error::AddressInUse),
            port => port,
        };
        ports.add(port, binding);
        let bound = Bound { address: wanted.address, port };
        self.datagram_mut(id)?.bound = Some(bound);
        Ok(bound)
    }

    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast() || self.lease().is_some_and(|lease| lease.is_broadcast(address))
    }

    /// Fixes or dissolves the peer; returns our end.
    ///
    /// Errors: `BadSocket`, `NetUnreachable`, `AddressInUse`.
    pub fn connect_datagram(&mut self, id: u32, peer: Option<SocketAddrV4>, random: u64) -> Result<Bound> {
        if self.datagram_mut(id)?.bound.is_none() {
            self.bind_datagram(id, Bound { address: None, port: 0 }, (false, false), random)?;
        }
        let source = match peer {
            Some(peer) => Some(self.route(*peer.ip()).ok_or(Error::NetUnreachable)?.1),
            None => None,
        };
        let datagram = self.datagram_mut(id)?;
        datagram.peer = peer;
        let bound = datagram.bound.ok_or(Error::Invalid)?;
        self.mark(Key::Datagram(id));
        Ok(Bound { address: bound.address.or(source), port: bound.port })
    }

    /// Gives a datagram socket back. What waits in its ring is sent if that is possible at once.
    pub fn close_datagram(&mut self, id: u32, now_ns: u64) {
        self.service_datagram(id, now_ns);
        let Ok(datagram) = self.datagram_mut(id) else { return };
        let (flavour, bound, mut armed) = (datagram.flavour, datagram.bound, datagram.armed.take());
        datagram.rings.rx.close(Fault::None as u32);
        self.timers.disarm(Key::Datagram(id), &mut armed);
        if let Some(bound) = bound {
            self.datagram_ports(flavour).remove(bound.port, id);
        }
        self.sockets.remove(id);
    }

    /// Sends what the ring holds.
    pub(crate) fn service_datagram(&mut self, id: u32, now_ns: u64) {
        let Ok(datagram) = self.datagram_mut(id) else { return };
        datagram.dirty = false;
        let tx = datagram.rings.tx.clone();
        let mut freed = 0;
        while let Some((head, len)) = front(&*tx) {
            match self.send_one(id, head, len) {
                Step::Done(count) => freed += count,
                Step::Wait => break,
            }
            self.flush_datagram(id, now_ns);
        }
        self.flush_datagram(id, now_ns);
        // Whoever waits for room waits for as much as his datagram takes.
        if freed > 0 && tx.writable() < freed + HEAD_BYTES + LONGEST {
            tx.ring_bell();
        }
    }

    /// Sends one record. What cannot be sent at all is lost, as on a wire.
    fn send_one(&mut self, id: u32, head: Option<Head>, len: usize) -> Step {
        let random = u64::from(id) << 7 ^ self.lo.outlet.counters.frames_out;
        let lost = |stack: &mut Self| {
            if let Ok(datagram) = stack.datagram_mut(id) {
                datagram.rings.tx.discard(HEAD_BYTES + len);
            }
            Step::Done(HEAD_BYTES + len)
        };
        let Ok(datagram) = self.datagram_mut(id) else { return Step::Wait };
        let (flavour, broadcast, bound) = (datagram.flavour, datagram.broadcast, datagram.bound);
        let named = head.and_then(|head| crate::address::resolve(datagram.family, head.peer).ok());
        let target = match named {
            Some((Some(address), port)) => Some(SocketAddrV4::new(address, port)),
            Some((None, port)) if port != 0 => Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)),
            _ => datagram.peer,
        };
        let Some(target) = target.filter(|target| flavour == Flavour::Echo || target.port() != 0) else {
            return lost(self);
        };
        if self.is_broadcast(*target.ip()) && !broadcast {
            return lost(self);
        }
        let Some((via, default)) = self.route(*target.ip()) else { return lost(self) };
        let mtu = link_of(&mut self.lo, &mut self.lan, via).map_or(0, |link| link.outlet.ip_mtu());
        if len + HEADERS > mtu + if flavour == Flavour::Echo { 8 } else { 0 } || (flavour == Flavour::Echo && len < 8) {
            return lost(self);
        }
        let bound = match bound {
            Some(bound) => bound,
            None => match self.bind_datagram(id, Bound { address: None, port: 0 }, (false, false), random) {
                Ok(bound) => bound,
                Err(_) => return lost(self),
            },
        };
        let source = bound.address.filter(|address| self.is_ours(*address)).unwrap_or(default);
        match self.datagram_mut(id) {
            Ok(datagram) => datagram.queue(via, source, bound.port, target, len),
            Err(_) => Step::Wait,
        }
    }

    fn flush_datagram(&mut self, id: u32, now_ns: u64) {
        let Some(datagram) = self.sockets.get_mut(id).and_then(Socket::datagram_mut) else { return };
        let mut wanted = None;
        for via in [Via::Loopback, Via::Lan] {
            let Some(sender) = &mut datagram.senders[via as usize] else { continue };
            let Some(link) = link_of(&mut self.lo, &mut self.lan, via) else { continue };
            link.egress(&mut sender.set, now_ns);
            wanted = earlier(wanted, due(link, &sender.set, now_ns));
        }
        self.timers.arm(Key::Datagram(id), &mut datagram.armed, wanted);
    }

    /// Gives a UDP packet to the sockets that want it; says whether there was one.
    pub(crate) fn deliver_udp(&mut self, packet: &Packet<'_>, flow: &Flow) -> bool {
        let Ok(udp) = UdpPacket::new_checked(packet.payload) else { return true };
        let everybody = packet.target.is_multicast() || self.is_broadcast(packet.target);
        if !everybody && !self.is_ours(packet.target) {
            return false;
        }
        let bindings = self.udp_ports.at(flow.local.port());
        let ranked = bindings.iter().filter_map(|binding| {
            let datagram = match &self.sockets.get(binding.owner)?.kind {
                crate::socket::Kind::Datagram(datagram) => datagram,
                crate::socket::Kind::Stream(_) => return None,
            };
            let address_fits = binding.address.is_none_or(|address| address == packet.target);
            let peer_fits = datagram.peer.is_none_or(|peer| peer == flow.remote);
            let rank = u8::from(datagram.peer.is_some()) * 2 + u8::from(binding.address.is_some());
            (address_fits && peer_fits).then_some((rank, binding.reuse_port, datagram))
        });
        if everybody {
            return ranked.map(|(_, _, datagram)| datagram.receive(flow.remote, udp.payload())).count() > 0;
        }
        let (mut best, mut equals) = (None, 0_u64);
        let spread = self.flows.hasher().hash_one(flow);
        for (rank, reuse_port, datagram) in ranked {
            equals = if best.is_some_and(|(highest, _)| highest == rank) { equals + 1 } else { 1 };
            // Of equals the newest has the port (SO_REUSEADDR), or the peers are spread over them (SO_REUSEPORT).
            let takes = match best {
                None => true,
                Some((highest, _)) if highest == rank => !reuse_port || spread.is_multiple_of(equals),
                Some((highest, _)) => rank > highest,
            };
            if takes {
                best = Some((rank, datagram));
            }
        }
        best.map(|(_, datagram)| datagram.receive(flow.remote, udp.payload())).is_some()
    }

    /// Gives an echo reply to the socket that asked.
    pub(crate) fn deliver_echo(&mut self, via: Via, packet: &Packet<'_>) {
        let Ok(message) = smoltcp::wire::Icmpv4Packet::new_checked(packet.payload) else { return };
        if via == Via::Lan && !message.verify_checksum() {
            return;
        }
        let source = SocketAddrV4::new(packet.source, 0);
        for binding in self.echo_ports.at(message.echo_ident()) {
            if let Some(crate::socket::Kind::Datagram(datagram)) =
                self.sockets.get(binding.owner).map(|socket| &socket.kind)
                && datagram.peer.is_none_or(|peer| *peer.ip() == packet.source)
            {
                datagram.receive(source, packet.payload);
            }
        }
    }
}

/// The first record of a tx ring: its head, if that makes sense, and its length. `None` while it is not all there.
fn front(tx: &dyn rt::sys::Ring) -> Option<(Option<Head>, usize)> {
    let mut head = [0; HEAD_BYTES];
    if tx.peek(0, &mut head) < HEAD_BYTES {
        return None;
    }
    let len = usize::from(u16::from_le_bytes([head[0], head[1]]));
    (tx.readable() >= HEAD_BYTES + len).then(|| (Head::parse(&head), len))
}

fn due(link: &mut Link, set: &SocketSet<'static>, now_ns: u64) -> Option<u64> {
    link.iface.poll_at(instant(now_ns), set).map(|at| nanoseconds(at).max(now_ns + 1_000_000))
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    [one, other].into_iter().flatten().min()
}
