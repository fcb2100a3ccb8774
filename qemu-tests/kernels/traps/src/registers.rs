//! System calls keep the program's registers, on the fast way back and on the slow one.

use crate::front_end::{expect_end, faults, start};
use crate::programs::Program;
use microkernel::log;
use microkernel::trap::UserContext;

pub fn check() {
    expect_end(&[start(Program::Registers, 0, 0)]);
    assert!(faults().is_empty());
    log!("ok: system calls keep all registers but those that hold result, address and flags");
    contexts_from_outside_are_made_harmless();
}

fn contexts_from_outside_are_made_harmless() {
    let mut context =
        UserContext { cs: 8, ss: 16, rflags: u64::MAX, rip: 0x8000_0000_0000_0000, ..UserContext::default() };
    context.sanitize();
    assert_eq!((context.cs & 3, context.ss & 3), (3, 3));
    // Interrupts on; no I/O privilege, no virtual 8086 mode, no virtual interrupts.
    assert_eq!((context.rflags & 0x200, context.rflags & 0x1a_3000), (0x200, 0));
    assert!(context.rip < 1 << 47);
    log!("ok: a context from outside cannot name kernel segments, flags or addresses");
}
