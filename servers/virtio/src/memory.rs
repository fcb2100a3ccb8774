//! Lent memory as devices use it: the kernel's own memory type behind `rt`'s, and holds on its frames.

use core::any::Any;
use microkernel::channel::{self, Pin};
use rt::device::{DeviceError, Segment};
use rt::sys::{Memory, MemoryError};

/// The core's memory, as servers see it: they copy, and hand it to devices.
pub struct KernelMemory(pub channel::Memory);

/// Keeps the frames of one segment in place and alive until it is dropped; nothing else is done with it.
pub(crate) enum Hold {
    /// A reference owned by the core.
    Core(#[allow(dead_code, reason = "kept for its drop")] Pin),
    /// A count that a test watches.
    #[cfg(test)]
    Test(#[expect(dead_code, reason = "kept for its drop")] alloc::sync::Arc<()>),
}

/// Holds the memory of `segment` and names its contiguous parts (bus address, bytes) in order.
///
/// Errors: `BadMemory` (revoked, lent without leave to write, outside, or not memory of the core).
pub(crate) fn hold(
    segment: &Segment,
    device_writes: bool,
    part: &mut dyn FnMut(u64, usize),
) -> Result<Hold, DeviceError> {
    let memory: &dyn Any = segment.memory.as_any();
    if let Some(memory) = memory.downcast_ref::<KernelMemory>() {
        let pin = memory.0.pin(segment.at, segment.len, device_writes, part);
        return pin.map(Hold::Core).map_err(|_| DeviceError::BadMemory);
    }
    #[cfg(test)]
    if let Some(memory) = memory.downcast_ref::<crate::fake::TestMemory>() {
        return memory.pieces(segment.at, segment.len, part).map(Hold::Test);
    }
    Err(DeviceError::BadMemory)
}

fn error(error: channel::MemoryError) -> MemoryError {
    match error {
        channel::MemoryError::OutOfRange => MemoryError::OutOfRange,
        channel::MemoryError::Revoked | channel::MemoryError::ReadOnly => MemoryError::Revoked,
    }
}

impl Memory for KernelMemory {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), MemoryError> {
        self.0.read(at, out).map_err(error)
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), MemoryError> {
        self.0.write(at, bytes).map_err(error)
    }

    fn zero(&self, at: usize, len: usize) -> Result<(), MemoryError> {
        self.0.zero(at, len).map_err(error)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
