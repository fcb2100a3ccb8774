//! Device registers: a mapped range, or a range of ports. Accesses are checked against the range; one that
//! lies outside reads 0 and writes nothing.

use core::mem::size_of;
use core::ptr::NonNull;
use microkernel::device;

/// Registers in memory.
pub(crate) struct Registers {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping of registers belongs to no thread; accesses are single volatile loads and stores.
unsafe impl Send for Registers {}
// SAFETY: as for `Send`; what concurrent accesses mean is the device's business, not memory safety's.
unsafe impl Sync for Registers {}

impl Registers {
    /// Maps `len` bytes of registers at a bus address. `None`: they cannot be mapped.
    ///
    /// # Safety
    ///
    /// The range belongs to one device's registers: it is not memory, and nobody keeps Rust objects in it.
    pub(crate) unsafe fn map(address: u64, len: usize) -> Option<Self> {
        let base = device::map_mmio(address, len)?;
        Some(Self { base, len })
    }

    /// Whether `bytes` bytes at `at` lie inside and are aligned.
    pub(crate) fn holds(&self, at: usize, bytes: usize) -> bool {
        let start = self.base.as_ptr() as usize;
        at.checked_add(bytes).is_some_and(|end| end <= self.len) && (start + at).is_multiple_of(bytes)
    }

    fn read<T: Default>(&self, at: usize) -> T {
        if !self.holds(at, size_of::<T>()) {
            return T::default();
        }
        // SAFETY: mapped for `len` bytes for ever; inside and aligned by `holds`.
        unsafe { self.base.add(at).cast::<T>().read_volatile() }
    }

    fn write<T>(&self, at: usize, value: T) {
        if self.holds(at, size_of::<T>()) {
            // SAFETY: mapped for `len` bytes for ever; inside and aligned by `holds`.
            unsafe { self.base.add(at).cast::<T>().write_volatile(value) }
        }
    }

    /// Reads one byte.
    pub(crate) fn read_u8(&self, at: usize) -> u8 {
        self.read(at)
    }

    /// Reads 16 bits.
    pub(crate) fn read_u16(&self, at: usize) -> u16 {
        self.read(at)
    }

    /// Reads 32 bits.
    pub(crate) fn read_u32(&self, at: usize) -> u32 {
        self.read(at)
    }

    /// Writes one byte.
    pub(crate) fn write_u8(&self, at: usize, value: u8) {
        self.write(at, value);
    }

    /// Writes 16 bits.
    pub(crate) fn write_u16(&self, at: usize, value: u16) {
        self.write(at, value);
    }

    /// Writes 32 bits.
    pub(crate) fn write_u32(&self, at: usize, value: u32) {
        self.write(at, value);
    }
}

/// Registers behind ports.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    base: u16,
    len: u16,
}

impl Ports {
    /// `len` ports from `base`.
    ///
    /// # Safety
    ///
    /// The ports belong to one virtio device.
    pub(crate) unsafe fn new(base: u16, len: u16) -> Self {
        Self { base, len }
    }

    /// The port of the register at `at`, if it lies inside.
    fn port(self, at: u16, bytes: u16) -> Option<u16> {
        if at.checked_add(bytes)? > self.len {
            return None;
        }
        self.base.checked_add(at)
    }

    /// Reads one byte.
    pub(crate) fn read_u8(self, at: u16) -> u8 {
        // SAFETY: a port of the device, by `new`.
        self.port(at, 1).map_or(0, |port| unsafe { device::port_in8(port) })
    }

    /// Reads 16 bits.
    pub(crate) fn read_u16(self, at: u16) -> u16 {
        // SAFETY: a port of the device, by `new`.
        self.port(at, 2).map_or(0, |port| unsafe { device::port_in16(port) })
    }

    /// Reads 32 bits.
    pub(crate) fn read_u32(self, at: u16) -> u32 {
        // SAFETY: a port of the device, by `new`.
        self.port(at, 4).map_or(0, |port| unsafe { device::port_in32(port) })
    }

    /// Writes one byte.
    pub(crate) fn write_u8(self, at: u16, value: u8) {
        if let Some(port) = self.port(at, 1) {
            // SAFETY: a port of the device, by `new`; what it may write to memory is held by the store.
            unsafe { device::port_out8(port, value) }
        }
    }

    /// Writes 16 bits.
    pub(crate) fn write_u16(self, at: u16, value: u16) {
        if let Some(port) = self.port(at, 2) {
            // SAFETY: as for `write_u8`.
            unsafe { device::port_out16(port, value) }
        }
    }

    /// Writes 32 bits.
    pub(crate) fn write_u32(self, at: u16, value: u32) {
        if let Some(port) = self.port(at, 4) {
            // SAFETY: as for `write_u8`.
            unsafe { device::port_out32(port, value) }
        }
    }
}
