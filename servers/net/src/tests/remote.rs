//! TCP against a smoltcp stack of its own across the wire.

use super::*;
use protocol::net::{Error, Fault, KeepAlive, Set, Setting};

/// Reads at the peer until its socket is at the end or `len` bytes have come.
async fn peer_reads(bench: &Bench, handle: SocketHandle, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        {
            let mut peer = bench.peer.borrow_mut();
            let socket = peer.tcp(handle);
            while let Ok(part) = socket.recv(|bytes| (bytes.len(), bytes.to_vec())) {
                if part.is_empty() {
                    break;
                }
                all.extend(part);
            }
            if all.len() >= len || !socket.may_recv() {
                return all;
            }
        }
        bench.sleep_us(200).await;
    }
}

async fn peer_writes(bench: &Bench, handle: SocketHandle, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = bench.peer.borrow_mut().tcp(handle).send_slice(rest).expect("open");
        rest = &rest[count..];
        bench.sleep_us(200).await;
    }
}

async fn peer_state(bench: &Bench, handle: SocketHandle, state: tcp::State) {
    bench.until(|| bench.peer.borrow_mut().tcp(handle).state() == state).await;
}

/// Connects to the peer; both ends.
async fn connected(bench: &Bench) -> (Program, SocketHandle) {
    let handle = bench.peer.borrow_mut().listen(7);
    let program = bench.connect(v4(PEER, 7)).await.expect("connected");
    peer_state(bench, handle, tcp::State::Established).await;
    (program, handle)
}

async fn bulk(bench: Bench, len: usize) {
    let (program, handle) = connected(&bench).await;
    let data = pattern(len);
    let (sending, bytes) = (bench.clone(), data.clone());
    bench.runtime.spawn(async move {
        peer_writes(&sending, handle, &bytes).await;
        sending.peer.borrow_mut().tcp(handle).close();
    });
    assert!(program.read_all().await == Ok(data.clone()));
    let (reading, bytes) = (bench.clone(), data.clone());
    bench.runtime.spawn(async move {
        program.write(&bytes).await;
        program.close().await;
    });
    assert!(peer_reads(&reading, handle, len).await == data);
}

#[test]
fn a_peer_connects_and_talks() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 8).await;
        let handle = bench.peer.borrow_mut().connect(80);
        let (server, accepted) = bench.accept(listener).await.expect("accepted");
        assert_eq!((accepted.local, accepted.remote), (v4(OURS, 80), v4(PEER, 49_153)));
        peer_writes(&bench, handle, b"hello").await;
        assert_eq!(server.read().await, Ok(b"hello".to_vec()));
        server.write(b"welcome").await;
        server.close().await;
        assert_eq!(peer_reads(&bench, handle, 100).await, b"welcome");
        peer_state(&bench, handle, tcp::State::CloseWait).await;
        bench.peer.borrow_mut().tcp(handle).close();
        peer_state(&bench, handle, tcp::State::Closed).await;
    });
}

#[test]
fn bulk_data_arrives_whole_in_both_directions() {
    let bench = bench();
    bench.clone().run(bulk(bench, 2_000_000));
}

#[test]
fn bulk_data_survives_a_wire_that_loses_and_swaps_frames() {
    let bench = bench();
    let mut seed = 12_345_u32;
    *bench.wire.wear.borrow_mut() = Box::new(move |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match seed >> 24 {
            0..=7 => Wear::Lose,
            8..=20 => Wear::Delay,
            _ => Wear::Pass,
        }
    });
    bench.clone().run(bulk(bench, 300_000));
}

#[test]
fn a_half_closed_connection_still_carries_data_the_other_way() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        program.write(b"request").await;
        program.shutdown_write().await;
        assert_eq!(peer_reads(&bench, handle, 100).await, b"request");
        peer_state(&bench, handle, tcp::State::CloseWait).await;
        bench.sleep_us(50_000).await;
        assert_eq!(program.status().await.tcp_state, 5);
        peer_writes(&bench, handle, &pattern(100_000)).await;
        bench.peer.borrow_mut().tcp(handle).close();
        assert!(program.read_all().await == Ok(pattern(100_000)));
    });
}

#[test]
fn the_window_closes_when_nobody_reads_and_opens_again() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        let writer = bench.clone();
        bench.runtime.spawn(async move { peer_writes(&writer, handle, &pattern(400_000)).await });
        bench.sleep_us(3_000_000).await;
        assert_eq!(program.rx.readable(), RING);
        let mut read = 0;
        while read < 400_000 {
            read += program.read().await.expect("open").len();
        }
        assert_eq!(read, 400_000);
    });
}

#[test]
fn a_reset_of_the_peer_reaches_the_rings() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        bench.peer.borrow_mut().tcp(handle).abort();
        assert_eq!(program.read().await, Err(Fault::Reset as u32));
        assert_eq!(program.tx.consumer_closed(), Some(Fault::Reset as u32));
        program.close().await;
    });
}

