//! Reading, writing and syncing; many at once.

use super::bench::{both, connect, context};
use super::host::Style;
use crate::Options;
use protocol::LeaseId;
use protocol::fs::{self, Access, Error, RemoveKind};
use rt::fake::HeapMemory;
use rt::service::fs::Handler;
use rt::sys::Attachment;
use std::cell::Cell;
use std::rc::Rc;
use std::vec::Vec;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn a_large_file_comes_back_as_written() {
    for bench in both() {
        let bytes = pattern(1_200_000);
        let file = bench.make(bench.root, b"big").unwrap().file;
        let mut at = 0;
        while at < bytes.len() {
            at += bench.put(file, at as u64, &bytes[at..]).unwrap() as usize;
        }
        assert!(std::fs::read(bench.at("big")).unwrap() == bytes);
        let mut back = Vec::new();
        while back.len() < bytes.len() {
            back.extend(bench.bytes(file, back.len() as u64, 600_000).unwrap());
        }
        assert!(back == bytes);
        assert_eq!(bench.bytes(file, 1_200_000, 10).unwrap(), b"");
        assert_eq!(bench.bytes(file, 1_199_999, 10).unwrap().len(), 1);
    }
}

#[test]
fn a_read_at_the_known_end_costs_one_kick() {
    let [bench, _] = both();
    bench.put_file("f", b"12345");
    let file = bench.opened(b"f", Access::READ);
    let before = bench.device.kicks.get();
    assert_eq!(bench.bytes(file, 0, 4096).unwrap(), b"12345");
    assert_eq!(bench.device.kicks.get() - before, 1);
}

#[test]
fn short_replies_are_continued() {
    let style = Style { read_limit: 1000, ..Style::default() };
    let bench = connect(style, Options::default(), |_| ()).ok().unwrap();
    bench.put_file("f", &pattern(5500));
    let file = bench.opened(b"f", Access::READ);
    assert!(bench.bytes(file, 0, 8192).unwrap() == pattern(5500));
}

#[test]
fn a_lease_that_is_missing_too_small_or_of_the_wrong_direction_is_refused() {
    let [bench, _] = both();
    let file = bench.make(bench.root, b"f").unwrap().file;
    let read = fs::Read { file, offset: 0, len: 10, dest: LeaseId(0) };
    assert_eq!(bench.read(read, &[]), Err(Error::BadLease));
    assert_eq!(bench.read(read, &[Attachment::Write(HeapMemory::zeroed(9))]), Err(Error::BadLease));
    assert_eq!(bench.read(read, &[Attachment::Read(HeapMemory::zeroed(10))]), Err(Error::BadLease));
    let revoked = HeapMemory::zeroed(10);
    revoked.revoke();
    let write = fs::Write { file, offset: 0, len: 10, src: LeaseId(0) };
    assert_eq!(bench.write(write, &[Attachment::Read(revoked)]), Err(Error::BadLease));
    assert_eq!(bench.put(file, u64::MAX, b"x"), Err(Error::FileTooLarge));
    assert_eq!(bench.put(file, 0, b""), Ok(0));
}

#[test]
fn reading_a_directory_as_a_file_is_refused() {
    let [bench, _] = both();
    let dir = bench.open(fs::Open { node: bench.root, access: Access::READ }, &[]).unwrap().file;
    assert_eq!(bench.bytes(dir, 0, 10), Err(Error::IsDirectory));
    assert_eq!(bench.put(dir, 0, b"x"), Err(Error::IsDirectory));
}

#[test]
fn sync_reaches_open_files_and_refuses_others() {
    for bench in both() {
        let file = bench.make(bench.root, b"f").unwrap().file;
        bench.put(file, 0, b"x").unwrap();
        assert_eq!(bench.sync(fs::Sync { file, data_only: true }, &[]), Ok(()));
        assert_eq!(bench.sync(fs::Sync { file: bench.root, data_only: false }, &[]), Err(Error::BadHandle));
        bench.put(file, 1, b"y").unwrap();
        assert_eq!(bench.sync_all(), Ok(()));
        let before = bench.device.kicks.get();
        assert_eq!(bench.sync_all(), Ok(()), "nothing was written since");
        assert_eq!(bench.device.kicks.get(), before);
    }
}

#[test]
fn space_cannot_be_allocated_and_need_not_be_reserved() {
    let [bench, _] = both();
    let file = bench.make(bench.root, b"f").unwrap().file;
    assert_eq!(bench.reserve(fs::Reserve { file, offset: 0, len: 1 << 30 }, &[]), Ok(()));
    let allocate = fs::Allocate { file, offset: 0, len: 10, mode: fs::AllocateMode::Extend };
    assert_eq!(bench.allocate(allocate, &[]), Err(Error::NotSupported));
}

#[test]
fn an_unlinked_open_file_goes_on() {
    for bench in both() {
        let file = bench.make(bench.root, b"f").unwrap().file;
        bench.put(file, 0, b"before").unwrap();
        assert_eq!(bench.remove(bench.root, b"f", RemoveKind::File), Ok(()));
        bench.put(file, 6, b" after").unwrap();
        assert_eq!(bench.bytes(file, 0, 100).unwrap(), b"before after");
        let attr = bench.get_attr(file).unwrap();
        assert_eq!((attr.links, attr.size), (0, 12));
        assert_eq!(bench.sync(fs::Sync { file, data_only: false }, &[]), Ok(()));
        assert_eq!(bench.close(file), Ok(()));
    }
}

#[test]
fn many_reads_are_under_way_at_once_and_more_than_fit_wait() {
    for bench in both() {
        bench.put_file("f", &pattern(64 * 1024));
        let file = bench.opened(b"f", Access::READ);
        bench.device.depth.set(10);
        bench.device.deepest.set(0);
        let done = Rc::new(Cell::new(0));
        for part in 0..32u64 {
            let (server, done) = (bench.server.clone(), done.clone());
            bench.runtime.spawn(async move {
                let memory = HeapMemory::zeroed(2048);
                let read = fs::Read { file, offset: part * 2048, len: 2048, dest: LeaseId(0) };
                let cx = context(&[Attachment::Write(memory.clone())]);
                assert_eq!(server.read(&cx, read).await, Ok(2048));
                let at = part as usize * 2048;
                assert!(memory.to_vec() == pattern(64 * 1024)[at..at + 2048]);
                done.set(done.get() + 1);
            });
        }
        let before = bench.device.kicks.get();
        bench.host_fids();
        assert_eq!((done.get(), bench.device.deepest.get()), (32, 10));
        assert!(bench.device.kicks.get() - before <= 5, "reads of one round share a kick");
    }
}
