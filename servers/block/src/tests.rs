//! The block server over a disk that the tests drive by hand.

use super::{DEADLINE_NS, Disk, MAX_SECTORS};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use protocol::LeaseId;
use protocol::block::{Block, Error, Flush, Info, Read, Write};
use rt::device::block::{BlockDevice, Geometry, Operation};
use rt::device::{DeviceError, Segment, Tag};
use rt::fake::{FakeMachine, HeapMemory, block_on, loopback};
use rt::service::block::Server;
use rt::sys::{Attachment, Bits};
use rt::{Link, Runtime};

const BIT: u8 = 10;
const DEPTH: usize = 4;

/// A disk in memory with a short queue that completes its newest transfer first, when it is asked to.
struct FakeDisk {
    bytes: RefCell<Vec<u8>>,
    queue: RefCell<VecDeque<(Tag, Operation, u64, Vec<Segment>)>>,
    free: RefCell<Vec<Tag>>,
    pending: Rc<Cell<Bits>>,
    resets: Cell<u32>,
    dead: Cell<bool>,
    stopped: Cell<bool>,
    submitted: Cell<u32>,
    read_only: bool,
}

impl FakeDisk {
    fn work(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<(), DeviceError> {
        let mut at = sector as usize * 512;
        for Segment { memory, at: from, len } in segments {
            let mut disk = self.bytes.borrow_mut();
            let range = disk.get_mut(at..at + len).ok_or(DeviceError::Failed)?;
            let moved = match operation {
                Operation::Read => memory.write(*from, range),
                _ => memory.read(*from, range),
            };
            moved.map_err(|_| DeviceError::BadMemory)?;
            at += len;
        }
        Ok(())
    }
}

impl BlockDevice for FakeDisk {
    fn geometry(&self) -> Geometry {
        let sectors = (self.bytes.borrow().len() / 512) as u64;
        Geometry { sectors, read_only: self.read_only, max_pieces: 3, has_cache: true }
    }
    fn submit(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<Tag, DeviceError> {
        assert!(segments.iter().all(|segment| segment.len <= 2 * 4096));
        if self.stopped.get() {
            return Err(DeviceError::Failed);
        }
        let tag = self.free.borrow_mut().pop().ok_or(DeviceError::Full)?;
        self.queue.borrow_mut().push_back((tag, operation, sector, segments.to_vec()));
        self.submitted.set(self.submitted.get() + 1);
        if !self.dead.get() {
            self.pending.set(self.pending.get() | 1 << BIT);
        }
        Ok(tag)
    }
    fn completed(&self) -> Option<(Tag, Result<(), DeviceError>)> {
        if self.dead.get() {
            return None;
        }
        let (tag, operation, sector, segments) = self.queue.borrow_mut().pop_back()?;
        self.free.borrow_mut().push(tag);
        Some((tag, self.work(operation, sector, &segments)))
    }
    fn bit(&self) -> u8 {
        BIT
    }
    fn acknowledge(&self) {}
    fn reset(&self) {
        self.queue.borrow_mut().clear();
        self.resets.set(self.resets.get() + 1);
        self.stopped.set(true);
    }
}

fn start_with(read_only: bool) -> (Runtime, Link<Block>, Rc<FakeDisk>) {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let bytes = (0..512 * 4096).map(|at| (at / 512) as u8 ^ at as u8).collect();
    let device = Rc::new(FakeDisk {
        bytes: RefCell::new(bytes),
        queue: RefCell::default(),
        free: RefCell::new((0..DEPTH as Tag).collect()),
        pending: machine.pending(),
        resets: Cell::new(0),
        dead: Cell::new(false),
        stopped: Cell::new(false),
        submitted: Cell::new(0),
        read_only,
    });
    let disk = Disk::new(&runtime, device.clone());
    let link = loopback(&runtime, machine.pending(), 2, 16, Rc::new(Server(disk)));
    (runtime, link, device)
}

fn start() -> (Runtime, Link<Block>, Rc<FakeDisk>) {
    start_with(false)
}

fn read(sector: u64, count: u32, at: u32) -> Read {
    Read { sector, count, dest: LeaseId(0), at }
}

#[test]
fn the_device_is_described_and_not_stopped_by_its_new_driver() {
    let (runtime, link, device) = start();
    let info = block_on(&runtime, async move { link.call(0, Info {}, &[]).await }).expect("described");
    assert_eq!((info.sectors, info.max_sectors, info.read_only), (4096, MAX_SECTORS, false));
    assert_eq!(device.resets.get(), 0);
}

#[test]
fn a_long_read_is_split_and_arrives_whole() {
    let (runtime, link, device) = start();
    let memory = HeapMemory::zeroed(512 * 2048 + 512);
    let lease = [Attachment::Write(memory.clone())];
    let reply = block_on(&runtime, async move { link.call(0, read(7, 2048, 512), &lease).await });
    assert_eq!(reply, Ok(()));
    assert_eq!(memory.to_vec()[512..], device.bytes.borrow()[7 * 512..(7 + 2048) * 512]);
    assert_eq!(device.submitted.get(), 2048 / 16);
}

#[test]
fn more_reads_than_the_device_holds_are_all_answered() {
    let (runtime, link, device) = start();
    let memories: Vec<_> = (0..16).map(|_| HeapMemory::zeroed(4096)).collect();
    let count = Rc::new(Cell::new(0));
    for (index, memory) in memories.iter().enumerate() {
        let (link, memory, count) = (link.clone(), memory.clone(), count.clone());
        runtime.spawn(async move {
            assert_eq!(link.call(0, read(index as u64 * 8, 8, 0), &[Attachment::Write(memory)]).await, Ok(()));
            count.set(count.get() + 1);
        });
    }
    let sleeper = runtime.clone();
    block_on(&runtime, async move { sleeper.sleep(1000).await });
    assert_eq!(count.get(), 16);
    for (index, memory) in memories.iter().enumerate() {
        assert_eq!(memory.to_vec(), device.bytes.borrow()[index * 4096..][..4096]);
    }
}

#[test]
fn writes_reach_the_disk_and_flush_is_passed_on() {
    let (runtime, link, device) = start();
    let lease = [Attachment::Read(HeapMemory::new(vec![9; 1024]))];
    block_on(&runtime, async move {
        let write = Write { sector: 3, count: 2, src: LeaseId(0), at: 0 };
        assert_eq!(link.call(0, write, &lease).await, Ok(()));
        assert_eq!(link.call(0, Flush {}, &[]).await, Ok(()));
    });
    assert_eq!(device.bytes.borrow()[3 * 512..5 * 512], [9; 1024]);
    assert_eq!(device.submitted.get(), 2);
}

#[test]
fn ranges_and_leases_are_checked() {
    let (runtime, link, _) = start();
    block_on(&runtime, async move {
        let lease = || [Attachment::Write(HeapMemory::zeroed(512))];
        for (sector, count) in [(0, 0), (4096, 1), (u64::MAX, 1), (0, MAX_SECTORS + 1), (4095, 2)] {
            assert_eq!(link.call(0, read(sector, count, 0), &lease()).await, Err(Error::OutOfRange));
        }
        for at in [1, 512, u32::MAX] {
            assert_eq!(link.call(0, read(0, 1, at), &lease()).await, Err(Error::BadLease));
        }
        let wrong = [Attachment::Read(HeapMemory::zeroed(512))];
        assert_eq!(link.call(0, read(0, 1, 0), &wrong).await, Err(Error::BadLease));
    });
}

#[test]
fn a_read_only_disk_refuses_writes() {
    let (runtime, link, _) = start_with(true);
    let reply = block_on(&runtime, async move {
        let write = Write { sector: 0, count: 1, src: LeaseId(0), at: 0 };
        link.call(0, write, &[Attachment::Read(HeapMemory::zeroed(512))]).await
    });
    assert_eq!(reply, Err(Error::ReadOnly));
}

#[test]
#[should_panic(expected = "the disk did not answer for 30 s")]
fn a_silent_device_is_stopped_its_callers_are_told_and_the_task_ends() {
    let (runtime, link, device) = start();
    device.dead.set(true);
    let clock = runtime.clone();
    block_on(&runtime, async move {
        let lease = [Attachment::Write(HeapMemory::zeroed(4096 * 4))];
        assert_eq!(link.call(0, read(0, 32, 0), &lease).await, Err(Error::Io));
        assert!(clock.machine().now_ns() >= DEADLINE_NS);
        assert_eq!(device.resets.get(), 1);
        clock.sleep(DEADLINE_NS).await;
    });
}
