//! The queue against a device that a test plays, honest and not.

use super::*;
use crate::fake::{Device, FakeTransport, TestMemory, segment, store_of};
use crate::store::{Shape, Store};
use crate::transport::{Areas, Transport};
use alloc::rc::Rc;
use core::cell::RefCell;

const SHAPE: Shape = Shape { side: 32, pieces: 8, segments: 4, depth: 8, tables: true };

struct Bench {
    store: Store,
    queue: Queue,
    device: Rc<RefCell<Device>>,
}

fn bench(size: u16, indirect: bool, event_index: bool) -> Bench {
    let store = store_of(&[SHAPE], size, indirect);
    let device = Rc::new(RefCell::new(Device { limit: size, ..Device::default() }));
    FakeTransport(device.clone()).enable_queue(0, Areas::of(&store.queues[0]));
    let queue = Queue::new(&store.queues[0], event_index);
    Bench { store, queue, device }
}

impl Bench {
    fn submit(&mut self, chain: &Chain<'_>) -> Result<Tag, DeviceError> {
        self.queue.submit(&self.store.queues[0], chain)
    }
    fn complete(&mut self) -> Result<Option<Completion>, Broken> {
        self.queue.complete(&self.store.queues[0])
    }
}

#[test]
fn a_transfer_reaches_the_device_in_order_and_comes_back() {
    for indirect in [false, true] {
        let mut bench = bench(8, indirect, false);
        let (out, input) = (TestMemory::new(8192), TestMemory::new(8192));
        rt::sys::Memory::write(&*out, 4090, b"over the page").expect("inside");
        let (out_segments, in_segments) = ([segment(&out, 4090, 13)], [segment(&input, 100, 5)]);
        let chain = Chain { header: b"head", output: &out_segments, lead: 2, input: &in_segments, trail: 1 };
        let tag = bench.submit(&chain).expect("fits");
        assert_eq!((out.holds(), input.holds()), (1, 1));
        assert_eq!(bench.complete(), Ok(None));
        assert_eq!(bench.device.borrow_mut().answer(0, b"LLworldT"), b"headover the page");
        let done = Completion { tag, written: 8, trail: b'T', lost: false };
        assert_eq!(bench.complete(), Ok(Some(done)));
        let mut bytes = [0; 5];
        rt::sys::Memory::read(&*input, 100, &mut bytes).expect("inside");
        assert_eq!(&bytes, b"world");
        assert_eq!((out.holds(), input.holds()), (0, 0));
    }
}

#[test]
fn transfers_finish_in_any_order_and_descriptors_are_used_again_for_ever() {
    for indirect in [false, true] {
        let mut bench = bench(8, indirect, true);
        let memory = TestMemory::new(4096);
        let segments = [segment(&memory, 0, 16)];
        let chain = Chain { header: b"h", input: &segments, ..Chain::default() };
        for _ in 0..20_000 {
            let first = bench.submit(&chain).expect("room");
            let second = bench.submit(&chain).expect("room");
            let mut device = bench.device.borrow_mut();
            while device.take(0).is_some() {}
            device.finish(0, u32::from(second), 16);
            device.finish(0, u32::from(first), 16);
            drop(device);
            let tags = [bench.complete(), bench.complete()].map(|done| done.ok().flatten().map(|done| done.tag));
            assert_eq!(tags, [Some(second), Some(first)]);
        }
        assert_eq!(memory.holds(), 0);
    }
}

#[test]
fn a_full_queue_refuses_and_holds_nothing() {
    for (indirect, fits) in [(false, 4), (true, 8)] {
        let mut bench = bench(8, indirect, false);
        let memory = TestMemory::new(4096);
        let segments = [segment(&memory, 0, 16)];
        let chain = Chain { header: b"h", input: &segments, ..Chain::default() };
        for _ in 0..fits {
            bench.submit(&chain).expect("room");
        }
        assert_eq!(bench.submit(&chain), Err(DeviceError::Full));
        assert_eq!(memory.holds(), fits);
    }
}

