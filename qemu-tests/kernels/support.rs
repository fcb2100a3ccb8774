//! What the test kernels share: sentences, tasks that are watched to their end, and how much memory is in use.
//!
//! Included by path, since a kernel depends on nothing but the core. The first task (priority 7) is the one that checks;
//! a failed check is a panic there, which ends the machine with status 125.

use microkernel::mm::frame;
use microkernel::task::{Death, Task, TaskSpec, Trust};
use microkernel::{log, thread, time};

/// Notification bit of the checking thread: a task has died.
pub const DEATH: u64 = 1;
/// Priority of most servers here.
pub const USUAL: u8 = 4;
const HEAP_BYTES: usize = 256 << 10;
const STACK_BYTES: usize = 32 << 10;
/// Longest wait for anything, in milliseconds.
const PATIENCE_MS: u64 = 20_000;

/// Tells that everything the sentence says has been seen.
pub fn says(sentence: &str) {
    log!("ok: {sentence}");
}

/// Starts a server that the running thread watches.
pub fn spawn(priority: u8, entry: fn(usize), argument: usize) -> Task {
    let spec = TaskSpec {
        name: "subject",
        priority,
        trust: Trust::Server,
        heap_limit: HEAP_BYTES,
        stack_bytes: STACK_BYTES,
        entry,
        argument,
    };
    Task::spawn(&spec, Some((thread::current(), DEATH))).expect("there is memory for a task")
}

/// Waits for a task's end, of which the watcher must have been told, and takes back what it had.
pub fn bury(task: &Task) -> Death {
    let limit = deadline(PATIENCE_MS);
    loop {
        assert_ne!(thread::wait_for(DEATH, Some(limit)), 0, "the watcher was not told of an end");
        if let Some(death) = task.death() {
            task.reap();
            return death;
        }
    }
}

/// Waits until `done`, in small steps.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = deadline(PATIENCE_MS);
    while !done() {
        assert!(time::now_ns() < limit, "{what} did not come");
        sleep_ns(200_000);
    }
}

/// Lets all servers run for a while.
pub fn sleep_ns(ns: u64) {
    // A bit that nobody sets.
    thread::wait_for(1 << 40, Some(time::now_ns() + ns));
}

fn deadline(ms: u64) -> u64 {
    time::now_ns() + ms * 1_000_000
}

/// Memory in use, by which a leak is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    free_frames: usize,
    core_bytes: usize,
}

impl Level {
    /// The level now.
    pub fn now() -> Self {
        Self { free_frames: frame::stats().free_frames, core_bytes: microkernel::mm::core_heap().0 }
    }

    /// Fails if memory was lost since the level was taken.
    pub fn expect_unchanged(self) {
        assert_eq!(Self::now(), self, "memory was lost (left: now, right: before)");
    }
}
