//! Calls that wait and calls that do not, many at once, given up, too many, too long.

use crate::server::{self, ANSWER_ALL, BABBLE, DEPTH, DIE, ECHO, HOLD};
use crate::support::{DEATH, USUAL, bury, says, sleep_ns, spawn, until};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use microkernel::channel::{CallError, Connection, MESSAGE_BYTES, SendError, Token, Wait};
use microkernel::sync::Lock;
use microkernel::task::{Death, Task};
use microkernel::thread::{self, Thread};

/// Notification bit of the checking thread: a call has ended.
pub const CALLS: u64 = 2;

/// A connection of the running task.
pub fn connect() -> Connection {
    Connection::new(&server::port(0), thread::current(), CALLS)
}

/// Calls without attachments and returns the reply.
pub fn ask(connection: &Connection, message: &[u8]) -> Vec<u8> {
    let mut reply = [0; MESSAGE_BYTES];
    let len = connection.call(message, Vec::new(), &mut reply, Wait::ForReply).expect("the server lives");
    reply[..len].to_vec()
}

/// Starts a call without attachments.
pub fn send(connection: &Connection, message: &[u8]) -> Result<Token, SendError> {
    connection.start(message, Vec::new()).map_err(|(why, _)| why)
}

pub fn check() {
    let connection = connect();
    assert_eq!(send(&connection, b"early"), Err(SendError::Gone));
    let called = connection.call(b"early", Vec::new(), &mut [0; 8], Wait::ForReply);
    assert_eq!(called, Err(CallError::Gone));
    says("a port without a server refuses calls");
    let task = server::start(0);
    replies_carry_their_bytes(&connection);
    many_calls_are_in_flight(&connection);
    cancelled_calls_free_their_slots(&connection);
    babble_hurts_nobody(&connection);
    waiters_for_a_slot_get_one(&connection);
    a_wanted_thread_gives_its_call_up(&connection);
    dead_callers_free_their_slots(&connection);
    assert_eq!(send(&connection, &[DIE]).map(|_| bury(&task)).map(|death| matches!(death, Death::Panic(_))), Ok(true));
    says("a server that is ordered to panic does");
}

fn replies_carry_their_bytes(connection: &Connection) {
    for len in [1, 2, 100, MESSAGE_BYTES] {
        let message: Vec<u8> = (0..len).map(|at| if at == 0 { ECHO } else { at as u8 }).collect();
        assert_eq!(ask(connection, &message), message);
    }
    let too_long = [ECHO; MESSAGE_BYTES + 1];
    assert_eq!(send(connection, &too_long), Err(SendError::TooLong));
    let mut short = [0; 2];
    assert_eq!(connection.call(b"echo", Vec::new(), &mut short, Wait::ForReply), Ok(2));
    assert_eq!(&short, b"ec");
    says("a reply carries up to 1024 bytes back, and a longer message is refused");
}

/// Takes `count` ended calls, whichever they are.
fn collect(connection: &Connection, count: usize) -> Vec<(Token, Vec<u8>)> {
    let mut ended = Vec::new();
    while ended.len() < count {
        let Some(token) = connection.next_done() else {
            thread::wait_for(CALLS, None);
            continue;
        };
        let mut reply = [0; MESSAGE_BYTES];
        let len = connection.finish(token, &mut reply).expect("announced as done").expect("the server lives");
        ended.push((token, reply[..len].to_vec()));
    }
    ended
}

fn many_calls_are_in_flight(connection: &Connection) {
    let held: Vec<Token> = (1..DEPTH).map(|_| send(connection, &[HOLD]).expect("there is room")).collect();
    assert_eq!(connection.finish(held[0], &mut [0; 8]), None, "a call in flight has not ended");
    send(connection, &[ANSWER_ALL]).expect("there is room for one more");
    assert_eq!(send(connection, &[ECHO]), Err(SendError::Full));
    let ended = collect(connection, usize::from(DEPTH));
    let tokens: Vec<Token> = ended.iter().map(|(token, _)| *token).collect();
    assert!(
        tokens.iter().take(held.len()).eq(held.iter().rev()),
        "replies arrive in the order in which they are given"
    );
    assert_eq!(ended.iter().filter(|(_, reply)| reply == b"held").count(), held.len());
    assert_eq!(connection.finish(held[0], &mut [0; 8]), None, "a call ends once");
    says("as many calls as there are slots are in flight, and end in any order");
}

