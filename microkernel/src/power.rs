//! Ending the VM.

use crate::arch::{cpu, port};

/// QEMU's isa-debug-exit devices stand at one of these ports.
const DEBUG_EXIT: [u16; 2] = [0x501, 0xf4];
/// ACPI power-off: port of PM1a control, value (SLP_TYP 0 with SLP_EN, QEMU i440fx and q35).
const ACPI_POWER_OFF: [(u16, u16); 2] = [(0x604, 0x2000), (0xb004, 0x2000)];
const KEYBOARD_COMMAND: u16 = 0x64;
const PULSE_RESET: u8 = 0xfe;

/// Ends the VM. `status` reaches the host as QEMU's own exit status `2 * status + 1` where there is a debug-exit device;
/// else the machine powers off, or resets (with `-no-reboot`, QEMU ends then).
pub fn exit(status: u8) -> ! {
    cpu::disable_interrupts();
    // SAFETY: these ports end the machine or, where the device is missing, do nothing.
    unsafe {
        DEBUG_EXIT.iter().for_each(|&at| port::out8(at, status));
        ACPI_POWER_OFF.iter().for_each(|&(at, value)| port::out16(at, value));
        port::out8(KEYBOARD_COMMAND, PULSE_RESET);
    }
    cpu::halt_forever()
}
