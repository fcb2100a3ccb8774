//! The two 8259 interrupt controllers: masked for good, their spurious vectors out of the way.

use super::port::out8;

/// First vector of the remapped controllers; only spurious interrupts could ever use them.
pub const FIRST_VECTOR: u8 = 0xe0;

/// Remaps and masks both controllers.
pub fn disable() {
    // SAFETY: the standard initialisation sequence (8259A data sheet); the controllers touch no memory.
    unsafe {
        for (port, value) in [
            (0x20, 0x11),
            (0xa0, 0x11),
            (0x21, FIRST_VECTOR),
            (0xa1, FIRST_VECTOR + 8),
            (0x21, 4),
            (0xa1, 2),
            (0x21, 1),
            (0xa1, 1),
            (0x21, 0xff),
            (0xa1, 0xff),
        ] {
            out8(port, value);
        }
    }
}
