//! The nic server: serves `nic` over one [`NetDevice`].
//!
//! Owns: the device and the frames under way. Calls: nobody. Called by: net.
//! Waits: for requests and completions; nowhere else.
//!
//! A lent receive buffer is posted to the device at once; replies leave in the order of the device's completions, which
//! is the order of the frames.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use protocol::nic::{Error, Info, NicInfo, Receive, Result, Transmit};
use rt::device::net::{Facts, NetDevice};
use rt::device::{DeviceError, Segment};
use rt::executor::Event;
use rt::pending::Pending;
use rt::service::nic::{Handler, Server};
use rt::sys::Ports;
use rt::{Context, Runtime};

/// Bytes of an Ethernet header.
const HEADER_BYTES: usize = 14;

struct Inner {
    runtime: Runtime,
    device: Rc<dyn NetDevice>,
    /// Length and headroom do not change while the device lives; the link does.
    facts: Facts,
    sending: Pending<()>,
    receiving: Pending<usize>,
    /// Notified when posted buffers have come back.
    room: Event,
}

/// The handler of `nic`; cheap to clone.
#[derive(Clone)]
pub struct Interface(Rc<Inner>);

impl Interface {
    /// Serves a device that was just opened: collects its completions.
    pub fn new(runtime: &Runtime, device: Rc<dyn NetDevice>) -> Self {
        let facts = device.facts();
        let interface = Self(Rc::new(Inner {
            runtime: runtime.clone(),
            facts,
            sending: Pending::default(),
            receiving: Pending::default(),
            room: Event::default(),
            device,
        }));
        let inner = interface.0.clone();
        runtime.on_bit(interface.0.device.bit(), move || inner.collect());
        interface
    }
}

impl Inner {
    fn collect(&self) {
        self.device.acknowledge();
        self.collect_sent();
        let mut any = false;
        while let Some((tag, len)) = self.device.received() {
            any = true;
            if !self.receiving.finish(tag, len) {
                self.runtime.machine().log(format_args!("nic: the device filled buffer {tag}, which nobody posted"));
            }
        }
        if any {
            self.room.notify();
        }
    }

    /// Also called before each frame: the device does not interrupt for every one that it has sent.
    fn collect_sent(&self) {
        while let Some(tag) = self.device.transmitted() {
            self.sending.finish(tag, ());
        }
    }

    /// Largest frame with its header, in bytes.
    fn frame_bytes(&self) -> usize {
        HEADER_BYTES + usize::from(self.facts.mtu)
    }
}

fn error(error: DeviceError) -> Error {
    match error {
        DeviceError::Full => Error::Busy,
        DeviceError::BadMemory => Error::BadLease,
        DeviceError::BadRequest => Error::Length,
        DeviceError::NotSupported | DeviceError::Failed => Error::Io,
    }
}

impl Handler for Interface {
    async fn info(&self, _: &Context, _: Info) -> Result<NicInfo> {
        let Facts { mac, mtu, link_up, receive_depth, headroom } = self.0.device.facts();
        Ok(NicInfo { mac, mtu, link_up, receive_depth, headroom })
    }

    async fn transmit(&self, cx: &Context, call: Transmit) -> Result<()> {
        let frame = call.len as usize;
        if !(HEADER_BYTES..=self.0.frame_bytes()).contains(&frame) {
            return Err(Error::Length);
        }
        let len = usize::from(self.0.facts.headroom) + frame;
        let memory = cx.readable(call.frame, len).map_err(|_| Error::BadLease)?;
        self.0.collect_sent();
        let tag = self.0.device.transmit(&Segment { memory, at: 0, len }).map_err(error)?;
        self.0.sending.start(tag, 0).await;
        Ok(())
    }

    async fn receive(&self, cx: &Context, call: Receive) -> Result<u32> {
        let memory = cx.writable(call.buffer, 0).map_err(|_| Error::BadLease)?;
        let len = memory.len();
        if len < usize::from(self.0.facts.headroom) + self.0.frame_bytes() {
            return Err(Error::Length);
        }
        let segment = Segment { memory, at: 0, len };
        let tag = loop {
            let room = self.0.room.wait();
            match self.0.device.post(&segment) {
                Ok(tag) => break tag,
                Err(DeviceError::Full) => room.await,
                Err(other) => return Err(error(other)),
            }
        };
        let received = self.0.receiving.start(tag, 0).await;
        // The device is outside: it must not claim more than the buffer holds.
        if received > len - usize::from(self.0.facts.headroom) {
            return Err(Error::Io);
        }
        u32::try_from(received).map_err(|_| Error::Io)
    }
}

/// Entry of the task.
pub fn run(ports: Ports, device: Rc<dyn NetDevice>) -> ! {
    let runtime = Runtime::new(ports.machine);
    let interface = Interface::new(&runtime, device);
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(interface)));
    runtime.run()
}
