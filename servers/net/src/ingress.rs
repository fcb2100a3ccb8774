//! Frames that come in: each goes to the set of the one connection or socket that it belongs to.

use crate::conn::{Conn, Owner, Via};
use crate::frame::{self, Flow, Layer, Packet};
use crate::outlet::Wire;
use crate::socket::Socket;
use crate::stack::{LIMIT, Stack, link_of};
use crate::timers::Key;
use core::hash::BuildHasher;
use protocol::net::Fault;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, EthernetRepr, Icmpv4Packet, IpProtocol, Ipv4Repr, TcpControl, TcpPacket, TcpRepr,
};
use smoltcp::{
    phy::{Checksum, ChecksumCapabilities},
    wire,
};

/// Handshakes under way that a listener may have, whatever its backlog.
const HALF_OPEN: usize = 256;

const DHCP_CLIENT_PORT: u16 = 68;

impl Stack {
    /// A frame from the nic.
    pub fn ingress_lan(&mut self, bytes: &[u8], now_ns: u64) {
        let Some(lan) = &mut self.lan else { return };
        lan.link.outlet.counters.frames_in += 1;
        lan.link.outlet.counters.bytes_in += bytes.len() as u64;
        match frame::ethernet(bytes) {
            Some(Layer::Arp) => {
                lan.link.stray(bytes, now_ns);
                self.mark_all_on_lan();
            }
            // Loopback addresses do not travel (RFC 1122 section 3.2.1.3).
            Some(Layer::Ipv4(packet)) if packet.source.is_loopback() || packet.target.is_loopback() => {}
            Some(Layer::Ipv4(packet)) => self.ingress_packet(Via::Lan, bytes, &packet, now_ns),
            None => {}
        }
    }

    /// A frame that comes back through the loopback.
    pub fn ingress_loopback(&mut self, bytes: &[u8], now_ns: u64) {
        self.lo.outlet.counters.frames_in += 1;
        self.lo.outlet.counters.bytes_in += bytes.len() as u64;
        if let Some(packet) = frame::ipv4(bytes) {
            self.ingress_packet(Via::Loopback, bytes, &packet, now_ns);
        }
    }

    fn ingress_packet(&mut self, via: Via, bytes: &[u8], packet: &Packet<'_>, now_ns: u64) {
        // Parts of packets are not put together: what they belong to cannot be told.
        if packet.fragment || (via == Via::Lan && !packet.is_whole()) {
            return;
        }
        match packet.protocol {
            IpProtocol::Tcp => self.ingress_tcp(via, bytes, packet, now_ns),
            IpProtocol::Udp => self.ingress_udp(via, bytes, packet, now_ns),
            IpProtocol::Icmp => self.ingress_icmp(via, bytes, packet, now_ns),
            _ => self.stray(via, bytes, now_ns),
        }
    }

    /// Lets smoltcp answer a frame that belongs to nobody.
    pub(crate) fn stray(&mut self, via: Via, bytes: &[u8], now_ns: u64) {
        if let Some(link) = link_of(&mut self.lo, &mut self.lan, via) {
            link.stray(bytes, now_ns);
        }
    }

    fn ingress_tcp(&mut self, via: Via, bytes: &[u8], packet: &Packet<'_>, now_ns: u64) {
        let Some((flow, segment)) = packet.flow().zip(packet.tcp()) else { return };
        if let Some(&id) = self.flows.get(&flow) {
            return self.ingress_conn(id, via, bytes, segment.rst(), now_ns);
        }
        let opening = segment.syn() && !segment.ack() && !segment.rst();
        if self.resting.contains(&flow) && !(opening && self.listener_of(&flow).is_some()) {
            return self.ingress_resting(via, bytes, &flow, &segment);
        }
        match self.listener_of(&flow).filter(|_| opening && self.is_ours(packet.target)) {
            Some(listener) => self.ingress_syn(listener, via, bytes, flow, now_ns),
            None => self.stray(via, bytes, now_ns),
        }
    }

    fn listener_of(&self, flow: &Flow) -> Option<u32> {
        let hash = self.flows.hasher().hash_one(flow);
        self.tcp_ports.listener(*flow.local.ip(), flow.local.port(), hash)
    }

