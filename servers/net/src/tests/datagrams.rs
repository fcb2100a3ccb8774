//! UDP and echo sockets, and ping.

use super::*;
use protocol::net::datagram::{HEAD_BYTES, Head};
use protocol::net::{Error, Set, Setting};
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress};

impl Program {
    async fn send(&self, peer: Endpoint, payload: &[u8]) {
        let head = Head { len: payload.len() as u16, peer };
        self.bench.until(|| self.tx.writable() >= HEAD_BYTES + payload.len()).await;
        self.tx.push(&head.emit());
        self.tx.push(payload);
        self.tx.ring_bell();
    }
    async fn receive(&self) -> (Endpoint, Vec<u8>) {
        self.bench.until(|| self.rx.readable() >= HEAD_BYTES).await;
        let mut head = [0; HEAD_BYTES];
        self.rx.pop(&mut head);
        let head = Head::parse(&head).expect("a head");
        let mut payload = vec![0; head.len.into()];
        assert_eq!(self.rx.pop(&mut payload), payload.len());
        (head.peer, payload)
    }
}

fn peer_udp(bench: &Bench, port: u16) -> SocketHandle {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).expect("bound");
    bench.peer.borrow_mut().sockets.add(socket)
}

fn unbound() -> Endpoint {
    v4(Ipv4Addr::UNSPECIFIED, 0)
}

#[test]
fn datagrams_reach_a_peer_and_its_answers_come_back() {
    let bench = bench();
    bench.clone().run(async move {
        let handle = peer_udp(&bench, 53);
        let program = bench.open_datagram(Kind::Datagram).await;
        program.send(v4(PEER, 53), b"query").await;
        bench.until(|| bench.peer.borrow_mut().sockets.get_mut::<udp::Socket<'_>>(handle).can_recv()).await;
        {
            let mut peer = bench.peer.borrow_mut();
            let socket = peer.sockets.get_mut::<udp::Socket<'_>>(handle);
            let (payload, meta) = socket.recv().expect("just seen");
            assert_eq!((payload, meta.endpoint.addr), (&b"query"[..], IpAddress::Ipv4(OURS)));
            let back = meta.endpoint;
            socket.send_slice(b"answer", back).expect("has room");
        }
        assert_eq!(program.receive().await, (v4(PEER, 53), b"answer".to_vec()));
        assert!(program.status().await.local.expect("bound by sending").port >= 32_768);
    });
}

#[test]
fn large_datagrams_go_through_the_loopback_and_a_connected_socket_needs_no_address() {
    let bench = bench();
    bench.clone().run(async move {
        let server = bench.open_datagram(Kind::Datagram).await;
        bench.bind(server.id, v4(Ipv4Addr::LOCALHOST, 99)).await.expect("bound");
        let client = bench.open_datagram(Kind::Datagram).await;
        let call = Connect { socket: client.id, remote: v4(Ipv4Addr::LOCALHOST, 99), rings: None };
        let local = bench.net.call(0, call, &[]).await.expect("connected");
        for len in [0, 1, 1500, 16_000] {
            client.send(unbound(), &pattern(len)).await;
            assert_eq!(server.receive().await, (local, pattern(len)));
        }
        // Only the peer is heard.
        let stranger = bench.open_datagram(Kind::Datagram).await;
        stranger.send(local, b"psst").await;
        server.send(local, b"answer").await;
        assert_eq!(client.receive().await, (v4(Ipv4Addr::LOCALHOST, 99), b"answer".to_vec()));
        let dissolve = Connect { socket: client.id, remote: unbound(), rings: None };
        bench.net.call(0, dissolve, &[]).await.expect("dissolved");
        stranger.send(local, b"psst").await;
        assert_eq!(client.receive().await.1, b"psst");
    });
}

#[test]
fn peers_are_spread_over_sockets_that_share_a_port() {
    let bench = bench();
    bench.clone().run(async move {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let server = bench.open_datagram(Kind::Datagram).await;
            let local = v4(Ipv4Addr::LOCALHOST, 99);
            let call = Bind { socket: server.id, local, reuse_address: false, reuse_port: true };
            bench.net.call(0, call, &[]).await.expect("bound");
            servers.push(server);
        }
        for _ in 0..60 {
            let client = bench.open_datagram(Kind::Datagram).await;
            client.send(v4(Ipv4Addr::LOCALHOST, 99), b"x").await;
            client.close().await;
        }
        bench.sleep_us(10_000).await;
        let counts: Vec<_> = servers.iter().map(|server| server.rx.readable() / (HEAD_BYTES + 1)).collect();
        assert_eq!(counts.iter().sum::<usize>(), 60);
        assert!(counts.iter().all(|&count| count > 5));
    });
}

