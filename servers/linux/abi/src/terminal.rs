//! Terminals (`asm-generic/termbits.h`, `asm-generic/termios.h`) and the ioctl numbers of files in general.

use crate::layout;

layout! {
    /// `struct termios` of the kernel (not libc's).
    pub struct Termios: 36 {
        /// Input modes.
        0 input: u32,
        /// Output modes.
        4 output: u32,
        /// Control modes.
        8 control: u32,
        /// Local modes.
        12 local: u32,
        /// Line discipline.
        16 line: u8,
        /// Control characters.
        17 characters: [u8; 19],
    }

    /// `struct winsize`.
    pub struct WindowSize: 8 {
        /// Rows of characters.
        0 rows: u16,
        /// Columns of characters.
        2 columns: u16,
        /// Width in pixels.
        4 width: u16,
        /// Height in pixels.
        6 height: u16,
    }
}

/// Requests of `ioctl(2)`.
pub mod ioctl {
    #![allow(missing_docs)] // names of asm-generic/ioctls.h
    pub const TCGETS: u32 = 0x5401;
    pub const TCSETS: u32 = 0x5402;
    pub const TCSETSW: u32 = 0x5403;
    pub const TCSETSF: u32 = 0x5404;
    pub const TIOCGPGRP: u32 = 0x540f;
    pub const TIOCSPGRP: u32 = 0x5410;
    pub const TIOCOUTQ: u32 = 0x5411;
    pub const TIOCGWINSZ: u32 = 0x5413;
    pub const TIOCSWINSZ: u32 = 0x5414;
    pub const FIONREAD: u32 = 0x541b;
    pub const FIONBIO: u32 = 0x5421;
    pub const FIOASYNC: u32 = 0x5452;
    pub const FIONCLEX: u32 = 0x5450;
    pub const FIOCLEX: u32 = 0x5451;
}
