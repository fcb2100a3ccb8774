//! Byte rings within a task and between two.

use crate::calls::connect;
use crate::server::{self, SUM, TAKE_RING};
use crate::support::{Level, bury, says};
use microkernel::channel::ring::{DIED, ring};
use microkernel::channel::{Attached, EventSet, RingEnd, Wait};
use microkernel::mm::PAGE_SIZE;
use microkernel::task::Death;
use microkernel::thread;

/// Notification bit of the checking thread: a bell.
const BELL: u64 = 4;

pub fn check() {
    bytes_come_out_as_they_went_in();
    ends_keep_to_their_sides();
    closing_codes_arrive();
    a_stream_crosses_tasks();
    a_dead_end_is_noticed();
}

fn bytes_come_out_as_they_went_in() {
    let (producer, consumer) = ring(2).expect("there is memory");
    assert_eq!((producer.capacity(), producer.writable()), (2 * PAGE_SIZE, 2 * PAGE_SIZE));
    let pattern = |position: usize| (position * 7 + position / 256) as u8;
    let (mut put, mut taken) = (0, 0);
    let mut chunk = [0; 3001];
    for round in 0..500 {
        let wanted = 1 + round * 37 % chunk.len();
        chunk[..wanted].iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(put + at));
        put += producer.push(&chunk[..wanted]);
        let mut peeked = [0; 5];
        let seen = consumer.peek(3, &mut peeked);
        assert!(peeked[..seen].iter().enumerate().all(|(at, &byte)| byte == pattern(taken + 3 + at)));
        let count = consumer.pop(&mut chunk[..1 + round * 53 % 3001]);
        assert!(chunk[..count].iter().enumerate().all(|(at, &byte)| byte == pattern(taken + at)), "around {taken}");
        taken += count;
        assert_eq!((consumer.readable(), producer.writable()), (put - taken, producer.capacity() - (put - taken)));
    }
    assert!(taken > 10 * producer.capacity());
    assert_eq!(consumer.discard(usize::MAX), put - taken);
    assert_eq!(producer.push(&[0; 3 * PAGE_SIZE]), 2 * PAGE_SIZE, "a full ring takes no more");
    assert_eq!(producer.push(&[0]), 0);
    says("bytes come out of a ring as they went in, around its end as well");
}

fn ends_keep_to_their_sides() {
    let (producer, consumer) = ring(1).expect("there is memory");
    assert_eq!(consumer.push(b"wrong side"), 0);
    producer.push(b"right");
    assert_eq!(producer.pop(&mut [0; 5]), 0);
    assert_eq!(producer.discard(5), 0);
    assert_eq!(consumer.readable(), 5);
    says("a producer cannot take and a consumer cannot put");
}

fn closing_codes_arrive() {
    let (producer, consumer) = ring(1).expect("there is memory");
    let bells = EventSet::new(4, thread::current(), BELL);
    consumer.set_bell(&bells, 3);
    producer.push(b"last words");
    producer.close(7);
    producer.close(8);
    assert_eq!((consumer.producer_closed(), consumer.consumer_closed()), (Some(7), None));
    assert_eq!((bells.take(), bells.take()), (Some(3), None));
    assert_eq!(consumer.pop(&mut [0; 64]), 10, "what was put before the end is still there");
    consumer.close(0);
    assert_eq!(producer.consumer_closed(), Some(0));
    says("the first closing code counts, and rings the other side's bell");
}

/// Hands an end to the server; returns the started call.
fn give(connection: &microkernel::channel::Connection, order: u8, end: RingEnd) -> u16 {
    let sent = connection.start(&[order], alloc::vec![Attached::Ring(end.detach())]);
    sent.map_err(|(why, _)| why).expect("there is room")
}

fn a_stream_crosses_tasks() {
    let task = server::start(0);
    let connection = connect();
    let (producer, consumer) = ring(1).expect("there is memory");
    let bells = EventSet::new(1, thread::current(), BELL);
    producer.set_bell(&bells, 0);
    let token = give(&connection, SUM, consumer);
    let bytes: [u8; 1000] = core::array::from_fn(|at| at as u8);
    let mut expected = 0;
    for _ in 0..300 {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let put = producer.push(rest);
            rest = &rest[put..];
            producer.ring_bell();
            if put == 0 {
                thread::wait_for(BELL, None);
                bells.take();
            }
        }
        expected += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    producer.close(0);
    let mut sum = [0; 8];
    crate::support::until("the sum", || connection.finish(token, &mut sum).is_some());
    assert_eq!(u64::from_le_bytes(sum), expected);
    assert_eq!(producer.consumer_closed(), Some(DIED), "the server has dropped its end");
    task.kill();
    assert_eq!(bury(&task), Death::Killed);
    says("300 KB cross a ring of one page between two tasks");
}

fn a_dead_end_is_noticed() {
    let lose = || {
        let task = server::start(0);
        let connection = connect();
        let (producer, consumer) = ring(1).expect("there is memory");
        let bells = EventSet::new(1, thread::current(), BELL);
        producer.set_bell(&bells, 0);
        let called =
            connection.call(&[TAKE_RING], alloc::vec![Attached::Ring(consumer.detach())], &mut [0; 8], Wait::ForReply);
        assert_eq!(called, Ok(4));
        assert_eq!(producer.consumer_closed(), None);
        task.kill();
        assert_eq!(bury(&task), Death::Killed);
        assert_eq!((producer.consumer_closed(), bells.take()), (Some(DIED), Some(0)));
    };
    (0..4).for_each(|_| lose());
    let before = Level::now();
    (0..20).for_each(|_| lose());
    before.expect_unchanged();
    says("a ring tells when the task at its other end has died");
}
