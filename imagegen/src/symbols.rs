//! Names for the addresses in crash reports.
//!
//! The kernel carries no symbols, which keeps it small; it prints a backtrace as lines that end in
//! `at ffffffff80123456`. [`Symbolizer`] stands between the machine and our stderr and adds the function's name to
//! such lines. All other bytes pass through as they are and when they come.

use std::io::{self, Write};

use skiff_elf::Symbols;

use crate::embedded;
use crate::qemu::streams::Output;

/// What stands before an address that wants a name.
const MARK: &[u8] = b"at ";

/// Hexadecimal digits of an address.
const DIGITS: usize = 16;

/// Adds names to what is written through it.
pub struct Symbolizer {
    symbols: Symbols<'static>,
    output: Output,
    /// The end of the line so far: as much as an address with its mark needs.
    tail: Vec<u8>,
}

impl Symbolizer {
    /// Uses the symbols of the embedded kernel.
    pub fn new(output: Output) -> Symbolizer {
        Symbolizer { symbols: Symbols::new(embedded::SYMTAB, embedded::STRTAB), output, tail: Vec::new() }
    }

    /// The name for the line that just ended, with a blank before it.
    fn name(&self) -> Option<String> {
        let line = self.tail.strip_suffix(b"\r").unwrap_or(&self.tail);
        let digits = line.get(line.len().checked_sub(DIGITS)?..)?;
        let before = line.get(..line.len() - DIGITS)?;
        if !before.ends_with(MARK) {
            return None;
        }
        let address = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let located = self.symbols.locate(address)?;
        Some(format!(" {:#}+{:#x}", rustc_demangle::demangle(located.name), located.offset))
    }

    fn remember(&mut self, bytes: &[u8]) {
        const ROOM: usize = MARK.len() + DIGITS + 1;
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(ROOM);
        self.tail.drain(..surplus);
    }
}

impl Write for Symbolizer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else {
                self.remember(line);
                self.output.write_all(line)?;
                continue;
            };
            self.remember(text);
            self.output.write_all(text)?;
            if let Some(name) = self.name() {
                self.output.write_all(name.as_bytes())?;
            }
            self.output.write_all(b"\n")?;
            self.tail.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One function `start` of 16 bytes at 0x1000.
    const TABLE: [u8; 24] = [1, 0, 0, 0, 2, 0, 1, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0];

    fn through(pieces: &[&str]) -> String {
        let shared = Shared::default();
        let symbols = Symbols::new(&TABLE, b"\0start\0");
        let mut symbolizer = Symbolizer { symbols, output: Box::new(shared.clone()), tail: Vec::new() };
        pieces.iter().for_each(|piece| symbolizer.write_all(piece.as_bytes()).unwrap());
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_address_at_the_end_of_a_line_gets_its_name() {
        assert_eq!(through(&["  at 0000000000001004\n"]), "  at 0000000000001004 start+0x4\n");
        assert_eq!(through(&["  at 00000000", "00001004", "\nx"]), "  at 0000000000001004 start+0x4\nx");
    }

    #[test]
    fn everything_else_passes_unchanged() {
        for text in ["at 0000000000002000\n", "rip 0000000000001004\n", "at 0000000000001004 x\n", "\0\r\n\n", "half"] {
            assert_eq!(through(&[text]), text);
        }
    }
}
