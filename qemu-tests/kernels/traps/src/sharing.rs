//! Programs share the processor: with each other in turns, and with what is more important at once.

use crate::front_end::{DATA, attentions, expect_end, faults, start, until};
use crate::programs::Program;
use alloc::vec::Vec;
use microkernel::log;
use microkernel::mm::user;
use microkernel::thread::Thread;

pub fn check() {
    loops_are_interrupted();
    registers_belong_to_threads();
}

fn loops_are_interrupted() {
    let programs: Vec<Thread> = (0..3).map(|_| start(Program::Loop, 0, 0)).collect();
    // No shares of time: a busy host gives the machine itself odd turns.
    for _ in 0..3 {
        let before: Vec<u64> = programs.iter().map(Thread::cpu_ns).collect();
        until(|| programs.iter().zip(&before).all(|(program, &before)| program.cpu_ns() > before));
    }
    assert!(programs.iter().all(|program| !program.has_ended()) && attentions() == 0);
    programs.iter().for_each(Thread::attention);
    expect_end(&programs);
    assert_eq!(attentions(), 3);
    log!("ok: programs in endless loops take turns, and are called back when they are wanted");
}

fn registers_belong_to_threads() {
    // The bases lead to words that hold the thread's own value.
    let values = [0x100, 0x201, 0x302, 0x403];
    for value in values {
        user::store_u64(DATA + 8 * (value % 64), value).expect("the data page is there");
    }
    let programs: Vec<Thread> = values.iter().map(|&value| start(Program::Vector, value, 3_000_000)).collect();
    expect_end(&programs);
    assert!(faults().is_empty());
    log!("ok: vector registers and segment bases belong to their threads");
}
