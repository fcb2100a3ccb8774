//! The disk driver against a played device.

use super::*;
use crate::device::Kind;
use crate::driver::{feature, stop_orphan};
use crate::fake::{Device, FakeTransport, TestMemory, device, segment};
use alloc::rc::Rc;
use alloc::vec::Vec;

const CONFIG: [u8; 16] = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 126, 0, 0, 0];

fn disk(features: u64) -> (Rc<RefCell<Device>>, Parts, Block) {
    let features = features | FEATURE_SEG_MAX | feature::INDIRECT;
    let (device, parts) = device(Kind::Block, 1, 128, features, &CONFIG);
    let block = open(&device, &parts).expect("opens");
    (device, parts, block)
}

fn open(device: &Rc<RefCell<Device>>, parts: &Parts) -> Result<Block, OpenError> {
    Block::open(parts.clone(), Box::new(FakeTransport(device.clone())), 5)
}

#[test]
fn the_geometry_is_the_devices_within_our_limits() {
    let (_, _, block) = disk(FEATURE_FLUSH | FEATURE_READ_ONLY);
    let wanted = Geometry { sectors: 8, read_only: true, max_pieces: 126, has_cache: true };
    assert_eq!(block.geometry(), wanted);
}

#[test]
fn a_read_carries_its_sector_and_fills_memory() {
    let (device, _, block) = disk(0);
    let memory = TestMemory::new(4096);
    let tag = block.submit(Operation::Read, 7, &[segment(&memory, 512, 512)]).expect("accepted");
    let mut answer = [b'x'; 513];
    answer[512] = STATUS_OK;
    let header = device.borrow_mut().answer(0, &answer);
    assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(block.completed(), Some((tag, Ok(()))));
    assert_eq!(device.borrow().notified, [0]);
}

#[test]
fn writes_and_flushes_report_the_devices_errors() {
    let (device, _, block) = disk(FEATURE_FLUSH);
    let memory = TestMemory::new(4096);
    let write = block.submit(Operation::Write, 0, &[segment(&memory, 0, 1024)]).expect("accepted");
    let flush = block.submit(Operation::Flush, 0, &[]).expect("accepted");
    assert_eq!(device.borrow_mut().answer(0, &[1]).len(), 16 + 1024);
    assert_eq!(device.borrow_mut().answer(0, &[2])[0], 4);
    assert_eq!(block.completed(), Some((write, Err(DeviceError::Failed))));
    assert_eq!(block.completed(), Some((flush, Err(DeviceError::NotSupported))));
}

#[test]
fn requests_outside_the_disk_or_against_its_nature_are_refused() {
    let (_, _, block) = disk(FEATURE_READ_ONLY);
    let memory = TestMemory::new(8192);
    let read = |sector, len| block.submit(Operation::Read, sector, &[segment(&memory, 0, len)]);
    for (sector, len) in [(8, 512), (0, 4097), (u64::MAX, 512), (0, 0), (1, 4096)] {
        assert_eq!(read(sector, len), Err(DeviceError::BadRequest));
    }
    let write = block.submit(Operation::Write, 0, &[segment(&memory, 0, 512)]);
    assert_eq!(write, Err(DeviceError::NotSupported));
    assert_eq!(block.submit(Operation::Flush, 0, &[]), Err(DeviceError::NotSupported));
}

#[test]
fn a_device_that_breaks_the_rules_is_reset_and_everything_under_way_is_lost() {
    let (device, _, block) = disk(0);
    let memory = TestMemory::new(4096);
    let segments = [segment(&memory, 0, 512)];
    let tags: Vec<_> = (0..3).map(|at| block.submit(Operation::Read, at, &segments).expect("room")).collect();
    let resets = device.borrow().resets;
    device.borrow_mut().finish(0, 77, 0);
    let mut lost: Vec<_> = core::iter::from_fn(|| block.completed()).collect();
    lost.sort_by_key(|(tag, _)| *tag);
    let mut wanted: Vec<_> = tags.into_iter().map(|tag| (tag, Err(DeviceError::Failed))).collect();
    wanted.sort_by_key(|(tag, _)| *tag);
    assert_eq!((lost, device.borrow().resets, memory.holds()), (wanted, resets + 1, 0));
    assert_eq!(block.submit(Operation::Read, 0, &segments), Err(DeviceError::Failed));
}

#[test]
fn a_successor_takes_over_from_a_driver_that_died_without_a_word() {
    let (device, parts, block) = disk(0);
    let memory = TestMemory::new(4096);
    block.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]).expect("room");
    let next = open(&device, &parts).expect("opens again");
    assert_eq!(memory.holds(), 0);
    assert_eq!(block.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]), Err(DeviceError::Failed));
    let resets = device.borrow().resets;
    drop(block);
    assert_eq!(device.borrow().resets, resets, "a former driver leaves the device alone");
    let tag = next.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]).expect("room");
    device.borrow_mut().answer(0, &[0; 513]);
    assert_eq!(next.completed(), Some((tag, Ok(()))));
}

#[test]
fn memory_stays_held_while_a_reset_is_not_confirmed() {
    let (device, parts, block) = disk(0);
    let memory = TestMemory::new(4096);
    block.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]).expect("room");
    device.borrow_mut().stuck = true;
    block.reset();
    assert_eq!(memory.holds(), 1);
    assert!(matches!(open(&device, &parts), Err(OpenError::NoAnswer)));
    device.borrow_mut().stuck = false;
    drop(open(&device, &parts).expect("opens"));
    assert_eq!(memory.holds(), 0);
}

#[test]
fn a_device_that_refuses_our_features_is_not_opened() {
    let (device, parts) = device(Kind::Block, 1, 128, 0, &CONFIG);
    device.borrow_mut().features = 0;
    assert!(matches!(open(&device, &parts), Err(OpenError::Features)));
    device.borrow_mut().legacy = true;
    assert!(open(&device, &parts).is_ok());
}

#[test]
fn a_dead_drivers_device_is_stopped_unless_a_successor_has_it() {
    let (device, parts, block) = disk(0);
    let memory = TestMemory::new(4096);
    let orphaned = parts.store.generation();
    block.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]).expect("room");
    let stop = |generation| stop_orphan(&parts, generation, Box::new(FakeTransport(device.clone())));
    stop(orphaned);
    assert_eq!(memory.holds(), 0);
    let next = open(&device, &parts).expect("opens");
    next.submit(Operation::Read, 0, &[segment(&memory, 0, 512)]).expect("room");
    stop(orphaned);
    assert_eq!(memory.holds(), 1);
}
