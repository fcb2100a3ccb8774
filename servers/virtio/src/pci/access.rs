//! Configuration mechanism 1: an address into port 0xcf8, the data at port 0xcfc.

use microkernel::device;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

/// The machine's PCI configuration space. Only for boot, by one thread.
#[derive(Clone, Copy)]
pub(crate) struct PortAccess(());

impl PortAccess {
    /// `None`: the machine has no PCI.
    pub(crate) fn probe() -> Option<Self> {
        // SAFETY: port 0xcf8 is PCI's address register, which keeps what is written; without PCI nobody listens.
        let echo = unsafe {
            device::port_out32(ADDRESS, ENABLE);
            device::port_in32(ADDRESS)
        };
        (echo == ENABLE).then_some(Self(()))
    }

    fn select(place: DeviceFunction, offset: u8) {
        let function = u32::from(place.device) << 3 | u32::from(place.function);
        let address = ENABLE | u32::from(place.bus) << 16 | function << 8 | u32::from(offset & 0xfc);
        // SAFETY: only chooses the register that port 0xcfc stands for.
        unsafe { device::port_out32(ADDRESS, address) }
    }
}

impl ConfigurationAccess for PortAccess {
    fn read_word(&self, place: DeviceFunction, offset: u8) -> u32 {
        Self::select(place, offset);
        // SAFETY: reading configuration space changes nothing.
        unsafe { device::port_in32(DATA) }
    }

    fn write_word(&mut self, place: DeviceFunction, offset: u8, data: u32) {
        Self::select(place, offset);
        // SAFETY: this crate writes BARs (restored at once), the command register and MSI-X control of
        // virtio functions; none of that makes a device write to memory.
        unsafe { device::port_out32(DATA, data) }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}
