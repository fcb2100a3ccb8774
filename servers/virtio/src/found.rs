//! A device of the machine, driven by one driver task after the other.
//!
//! [`Found`] keeps what must outlive a driver: the place of the registers, the interrupt, queue memory and holds.
//! When a driver's task dies, the device is reset before the core takes the task's memory back.

use crate::device::Kind;
use crate::device::block::Block;
use crate::device::net::Net;
use crate::device::p9::P9;
use crate::device::rng::Rng;
use crate::device::serial::Serial;
use crate::driver::{self, Interrupts, OpenError, Parts};
use crate::registers::Ports;
use crate::transport::Transport;
use crate::transport::legacy::Legacy;
use crate::transport::mmio::Mmio;
use crate::transport::pci::{Groups, Pci};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use core::ptr::NonNull;
use microkernel::irq::Interrupt;
use microkernel::sync::{CoreSection, section};
use microkernel::{random, task, thread};
use rt::device::block::BlockDevice;
use rt::device::entropy::EntropyDevice;
use rt::device::net::NetDevice;
use rt::device::p9::P9Device;
use rt::device::serial::SerialDevice;

/// Where the registers of a device are.
pub(crate) enum Place {
    /// Mapped for ever.
    Mmio { base: NonNull<u8>, len: usize },
    /// Modern PCI.
    Pci(Arc<Groups>),
    /// PCI through ports.
    Legacy { ports: Ports, msix: bool },
}

// SAFETY: addresses of registers, mapped for ever; they belong to no thread.
unsafe impl Send for Place {}
// SAFETY: as for `Send`.
unsafe impl Sync for Place {}

impl Place {
    /// A fresh view of the registers.
    pub(crate) fn connect(&self) -> Option<Box<dyn Transport>> {
        Some(match self {
            Self::Mmio { base, len } => Box::new(mmio(*base, *len)?),
            Self::Pci(groups) => Box::new(Pci::new(groups.clone())),
            Self::Legacy { ports, msix } => Box::new(Legacy::new(*ports, *msix)),
        })
    }
}

pub(crate) fn mmio(base: NonNull<u8>, len: usize) -> Option<Mmio> {
    // SAFETY: `base` comes from `map_mmio` with this length, for a device that the command line named.
    unsafe { Mmio::new(base, len) }
}

/// The core's interrupt of one device.
pub(crate) struct Line(pub(crate) Interrupt);

impl Interrupts for Line {
    fn bind(&self, bit: u8) -> bool {
        section(|| self.0.bind(&thread::current(), bit));
        true
    }

    fn acknowledge(&self) {
        self.0.acknowledge();
    }
}

/// A device of the machine. Made at boot, in memory that no driver's death takes away.
pub struct Found(pub(crate) Arc<Lasting>);

/// What outlives all drivers.
pub(crate) struct Lasting {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) mount_tag: Option<String>,
    pub(crate) place: Place,
    pub(crate) parts: Parts,
}

/// Which driver to stop when its task has died.
struct Will {
    device: Arc<Lasting>,
    generation: u32,
}

impl Will {
    /// Has the core stop the device when the running task has died.
    fn make(device: &Arc<Lasting>) {
        let will = Self { device: device.clone(), generation: device.parts.store.generation() };
        // The core opens it, so it must not lie in the task's arena.
        let _section = CoreSection::enter();
        task::on_death(Self::open, Box::into_raw(Box::new(will)) as u64);
    }

    /// Called by the core, inside a core section, once.
    fn open(argument: u64) {
        // SAFETY: the argument is the box that `make` gave away, and the core calls a hook once.
        let will = unsafe { Box::from_raw(argument as *mut Self) };
        if let Some(transport) = will.device.place.connect() {
            driver::stop_orphan(&will.device.parts, will.generation, transport);
        }
    }
}

/// Every `open` resets the device and takes it from the driver that had it before, which must have ended: the
/// calling thread gets the interrupt as notification bit `bit`. Errors: see [`OpenError`].
impl Found {
    /// What the device is for.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Kind and number (`block:0`, `nic:1`), the same at every boot of the same machine.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The host's name for the folder behind a 9P device.
    pub fn mount_tag(&self) -> Option<&str> {
        self.0.mount_tag.as_deref()
    }

    fn connect(&self, kind: Kind) -> Result<(Parts, Box<dyn Transport>), OpenError> {
        if self.0.kind != kind {
            return Err(OpenError::WrongKind);
        }
        Ok((self.0.parts.clone(), self.0.place.connect().ok_or(OpenError::NoAnswer)?))
    }

    /// Takes a disk.
    pub fn open_block(&self, bit: u8) -> Result<Rc<dyn BlockDevice>, OpenError> {
        let (parts, transport) = self.connect(Kind::Block)?;
        let device = Block::open(parts, transport, bit)?;
        Will::make(&self.0);
        Ok(Rc::new(device))
    }

    /// Takes a network interface.
    pub fn open_net(&self, bit: u8) -> Result<Rc<dyn NetDevice>, OpenError> {
        let (parts, transport) = self.connect(Kind::Net)?;
        let [m0, m1, m2, m3, m4, m5, ..] = random::next().to_le_bytes();
        let device = Net::open(parts, transport, bit, [m0, m1, m2, m3, m4, m5])?;
        Will::make(&self.0);
        Ok(Rc::new(device))
    }

    /// Takes a 9P transport.
    pub fn open_p9(&self, bit: u8) -> Result<Rc<dyn P9Device>, OpenError> {
        let (parts, transport) = self.connect(Kind::P9)?;
        let device = P9::open(parts, transport, bit)?;
        Will::make(&self.0);
        Ok(Rc::new(device))
    }

    /// Takes a serial device.
    pub fn open_serial(&self, bit: u8) -> Result<Rc<dyn SerialDevice>, OpenError> {
        let (parts, transport) = self.connect(Kind::Serial)?;
        let device = Serial::open(parts, transport, bit)?;
        Will::make(&self.0);
        Ok(Rc::new(device))
    }

    /// Takes a source of randomness.
    pub fn open_rng(&self, bit: u8) -> Result<Rc<dyn EntropyDevice>, OpenError> {
        let (parts, transport) = self.connect(Kind::Rng)?;
        let device = Rng::open(parts, transport, bit)?;
        Will::make(&self.0);
        Ok(Rc::new(device))
    }
}
