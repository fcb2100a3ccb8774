//! Faults of a program arrive with their facts, and the program goes on where the front end says.

use crate::front_end::{MISSING, READ_ONLY, expect_end, faults, start};
use crate::programs::Program;
use microkernel::trap::UserFault;
use microkernel::{cpu, log};

/// Error code of `int 0x80`, whose gate is the kernel's: 8 bytes per gate, bit 1 for the table of gates.
const GATE: u64 = 0x80 * 8 + 2;

fn page(address: u64, (write, execute, present): (bool, bool, bool)) -> UserFault {
    UserFault::Page { address, write, execute, present }
}

fn other(vector: u8, code: u64) -> UserFault {
    UserFault::Other { vector, code }
}

pub fn check() {
    expect_end(&[start(Program::Faults, MISSING, READ_ONLY)]);
    let expected = [
        page(MISSING, (false, false, false)),
        page(MISSING + 8, (true, false, false)),
        page(READ_ONLY, (true, false, true)),
        page(READ_ONLY, (false, true, true)),
        page(MISSING, (false, true, false)),
        other(6, 0),
        other(0, 0),
        other(3, 0),
        other(13, 0),
        other(13, 0),
        page(0xffff_ffff_8010_0000, (false, false, true)),
        other(13, GATE),
        other(13, 0),
        other(1, 0),
    ];
    assert!(cpu::features().nx, "this processor model has NX");
    let mut found = faults();
    for fault in &mut found {
        // QEMU counts 16 bytes per gate where processors count 8.
        if *fault == other(13, 2 * (GATE - 2) + 2) {
            *fault = other(13, GATE);
        }
    }
    assert_eq!(found, expected);
    log!("ok: page faults tell address and access, other faults vector and code, and the program goes on");
}
