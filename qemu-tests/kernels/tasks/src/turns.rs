//! Who runs when: priorities, preemption, turns, notifications and deadlines.

use crate::support::{DEATH, USUAL, bury, says, sleep_ns, spawn, until};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use microkernel::sync::Lock;
use microkernel::task::{Death, Task};
use microkernel::thread::{self, Thread};
use microkernel::time;

/// Digits of the tasks in the order in which they ran.
static ORDER: AtomicUsize = AtomicUsize::new(0);
/// Rounds that each of two spinning tasks has made.
static ROUNDS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// The thread of a task that waits.
static WAITER: Lock<Option<Thread>> = Lock::new(None);
/// What a waiting task saw.
static SEEN: AtomicU64 = AtomicU64::new(0);

pub fn check() {
    heaps_are_separate();
    important_tasks_run_first();
    bits_wait_for_their_taker();
    waits_end_at_their_deadlines();
    a_spinning_server_is_preempted();
    equals_take_turns();
}

fn heaps_are_separate() {
    let leak = |_| {
        black_box(alloc::vec![7_u8; 100_000]).leak();
    };
    let task = spawn(USUAL, leak, 0);
    assert_eq!(thread::wait_for(DEATH, None), DEATH);
    assert_eq!(task.death(), Some(Death::Returned));
    assert!(task.heap().0 >= 100_000, "a leaked block is in the task's own heap");
    task.reap();
    assert_eq!(task.heap(), (0, 0));
    says("a task has a heap of its own, which goes with it");
}

fn important_tasks_run_first() {
    let digit = |digit: usize| {
        ORDER.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |order| Some(order * 10 + digit)).expect("always Some");
    };
    let tasks = [2_u8, 5, 3, 6, 3].map(|priority| spawn(priority, digit, usize::from(priority)));
    until("the least important task", || tasks.iter().all(|task| task.death().is_some()));
    assert_eq!(ORDER.load(Ordering::SeqCst), 65332);
    tasks.iter().for_each(Task::reap);
    thread::wait_for(DEATH, None);
    says("more important tasks run first, equals in order");
}

fn bits_wait_for_their_taker() {
    let waiter = |_| {
        *WAITER.lock() = Some(thread::current());
        let first = thread::wait_for(0b100, None);
        let rest = thread::wait(None);
        SEEN.store(first << 32 | rest, Ordering::SeqCst);
    };
    let task = spawn(USUAL, waiter, 0);
    until("the waiter", || WAITER.lock().is_some());
    let other = WAITER.lock().take().expect("seen above");
    other.notify(0b001);
    sleep_ns(1_000_000);
    assert_eq!(task.death(), None, "a bit outside the mask woke the thread");
    other.notify(0b110);
    assert_eq!(bury(&task), Death::Returned);
    assert_eq!(SEEN.load(Ordering::SeqCst), 0b100 << 32 | 0b011);
    assert!(other.has_ended());
    says("notified bits wake who waits for them, and stay for later waits");
}

fn waits_end_at_their_deadlines() {
    let start = time::now_ns();
    for ms in [1, 3, 20] {
        let before = time::now_ns();
        assert_eq!(thread::wait_for(1 << 41, Some(before + ms * 1_000_000)), 0);
        let late = time::now_ns() - before - ms * 1_000_000;
        // The host may be busy: only much too late is wrong.
        assert!(late < 2_000_000_000, "{late} ns late");
    }
    assert_eq!(thread::wait_for(1 << 41, Some(start)), 0, "a deadline in the past ends at once");
    says("a wait ends at its deadline, not before and not long after");
}

fn spin(which: usize) {
    loop {
        ROUNDS[which].fetch_add(1, Ordering::Relaxed);
    }
}

fn a_spinning_server_is_preempted() {
    let spinner = spawn(3, spin, 0);
    let sleeper = |_| {
        for _ in 0..10 {
            sleep_ns(500_000);
        }
    };
    let important = spawn(5, sleeper, 0);
    assert_eq!(bury(&important), Death::Returned);
    assert_eq!(spinner.death(), None);
    assert!(ROUNDS[0].load(Ordering::Relaxed) > 0, "the spinner ran meanwhile");
    spinner.kill();
    assert_eq!(bury(&spinner), Death::Killed);
    says("a server in an endless loop does not stop more important ones, and can be killed");
}

fn equals_take_turns() {
    let spinners = [spawn(3, spin, 0), spawn(3, spin, 1)];
    // No shares of time: a busy host gives the machine itself odd turns.
    for _ in 0..4 {
        let before = [0, 1].map(|which| ROUNDS[which].load(Ordering::Relaxed));
        until("a turn of each", || [0, 1].iter().all(|&which| ROUNDS[which].load(Ordering::Relaxed) > before[which]));
    }
    spinners.iter().for_each(Task::kill);
    assert!(spinners.iter().all(|spinner| spinner.cpu_ns() > 0));
    spinners.iter().for_each(Task::reap);
    thread::wait_for(DEATH, None);
    says("servers of one priority take turns");
}
