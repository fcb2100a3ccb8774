//! Finding the devices of the machine, once at boot: those on the command line, then those on PCI.

use crate::area::Area;
use crate::command_line::{self, MmioDevice};
use crate::device::Kind;
use crate::device::p9;
use crate::device::serial::MOST_QUEUES;
use crate::driver::{Parts, feature};
use crate::found::{Found, Lasting, Line, Place, mmio};
use crate::pci;
use crate::pci::access::PortAccess;
use crate::pci::function::{Interface, Wire};
use crate::store::{QueueStore, Store};
use crate::transport::{self, Transport};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use microkernel::device;
use microkernel::irq::{self, Interrupt, Trigger};
use virtio_drivers::transport::pci::bus::{DeviceFunction, PciRoot};

/// What the machine has.
pub struct Inventory {
    /// Devices that can be driven, in an order that is the same at every boot of the same machine.
    pub devices: Vec<Found>,
    /// Devices that cannot, each with the place and the reason, for the log.
    pub refused: Vec<String>,
    /// Lines that are claimed; they are not shared.
    lines: Vec<u32>,
}

/// Looks for all virtio devices: those on the command line, then those on PCI. For boot, once.
pub fn discover() -> Inventory {
    let mut inventory = Inventory { devices: Vec::new(), refused: Vec::new(), lines: Vec::new() };
    discover_mmio(&mut inventory);
    discover_pci(&mut inventory);
    inventory
}

fn discover_mmio(inventory: &mut Inventory) {
    let line = device::command_line();
    let mut refuse = |word: &str| inventory.refused.push(format!("virtio_mmio.device={word}: cannot be read"));
    // QEMU and Firecracker name devices in the order in which they were asked for.
    let list: Vec<_> = command_line::devices(line, &mut refuse).collect();
    for found in list {
        match add_mmio(inventory, found) {
            Ok(()) => {}
            Err(reason) => inventory.refused.push(format!("virtio-mmio at {:#x}: {reason}", found.address)),
        }
    }
}

fn add_mmio(inventory: &mut Inventory, found: MmioDevice) -> Result<(), &'static str> {
    let base = device::map_mmio(found.address, found.len).ok_or("registers could not be mapped")?;
    // An empty slot is no error: some machines name all of them.
    let Some(probe) = mmio(base, found.len) else { return Ok(()) };
    let Some(kind) = Kind::from_number(probe.device_type()) else {
        return Err("no driver for this kind of device");
    };
    // QEMU and Firecracker raise these lines anew for each reason, so that edges suffice.
    let interrupt = inventory.claim_line(found.gsi, Trigger::Edge)?;
    inventory.add(kind, Place::Mmio { base, len: found.len }, interrupt)
}

fn discover_pci(inventory: &mut Inventory) {
    let Some(mut access) = PortAccess::probe() else { return };
    let mut root = PciRoot::new(access);
    for (at, device_id) in pci::scan(&access) {
        let result = match pci::kind_number(device_id).and_then(Kind::from_number) {
            None => Err("no driver for this kind of device"),
            Some(kind) => add_pci(inventory, &mut root, &mut access, at, kind),
        };
        if let Err(reason) = result {
            inventory.refused.push(format!("virtio-pci {device_id:#06x} at {at}: {reason}"));
        }
    }
}

fn add_pci(
    inventory: &mut Inventory,
    root: &mut PciRoot<PortAccess>,
    access: &mut PortAccess,
    at: DeviceFunction,
    kind: Kind,
) -> Result<(), &'static str> {
    let (interface, wire) = pci::function::set_up(root, access, at).map_err(|refusal| refusal.0)?;
    let msix = matches!(wire, Wire::Msix(_));
    let interrupt = match wire {
        Wire::Msix(interrupt) => interrupt,
        // Without ACPI only the firmware's routing to an ISA line is known.
        Wire::Line(line) => inventory.claim_line(u32::from(line), Trigger::Level)?,
    };
    let place = match interface {
        Interface::Modern(groups) => Place::Pci(Arc::new(groups)),
        Interface::Legacy(ports) => Place::Legacy { ports, msix },
    };
    inventory.add(kind, place, interrupt)
}

impl Inventory {
    fn claim_line(&mut self, gsi: u32, trigger: Trigger) -> Result<Interrupt, &'static str> {
        if self.lines.contains(&gsi) {
            return Err("its interrupt line belongs to another device already");
        }
        let interrupt = irq::claim_gsi(gsi, trigger).map_err(|_| "its interrupt line does not exist")?;
        self.lines.push(gsi);
        Ok(interrupt)
    }

    fn add(&mut self, kind: Kind, place: Place, interrupt: Interrupt) -> Result<(), &'static str> {
        let mut transport = place.connect().ok_or("the device does not answer")?;
        if !transport::reset(transport.as_mut()) {
            return Err("the device does not confirm a reset");
        }
        let store = make_store(transport.as_mut(), kind).ok_or("no memory, or no queues")?;
        let mount_tag = (kind == Kind::P9).then(|| p9::mount_tag(transport.as_mut()));
        let number = self.devices.iter().filter(|device| device.kind() == kind).count();
        let name = format!("{}:{number}", kind.word());
        let parts = Parts { store: Arc::new(store), interrupts: Arc::new(Line(interrupt)) };
        self.devices.push(Found(Arc::new(Lasting { kind, name, mount_tag, place, parts })));
        Ok(())
    }
}

/// Most slots with tables.
const MOST_TABLES: u16 = 256;

/// Memory for the queues that a driver of this kind uses.
fn make_store(transport: &mut dyn Transport, kind: Kind) -> Option<Store> {
    let indirect = transport.device_features() & feature::INDIRECT != 0;
    let wanted = match kind {
        Kind::Net => 2,
        Kind::Serial => MOST_QUEUES,
        Kind::Block | Kind::P9 | Kind::Rng => 1,
    };
    let mut queues = Vec::new();
    for number in 0..wanted {
        let limit = transport.queue_limit(number);
        if limit == 0 {
            break;
        }
        let shape = kind.shape(number);
        let size = if transport.queue_size_is_fixed() { limit } else { floor_to_power(limit.min(shape.depth)) };
        if !size.is_power_of_two() {
            return None;
        }
        // Tables of a huge queue would not fit into one piece of DMA memory.
        let indirect = indirect && shape.tables && size <= MOST_TABLES;
        queues.push(QueueStore::new(shape, size, indirect, &Area::new)?);
    }
    let enough = if kind == Kind::Net || kind == Kind::Serial { 2 } else { 1 };
    (queues.len() >= enough).then(|| Store::new(queues))
}

/// The largest power of two that is not larger; 0 for 0.
fn floor_to_power(value: u16) -> u16 {
    value.checked_ilog2().map_or(0, |log| 1 << log)
}