fn cancelled_calls_free_their_slots(connection: &Connection) {
    for _ in 0..3 * DEPTH {
        // Taken by the server, then given up, then answered all the same.
        let taken = send(connection, &[HOLD]).expect("there is room");
        sleep_ns(50_000);
        connection.cancel(taken);
        connection.cancel(taken);
        // Given up before the server sees it.
        connection.cancel(send(connection, &[DIE]).expect("there is room"));
        assert_eq!(ask(connection, &[ANSWER_ALL]), b"all");
        // Answered, then given up.
        let answered = send(connection, &[ECHO]).expect("there is room");
        until("the reply", || connection.next_done() == Some(answered));
        connection.cancel(answered);
    }
    says("a call can be given up at any stage, and its slot is free again");
}

fn babble_hurts_nobody(connection: &Connection) {
    assert_eq!(ask(connection, &[BABBLE]), b"first");
    assert_eq!(ask(connection, &[ECHO, 1]), [ECHO, 1]);
    says("replies that nobody asked for are ignored");
}

static ANSWERED: AtomicUsize = AtomicUsize::new(0);

fn call_ten_times(_: usize) {
    let connection = connect();
    for round in 0..10 {
        assert_eq!(ask(&connection, &[ECHO, round]), [ECHO, round]);
        ANSWERED.fetch_add(1, Ordering::SeqCst);
    }
}

fn waiters_for_a_slot_get_one(connection: &Connection) {
    for _ in 0..DEPTH {
        send(connection, &[HOLD]).expect("there is room");
    }
    let callers: Vec<Task> = (0..12).map(|_| spawn(USUAL - 1, call_ten_times, 0)).collect();
    sleep_ns(5_000_000);
    assert_eq!(ANSWERED.load(Ordering::SeqCst), 0, "all slots are in use");
    server::release(0);
    collect(connection, usize::from(DEPTH));
    until("the callers' ends", || callers.iter().all(|task| task.death() == Some(Death::Returned)));
    callers.iter().for_each(Task::reap);
    thread::wait_for(DEATH, None);
    assert_eq!(ANSWERED.load(Ordering::SeqCst), 120);
    says("callers wait while all slots are in use, and go on when there is room");
}

static CALLER: Lock<Option<Thread>> = Lock::new(None);

fn call_until_wanted(_: usize) {
    let connection = connect();
    *CALLER.lock() = Some(thread::current());
    let outcome = connection.call(&[HOLD], Vec::new(), &mut [0; 8], Wait::Interruptible);
    assert_eq!(outcome, Err(CallError::Interrupted));
}

fn a_wanted_thread_gives_its_call_up(connection: &Connection) {
    let task = spawn(USUAL - 1, call_until_wanted, 0);
    until("the caller", || CALLER.lock().is_some());
    sleep_ns(1_000_000);
    assert_eq!(task.death(), None);
    CALLER.lock().take().expect("seen above").attention();
    assert_eq!(bury(&task), Death::Returned);
    assert_eq!(ask(connection, &[ANSWER_ALL]), b"all");
    says("a thread that is wanted gives up a call that may be interrupted");
}

/// Dies with calls queued, taken, and answered but not looked at.
fn leave_calls_behind(_: usize) {
    let connection = connect();
    for order in [HOLD, HOLD, ECHO] {
        send(&connection, &[order]).expect("there is room");
    }
    sleep_ns(500_000);
    send(&connection, &[HOLD]).expect("there is room");
    core::mem::forget(connection);
}

fn dead_callers_free_their_slots(connection: &Connection) {
    for _ in 0..DEPTH {
        // More important than the server, so that the last call is not taken before the caller's death.
        assert_eq!(bury(&spawn(USUAL + 1, leave_calls_behind, 0)), Death::Returned);
        assert_eq!(ask(connection, &[ANSWER_ALL]), b"all");
    }
    many_calls_are_in_flight(connection);
    says("a caller that dies frees its slots, whatever its calls have come to");
}
