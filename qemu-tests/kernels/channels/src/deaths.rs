//! Servers that die with calls in hand, and their successors.

use crate::calls::{CALLS, ask, connect, send};
use crate::server::{self, COUNT, DEPTH, DIE, ECHO, HOLD, RETURN};
use crate::support::{Level, USUAL, bury, says, sleep_ns, spawn, until};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use microkernel::channel::{CallError, Connection, SendError, Token, Wait};
use microkernel::task::{Death, Task};
use microkernel::thread;

pub fn check() {
    calls_in_hand_are_gone();
    waiting_callers_hear_of_the_death();
    keep_pages_survive();
    many_generations_cost_nothing();
}

/// Ends the server of a connection with an order, while calls are queued and taken.
fn kill_with_calls(connection: &Connection, task: &Task, order: u8) {
    let mut tokens: Vec<Token> = (0..DEPTH - 3).map(|_| send(connection, &[HOLD]).expect("there is room")).collect();
    sleep_ns(100_000);
    // In one go, so that what follows the order is never taken.
    tokens.extend([&[order], &[HOLD], &[ECHO]].map(|message| send(connection, message).expect("there is room")));
    bury(task);
    let mut ended = Vec::new();
    while let Some(token) = connection.next_done() {
        assert_eq!(connection.finish(token, &mut [0; 8]), Some(None), "a call that nobody answered has a reply");
        ended.push(token);
    }
    ended.sort_unstable();
    tokens.sort_unstable();
    assert_eq!(ended, tokens);
    assert_eq!(send(connection, &[ECHO]), Err(SendError::Gone));
}

fn calls_in_hand_are_gone() {
    let connection = connect();
    for order in [DIE, RETURN] {
        let task = server::start(0);
        let generation = connection.generation();
        kill_with_calls(&connection, &task, order);
        let successor = server::start(0);
        assert_eq!(connection.generation(), generation + 1);
        assert_eq!(ask(&connection, &[ECHO, 5]), [ECHO, 5], "the same connection reaches the successor");
        successor.kill();
        assert_eq!(bury(&successor), Death::Killed);
    }
    says("calls queued and taken are gone when the server dies; its successor starts afresh on the same port");
}

static GONE: AtomicUsize = AtomicUsize::new(0);

fn call_and_wait(_: usize) {
    let connection = Connection::new(&server::port(0), thread::current(), CALLS);
    let outcome = connection.call(&[HOLD], Vec::new(), &mut [0; 8], Wait::ForReply);
    assert_eq!(outcome, Err(CallError::Gone));
    GONE.fetch_add(1, Ordering::SeqCst);
}

fn waiting_callers_hear_of_the_death() {
    let server = server::start(0);
    let callers: Vec<Task> = (0..2 * DEPTH).map(|_| spawn(USUAL - 1, call_and_wait, 0)).collect();
    sleep_ns(3_000_000);
    assert_eq!(GONE.load(Ordering::SeqCst), 0);
    server.kill();
    server.reap();
    until("the callers' ends", || callers.iter().all(|task| task.death() == Some(Death::Returned)));
    callers.iter().for_each(Task::reap);
    thread::wait_for(crate::support::DEATH, None);
    assert_eq!(GONE.load(Ordering::SeqCst), callers.len());
    says("callers that wait for a reply or for room hear of the server's death");
}

fn keep_pages_survive() {
    let connection = connect();
    for round in 1..=5 {
        let task = server::start(0);
        assert_eq!(ask(&connection, &[COUNT]), [round]);
        send(&connection, &[DIE]).expect("there is room");
        assert!(matches!(bury(&task), Death::Panic(_)));
        connection.next_done().map(|token| connection.cancel(token)).expect("its death was announced");
    }
    says("keep pages are found again by each successor");
}

fn many_generations_cost_nothing() {
    let connection = connect();
    let live_and_die = |round: usize| {
        let task = server::start(0);
        kill_with_calls(&connection, &task, if round.is_multiple_of(2) { DIE } else { RETURN });
    };
    (0..4).for_each(live_and_die);
    let before = Level::now();
    (0..100).for_each(live_and_die);
    before.expect_unchanged();
    says("a hundred generations of a server cost no memory");
}
