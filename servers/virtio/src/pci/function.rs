//! One virtio function on PCI: mapping its register groups, and turning it on.

use super::msix;
use crate::registers::{Ports, Registers};
use crate::transport::pci::Groups;
use virtio_drivers::transport::pci::bus::{
    BarInfo, CapabilityInfo, Command, ConfigurationAccess, DeviceFunction, PciRoot,
};
use virtio_drivers::transport::pci::{
    VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG,
};

/// Capability identifier of vendor data, which holds virtio's.
const CAPABILITY_VENDOR: u8 = 0x09;
/// Capabilities that fit into configuration space; a list that is longer has a loop.
pub(super) const MOST_CAPABILITIES: usize = 48;
/// Interrupt line in bits 0..7.
const INTERRUPT_LINE: u8 = 0x3c;

/// Fields of a virtio capability (VIRTIO 1.2 section 4.1.4).
const CAP_BAR: u8 = 4;
const CAP_OFFSET: u8 = 8;
const CAP_LENGTH: u8 = 12;
const CAP_MULTIPLIER: u8 = 16;

/// Bytes of the common configuration.
const COMMON_BYTES: u32 = 56;
/// More of a register group is never used, and not mapped.
const MOST_BYTES: u32 = 1 << 20;

/// Why a function cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) &'static str);

/// How a function's registers are reached.
pub(crate) enum Interface {
    /// Register groups in BARs.
    Modern(Groups),
    /// Ports.
    Legacy(Ports),
}

/// How a function's interrupts come.
pub(crate) enum Wire {
    /// By message.
    Msix(microkernel::irq::Interrupt),
    /// By a line of the interrupt controller, shared in principle.
    Line(u8),
}

/// A place within a BAR.
struct Place {
    bar: u8,
    offset: u32,
    len: u32,
}

/// Turns a function on, finds its registers and its interrupt.
pub(crate) fn set_up<C: ConfigurationAccess>(
    root: &mut PciRoot<C>,
    access: &mut C,
    at: DeviceFunction,
) -> Result<(Interface, Wire), Refusal> {
    let (_, command) = root.get_status_command(at);
    let on = Command::IO_SPACE | Command::MEMORY_SPACE | Command::BUS_MASTER;
    root.set_command(at, command | on);
    let vector = msix::enable(root, access, at)?;
    let has_vector = vector.is_some();
    let wire = match vector {
        Some(interrupt) => Wire::Msix(interrupt),
        None => Wire::Line(access.read_word(at, INTERRUPT_LINE) as u8),
    };
    let interface = match find(root, access, at, VIRTIO_PCI_CAP_COMMON_CFG) {
        Some(common) => Interface::Modern(groups(root, access, at, &common.place(access, at), has_vector)?),
        None => Interface::Legacy(ports(root, at)?),
    };
    Ok((interface, wire))
}

/// A virtio capability.
struct Capability(CapabilityInfo);

impl Capability {
    fn place(&self, access: &impl ConfigurationAccess, at: DeviceFunction) -> Place {
        let word = |field| access.read_word(at, self.0.offset.saturating_add(field));
        Place { bar: word(CAP_BAR) as u8, offset: word(CAP_OFFSET), len: word(CAP_LENGTH) }
    }
}

/// The first capability of this virtio type; the device prefers earlier ones.
fn find<C: ConfigurationAccess>(root: &PciRoot<C>, access: &C, at: DeviceFunction, kind: u8) -> Option<Capability> {
    let is_kind = |capability: &CapabilityInfo| {
        // `private_header` holds the length and virtio's type.
        capability.id == CAPABILITY_VENDOR && (capability.private_header >> 8) as u8 == kind
    };
    let usable = |capability: &Capability| capability.place(access, at).bar < 6;
    root.capabilities(at).take(MOST_CAPABILITIES).filter(is_kind).map(Capability).find(usable)
}

fn groups<C: ConfigurationAccess>(
    root: &mut PciRoot<C>,
    access: &C,
    at: DeviceFunction,
    common: &Place,
    msix: bool,
) -> Result<Groups, Refusal> {
    let missing = Refusal("a register group of the device is missing");
    let notify = find(root, access, at, VIRTIO_PCI_CAP_NOTIFY_CFG).ok_or(missing)?;
    let isr = find(root, access, at, VIRTIO_PCI_CAP_ISR_CFG).ok_or(missing)?;
    let config = find(root, access, at, VIRTIO_PCI_CAP_DEVICE_CFG);
    if common.len < COMMON_BYTES {
        return Err(Refusal("the common configuration of the device is too short"));
    }
    let config = match config {
        Some(config) => Some(map(root, at, &config.place(access, at))?),
        None => None,
    };
    Ok(Groups {
        common: map(root, at, common)?,
        notify: map(root, at, &notify.place(access, at))?,
        notify_multiplier: access.read_word(at, notify.0.offset.saturating_add(CAP_MULTIPLIER)),
        isr: map(root, at, &isr.place(access, at))?,
        config,
        msix,
    })
}

/// Maps part of a memory BAR.
fn map<C: ConfigurationAccess>(root: &mut PciRoot<C>, at: DeviceFunction, place: &Place) -> Result<Registers, Refusal> {
    map_bar(root, at, place.bar, place.offset, place.len.min(MOST_BYTES))
}

/// Maps `len` bytes at `offset` of a memory BAR.
pub(super) fn map_bar<C: ConfigurationAccess>(
    root: &mut PciRoot<C>,
    at: DeviceFunction,
    bar: u8,
    offset: u32,
    len: u32,
) -> Result<Registers, Refusal> {
    let bar = root.bar_info(at, bar).ok().flatten();
    let Some((base, size)) = bar.as_ref().and_then(BarInfo::memory_address_size) else {
        return Err(Refusal("a register group lies in a BAR that is not memory"));
    };
    if base == 0 {
        return Err(Refusal("the firmware gave a BAR no address"));
    }
    let start = u64::from(offset);
    if len == 0 || start + u64::from(len) > size {
        return Err(Refusal("a register group lies outside its BAR"));
    }
    let address = base.checked_add(start).ok_or(Refusal("a BAR has an impossible address"))?;
    // SAFETY: the range lies in a memory BAR that the firmware placed: registers of this device, no memory.
    unsafe { Registers::map(address, len as usize) }.ok_or(Refusal("a register group could not be mapped"))
}

/// The ports of an old device: BAR 0.
fn ports<C: ConfigurationAccess>(root: &mut PciRoot<C>, at: DeviceFunction) -> Result<Ports, Refusal> {
    let refusal = Refusal("the device has neither modern registers nor ports");
    let Some(BarInfo::IO { address, size }) = root.bar_info(at, 0).ok().flatten() else {
        return Err(refusal);
    };
    let base = u16::try_from(address).ok().filter(|base| *base != 0).ok_or(refusal)?;
    let len = u16::try_from(size).unwrap_or(u16::MAX);
    // SAFETY: ports that the firmware gave to BAR 0 of this virtio device.
    Ok(unsafe { Ports::new(base, len) })
}