#[test]
fn a_full_ring_loses_datagrams_whole() {
    let bench = bench();
    bench.clone().run(async move {
        let server = bench.open_datagram(Kind::Datagram).await;
        bench.bind(server.id, v4(Ipv4Addr::LOCALHOST, 99)).await.expect("bound");
        let client = bench.open_datagram(Kind::Datagram).await;
        for _ in 0..50 {
            client.send(v4(Ipv4Addr::LOCALHOST, 99), &pattern(5000)).await;
            bench.sleep_us(100).await;
        }
        let kept = RING / (5000 + HEAD_BYTES);
        for _ in 0..kept {
            assert_eq!(server.receive().await.1, pattern(5000));
        }
        assert_eq!(server.rx.readable(), 0);
    });
}

#[test]
fn broadcasts_need_permission_and_reach_the_wire() {
    let bench = bench();
    bench.clone().run(async move {
        let program = bench.open_datagram(Kind::Datagram).await;
        program.send(v4(Ipv4Addr::BROADCAST, 5), b"all").await;
        bench.sleep_us(10_000).await;
        assert_eq!(bench.wire.sent.get(), 0);
        bench.net.call(0, Set { socket: program.id, setting: Setting::Broadcast(true) }, &[]).await.expect("set");
        let handle = peer_udp(&bench, 5);
        program.send(v4(Ipv4Addr::BROADCAST, 5), b"all").await;
        bench.until(|| bench.peer.borrow_mut().sockets.get_mut::<udp::Socket<'_>>(handle).can_recv()).await;
    });
}

#[test]
fn a_datagram_sent_just_before_the_close_still_leaves() {
    let bench = bench();
    bench.clone().run(async move {
        let server = bench.open_datagram(Kind::Datagram).await;
        bench.bind(server.id, v4(Ipv4Addr::LOCALHOST, 99)).await.expect("bound");
        let client = bench.open_datagram(Kind::Datagram).await;
        client.send(v4(Ipv4Addr::LOCALHOST, 99), b"bye").await;
        client.close().await;
        assert_eq!(server.receive().await.1, b"bye");
        assert_eq!(bench.bind(client.id, unbound()).await, Err(Error::BadSocket));
    });
}

#[test]
fn we_answer_ping_and_can_ping() {
    let bench = bench();
    bench.clone().run(async move {
        let program = bench.open_datagram(Kind::Echo).await;
        bench.bind(program.id, v4(Ipv4Addr::UNSPECIFIED, 77)).await.expect("bound");
        for target in [PEER, Ipv4Addr::LOCALHOST] {
            program.send(v4(target, 0), b"\x08\0\0\0\xff\xff\0\x01data").await;
            let (from, message) = program.receive().await;
            assert_eq!((from, &message[..2], &message[4..]), (v4(target, 0), &[0, 0][..], &b"\0\x4d\0\x01data"[..]));
        }
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 1024]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(5)).expect("bound");
        let echo = Icmpv4Repr::EchoRequest { ident: 5, seq_no: 1, data: b"hi" };
        let out = socket.send(echo.buffer_len(), OURS.into()).expect("has room");
        echo.emit(&mut Icmpv4Packet::new_unchecked(out), &smoltcp::phy::ChecksumCapabilities::default());
        let handle = bench.peer.borrow_mut().sockets.add(socket);
        bench.until(|| bench.peer.borrow_mut().sockets.get_mut::<icmp::Socket<'_>>(handle).can_recv()).await;
    });
}
