//! How a driver reaches the registers of its device: MMIO, PCI, or old PCI through ports.

use crate::ring::Layout;
use crate::store::QueueStore;

pub(crate) mod legacy;
pub(crate) mod mmio;
pub(crate) mod pci;

/// Device status bits (VIRTIO 1.2 section 2.1).
pub(crate) mod status {
    /// The driver has seen the device.
    pub(crate) const ACKNOWLEDGE: u8 = 1;
    /// The driver knows how to drive it.
    pub(crate) const DRIVER: u8 = 2;
    /// The driver is ready.
    pub(crate) const DRIVER_OK: u8 = 4;
    /// Features are agreed on.
    pub(crate) const FEATURES_OK: u8 = 8;
    /// The device has failed.
    pub(crate) const NEEDS_RESET: u8 = 64;
}

/// The registers of one device. Made anew by every driver that takes the device.
pub(crate) trait Transport {
    /// Whether the device speaks only the interface before VIRTIO 1.0.
    fn is_legacy(&self) -> bool;
    /// Reads the device status.
    fn status(&mut self) -> u8;
    /// Writes the device status; 0 asks for a reset.
    fn set_status(&mut self, status: u8);
    /// Features that the device offers.
    fn device_features(&mut self) -> u64;
    /// Features that the driver takes.
    fn set_driver_features(&mut self, features: u64);
    /// Most descriptors of a queue; 0: no such queue.
    fn queue_limit(&mut self, queue: u16) -> u16;
    /// Whether a queue must have exactly [`Transport::queue_limit`] descriptors.
    fn queue_size_is_fixed(&self) -> bool {
        false
    }
    /// Tells the device where a queue is and enables it. `false`: it cannot be used.
    fn enable_queue(&mut self, queue: u16, areas: Areas) -> bool;
    /// Tells the device that a queue has something new.
    fn notify(&mut self, queue: u16);
    /// Takes the reasons of the last interrupt away from the device, so that it can interrupt again.
    /// Returns whether the configuration has changed.
    fn acknowledge(&mut self) -> bool;
    /// Reads a byte of the device's configuration; 0 outside.
    fn config_u8(&mut self, at: usize) -> u8;
    /// Reads a little-endian word of the device's configuration; 0 outside.
    fn config_u16(&mut self, at: usize) -> u16;
    /// Reads a little-endian word of the device's configuration; 0 outside.
    fn config_u32(&mut self, at: usize) -> u32;
    /// Changes whenever the configuration does.
    fn config_generation(&mut self) -> u32;
}

/// Where a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Areas {
    /// Number of descriptors.
    pub size: u16,
    /// Bus address of the descriptor table.
    pub descriptors: u64,
    /// Bus address of the available ring.
    pub available: u64,
    /// Bus address of the used ring.
    pub used: u64,
}

impl Areas {
    /// Of a queue's memory.
    pub(crate) fn of(store: &QueueStore) -> Self {
        let layout = Layout { size: store.size };
        let base = store.area.address();
        Self {
            size: store.size,
            descriptors: base,
            available: base + layout.available() as u64,
            used: base + layout.used() as u64,
        }
    }
}

/// Reads of the status register after which a device that does not confirm a reset is given up.
const RESET_PATIENCE: u32 = 1_000_000;

/// Resets the device. `false`: it did not confirm, and may still write to memory.
pub(crate) fn reset(transport: &mut dyn Transport) -> bool {
    transport.set_status(0);
    (0..RESET_PATIENCE).any(|_| {
        core::hint::spin_loop();
        transport.status() == 0
    })
}

/// Reads configuration that consists of several words, again if it changed in between.
pub(crate) fn consistent<T>(transport: &mut dyn Transport, mut read: impl FnMut(&mut dyn Transport) -> T) -> T {
    const TRIES: u32 = 16;
    for _ in 0..TRIES {
        let before = transport.config_generation();
        let value = read(transport);
        if transport.config_generation() == before {
            return value;
        }
    }
    read(transport)
}