#[test]
fn what_cannot_fit_is_a_bad_request() {
    let mut bench = bench(8, true, false);
    let memory = TestMemory::new(16 * 4096);
    let many = [segment(&memory, 0, 9 * 4096)];
    assert_eq!(bench.submit(&Chain { input: &many, ..Chain::default() }), Err(DeviceError::BadRequest));
    let segments = [0, 1, 2, 3, 4].map(|at| segment(&memory, at, 1));
    assert_eq!(bench.submit(&Chain { input: &segments, ..Chain::default() }), Err(DeviceError::BadRequest));
    assert_eq!(bench.submit(&Chain::default()), Err(DeviceError::BadRequest));
    let outside = [segment(&memory, 16 * 4096, 1)];
    assert_eq!(bench.submit(&Chain { input: &outside, ..Chain::default() }), Err(DeviceError::BadMemory));
    assert_eq!(memory.holds(), 0);
    bench.submit(&Chain { input: &segments[..1], ..Chain::default() }).expect("the queue still works");
}

#[test]
fn long_pieces_are_split_and_neighbours_joined() {
    let mut bench = bench(8, true, false);
    bench.queue.limit_pieces(1024);
    let memory = TestMemory::new(4096);
    let segments = [segment(&memory, 0, 512), segment(&memory, 512, 512), segment(&memory, 1024, 1500)];
    bench.submit(&Chain { input: &segments, ..Chain::default() }).expect("fits");
    let taken = bench.device.borrow_mut().take(0).expect("offered");
    assert_eq!(taken.writable.iter().map(|(_, len)| *len).collect::<Vec<_>>(), [1024, 1024, 476]);
}

#[test]
fn a_device_that_lies_is_broken() {
    for (id, written) in [(0xffff, 0), (1 << 16, 0), (3, 16), (0, 17)] {
        let mut bench = bench(8, true, false);
        let memory = TestMemory::new(4096);
        let segments = [segment(&memory, 0, 16)];
        assert_eq!(bench.submit(&Chain { input: &segments, ..Chain::default() }), Ok(0));
        bench.device.borrow_mut().finish(0, id, written);
        assert_eq!(bench.complete(), Err(Broken), "{id} {written}");
        assert_eq!(memory.holds(), 1);
    }
}

#[test]
fn a_chain_that_is_finished_twice_is_broken() {
    let mut bench = bench(8, true, false);
    let memory = TestMemory::new(4096);
    let segments = [segment(&memory, 0, 16)];
    assert_eq!(bench.submit(&Chain { input: &segments, ..Chain::default() }), Ok(0));
    bench.device.borrow_mut().finish(0, 0, 1);
    assert!(bench.complete().is_ok_and(|done| done.is_some()));
    bench.device.borrow_mut().finish(0, 0, 1);
    assert_eq!(bench.complete(), Err(Broken));
}

#[test]
fn a_status_that_the_device_did_not_write_is_not_an_old_one() {
    let mut bench = bench(8, true, false);
    for status in [0, UNWRITTEN] {
        let tag = bench.submit(&Chain { header: b"h", trail: 1, ..Chain::default() }).expect("room");
        let taken = bench.device.borrow_mut().take(0).expect("offered");
        if status == 0 {
            taken.put_last(0);
        }
        bench.device.borrow_mut().finish(0, u32::from(tag), 0);
        assert_eq!(bench.complete().ok().flatten().map(|done| done.trail), Some(status));
    }
}

#[test]
fn one_notification_serves_a_batch() {
    let mut bench = bench(8, true, false);
    let memory = TestMemory::new(4096);
    let segments = [segment(&memory, 0, 16)];
    for _ in 0..3 {
        bench.submit(&Chain { input: &segments, ..Chain::default() }).expect("room");
    }
    assert!(bench.queue.needs_notification(&bench.store.queues[0]));
    assert!(!bench.queue.needs_notification(&bench.store.queues[0]));
}
