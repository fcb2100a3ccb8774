//! The first instruction of every server task: opens its device and runs its crate.

use crate::instances::{Instance, ports, system};
use crate::system::Kind;
use alloc::boxed::Box;
use alloc::rc::Rc;
use microkernel::log;
use rt::device::serial::Uart;
use rt::sys::Ports;
use virtio::{Found, OpenError};

/// Entry of the instance at `position`.
pub fn enter(position: usize) {
    let (instance, ports, bit) = ports(position);
    match instance.kind {
        Kind::Block => block::run(ports, open(instance, |found| found.open_block(bit))),
        Kind::Nic => nic::run(ports, open(instance, |found| found.open_net(bit))),
        Kind::Console => console(instance, ports, bit),
        Kind::Tfs => tfs::run(ports, tfs::Options { read_only: instance.read_only, ..Default::default() }),
        Kind::P9 => {
            let options = p9::Options { read_only: instance.read_only, tree: Box::default() };
            p9::run(ports, open(instance, |found| found.open_p9(bit)), options)
        }
        Kind::Net => net::run(ports, net::Addressing::default()),
        Kind::Control => control::run(ports),
        Kind::Linux | Kind::Supervisor => unreachable!("these are no instances"),
    }
}

/// Takes the instance's device over. A device that cannot be opened ends the task, with the reason.
fn open<D: ?Sized>(instance: &Instance, take_over: impl FnOnce(&Found) -> Result<Rc<D>, OpenError>) -> Rc<D> {
    let found = system().device(instance).expect("driver instances have a device");
    take_over(found).unwrap_or_else(|error| panic!("{}: {error}", found.name()))
}

fn console(instance: &Instance, ports: Ports, bit: u8) -> ! {
    let serial = system().device(instance).and_then(|found| match found.open_serial(bit) {
        Ok(device) => Some(device),
        Err(error) => {
            log!("{}: {error}", found.name());
            None
        }
    });
    console::run(ports, serial, Some(Rc::new(CoreUart)))
}

/// The core's UART.
struct CoreUart;

impl Uart for CoreUart {
    fn write(&self, bytes: &[u8]) {
        log::uart(bytes);
    }
}