#[test]
fn a_peer_without_listener_refuses_and_so_do_we() {
    let bench = bench();
    bench.clone().run(async move {
        assert_eq!(bench.connect(v4(PEER, 9)).await.err(), Some(Error::Refused));
        let handle = bench.peer.borrow_mut().connect(9);
        peer_state(&bench, handle, tcp::State::Closed).await;
    });
}

#[test]
fn a_host_that_is_not_there_is_unreachable_and_one_that_is_silent_times_out() {
    let bench = bench();
    bench.clone().run(async move {
        let absent = Ipv4Addr::new(10, 0, 2, 99);
        assert_eq!(bench.connect(v4(absent, 80)).await.err(), Some(Error::HostUnreachable));
        assert!((3_000_000_000..4_000_000_000).contains(&bench.now_ns()));
        // ARP passes, TCP does not.
        *bench.wire.wear.borrow_mut() = Box::new(|frame| if frame[12..14] == [8, 0] { Wear::Lose } else { Wear::Pass });
        assert_eq!(bench.connect(v4(PEER, 80)).await.err(), Some(Error::TimedOut));
        assert!((130_000_000_000..135_000_000_000).contains(&bench.now_ns()));
    });
}

#[test]
fn a_peer_that_vanishes_is_noticed_by_user_timeout_and_by_keep_alive() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, _) = connected(&bench).await;
        let (quiet, _) = connected(&bench).await;
        let set = |socket, setting| Set { socket, setting };
        bench.net.call(0, set(program.id, Setting::UserTimeout(5000)), &[]).await.expect("set");
        let times = KeepAlive { idle_seconds: 10, interval_seconds: 2 };
        bench.net.call(0, set(quiet.id, Setting::KeepAlive(Some(times))), &[]).await.expect("set");
        bench.sleep_us(25_000_000).await;
        assert!(program.rx.producer_closed().is_none() && quiet.rx.producer_closed().is_none());
        *bench.wire.wear.borrow_mut() = Box::new(|_| Wear::Lose);
        let start_ns = bench.now_ns();
        program.write(b"anybody?").await;
        assert_eq!(program.read().await, Err(Fault::TimedOut as u32));
        assert!((5_000_000_000..6_000_000_000).contains(&(bench.now_ns() - start_ns)));
        assert_eq!(quiet.read().await, Err(Fault::TimedOut as u32));
        assert!((18_000_000_000..40_000_000_000).contains(&(bench.now_ns() - start_ns)));
    });
}

#[test]
fn many_peers_connect_at_once() {
    let bench = bench();
    bench.clone().run(async move {
        let listener = bench.listen(80, 64).await;
        let handles: Vec<_> = (0..64).map(|_| bench.peer.borrow_mut().connect(80)).collect();
        for _ in 0..64 {
            let (server, accepted) = bench.accept(listener).await.expect("accepted");
            server.write(&accepted.remote.port.to_le_bytes()).await;
            server.close().await;
        }
        for (index, &handle) in handles.iter().enumerate() {
            let port = 49_153 + index as u16;
            assert_eq!(peer_reads(&bench, handle, 2).await, port.to_le_bytes());
        }
    });
}

#[test]
fn a_fin_that_comes_again_in_time_wait_is_acknowledged_again() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        program.close().await;
        peer_state(&bench, handle, tcp::State::CloseWait).await;
        // Our last acknowledgement is lost: the peer sends its FIN again.
        let lost = Rc::new(Cell::new(false));
        let flag = lost.clone();
        *bench.wire.wear.borrow_mut() = Box::new(move |frame| {
            let from_us = frame[6..12] == OUR_MAC;
            if from_us && !flag.replace(true) { Wear::Lose } else { Wear::Pass }
        });
        bench.peer.borrow_mut().tcp(handle).close();
        peer_state(&bench, handle, tcp::State::Closed).await;
        assert!(lost.get());
    });
}

#[test]
fn connections_live_on_when_the_nic_dies_and_comes_back() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        bench.wire.dead.set(true);
        bench.wire.arrived.notify();
        program.write(b"into the void").await;
        bench.sleep_us(3_000_000).await;
        bench.wire.dead.set(false);
        assert_eq!(peer_reads(&bench, handle, 13).await, b"into the void");
        peer_writes(&bench, handle, b"back").await;
        assert_eq!(program.read().await, Ok(b"back".to_vec()));
    });
}

#[test]
fn small_writes_with_no_delay_are_not_held_back() {
    let bench = bench();
    bench.clone().run(async move {
        let (program, handle) = connected(&bench).await;
        bench.net.call(0, Set { socket: program.id, setting: Setting::NoDelay(true) }, &[]).await.expect("set");
        program.write(b"a").await;
        bench.sleep_us(10).await;
        let sent = bench.wire.sent.get();
        program.write(b"b").await;
        bench.sleep_us(10).await;
        assert_eq!(bench.wire.sent.get(), sent + 1);
        assert_eq!(peer_reads(&bench, handle, 2).await, b"ab");
    });
}
