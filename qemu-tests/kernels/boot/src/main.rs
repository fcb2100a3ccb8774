//! In-kernel test: boot, command line, memory map, clocks, randomness.
//!
//! The command line is `boot MIN_MIB MAX_MIB WALL_S WORDS`: bounds of the memory that must be found, and the host's time
//! in seconds since 1970.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use microkernel::mm::frame::{self, Frame};
use microkernel::{device, log, power, random, thread, time};

microkernel::entry!(main);

/// How far the wall clock may be off, in seconds.
const WALL_TOLERANCE_S: u64 = 60;

fn main() {
    let line = device::command_line();
    log!("ok: up with the command line {line:?}");
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("boot"));
    let mut number =
        || words.next().and_then(|word| word.parse::<u64>().ok()).expect("the command line has three numbers");
    let (least, most, wall_s) = (number(), number(), number());
    memory_is_that_of_the_machine(least, most);
    sleep_takes_its_time();
    wall_clock_is_the_hosts(wall_s);
    random_words_differ();
    power::exit(16)
}

fn memory_is_that_of_the_machine(least_mib: u64, most_mib: u64) {
    let stats = frame::stats();
    let mib = stats.total_frames as u64 >> 8;
    assert!((least_mib..=most_mib).contains(&mib), "{mib} MiB: {stats:?}");
    assert!(stats.free_frames <= stats.total_frames && stats.free_frames * 10 > stats.total_frames * 9, "{stats:?}");
    let all: alloc::vec::Vec<Frame> = (0..256).map_while(|_| Frame::alloc_zeroed()).collect();
    assert_eq!(all.len(), 256);
    log!("ok: {mib} MiB of memory, {} KiB in use", (stats.total_frames - stats.free_frames) * 4);
}

fn sleep_takes_its_time() {
    let start = time::now_ns();
    thread::wait(Some(start + 20_000_000));
    let slept = time::now_ns() - start;
    // The host may be busy: only much too late is wrong.
    assert!((20_000_000..3_000_000_000).contains(&slept), "slept {slept} ns instead of 20 ms");
    let mut last = start;
    for _ in 0..10_000 {
        let now = time::now_ns();
        assert!(now >= last, "the clock went back from {last} to {now}");
        last = now;
    }
    log!("ok: a sleep of 20 ms, and a clock that never goes back");
}

fn wall_clock_is_the_hosts(wall_s: u64) {
    let now = time::wall_ns() / 1_000_000_000;
    assert!(now.abs_diff(wall_s) <= WALL_TOLERANCE_S, "wall clock {now}, host {wall_s}");
    time::set_wall_ns(1_000_000_000);
    assert!((1_000_000_000..2_000_000_000).contains(&time::wall_ns()));
    log!("ok: the wall clock is the host's, and can be set");
}

fn random_words_differ() {
    let draws: [u64; 16] = core::array::from_fn(|_| random::next());
    for (index, draw) in draws.iter().enumerate() {
        assert!(!draws[..index].contains(draw), "the same word twice: {draws:x?}");
    }
    log!("ok: random words differ");
}
