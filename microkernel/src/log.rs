//! Skiff's own words: a ring of bytes that the console server drains, copied to the UART until it does.

use crate::arch::serial;
use crate::sync::IrqLock;
use crate::task::thread::Thread;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

const BYTES: usize = 16 << 10;

struct Ring {
    bytes: [u8; BYTES],
    /// Position of the next byte to drain, and of the next to be written; both only grow.
    start: usize,
    end: usize,
    reader: Option<(Thread, u64)>,
}

static RING: IrqLock<Ring> = IrqLock::new(Ring { bytes: [0; BYTES], start: 0, end: 0, reader: None });
/// Whether lines go to the UART too.
static TO_UART: AtomicBool = AtomicBool::new(true);

impl Write for Ring {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            self.bytes[self.end % BYTES] = byte;
            self.end += 1;
        }
        // Old words go when nobody reads.
        self.start = self.start.max(self.end.saturating_sub(BYTES));
        Ok(())
    }
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        serial::write(text.as_bytes());
        Ok(())
    }
}

/// Writes one line.
pub fn line(words: fmt::Arguments<'_>) {
    let _section = crate::sync::CoreSection::enter();
    if TO_UART.load(Ordering::Relaxed) {
        let _ = writeln!(Uart, "skiff: {words}");
    }
    let reader = {
        let mut ring = RING.lock();
        let _ = writeln!(ring, "skiff: {words}");
        ring.reader.clone()
    };
    if let Some((thread, bits)) = reader {
        thread.notify(bits);
    }
}

/// Writes one line straight to the UART: from a kernel that is about to end, or from the log's own carrier.
pub fn uart_line(words: fmt::Arguments<'_>) {
    let _ = writeln!(Uart, "skiff: {words}");
}

/// Makes the running thread the reader: `bits` are notified at every line.
pub fn attach_reader(bits: u64) {
    let thread = crate::task::thread::current();
    RING.lock().reader = Some((thread, bits));
}

/// Keeps log lines off the UART from now on: a reader will come for them.
pub fn hold() {
    TO_UART.store(false, Ordering::Relaxed);
}

/// Sends what nobody has taken, and all further lines, to the UART; for a system that ends.
pub fn use_uart() {
    if TO_UART.swap(true, Ordering::Relaxed) {
        // They are all there already.
        return;
    }
    let Some(mut ring) = RING.try_lock() else { return };
    while ring.start < ring.end {
        serial::write(&[ring.bytes[ring.start % BYTES]]);
        ring.start += 1;
    }
}

/// Writes bytes to the UART, as they are: the sink of last resort for streams without a device.
pub fn uart(bytes: &[u8]) {
    serial::write(bytes);
}

/// Takes the oldest bytes that nobody has taken yet.
pub fn take(out: &mut [u8]) -> usize {
    let mut ring = RING.lock();
    let count = out.len().min(ring.end - ring.start);
    for byte in &mut out[..count] {
        *byte = ring.bytes[ring.start % BYTES];
        ring.start += 1;
    }
    count
}

/// Writes one line to Skiff's log.
#[macro_export]
macro_rules! log {
    ($($words:tt)*) => { $crate::log::line(format_args!($($words)*)) };
}
