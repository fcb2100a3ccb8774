//! Where addresses come from: arguments, a small DHCP server, the fallback.

use super::*;
use crate::FALLBACK;
use protocol::net::{Error, Interface as GetInterface, WaitConfigured};
use smoltcp::socket::udp;
use smoltcp::wire::{DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, IpEndpoint};

const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 77);

/// What a DHCP server answers.
fn answer(request: &DhcpRepr<'_>, kind: DhcpMessageType) -> Vec<u8> {
    let reply = DhcpRepr {
        message_type: kind,
        your_ip: GIVEN,
        server_ip: PEER,
        server_identifier: Some(PEER),
        router: Some(PEER),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        dns_servers: Some([PEER].into_iter().collect()),
        lease_duration: Some(3600),
        requested_ip: None,
        client_identifier: None,
        parameter_request_list: None,
        max_size: None,
        ..request.clone()
    };
    let mut bytes = vec![0; reply.buffer_len()];
    reply.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).expect("fits");
    bytes
}

/// Answers at the peer, by broadcast, for ever.
async fn serve_dhcp(bench: Bench) {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(DHCP_SERVER_PORT).expect("bound");
    let handle = bench.peer.borrow_mut().sockets.add(socket);
    loop {
        {
            let mut peer = bench.peer.borrow_mut();
            let socket = peer.sockets.get_mut::<udp::Socket<'_>>(handle);
            let reply = socket.recv().ok().and_then(|(payload, _)| {
                let packet = DhcpPacket::new_checked(payload).ok()?;
                let request = DhcpRepr::parse(&packet).ok()?;
                match request.message_type {
                    DhcpMessageType::Discover => Some(answer(&request, DhcpMessageType::Offer)),
                    DhcpMessageType::Request => Some(answer(&request, DhcpMessageType::Ack)),
                    _ => None,
                }
            });
            if let Some(reply) = reply {
                socket.send_slice(&reply, IpEndpoint::from((Ipv4Addr::BROADCAST, 68))).expect("has room");
            }
        }
        bench.sleep_us(500).await;
    }
}

async fn eth0(bench: &Bench) -> net::InterfaceInfo {
    bench.net.call(0, GetInterface { position: 1 }, &[]).await.expect("eth0")
}

fn shown(address: Ipv4Addr) -> Address {
    Address::V4(address.octets())
}

#[test]
fn dhcp_gives_address_gateway_and_name_server() {
    let bench = bench_with(Addressing::default());
    bench.runtime.spawn(serve_dhcp(bench.clone()));
    bench.clone().run(async move {
        assert_eq!(bench.net.call(0, WaitConfigured { timeout_ms: 2000 }, &[]).await, Ok(()));
        assert!(bench.now_ns() < 1_000_000_000);
        let info = eth0(&bench).await;
        assert_eq!((info.address, info.gateway), (Some((shown(GIVEN), 24)), Some(shown(PEER))));
        assert_eq!((info.dns[0], info.mac, info.up), (Some(shown(PEER)), OUR_MAC, true));
        assert!(bench.machine.lines().is_empty(), "an address is no news unless somebody traces");
        let handle = bench.peer.borrow_mut().listen(7);
        let program = bench.connect(v4(PEER, 7)).await.expect("connected");
        assert_eq!(program.status().await.local.map(|end| end.address), Some(shown(GIVEN)));
        assert!(bench.peer.borrow_mut().tcp(handle).is_active());
    });
}

#[test]
fn without_a_server_the_fallback_is_taken_and_a_late_server_still_wins() {
    let bench = bench_with(Addressing::default());
    bench.clone().run(async move {
        assert_eq!(bench.net.call(0, WaitConfigured { timeout_ms: 2000 }, &[]).await, Err(Error::TimedOut));
        assert_eq!(bench.connect(v4(PEER, 7)).await.err(), Some(Error::NetUnreachable));
        assert_eq!(bench.net.call(0, WaitConfigured { timeout_ms: 2000 }, &[]).await, Ok(()));
        assert_eq!(eth0(&bench).await.address, Some((shown(FALLBACK.address), 24)));
        bench.runtime.spawn(serve_dhcp(bench.clone()));
        bench.sleep_us(130_000_000).await;
        assert_eq!(eth0(&bench).await.address, Some((shown(GIVEN), 24)));
    });
}

#[test]
fn a_static_address_is_there_at_once_and_the_loopback_is_always() {
    let bench = bench();
    bench.clone().run(async move {
        let lo = bench.net.call(0, GetInterface { position: 0 }, &[]).await.expect("lo");
        assert_eq!((lo.index, lo.address), (1, Some((shown(Ipv4Addr::LOCALHOST), 8))));
        assert_eq!(bench.net.call(0, WaitConfigured { timeout_ms: 100 }, &[]).await, Ok(()));
        assert_eq!(eth0(&bench).await.address, Some((shown(OURS), 24)));
        assert_eq!(bench.net.call(0, GetInterface { position: 2 }, &[]).await, Err(Error::Invalid));
    });
}
