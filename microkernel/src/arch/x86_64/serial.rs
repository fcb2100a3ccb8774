//! The 16550 UART at 0x3f8: early words, panics, and the last resort for logs.

use super::port::{in8, out8};

const BASE: u16 = 0x3f8;
const LINE_STATUS: u16 = BASE + 5;
const TRANSMIT_EMPTY: u8 = 0x20;
/// Polls before a byte is given up: a missing UART must not hold the machine.
const PATIENCE: u32 = 10_000;

/// Sends bytes as they are; drops them where there is no UART.
pub fn write(bytes: &[u8]) {
    for &byte in bytes {
        send(byte);
    }
}

fn send(byte: u8) {
    // SAFETY: the UART belongs to the core; its data and status ports touch no memory.
    unsafe {
        for _ in 0..PATIENCE {
            match in8(LINE_STATUS) {
                // Nobody drives the bus: there is no UART.
                0xff => return,
                status if status & TRANSMIT_EMPTY != 0 => break,
                _ => core::hint::spin_loop(),
            }
        }
        out8(BASE, byte);
    }
}
