//! The instances of this boot: which server drives which device, with its port.
//!
//! Made once from what virtio found; a restarted instance finds everything here again.

use crate::machine::KernelMachine;
use crate::ports::{KernelInbox, KernelOutbox};
use crate::system::{Kind, row};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use microkernel::channel::Port;
use microkernel::log;
use microkernel::task::{NoMemory, Task, TaskSpec, Trust};
use microkernel::thread::Thread;
use rt::sys::{FIRST_FREE_BIT, Outbox, Ports};
use spin::{Mutex, Once};
use virtio::{Found, Inventory};

/// One server.
pub struct Instance {
    /// What it is.
    pub kind: Kind,
    /// `tfs:/`.
    pub name: String,
    /// Where its requests arrive.
    pub port: Port,
    /// Its device, by position in the inventory.
    pub device: Option<usize>,
    /// The instances that it calls, by position.
    pub calls: Vec<usize>,
    /// Changes are refused.
    pub read_only: bool,
    /// The running task, once started.
    pub task: Mutex<Option<Task>>,
    generation: AtomicU32,
}

/// All servers and devices.
pub struct System {
    /// Devices.
    pub inventory: Inventory,
    /// Servers that follow from the devices.
    pub servers: Vec<Instance>,
    /// Folders of the host; known once the manifest was read.
    pub shares: Once<Vec<Instance>>,
}

static SYSTEM: Once<System> = Once::new();

/// All servers and devices.
pub fn system() -> &'static System {
    SYSTEM.get().expect("made before the first task")
}

impl Instance {
    fn new(kind: Kind, what: &str, device: Option<usize>, calls: Vec<usize>) -> Self {
        let name = if what.is_empty() { String::from(row(kind).word) } else { format!("{}:{what}", row(kind).word) };
        Self {
            kind,
            port: Port::new(&name, row(kind).depth),
            name,
            device,
            calls,
            read_only: false,
            task: Mutex::new(None),
            generation: AtomicU32::new(0),
        }
    }

    /// A folder of the host under its mount path.
    pub fn share(path: &str, device: usize, read_only: bool) -> Self {
        Self { read_only, ..Self::new(Kind::P9, path, Some(device), Vec::new()) }
    }
}

impl System {
    /// Makes the instances for the devices that were found.
    pub fn install(inventory: Inventory) -> &'static Self {
        for reason in &inventory.refused {
            log!("virtio: {reason}");
        }
        let servers = instances(&inventory);
        SYSTEM.call_once(|| Self { inventory, servers, shares: Once::new() })
    }

    /// The instance at a position: servers first, then shares.
    pub fn instance(&self, position: usize) -> Option<&Instance> {
        let shares = self.shares.get().map_or(&[][..], Vec::as_slice);
        self.servers.get(position).or_else(|| shares.get(position.checked_sub(self.servers.len())?))
    }

    /// The first instance of a kind.
    pub fn first(&self, kind: Kind) -> Option<&Instance> {
        self.servers.iter().find(|instance| instance.kind == kind)
    }

    /// All instances with their positions.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Instance)> {
        self.servers.iter().chain(self.shares.get().into_iter().flatten()).enumerate()
    }

    /// The device of an instance.
    pub fn device(&self, instance: &Instance) -> Option<&Found> {
        self.inventory.devices.get(instance.device?)
    }
}

fn instances(inventory: &Inventory) -> Vec<Instance> {
    let devices =
        |kind: virtio::Kind| inventory.devices.iter().enumerate().filter(move |(_, found)| found.kind() == kind);
    let mut list = Vec::new();
    let serial = devices(virtio::Kind::Serial).next().map(|(position, _)| position);
    list.push(Instance::new(Kind::Console, "", serial, Vec::new()));
    for (number, (position, _)) in devices(virtio::Kind::Block).enumerate() {
        list.push(Instance::new(Kind::Block, &format!("{number}"), Some(position), Vec::new()));
    }
    let disk = list.iter().position(|instance| instance.kind == Kind::Block);
    list.push(Instance::new(Kind::Tfs, "/", None, disk.into_iter().collect()));
    for (number, (position, _)) in devices(virtio::Kind::Net).enumerate() {
        list.push(Instance::new(Kind::Nic, &format!("{number}"), Some(position), Vec::new()));
    }
    let nics = list.iter().enumerate().filter(|(_, instance)| instance.kind == Kind::Nic).map(|(position, _)| position);
    let nics: Vec<_> = nics.collect();
    list.push(Instance::new(Kind::Net, "", None, nics));
    list.push(Instance::new(Kind::Control, "", None, [0].into()));
    list
}

/// Starts (or starts anew) the instance at `position`. `watcher` hears of its death.
pub fn start(position: usize, watcher: (Thread, u64)) -> Result<(), NoMemory> {
    let instance = system().instance(position).expect("positions come from the system");
    let row = row(instance.kind);
    let spec = TaskSpec {
        name: &instance.name,
        priority: row.priority,
        trust: Trust::Server,
        heap_limit: row.heap_bytes,
        stack_bytes: row.stack_bytes,
        entry: crate::entries::enter,
        argument: position,
    };
    let task = Task::spawn(&spec, Some(watcher))?;
    if crate::tracing::wanted_at_boot(instance) {
        task.set_tracing(true);
    }
    *instance.task.lock() = Some(task);
    Ok(())
}

/// What the running task, the instance at `position`, was granted. Also the bit for its device.
pub fn ports(position: usize) -> (&'static Instance, Ports, u8) {
    let instance = system().instance(position).expect("the entry's argument is a position");
    let machine = KernelMachine::new(&instance.name, row(instance.kind));
    let inbox = KernelInbox::open(&instance.port, &machine);
    let mut bit = FIRST_FREE_BIT;
    let mut links: Vec<Rc<dyn Outbox>> = Vec::new();
    for &callee in &instance.calls {
        let callee = system().instance(callee).expect("positions come from the system");
        assert!(row(instance.kind).calls.contains(&callee.kind), "the task table grants every connection");
        links.push(KernelOutbox::new(&callee.port, bit));
        bit += 1;
    }
    let generation = instance.generation.fetch_add(1, Ordering::Relaxed) + 1;
    let name: Box<str> = instance.name.as_str().into();
    (instance, Ports { machine, inbox, links: links.into(), name, generation }, bit)
}
