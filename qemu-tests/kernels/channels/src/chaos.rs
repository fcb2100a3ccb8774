//! Servers that use everything at once and are killed at any moment.

use crate::calls::CALLS;
use crate::server::{self, BORROW, ECHO, HOLD, TAKE_RING};
use crate::support::{Level, USUAL, bury, says, sleep_ns, spawn};
use alloc::vec::Vec;
use core::hint::black_box;
use microkernel::channel::ring::ring;
use microkernel::channel::{Attached, Connection, EventSet, Memory, Wait};
use microkernel::sync::section;
use microkernel::task::{Death, handle};
use microkernel::thread;

/// Notification bit of a busy task: a bell.
const BELL: u64 = 4;

/// Lends, calls, hands over and gives up, for ever.
fn be_busy(_: usize) {
    let port = section(|| handle::keep(server::port(0)));
    let connection = section(|| Connection::new(&port, thread::current(), CALLS));
    let bells = section(|| handle::keep(EventSet::new(64, thread::current(), BELL)));
    let mut round = 0_usize;
    loop {
        round += 1;
        let Some(memory) = Memory::alloc(4096 << (round % 2)) else { continue };
        let _ = connection.call(&[BORROW], alloc::vec![memory.lend(true)], &mut [0; 16], Wait::ForReply);
        let pending = connection.start(&[HOLD], alloc::vec![memory.lend(false)]);
        let Some((producer, consumer)) = ring(1) else { continue };
        producer.set_bell(&bells, round as u32 % 64);
        let given = alloc::vec![Attached::Ring(consumer.detach())];
        let _ = connection.call(&[TAKE_RING], given, &mut [0; 16], Wait::ForReply);
        black_box(producer.push(&[round as u8; 100]));
        producer.ring_bell();
        let _ = connection.start(&[ECHO, 1], Vec::new());
        if let Ok(token) = pending {
            connection.cancel(token);
        }
        server::release(0);
        while let Some(token) = connection.next_done() {
            let _ = connection.finish(token, &mut [0; 16]);
        }
    }
}

/// One server, busy clients, and the death of one or the other after some time.
fn round(number: usize) {
    let server = server::start(0);
    let clients = [0, 1].map(|which| spawn(USUAL - which, be_busy, 0));
    for (which, client) in clients.iter().enumerate() {
        sleep_ns(100_000 + 7919 * (number * 3 + which) as u64 % 300_000);
        client.kill();
        assert_eq!(bury(client), Death::Killed);
    }
    server.kill();
    assert_eq!(bury(&server), Death::Killed);
}

pub fn check() {
    (0..20).for_each(round);
    let before = Level::now();
    (0..300).for_each(round);
    before.expect_unchanged();
    says("three hundred times two busy clients and their server are killed at any moment, and nothing is lost");
}
