//! A modern PCI device (VIRTIO 1.2 section 4.1.4): its register groups in BARs, found through capabilities.
//!
//! The library's own PCI transport can neither name an MSI-X vector for a queue nor notify with one
//! store, so this is ours.

use super::{Areas, Transport};
use crate::registers::Registers;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Offsets in the common configuration (section 4.1.4.3).
mod common {
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0;
    pub(super) const DEVICE_FEATURE: usize = 4;
    pub(super) const DRIVER_FEATURE_SELECT: usize = 8;
    pub(super) const DRIVER_FEATURE: usize = 12;
    pub(super) const CONFIG_MSIX_VECTOR: usize = 16;
    pub(super) const DEVICE_STATUS: usize = 20;
    pub(super) const CONFIG_GENERATION: usize = 21;
    pub(super) const QUEUE_SELECT: usize = 22;
    pub(super) const QUEUE_SIZE: usize = 24;
    pub(super) const QUEUE_MSIX_VECTOR: usize = 26;
    pub(super) const QUEUE_ENABLE: usize = 28;
    pub(super) const QUEUE_NOTIFY_OFF: usize = 30;
    pub(super) const QUEUE_DESC: usize = 32;
    pub(super) const QUEUE_DRIVER: usize = 40;
    pub(super) const QUEUE_DEVICE: usize = 48;
}

/// "No interrupt" as an MSI-X vector, for queues and configuration changes.
pub(super) const NO_VECTOR: u16 = 0xffff;
/// The one MSI-X vector that all queues share.
pub(super) const VECTOR: u16 = 0;

/// The mapped register groups of one device.
pub(crate) struct Groups {
    /// Common configuration.
    pub common: Registers,
    /// Notification area.
    pub notify: Registers,
    /// Bytes between notification addresses.
    pub notify_multiplier: u32,
    /// Interrupt status.
    pub isr: Registers,
    /// Device configuration, if the device has one.
    pub config: Option<Registers>,
    /// Interrupts come by MSI-X.
    pub msix: bool,
}

/// One driver's view of a modern PCI device.
pub(crate) struct Pci {
    groups: Arc<Groups>,
    /// Offset of each enabled queue's notification address.
    notify_at: Vec<Option<usize>>,
}

impl Pci {
    /// Over mapped registers.
    pub(crate) fn new(groups: Arc<Groups>) -> Self {
        Self { groups, notify_at: Vec::new() }
    }

    fn select(&self, queue: u16) {
        self.groups.common.write_u16(common::QUEUE_SELECT, queue);
    }

    fn write_address(&self, at: usize, address: u64) {
        self.groups.common.write_u32(at, address as u32);
        self.groups.common.write_u32(at + 4, (address >> 32) as u32);
    }

    /// Gives the selected queue its interrupt. `false`: the device has no room for it.
    fn set_vectors(&self) -> bool {
        if !self.groups.msix {
            return true;
        }
        let registers = &self.groups.common;
        registers.write_u16(common::CONFIG_MSIX_VECTOR, NO_VECTOR);
        registers.write_u16(common::QUEUE_MSIX_VECTOR, VECTOR);
        registers.read_u16(common::QUEUE_MSIX_VECTOR) == VECTOR
    }
}

impl Transport for Pci {
    fn is_legacy(&self) -> bool {
        false
    }

    fn status(&mut self) -> u8 {
        self.groups.common.read_u8(common::DEVICE_STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.groups.common.write_u8(common::DEVICE_STATUS, status);
    }

    fn device_features(&mut self) -> u64 {
        let registers = &self.groups.common;
        let half = |index| {
            registers.write_u32(common::DEVICE_FEATURE_SELECT, index);
            u64::from(registers.read_u32(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn set_driver_features(&mut self, features: u64) {
        for (index, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.groups.common.write_u32(common::DRIVER_FEATURE_SELECT, index);
            self.groups.common.write_u32(common::DRIVER_FEATURE, half);
        }
    }

    fn queue_limit(&mut self, queue: u16) -> u16 {
        self.select(queue);
        self.groups.common.read_u16(common::QUEUE_SIZE)
    }

    fn enable_queue(&mut self, queue: u16, areas: Areas) -> bool {
        self.select(queue);
        let registers = &self.groups.common;
        let step = usize::from(registers.read_u16(common::QUEUE_NOTIFY_OFF));
        let notify_at = step.checked_mul(self.groups.notify_multiplier as usize);
        let Some(notify_at) = notify_at.filter(|at| self.groups.notify.holds(*at, 2)) else { return false };
        registers.write_u16(common::QUEUE_SIZE, areas.size);
        self.write_address(common::QUEUE_DESC, areas.descriptors);
        self.write_address(common::QUEUE_DRIVER, areas.available);
        self.write_address(common::QUEUE_DEVICE, areas.used);
        if !self.set_vectors() {
            return false;
        }
        registers.write_u16(common::QUEUE_ENABLE, 1);
        let index = usize::from(queue);
        self.notify_at.resize(self.notify_at.len().max(index + 1), None);
        self.notify_at[index] = Some(notify_at);
        true
    }

    fn notify(&mut self, queue: u16) {
        if let Some(Some(at)) = self.notify_at.get(usize::from(queue)) {
            self.groups.notify.write_u16(*at, queue);
        }
    }

    fn acknowledge(&mut self) -> bool {
        // The status clears by being read; with MSI-X nobody sets it.
        !self.groups.msix && self.groups.isr.read_u8(0) & 2 != 0
    }

    fn config_u8(&mut self, at: usize) -> u8 {
        self.groups.config.as_ref().map_or(0, |config| config.read_u8(at))
    }

    fn config_u16(&mut self, at: usize) -> u16 {
        self.groups.config.as_ref().map_or(0, |config| config.read_u16(at))
    }

    fn config_u32(&mut self, at: usize) -> u32 {
        self.groups.config.as_ref().map_or(0, |config| config.read_u32(at))
    }

    fn config_generation(&mut self) -> u32 {
        u32::from(self.groups.common.read_u8(common::CONFIG_GENERATION))
    }
}
