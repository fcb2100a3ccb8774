//! An old PCI device (VIRTIO 1.2 section 4.1.4.10, the legacy interface): registers behind ports.

use super::pci::{NO_VECTOR, VECTOR};
use super::{Areas, Transport};
use crate::area::PAGE;
use crate::registers::Ports;

const DEVICE_FEATURES: u16 = 0;
const DRIVER_FEATURES: u16 = 4;
const QUEUE_ADDRESS: u16 = 8;
const QUEUE_SIZE: u16 = 12;
const QUEUE_SELECT: u16 = 14;
const QUEUE_NOTIFY: u16 = 16;
const DEVICE_STATUS: u16 = 18;
const ISR_STATUS: u16 = 19;
/// Only there while MSI-X is on; the device's configuration follows.
const CONFIG_VECTOR: u16 = 20;
const QUEUE_VECTOR: u16 = 22;

/// One driver's view of an old PCI device.
pub(crate) struct Legacy {
    ports: Ports,
    msix: bool,
}

impl Legacy {
    /// Over the ports of BAR 0.
    pub(crate) fn new(ports: Ports, msix: bool) -> Self {
        Self { ports, msix }
    }

    fn config_at(&self, at: usize) -> u16 {
        let base = if self.msix { QUEUE_VECTOR + 2 } else { CONFIG_VECTOR };
        u16::try_from(at).unwrap_or(u16::MAX).saturating_add(base)
    }
}

impl Transport for Legacy {
    fn is_legacy(&self) -> bool {
        true
    }

    fn status(&mut self) -> u8 {
        self.ports.read_u8(DEVICE_STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.ports.write_u8(DEVICE_STATUS, status);
    }

    fn device_features(&mut self) -> u64 {
        u64::from(self.ports.read_u32(DEVICE_FEATURES))
    }

    fn set_driver_features(&mut self, features: u64) {
        self.ports.write_u32(DRIVER_FEATURES, features as u32);
    }

    fn queue_limit(&mut self, queue: u16) -> u16 {
        self.ports.write_u16(QUEUE_SELECT, queue);
        self.ports.read_u16(QUEUE_SIZE)
    }

    fn queue_size_is_fixed(&self) -> bool {
        true
    }

    fn enable_queue(&mut self, queue: u16, areas: Areas) -> bool {
        let Ok(page) = u32::try_from(areas.descriptors / PAGE as u64) else { return false };
        self.ports.write_u16(QUEUE_SELECT, queue);
        self.ports.write_u32(QUEUE_ADDRESS, page);
        if !self.msix {
            return true;
        }
        self.ports.write_u16(CONFIG_VECTOR, NO_VECTOR);
        self.ports.write_u16(QUEUE_VECTOR, VECTOR);
        self.ports.read_u16(QUEUE_VECTOR) == VECTOR
    }

    fn notify(&mut self, queue: u16) {
        self.ports.write_u16(QUEUE_NOTIFY, queue);
    }

    fn acknowledge(&mut self) -> bool {
        !self.msix && self.ports.read_u8(ISR_STATUS) & 2 != 0
    }

    fn config_u8(&mut self, at: usize) -> u8 {
        self.ports.read_u8(self.config_at(at))
    }

    fn config_u16(&mut self, at: usize) -> u16 {
        self.ports.read_u16(self.config_at(at))
    }

    fn config_u32(&mut self, at: usize) -> u32 {
        self.ports.read_u32(self.config_at(at))
    }

    fn config_generation(&mut self) -> u32 {
        0
    }
}
