//! The console server: serves `console` over a virtio-serial device, with the UART as the sink of last resort.
//!
//! Owns: both devices, the ports' states, input that nobody has read. Calls: nobody. Called by: linux, control, supervisor.
//! Waits: for requests, the device's events, and at the start up to [`DISCOVERY_NS`] for ports to be named.
//!
//! The device tells the names of its ports one by one and never says "that was all"; a stream whose port has not shown
//! up by then has none: its output goes to the UART, its input is at the end.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use alloc::vec::Vec;
use channel::{ALL, Channel, HostEnd, STREAMS, Taken, is_input, is_output, port_name};
use core::cell::{Cell, RefCell};
use protocol::console::{Drain, Error, Put, Read, Result, Stream, Write};
use rt::device::serial::{Event as DeviceEvent, Port, SerialDevice, Uart};
use rt::device::{DeviceError, Segment, Tag};
use rt::executor::Event;
use rt::pending::{Pending, Transfer};
use rt::service::console::{Handler, Server};
use rt::sys::{Memory, Ports};
use rt::{Context, Runtime};

/// How long ports may take to be named and opened after the start.
pub const DISCOVERY_NS: u64 = 500_000_000;

/// Most bytes handed to the device as one transfer.
const PART_BYTES: usize = 32 * 1024;

/// Size of an internal buffer.
const PAGE_BYTES: usize = 4096;

/// Buffers that wait for input, per port.
const POSTED: usize = 2;

/// Unread input above this is left with the host.
const INPUT_BYTES: usize = 64 * 1024;

/// Where the bytes of a stream go.
enum Sink {
    Port(Port),
    Uart(Rc<dyn Uart>),
    Nowhere,
}

struct Posted {
    channel: usize,
    page: Rc<dyn Memory>,
}

struct Inner {
    runtime: Runtime,
    serial: Option<Rc<dyn SerialDevice>>,
    uart: Option<Rc<dyn Uart>>,
    channels: [Channel; STREAMS],
    /// No more ports are expected.
    discovered: Cell<bool>,
    sending: Pending<()>,
    /// Notified when the device has given a transfer back.
    room: Event,
    posted: RefCell<Vec<Option<Posted>>>,
    /// Pages of input that are not posted while the reader is slow.
    idle: RefCell<Vec<Posted>>,
    /// Pages for bytes that came inside messages.
    pages: RefCell<Vec<Rc<dyn Memory>>>,
}

/// The handler of `console`; cheap to clone.
#[derive(Clone)]
pub struct Console(Rc<Inner>);

impl Console {
    /// Takes the devices over.
    pub fn new(runtime: &Runtime, serial: Option<Rc<dyn SerialDevice>>, uart: Option<Rc<dyn Uart>>) -> Self {
        let inner = Rc::new(Inner {
            runtime: runtime.clone(),
            uart,
            channels: ALL.map(Channel::new),
            discovered: Cell::new(serial.is_none()),
            sending: Pending::default(),
            room: Event::default(),
            posted: RefCell::default(),
            idle: RefCell::default(),
            pages: RefCell::default(),
            serial,
        });
        if let Some(serial) = &inner.serial {
            let (bit, collector) = (serial.bit(), inner.clone());
            runtime.on_bit(bit, move || collector.collect());
            // Ports may have been named before anybody listened to the interrupt.
            inner.collect();
            let (clock, waiting) = (runtime.clone(), inner.clone());
            runtime.spawn(async move {
                clock.sleep(DISCOVERY_NS).await;
                waiting.end_discovery();
            });
        }
        Self(inner)
    }

    fn channel(&self, stream: Stream) -> &Channel {
        &self.0.channels[stream as usize]
    }
}

impl Inner {
    fn end_discovery(&self) {
        self.discovered.set(true);
        for channel in &self.channels {
            channel.changed.notify();
        }
    }

    fn collect(&self) {
        let Some(serial) = &self.serial else { return };
        serial.acknowledge();
        while let Some(event) = serial.next_event() {
            match event {
                DeviceEvent::Named(port, name) => self.named(port, &name),
                DeviceEvent::Opened(port, open) => {
                    if let Some(channel) = self.channels.iter().find(|channel| channel.port.get() == Some(port)) {
                        channel.host_changed(open);
                    }
                }
                DeviceEvent::Sent(tag) => {
                    self.sending.finish(tag, ());
                }
                DeviceEvent::Received(tag, len) => self.received(tag, len),
            }
        }
        self.room.notify();
        self.repost();
    }

