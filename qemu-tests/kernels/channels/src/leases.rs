//! Memory that is lent for a call: what the borrower may do, and when it ends.

use crate::calls::{CALLS, ask, connect};
use crate::server::{self, ANSWER_ALL, BORROW, HOLD, LEND_ON, LET_GO, PIN, TOUCH};
use crate::support::{Level, USUAL, bury, says, sleep_ns, spawn};
use alloc::vec::Vec;
use microkernel::channel::memory::gather;
use microkernel::channel::{Attached, Connection, Memory, MemoryError, Wait};
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::{self, Frame};
use microkernel::task::{Death, Task};
use microkernel::thread;

pub fn check() {
    let task = server::start(0);
    let connection = connect();
    memory_keeps_to_its_bounds();
    leases_end_with_the_reply(&connection);
    frames_are_lent_in_part(&connection);
    leases_end_when_the_call_is_given_up(&connection);
    leases_end_with_their_lender(&connection);
    leases_of_leases_end_with_them(&connection);
    pinned_frames_stay(&connection);
    task.kill();
    assert_eq!(bury(&task), Death::Killed);
}

fn ask_with(connection: &Connection, order: u8, attached: Attached) -> Vec<u8> {
    let mut reply = [0; 64];
    let called = connection.call(&[order], alloc::vec![attached], &mut reply, Wait::ForReply);
    reply[..called.expect("the server lives")].to_vec()
}

fn byte(memory: &Memory, at: usize) -> u8 {
    let mut byte = [0];
    memory.read(at, &mut byte).expect("inside");
    byte[0]
}

fn memory_keeps_to_its_bounds() {
    let memory = Memory::alloc(2 * PAGE_SIZE).expect("there is memory");
    memory.write(PAGE_SIZE - 2, b"abcd").expect("over the edge of a page");
    let mut bytes = [0; 4];
    memory.read(PAGE_SIZE - 2, &mut bytes).expect("as written");
    assert_eq!(&bytes, b"abcd");
    memory.zero(PAGE_SIZE - 1, 2).expect("inside");
    memory.read(PAGE_SIZE - 2, &mut bytes).expect("inside");
    assert_eq!(&bytes, b"a\0\0d");
    assert_eq!(memory.write(2 * PAGE_SIZE - 3, b"abcd"), Err(MemoryError::OutOfRange));
    assert_eq!(memory.read(usize::MAX, &mut bytes), Err(MemoryError::OutOfRange));
    assert!(memory.pin(0, 2 * PAGE_SIZE + 1, false, &mut |_, _| {}).is_err());
    let mut pinned = 0;
    let pin = memory.pin(100, PAGE_SIZE, true, &mut |_, len| pinned += len);
    assert!(pin.is_ok() && pinned == PAGE_SIZE);
    says("memory is read, written, zeroed and pinned within its bounds only");
}

fn leases_end_with_the_reply(connection: &Connection) {
    let memory = Memory::alloc(PAGE_SIZE).expect("there is memory");
    assert_eq!(ask_with(connection, BORROW, memory.lend(true)), b"done");
    assert_eq!(byte(&memory, 7), 1, "the borrower wrote while it might");
    assert_eq!(ask(connection, &[TOUCH]), b"revoked");
    assert_eq!(ask_with(connection, BORROW, memory.lend(false)), b"read-only");
    assert_eq!(byte(&memory, 7), 1);
    says("a borrower may do what it was lent memory for, until it replies");
}

fn frames_are_lent_in_part(connection: &Connection) {
    let frames: Vec<Frame> = (0..2).map(|_| Frame::alloc_zeroed().expect("there is memory")).collect();
    let lent = Attached::Frames { frames: gather(frames.clone()), at: PAGE_SIZE - 1, len: 2, write: true };
    assert_eq!(ask_with(connection, BORROW, lent), b"done");
    let read = |frame: &Frame, at| {
        let mut bytes = [0; 2];
        frame.read(at, &mut bytes).expect("inside");
        bytes
    };
    assert_eq!((read(&frames[0], PAGE_SIZE - 2), read(&frames[1], 0)), ([0, 1], [1, 0]));
    assert_eq!(ask(connection, &[TOUCH]), b"revoked");
    ask(connection, &[LET_GO]);
    assert!(frames.iter().all(|frame| frame.references() == 1));
    says("frames are lent to the byte");
}

