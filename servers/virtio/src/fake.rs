//! The other side, for tests: memory with made-up pages, and a device that a test drives by hand.

use crate::area::Area;
use crate::device::Kind;
use crate::driver::{Interrupts, Parts};
use crate::store::{QueueStore, Shape, Store};
use crate::transport::{Areas, Transport};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use rt::device::{DeviceError, Segment};
use rt::sys::{Memory, MemoryError};

/// Pieces of test memory end at every multiple of this.
const TEST_PAGE: usize = 4096;

/// Memory whose holds can be counted. Every second page is "elsewhere", so that pieces do not join.
pub(crate) struct TestMemory {
    bytes: Box<[AtomicU8]>,
    len: usize,
    holds: Arc<()>,
}

impl TestMemory {
    pub(crate) fn new(len: usize) -> Rc<Self> {
        let bytes = (0..2 * len.next_multiple_of(TEST_PAGE)).map(|_| AtomicU8::new(0)).collect();
        Rc::new(Self { bytes, len, holds: Arc::new(()) })
    }

    /// How many transfers hold it.
    pub(crate) fn holds(&self) -> usize {
        Arc::strong_count(&self.holds) - 1
    }

    fn place(at: usize) -> usize {
        at / TEST_PAGE * 2 * TEST_PAGE + at % TEST_PAGE
    }

    pub(crate) fn pieces(
        &self,
        at: usize,
        len: usize,
        part: &mut dyn FnMut(u64, usize),
    ) -> Result<Arc<()>, DeviceError> {
        let end = at.checked_add(len).filter(|end| *end <= self.len).ok_or(DeviceError::BadMemory)?;
        let mut from = at;
        while from < end {
            let count = (TEST_PAGE - from % TEST_PAGE).min(end - from);
            part(self.bytes[Self::place(from)].as_ptr() as u64, count);
            from += count;
        }
        Ok(self.holds.clone())
    }
}

impl Memory for TestMemory {
    fn len(&self) -> usize {
        self.len
    }
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), MemoryError> {
        for (offset, byte) in out.iter_mut().enumerate() {
            *byte = self.bytes[Self::place(at + offset)].load(Ordering::Relaxed);
        }
        Ok(())
    }
    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), MemoryError> {
        for (offset, byte) in bytes.iter().enumerate() {
            self.bytes[Self::place(at + offset)].store(*byte, Ordering::Relaxed);
        }
        Ok(())
    }
    fn zero(&self, at: usize, len: usize) -> Result<(), MemoryError> {
        self.write(at, &alloc::vec![0; len])
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A segment of test memory.
pub(crate) fn segment(memory: &Rc<TestMemory>, at: usize, len: usize) -> Segment {
    Segment { memory: memory.clone(), at, len }
}

/// A chain that the device has taken.
pub(crate) struct Taken {
    pub(crate) head: u16,
    pub(crate) readable: Vec<(u64, usize)>,
    pub(crate) writable: Vec<(u64, usize)>,
}

impl Taken {
    /// Everything that the driver sends.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.readable.iter().flat_map(|(address, len)| load(*address, *len)).collect()
    }

    /// Puts bytes where the driver wants them, from the front.
    pub(crate) fn fill(&self, mut bytes: &[u8]) {
        for (address, len) in &self.writable {
            let (now, later) = bytes.split_at((*len).min(bytes.len()));
            store(*address, now);
            bytes = later;
        }
    }

    /// Puts one byte at the very end.
    pub(crate) fn put_last(&self, byte: u8) {
        let (address, len) = self.writable.last().expect("a test's chain has a place for the status");
        store(address + *len as u64 - 1, &[byte]);
    }
}

fn load(address: u64, len: usize) -> Vec<u8> {
    // SAFETY: tests hand out addresses of live atomics only.
    (0..len)
        .map(|at| unsafe { AtomicU8::from_ptr((address as usize + at) as *mut u8) }.load(Ordering::SeqCst))
        .collect()
}

fn store(address: u64, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        // SAFETY: tests hand out addresses of live atomics only.
        unsafe { AtomicU8::from_ptr((address as usize + at) as *mut u8) }.store(*byte, Ordering::SeqCst);
    }
}

fn number(address: u64, len: usize) -> u64 {
    load(address, len).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// State of a device that a test plays.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) features: u64,
    pub(crate) accepted: u64,
    pub(crate) legacy: bool,
    /// Does not confirm resets.
    pub(crate) stuck: bool,
    pub(crate) status: u8,
    pub(crate) resets: u32,
    pub(crate) notified: Vec<u16>,
    pub(crate) config: Vec<u8>,
    pub(crate) limit: u16,
    pub(crate) queues: Vec<Option<(Areas, u16, u16)>>,
}