    fn named(&self, port: Port, name: &str) {
        let Some(index) = ALL.iter().position(|&stream| port_name(stream) == name) else {
            self.runtime.machine().log(format_args!("console: port {port} has a name we do not know: {name:?}"));
            return;
        };
        let channel = &self.channels[index];
        if channel.port.replace(Some(port)).is_none() && is_input(channel.stream) {
            let pages = (0..POSTED).filter_map(|_| self.runtime.machine().pages(PAGE_BYTES));
            self.idle.borrow_mut().extend(pages.map(|page| Posted { channel: index, page }));
        }
        channel.changed.notify();
    }

    fn received(&self, tag: Tag, len: usize) {
        let Some(buffer) = self.posted.borrow_mut().get_mut(usize::from(tag)).and_then(Option::take) else {
            self.runtime.machine().log(format_args!("console: the device filled buffer {tag}, which nobody posted"));
            return;
        };
        let channel = &self.channels[buffer.channel];
        let mut bytes = [0; PAGE_BYTES];
        let filled = &mut bytes[..len.min(PAGE_BYTES)];
        if buffer.page.read(0, filled).is_ok() {
            channel.input.borrow_mut().push(filled);
        }
        self.idle.borrow_mut().push(buffer);
        channel.changed.notify();
    }

    /// Lends idle pages to the device, as far as their readers keep up.
    fn repost(&self) {
        let Some(serial) = &self.serial else { return };
        let idle = self.idle.take();
        for buffer in idle {
            let channel = &self.channels[buffer.channel];
            let segment = Segment { memory: buffer.page.clone(), at: 0, len: PAGE_BYTES };
            let wanted = channel.input.borrow().len() < INPUT_BYTES;
            match channel.port.get().filter(|_| wanted).map(|port| serial.post(port, &segment)) {
                Some(Ok(tag)) => self.note_posted(tag, buffer),
                _ => self.idle.borrow_mut().push(buffer),
            }
        }
    }

    fn note_posted(&self, tag: Tag, buffer: Posted) {
        let mut posted = self.posted.borrow_mut();
        let index = usize::from(tag);
        if posted.len() <= index {
            posted.resize_with(index + 1, || None);
        }
        posted[index] = Some(buffer);
    }

    /// Where output of the channel goes; waits while the ports are still being named.
    async fn sink(&self, channel: &Channel) -> Result<Sink> {
        loop {
            let changed = channel.changed.wait();
            match (channel.port.get(), channel.host.get()) {
                (Some(port), HostEnd::Open) => return Ok(Sink::Port(port)),
                (Some(_), HostEnd::Closed) => return Ok(Sink::Nowhere),
                (Some(_), HostEnd::Unknown) if self.discovered.get() => return Ok(Sink::Nowhere),
                (None, _) if self.discovered.get() => {
                    let uart = self.uart.clone().filter(|_| channel.stream != Stream::Control);
                    return uart.map(Sink::Uart).ok_or(Error::NoStream);
                }
                _ => changed.await,
            }
        }
    }

    /// Hands `len` bytes to the device, waiting for room; collects the transfers in `parts`.
    async fn submit(
        &self,
        channel: &Channel,
        port: Port,
        memory: &Rc<dyn Memory>,
        len: usize,
        parts: &mut Vec<Transfer<()>>,
    ) -> Result<()> {
        let serial = self.serial.as_ref().ok_or(Error::NoStream)?;
        let mut at = 0;
        while at < len {
            let segment = Segment { memory: memory.clone(), at, len: (len - at).min(PART_BYTES) };
            let room = self.room.wait();
            match serial.send(port, &segment) {
                Ok(tag) => {
                    parts.push(self.sending.start(tag, 0));
                    channel.submitted.set(channel.submitted.get() + 1);
                    at += segment.len;
                }
                Err(DeviceError::Full) => room.await,
                Err(DeviceError::BadMemory) => return Err(Error::BadLease),
                Err(_) => return Err(Error::Io),
            }
        }
        Ok(())
    }

