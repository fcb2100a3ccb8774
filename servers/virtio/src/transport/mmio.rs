//! Registers in memory (VIRTIO 1.2 section 4.2), by the library's transport. Both versions: QEMU's microvm
//! speaks version 1 unless told otherwise.

use super::{Areas, Transport};
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use virtio_drivers::transport::mmio::{MmioTransport, MmioVersion};
use virtio_drivers::transport::{DeviceStatus, InterruptStatus, Transport as _};

/// A device behind memory-mapped registers. Never dropped: the library's destructor would reset the device
/// under the driver that has taken it since.
pub(crate) struct Mmio(ManuallyDrop<MmioTransport<'static>>);

impl Mmio {
    /// The device at `base`. `None`: nothing there, or nothing known.
    ///
    /// # Safety
    ///
    /// `base` is a permanent uncached mapping of `len` bytes of a virtio-mmio device's registers.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize) -> Option<Self> {
        // SAFETY: promised by the caller; a mapping starts on a page, which is aligned enough.
        unsafe { MmioTransport::new(base.cast(), len) }.ok().map(ManuallyDrop::new).map(Self)
    }

    /// Virtio's number for this kind of device.
    pub(crate) fn device_type(&self) -> u32 {
        self.0.device_type() as u32
    }
}

impl Transport for Mmio {
    fn is_legacy(&self) -> bool {
        self.0.version() == MmioVersion::Legacy
    }

    fn status(&mut self) -> u8 {
        self.0.get_status().bits() as u8
    }

    fn set_status(&mut self, status: u8) {
        self.0.set_status(DeviceStatus::from_bits_retain(u32::from(status)));
    }

    fn device_features(&mut self) -> u64 {
        self.0.read_device_features()
    }

    fn set_driver_features(&mut self, features: u64) {
        self.0.write_driver_features(features);
        self.0.set_guest_page_size(crate::area::PAGE as u32);
    }

    fn queue_limit(&mut self, queue: u16) -> u16 {
        if self.0.queue_used(queue) {
            return 0;
        }
        self.0.max_queue_size(queue).min(1 << 15) as u16
    }

    fn enable_queue(&mut self, queue: u16, areas: Areas) -> bool {
        self.0.queue_set(queue, u32::from(areas.size), areas.descriptors, areas.available, areas.used);
        true
    }

    fn notify(&mut self, queue: u16) {
        self.0.notify(queue);
    }

    fn acknowledge(&mut self) -> bool {
        self.0.ack_interrupt().contains(InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT)
    }

    fn config_u8(&mut self, at: usize) -> u8 {
        self.0.read_config_space(at).unwrap_or(0)
    }

    fn config_u16(&mut self, at: usize) -> u16 {
        self.0.read_config_space(at).map_or(0, u16::from_le)
    }

    fn config_u32(&mut self, at: usize) -> u32 {
        self.0.read_config_space(at).map_or(0, u32::from_le)
    }

    fn config_generation(&mut self) -> u32 {
        if self.is_legacy() { 0 } else { self.0.read_config_generation() }
    }
}