    fn ingress_conn(&mut self, id: u32, via: Via, bytes: &[u8], reset: bool, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.via == via) else { return };
        let Some(link) = link_of(&mut self.lo, &mut self.lan, via) else { return };
        let wire = &mut Wire { frame: Some(bytes), outlet: &mut link.outlet };
        conn.ingress(&mut link.iface, wire, reset, now_ns);
        self.mark(Key::Conn(id));
    }

    /// A peer wants to connect. Beyond the backlog it is not answered and tries again.
    fn ingress_syn(&mut self, socket: u32, via: Via, bytes: &[u8], flow: Flow, now_ns: u64) {
        let Some(stream) = self.sockets.get_mut(socket).and_then(Socket::stream_mut) else { return };
        let settings = stream.settings;
        let Some(listener) = stream.listener_mut() else { return };
        let backlog = usize::from(listener.backlog);
        let crowded = listener.ready.len() > backlog || listener.half_open >= backlog.max(HALF_OPEN);
        if crowded || self.conns.len() >= LIMIT {
            return;
        }
        let Some(mut block) = self.pool.take(self.conns.len()) else { return };
        if block.socket_mut().listen(flow.local).is_err() {
            return;
        }
        let mut conn = Conn::new(block, flow, via, Owner::Listener(socket), now_ns);
        if via == Via::Loopback {
            conn.quicken();
        }
        conn.apply(settings);
        let Some(link) = link_of(&mut self.lo, &mut self.lan, via) else { return };
        let wire = &mut Wire { frame: Some(bytes), outlet: &mut link.outlet };
        conn.ingress(&mut link.iface, wire, false, now_ns);
        if conn.state() != State::SynReceived {
            return self.pool.give(conn.block);
        }
        listener.half_open += 1;
        if self.resting.remove(&flow) {
            self.forget_port(&flow);
        }
        self.add_conn(conn);
    }

    /// Something for a flow in TIME-WAIT: a FIN that comes again is acknowledged again, all else is too late.
    fn ingress_resting(&mut self, via: Via, bytes: &[u8], flow: &Flow, segment: &TcpPacket<&[u8]>) {
        if segment.rst() || !(segment.fin() || segment.syn()) {
            return;
        }
        let sender = frame::sender(bytes).filter(|_| via == Via::Lan);
        let own = self.lan.as_ref().map(|lan| EthernetAddress(lan.info.mac));
        let Some(link) = link_of(&mut self.lo, &mut self.lan, via) else { return };
        let reply = acknowledgement(flow, segment);
        let ip = Ipv4Repr {
            src_addr: *flow.local.ip(),
            dst_addr: *flow.remote.ip(),
            next_header: IpProtocol::Tcp,
            payload_len: reply.buffer_len(),
            hop_limit: 64,
        };
        let header = sender.zip(own).map(|(dst_addr, src_addr)| EthernetRepr {
            src_addr,
            dst_addr,
            ethertype: EthernetProtocol::Ipv4,
        });
        let start = header.map_or(0, |header| header.buffer_len());
        let mut checksums = ChecksumCapabilities::default();
        checksums.tcp = Checksum::None;
        link.outlet.put(start + ip.buffer_len() + reply.buffer_len(), |out| {
            let (head, rest) = out.split_at_mut(start);
            if let Some(header) = header {
                header.emit(&mut wire::EthernetFrame::new_unchecked(head));
            }
            ip.emit(&mut wire::Ipv4Packet::new_unchecked(&mut *rest), &checksums);
            let (source, target) = (ip.src_addr.into(), ip.dst_addr.into());
            let body = &mut rest[ip.buffer_len()..];
            reply.emit(&mut TcpPacket::new_unchecked(body), &source, &target, &checksums);
        });
    }

    fn ingress_udp(&mut self, via: Via, bytes: &[u8], packet: &Packet<'_>, now_ns: u64) {
        let Some(flow) = packet.flow() else { return };
        if via == Via::Lan && flow.local.port() == DHCP_CLIENT_PORT {
            if let Some(lan) = &mut self.lan {
                lan.ingress_dhcp(bytes, now_ns);
            }
            return self.mark(Key::Dhcp);
        }
        if !self.deliver_udp(packet, &flow) {
            self.stray(via, bytes, now_ns);
        }
    }

    fn ingress_icmp(&mut self, via: Via, bytes: &[u8], packet: &Packet<'_>, now_ns: u64) {
        let Ok(message) = Icmpv4Packet::new_checked(packet.payload) else { return };
        match u8::from(message.msg_type()) {
            0 => self.deliver_echo(via, packet),
            3 => self.ingress_unreachable(message.msg_code(), packet.payload),
            _ => self.stray(via, bytes, now_ns),
        }
    }

    /// Somebody on the way says that a packet of ours did not get through: ends a connect (RFC 1122 section 4.2.3.9).
    fn ingress_unreachable(&mut self, code: u8, payload: &[u8]) {
        let Some((IpProtocol::Tcp, flow)) = frame::quoted(payload) else { return };
        let fault = match code {
            0 => Fault::NetUnreachable,
            2 | 3 => Fault::Refused,
            1 | 5..=13 => Fault::HostUnreachable,
            _ => return,
        };
        let Some(&id) = self.flows.get(&flow) else { return };
        if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.state() == State::SynSent) {
            conn.fault = Some(fault);
            conn.abort();
            self.mark(Key::Conn(id));
        }
    }
}

/// The ACK of a segment that is behind us: its own numbers say what the peer expects.
fn acknowledgement(flow: &Flow, segment: &TcpPacket<&[u8]>) -> TcpRepr<'static> {
    TcpRepr {
        src_port: flow.local.port(),
        dst_port: flow.remote.port(),
        control: TcpControl::None,
        seq_number: segment.ack_number(),
        ack_number: Some(segment.seq_number() + segment.segment_len()),
        window_len: u16::MAX,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}