    /// Writes the first `len` bytes of `memory`; ends when the device has them.
    async fn write(&self, channel: &Channel, memory: Rc<dyn Memory>, len: usize) -> Result<u32> {
        let turn = channel.turn.take().await;
        let mut parts = Vec::new();
        let result = match self.sink(channel).await? {
            Sink::Port(port) => self.submit(channel, port, &memory, len, &mut parts).await,
            Sink::Uart(uart) => write_uart(&*uart, &*memory, len),
            Sink::Nowhere => Ok(()),
        };
        drop(turn);
        for part in parts {
            part.await;
            channel.finished.set(channel.finished.get() + 1);
            channel.changed.notify();
        }
        result.and(u32::try_from(len).map_err(|_| Error::BadLease))
    }

    fn page(&self) -> Result<Rc<dyn Memory>> {
        let page = self.pages.borrow_mut().pop();
        page.or_else(|| self.runtime.machine().pages(PAGE_BYTES)).ok_or(Error::Io)
    }
}

fn write_uart(uart: &dyn Uart, memory: &dyn Memory, len: usize) -> Result<()> {
    let mut at = 0;
    while at < len {
        let mut bytes = [0; 512];
        let part = &mut bytes[..(len - at).min(512)];
        memory.read(at, part).map_err(|_| Error::BadLease)?;
        uart.write(part);
        at += part.len();
    }
    Ok(())
}

impl Handler for Console {
    async fn write(&self, cx: &Context, call: Write) -> Result<u32> {
        if !is_output(call.stream) {
            return Err(Error::NoStream);
        }
        let len = call.len as usize;
        let memory = cx.readable(call.src, len).map_err(|_| Error::BadLease)?;
        self.0.write(self.channel(call.stream), memory, len).await
    }

    async fn put<'a>(&self, _: &Context, call: Put<'a>) -> Result<u32> {
        if !is_output(call.stream) {
            return Err(Error::NoStream);
        }
        let bytes = call.bytes.get();
        let page = self.0.page()?;
        page.write(0, bytes).map_err(|_| Error::Io)?;
        let result = self.0.write(self.channel(call.stream), page.clone(), bytes.len()).await;
        self.0.pages.borrow_mut().push(page);
        result
    }

    async fn read(&self, cx: &Context, call: Read) -> Result<u32> {
        if !is_input(call.stream) {
            return Err(Error::NoStream);
        }
        let len = call.len as usize;
        let dest = cx.writable(call.dest, len).map_err(|_| Error::BadLease)?;
        let channel = self.channel(call.stream);
        if len == 0 {
            return Ok(0);
        }
        loop {
            let changed = channel.changed.wait();
            let taken = channel.input.borrow_mut().take(&*dest, len);
            match taken {
                Taken::Bytes(count) => {
                    self.0.repost();
                    return u32::try_from(count).map_err(|_| Error::Io);
                }
                Taken::Mark => return Ok(0),
                Taken::BadLease => return Err(Error::BadLease),
                Taken::Empty => {}
            }
            let ended = match channel.host.get() {
                HostEnd::Open => false,
                HostEnd::Closed => true,
                HostEnd::Unknown => self.0.discovered.get(),
            };
            match call.stream {
                Stream::Control if channel.port.get().is_none() && self.0.discovered.get() => {
                    return Err(Error::NoStream);
                }
                Stream::Control => changed.await,
                _ if ended => return Ok(0),
                _ => changed.await,
            }
        }
    }

    async fn drain(&self, _: &Context, call: Drain) -> Result<()> {
        if !is_output(call.stream) {
            return Err(Error::NoStream);
        }
        let channel = self.channel(call.stream);
        drop(channel.turn.take().await);
        let target = channel.submitted.get();
        loop {
            let changed = channel.changed.wait();
            if channel.finished.get() >= target {
                return Ok(());
            }
            changed.await;
        }
    }
}

/// Entry of the task.
pub fn run(ports: Ports, serial: Option<Rc<dyn SerialDevice>>, uart: Option<Rc<dyn Uart>>) -> ! {
    let runtime = Runtime::new(ports.machine);
    let console = Console::new(&runtime, serial, uart);
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(console)));
    runtime.run()
}