impl Device {
    /// Takes the next chain that the driver has offered.
    pub(crate) fn take(&mut self, queue: usize) -> Option<Taken> {
        let (areas, seen, _) = self.queues.get_mut(queue)?.as_mut()?;
        if number(areas.available + 2, 2) as u16 == *seen {
            return None;
        }
        let head = number(areas.available + 4 + 2 * u64::from(*seen % areas.size), 2) as u16;
        *seen = seen.wrapping_add(1);
        let mut taken = Taken { head, readable: Vec::new(), writable: Vec::new() };
        walk(areas.descriptors, head, &mut taken);
        Some(taken)
    }

    /// Says that a chain is done.
    pub(crate) fn finish(&mut self, queue: usize, id: u32, written: u32) {
        let Some(Some((areas, _, done))) = self.queues.get_mut(queue) else { return };
        let entry = areas.used + 4 + 8 * u64::from(*done % areas.size);
        store(entry, &id.to_le_bytes());
        store(entry + 4, &written.to_le_bytes());
        *done = done.wrapping_add(1);
        store(areas.used + 2, &done.to_le_bytes());
    }

    /// Takes a chain, answers with `bytes`, and says so.
    pub(crate) fn answer(&mut self, queue: usize, bytes: &[u8]) -> Vec<u8> {
        let taken = self.take(queue).expect("a chain was offered");
        taken.fill(bytes);
        self.finish(queue, u32::from(taken.head), bytes.len() as u32);
        taken.bytes()
    }
}

fn walk(table: u64, first: u16, taken: &mut Taken) {
    let mut index = first;
    loop {
        let at = table + 16 * u64::from(index);
        let (address, len) = (number(at, 8), number(at + 8, 4) as usize);
        let (flags, next) = (number(at + 12, 2), number(at + 14, 2) as u16);
        match flags & 6 {
            4 => walk(address, 0, taken),
            2 => taken.writable.push((address, len)),
            _ => taken.readable.push((address, len)),
        }
        if flags & 1 == 0 {
            return;
        }
        index = next;
    }
}

/// Registers of a played device.
pub(crate) struct FakeTransport(pub(crate) Rc<RefCell<Device>>);

impl Transport for FakeTransport {
    fn is_legacy(&self) -> bool {
        self.0.borrow().legacy
    }
    fn status(&mut self) -> u8 {
        self.0.borrow().status
    }
    fn set_status(&mut self, status: u8) {
        let mut device = self.0.borrow_mut();
        if status != 0 {
            device.status = status;
        } else if !device.stuck {
            device.status = 0;
            device.resets += 1;
            device.queues.clear();
        }
    }
    fn device_features(&mut self) -> u64 {
        self.0.borrow().features
    }
    fn set_driver_features(&mut self, features: u64) {
        self.0.borrow_mut().accepted = features;
    }
    fn queue_limit(&mut self, _queue: u16) -> u16 {
        self.0.borrow().limit
    }
    fn enable_queue(&mut self, queue: u16, areas: Areas) -> bool {
        let queues = &mut self.0.borrow_mut().queues;
        queues.resize(queues.len().max(usize::from(queue) + 1), None);
        queues[usize::from(queue)] = Some((areas, 0, 0));
        true
    }
    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().notified.push(queue);
    }
    fn acknowledge(&mut self) -> bool {
        true
    }
    fn config_u8(&mut self, at: usize) -> u8 {
        self.0.borrow().config.get(at).copied().unwrap_or(0)
    }
    fn config_u16(&mut self, at: usize) -> u16 {
        u16::from_le_bytes([self.config_u8(at), self.config_u8(at + 1)])
    }
    fn config_u32(&mut self, at: usize) -> u32 {
        u32::from(self.config_u16(at)) | u32::from(self.config_u16(at + 2)) << 16
    }
    fn config_generation(&mut self) -> u32 {
        0
    }
}

/// Counts acknowledgements.
#[derive(Default)]
pub(crate) struct FakeInterrupts(pub(crate) AtomicU32);

impl Interrupts for FakeInterrupts {
    fn bind(&self, _bit: u8) -> bool {
        true
    }
    fn acknowledge(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A store with these queues.
pub(crate) fn store_of(shapes: &[Shape], size: u16, indirect: bool) -> Store {
    let area = |bytes| Some(Area::on_host(bytes));
    let make = |shape: &Shape| QueueStore::new(*shape, size, indirect && shape.tables, &area);
    Store::new(shapes.iter().map(|shape| make(shape).expect("host memory")).collect())
}

/// A played device of this kind, and the parts for its driver.
pub(crate) fn device(kind: Kind, queues: u16, size: u16, features: u64, config: &[u8]) -> (Rc<RefCell<Device>>, Parts) {
    let features = features | crate::driver::feature::VERSION_1;
    let indirect = features & crate::driver::feature::INDIRECT != 0;
    let shapes: Vec<_> = (0..queues).map(|queue| kind.shape(queue)).collect();
    let store = Arc::new(store_of(&shapes, size, indirect));
    let device = Device { features, limit: size, config: config.to_vec(), ..Device::default() };
    let parts = Parts { store, interrupts: Arc::new(FakeInterrupts::default()) };
    (Rc::new(RefCell::new(device)), parts)
}