fn leases_end_when_the_call_is_given_up(connection: &Connection) {
    let memory = Memory::alloc(PAGE_SIZE).expect("there is memory");
    let sent = connection.start(&[HOLD], alloc::vec![memory.lend(true)]);
    let token = sent.map_err(|(why, _)| why).expect("there is room");
    assert_eq!(ask(connection, &[TOUCH]), b"done");
    connection.cancel(token);
    assert_eq!(ask(connection, &[TOUCH]), b"revoked");
    assert_eq!(ask(connection, &[ANSWER_ALL]), b"all");
    says("a lease ends when its call is given up");
}

/// Lends and dies.
fn lend_and_die(_: usize) {
    let connection = Connection::new(&server::port(0), thread::current(), CALLS);
    let memory = Memory::alloc(3 * PAGE_SIZE).expect("there is memory");
    assert!(connection.start(&[HOLD], alloc::vec![memory.lend(true)]).is_ok());
    sleep_ns(500_000);
    panic!("with memory lent");
}

fn leases_end_with_their_lender(connection: &Connection) {
    let lend = || {
        let lender: Task = spawn(USUAL, lend_and_die, 0);
        assert!(matches!(bury(&lender), Death::Panic(_)));
        assert_eq!(ask(connection, &[TOUCH]), b"revoked");
        ask(connection, &[LET_GO]);
        ask(connection, &[ANSWER_ALL]);
    };
    (0..20).for_each(|_| lend());
    let before = Level::now();
    (0..20).for_each(|_| lend());
    before.expect_unchanged();
    says("a lease ends with its lender's death, and its frames go when the borrower lets go");
}

fn leases_of_leases_end_with_them(connection: &Connection) {
    let second = server::start(1);
    let to_second = Connection::new(&server::port(1), thread::current(), CALLS);
    let memory = Memory::alloc(PAGE_SIZE).expect("there is memory");
    let sent = connection.start(&[LEND_ON], alloc::vec![memory.lend(true)]);
    let token = sent.map_err(|(why, _)| why).expect("there is room");
    crate::support::until("the second lease", || ask(&to_second, &[TOUCH]) == b"done");
    assert_eq!(connection.finish(token, &mut [0; 8]), None, "the first server waits before it replies");
    server::release(0);
    crate::support::until("the reply", || connection.finish(token, &mut [0; 8]).is_some());
    assert_eq!(ask(&to_second, &[TOUCH]), b"revoked");
    assert_eq!(byte(&memory, 0), 1);
    second.kill();
    assert_eq!(bury(&second), Death::Killed);
    says("what was lent on ends with what it was lent from");
}

fn pinned_frames_stay(connection: &Connection) {
    ask(connection, &[LET_GO]);
    let before = frame::stats().free_frames;
    let memory = Memory::alloc(4 * PAGE_SIZE).expect("there is memory");
    let sent = connection.start(&[HOLD], alloc::vec![memory.lend(true)]);
    assert!(sent.is_ok());
    assert_eq!(ask(connection, &[PIN]), b"done");
    drop(memory);
    assert_eq!(ask(connection, &[ANSWER_ALL]), b"all");
    assert_eq!(ask(connection, &[TOUCH]), b"revoked");
    assert_eq!(frame::stats().free_frames, before - 4, "a device may still use the frames");
    ask(connection, &[LET_GO]);
    assert_eq!(frame::stats().free_frames, before);
    while let Some(token) = connection.next_done() {
        connection.cancel(token);
    }
    says("pinned frames stay until the pin goes, whatever became of the lease");
}
