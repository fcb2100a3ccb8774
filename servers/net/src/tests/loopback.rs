//! Sockets that talk to each other through the loopback.

use super::*;
use protocol::net::{Error, Fault};

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn bytes_travel_both_ways_and_the_ends_are_told() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        let client = bench.connect(v4(HOME, 80)).await.expect("connected");
        let (server, accepted) = bench.accept(listener).await.expect("accepted");
        assert_eq!((accepted.local, accepted.remote), (v4(HOME, 80), client.status().await.local.expect("bound")));
        client.write(b"ping").await;
        assert_eq!(server.read().await, Ok(b"ping".to_vec()));
        server.write(b"pong").await;
        server.shutdown_write().await;
        assert_eq!(client.read_all().await, Ok(b"pong".to_vec()));
        client.write(b"still there").await;
        client.close().await;
        assert_eq!(server.read_all().await, Ok(b"still there".to_vec()));
    });
}

#[test]
fn every_address_of_this_machine_answers() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        for address in [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 255, 1, 9), OURS, Ipv4Addr::UNSPECIFIED] {
            let client = bench.connect(v4(address, 80)).await.expect("connected");
            let (server, accepted) = bench.accept(listener).await.expect("accepted");
            client.write(b"x").await;
            assert_eq!(server.read().await, Ok(b"x".to_vec()));
            let reached = if address.is_unspecified() { HOME } else { address };
            assert_eq!(accepted.local, v4(reached, 80));
            client.close().await;
        }
        assert_eq!(bench.wire.sent.get(), 0);
    });
}

#[test]
fn megabytes_arrive_whole_against_a_slow_reader() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        let client = bench.connect(v4(HOME, 80)).await.expect("connected");
        let (server, _) = bench.accept(listener).await.expect("accepted");
        let data = pattern(3_000_000);
        let sent = data.clone();
        bench.runtime.spawn(async move {
            client.write(&sent).await;
            client.close().await;
        });
        bench.sleep_us(500_000).await;
        assert_eq!(server.rx.readable(), RING);
        assert!(server.read_all().await == Ok(data));
    });
}

#[test]
fn a_port_without_listener_refuses() {
    let bench = bench();
    bench.clone().run(async move {
        assert_eq!(bench.connect(v4(HOME, 81)).await.err(), Some(Error::Refused));
        assert!(bench.now_ns() < 1_000_000_000);
    });
}

#[test]
fn many_connects_at_once_are_all_accepted() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 64).await;
        let done = Rc::new(Cell::new(0));
        for number in 0..64_u8 {
            let (bench, done) = (bench.clone(), done.clone());
            bench.clone().runtime.spawn(async move {
                let client = bench.connect(v4(HOME, 80)).await.expect("connected");
                client.write(&[number]).await;
                client.shutdown_write().await;
                assert_eq!(client.read_all().await, Ok(vec![number, 1]));
                client.close().await;
                done.set(done.get() + 1);
            });
        }
        bench.sleep_us(100_000).await;
        for _ in 0..64 {
            let (server, _) = bench.accept(listener).await.expect("accepted");
            let mut bytes = server.read_all().await.expect("in order");
            bytes.push(1);
            server.write(&bytes).await;
            server.close().await;
        }
        bench.until(|| done.get() == 64).await;
    });
}

#[test]
fn a_full_backlog_answers_no_more_until_somebody_accepts() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 1).await;
        let connected = Rc::new(Cell::new(0));
        for _ in 0..4 {
            let (client, connected) = (bench.clone(), connected.clone());
            bench.runtime.spawn(async move {
                client.connect(v4(HOME, 80)).await.expect("connected at last");
                connected.set(connected.get() + 1);
                client.sleep_us(1_000_000_000).await;
            });
            // One by one: handshakes that are under way may overshoot the backlog.
            bench.sleep_us(10_000).await;
        }
        bench.sleep_us(5_000_000).await;
        assert_eq!(connected.get(), 2);
        for _ in 0..4 {
            bench.accept(listener).await.expect("accepted");
        }
        bench.until(|| connected.get() == 4).await;
    });
}

