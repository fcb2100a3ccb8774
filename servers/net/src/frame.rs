//! A first look at a frame: as much as is needed to choose the sockets that it goes to.
//!
//! Everything here comes from the wire. smoltcp checks the rest (lengths, options, the IP header's
//! checksum) when it processes the frame with the chosen set.

use crate::checksum;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

/// A connection as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Our end.
    pub local: SocketAddrV4,
    /// The other end.
    pub remote: SocketAddrV4,
}

/// What an Ethernet frame carries.
pub enum Layer<'a> {
    /// Address resolution.
    Arp,
    /// IPv4.
    Ipv4(Packet<'a>),
}

/// An IPv4 packet whose header makes sense.
pub struct Packet<'a> {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub target: Ipv4Addr,
    /// What it carries.
    pub protocol: IpProtocol,
    /// It is a part of a larger packet.
    pub fragment: bool,
    /// What stands behind the header.
    pub payload: &'a [u8],
}

/// Looks at an Ethernet frame; `None` for one that we do not speak.
pub fn ethernet(bytes: &[u8]) -> Option<Layer<'_>> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => Some(Layer::Arp),
        EthernetProtocol::Ipv4 => ipv4(frame.payload()).map(Layer::Ipv4),
        _ => None,
    }
}

/// Looks at an IPv4 packet; `None` for one that makes no sense.
pub fn ipv4(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    if packet.version() != 4 {
        return None;
    }
    Some(Packet {
        source: packet.src_addr(),
        target: packet.dst_addr(),
        protocol: packet.next_header(),
        fragment: packet.more_frags() || packet.frag_offset() != 0,
        payload: packet.payload(),
    })
}

impl<'a> Packet<'a> {
    /// The connection that a TCP or UDP packet belongs to.
    pub fn flow(&self) -> Option<Flow> {
        let ports = self.payload.first_chunk::<4>()?;
        let source = u16::from_be_bytes([ports[0], ports[1]]);
        let target = u16::from_be_bytes([ports[2], ports[3]]);
        Some(Flow { local: SocketAddrV4::new(self.target, target), remote: SocketAddrV4::new(self.source, source) })
    }

    /// Whether the checksum of a TCP or UDP packet is right; others are not looked at.
    pub fn is_whole(&self) -> bool {
        !matches!(self.protocol, IpProtocol::Tcp | IpProtocol::Udp)
            || checksum::is_right(self.source.octets(), self.target.octets(), self.protocol, self.payload)
    }

    /// The TCP segment inside.
    pub fn tcp(&self) -> Option<TcpPacket<&'a [u8]>> {
        TcpPacket::new_checked(self.payload).ok()
    }
}

/// The connection that an ICMP error is about, seen from here: the packet that it quotes was ours.
pub fn quoted(icmp: &[u8]) -> Option<(IpProtocol, Flow)> {
    let quote = icmp.get(8..)?;
    let header = usize::from(quote.first()? & 0x0f) * 4;
    if quote.len() < header.max(20) {
        return None;
    }
    let packet = Ipv4Packet::new_unchecked(quote);
    let ports = quote.get(header..)?.first_chunk::<4>()?;
    let local = SocketAddrV4::new(packet.src_addr(), u16::from_be_bytes([ports[0], ports[1]]));
    let remote = SocketAddrV4::new(packet.dst_addr(), u16::from_be_bytes([ports[2], ports[3]]));
    Some((packet.next_header(), Flow { local, remote }))
}

/// The Ethernet address that a frame came from.
pub fn sender(bytes: &[u8]) -> Option<EthernetAddress> {
    EthernetFrame::new_checked(bytes).ok().map(|frame| frame.src_addr())
}
