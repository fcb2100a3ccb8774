//! The Internet checksum of TCP and UDP (RFC 1071), eight bytes at a time.
//!
//! smoltcp sums 16 bits at a time, which is most of the work that a large segment makes; so its own is switched off for these two, and
//! frames are checked as they come in and completed as they leave. The sum does not depend on byte order: it is taken in the
//! machine's, and stored in the same.

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet};

/// Ethernet header, in bytes.
const ETHERNET_BYTES: usize = 14;

/// The ones' complement sum of `bytes`, added to `start`; at most 0xffff.
fn sum(start: u64, bytes: &[u8]) -> u64 {
    let mut total = start;
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for word in words {
            total = add(total, u64::from_ne_bytes(*word));
        }
    }
    let (words, tail) = rest.as_chunks::<2>();
    for word in words {
        total = add(total, u16::from_ne_bytes(*word).into());
    }
    if let [last] = tail {
        total = add(total, u16::from_ne_bytes([*last, 0]).into());
    }
    fold(total)
}

/// Addition in which the carry comes back at the low end.
fn add(one: u64, other: u64) -> u64 {
    let (total, carry) = one.overflowing_add(other);
    total + u64::from(carry)
}

fn fold(total: u64) -> u64 {
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32);
    let total = (total & 0xffff) + (total >> 16);
    (total & 0xffff) + (total >> 16)
}

/// The sum of what TCP and UDP count beside their own bytes: addresses, protocol, length (RFC 9293 section 3.1).
fn pseudo_header(source: [u8; 4], target: [u8; 4], protocol: IpProtocol, len: usize) -> u64 {
    let [high, low] = (len as u16).to_be_bytes();
    let addresses = sum(sum(0, &source), &target);
    sum(addresses, &[0, protocol.into(), high, low])
}

/// Where the checksum stands in a TCP or UDP header.
fn place(protocol: IpProtocol) -> Option<usize> {
    match protocol {
        IpProtocol::Tcp => Some(16),
        IpProtocol::Udp => Some(6),
        _ => None,
    }
}

/// Whether a TCP or UDP packet arrived as it was sent. UDP may go without (RFC 768).
pub fn is_right(source: [u8; 4], target: [u8; 4], protocol: IpProtocol, payload: &[u8]) -> bool {
    let absent = protocol == IpProtocol::Udp && payload.get(6..8) == Some(&[0, 0]);
    absent || sum(pseudo_header(source, target, protocol, payload.len()), payload) == 0xffff
}

/// Completes the TCP or UDP packet in an Ethernet frame of ours; others are left as they are.
pub fn complete(frame: &mut [u8]) {
    let Ok(view) = EthernetFrame::new_checked(&*frame) else { return };
    if view.ethertype() != EthernetProtocol::Ipv4 {
        return;
    }
    let Ok(packet) = Ipv4Packet::new_checked(view.payload()) else { return };
    let protocol = packet.next_header();
    let start = ETHERNET_BYTES + usize::from(packet.header_len());
    let end = ETHERNET_BYTES + usize::from(packet.total_len());
    let (source, target) = (packet.src_addr().octets(), packet.dst_addr().octets());
    let Some((at, payload)) = place(protocol).zip(frame.get_mut(start..end)) else { return };
    let Some(field) = payload.get_mut(at..at + 2) else { return };
    field.fill(0);
    let total = sum(pseudo_header(source, target, protocol, payload.len()), payload);
    let checksum = match !(total as u16) {
        // 0 would say that there is none.
        0 if protocol == IpProtocol::Udp => u16::MAX,
        checksum => checksum,
    };
    payload[at..at + 2].copy_from_slice(&checksum.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{EthernetAddress, EthernetRepr, Ipv4Address, Ipv4Repr, UdpPacket, UdpRepr};

    const SOURCE: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
    const TARGET: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

    /// A UDP packet in a frame, with smoltcp's checksum.
    fn frame(payload: &[u8]) -> alloc::vec::Vec<u8> {
        let udp = UdpRepr { src_port: 1, dst_port: 2 };
        let len = 8 + payload.len();
        let ip = Ipv4Repr {
            src_addr: SOURCE,
            dst_addr: TARGET,
            next_header: IpProtocol::Udp,
            payload_len: len,
            hop_limit: 64,
        };
        let mac = EthernetAddress([2; 6]);
        let mut bytes = vec![0; 14 + 20 + len];
        let header = EthernetRepr { src_addr: mac, dst_addr: mac, ethertype: EthernetProtocol::Ipv4 };
        header.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &checksums);
        let mut packet = UdpPacket::new_unchecked(&mut bytes[34..]);
        udp.emit(
            &mut packet,
            &SOURCE.into(),
            &TARGET.into(),
            payload.len(),
            |out| out.copy_from_slice(payload),
            &checksums,
        );
        bytes
    }

    #[test]
    fn the_sum_is_the_one_that_smoltcp_takes() {
        for len in 0..200 {
            let payload: vec::Vec<u8> =
                (0..len).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
            let whole = frame(&payload);
            let mut ours = whole.clone();
            ours[40..42].fill(0x5a);
            complete(&mut ours);
            assert_eq!(ours, whole);
            assert!(is_right(SOURCE.octets(), TARGET.octets(), IpProtocol::Udp, &whole[34..]));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_a_missing_udp_checksum_is_allowed() {
        let mut bytes = frame(&[0xff; 77]);
        bytes[60] ^= 4;
        assert!(!is_right(SOURCE.octets(), TARGET.octets(), IpProtocol::Udp, &bytes[34..]));
        bytes[40..42].fill(0);
        assert!(is_right(SOURCE.octets(), TARGET.octets(), IpProtocol::Udp, &bytes[34..]));
        assert!(!is_right(SOURCE.octets(), TARGET.octets(), IpProtocol::Tcp, &bytes[34..]));
    }

    #[test]
    fn carries_come_back_at_the_low_end() {
        assert_eq!(sum(0, &[0xff; 64]), 0xffff);
        assert_eq!(sum(0xffff, &[0xff; 4096]), 0xffff);
        assert_eq!(sum(0, &[0; 64]), 0);
    }

    #[test]
    fn frames_without_tcp_or_udp_and_cut_ones_are_left_alone() {
        let whole = frame(b"data");
        for cut in 0..whole.len() {
            let mut bytes = whole[..cut].to_vec();
            complete(&mut bytes);
            assert_eq!(bytes, whole[..cut]);
        }
    }
}