#[test]
fn abort_and_unread_data_reset_the_other_end() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        for leave_unread in [false, true] {
            let client = bench.connect(v4(HOME, 80)).await.expect("connected");
            let (server, _) = bench.accept(listener).await.expect("accepted");
            if leave_unread {
                server.write(b"never read").await;
                bench.until(|| client.rx.readable() > 0).await;
                client.close().await;
            } else {
                client.abort().await;
            }
            assert_eq!(server.read().await, Err(Fault::Reset as u32));
            assert_eq!(server.tx.consumer_closed(), Some(Fault::Reset as u32));
            server.close().await;
        }
    });
}

#[test]
fn closing_a_listener_resets_what_it_collected_and_ends_its_accepts() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        let client = bench.connect(v4(HOME, 80)).await.expect("connected");
        bench.close(listener).await;
        assert_eq!(client.read().await, Err(Fault::Reset as u32));
        let listener = bench.listen(81, 8).await;
        let ended = Rc::new(Cell::new(false));
        let (waiting, flag) = (bench.clone(), ended.clone());
        bench.runtime.spawn(async move {
            assert_eq!(waiting.accept(listener).await.err(), Some(Error::Invalid));
            flag.set(true);
        });
        bench.sleep_us(1000).await;
        bench.close(listener).await;
        bench.until(|| ended.get()).await;
    });
}

#[test]
fn bind_rules_are_kept() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        let other = bench.open(Kind::Stream).await;
        assert_eq!(bench.bind(other, v4(Ipv4Addr::UNSPECIFIED, 80)).await, Err(Error::AddressInUse));
        assert_eq!(bench.bind(other, v4(PEER, 80)).await, Err(Error::AddressNotAvailable));
        let chosen = bench.bind(other, v4(HOME, 0)).await.expect("bound");
        assert!(chosen.port >= 32_768);
        assert_eq!(bench.bind(other, v4(HOME, 82)).await, Err(Error::Invalid));
        // A port whose connections have just ended is free only for SO_REUSEADDR.
        let client = bench.connect(v4(HOME, 80)).await.expect("connected");
        let (server, _) = bench.accept(listener).await.expect("accepted");
        server.close().await;
        client.close().await;
        bench.sleep_us(100_000).await;
        bench.close(listener).await;
        let again = bench.open(Kind::Stream).await;
        assert_eq!(bench.bind(again, v4(Ipv4Addr::UNSPECIFIED, 80)).await, Err(Error::AddressInUse));
        let call = Bind { socket: again, local: v4(Ipv4Addr::UNSPECIFIED, 80), reuse_address: true, reuse_port: false };
        assert_eq!(bench.net.call(0, call, &[]).await, Ok(v4(Ipv4Addr::UNSPECIFIED, 80)));
    });
}

#[test]
fn a_dual_socket_shows_mapped_addresses() {
    let bench = bench();
    bench.clone().run(async move {
        let family = Family::V6 { only: false };
        let socket = bench.net.call(0, Open { kind: Kind::Stream, family, rings: None }, &[]).await.expect("opened");
        let any = Endpoint { address: Address::V6([0; 16]), port: 8080 };
        assert_eq!(bench.bind(socket, any).await, Ok(any));
        assert_eq!(bench.net.call(0, Listen { socket, backlog: 8 }, &[]).await, Ok(any));
        let client = bench.connect(v4(HOME, 8080)).await.expect("connected");
        let (_, accepted) = bench.accept(socket).await.expect("accepted");
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
        assert_eq!((accepted.local.address, accepted.remote.address), (Address::V6(mapped), Address::V6(mapped)));
        client.close().await;
        let only = Open { kind: Kind::Stream, family: Family::V6 { only: true }, rings: None };
        assert_eq!(bench.net.call(0, only, &[]).await, Err(Error::NotSupported));
    });
}

#[test]
fn thousands_of_short_connections_leave_nothing_behind() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        for number in 0..2000_u32 {
            let client = bench.connect(v4(HOME, 80)).await.expect("connected");
            let (server, _) = bench.accept(listener).await.expect("accepted");
            client.write(&number.to_le_bytes()).await;
            assert_eq!(server.read().await, Ok(number.to_le_bytes().to_vec()));
            server.close().await;
            assert_eq!(client.read_all().await, Ok(vec![]));
            client.close().await;
        }
    });
}
