//! A host that lies, and one that answers at random.

use super::bench::{Bench, both, connect};
use super::device::FakeDevice;
use super::host::Style;
use crate::{ConnectError, Options};
use p9_wire::{Data, DirEntry, DirWriter, Qid, Reply, Request};
use protocol::fs::{self, Access, AttrChange, Error, RemoveKind};
use std::boxed::Box;
use std::cell::Cell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

fn bend(device: &FakeDevice, how: impl FnMut(&[u8], Vec<u8>) -> Vec<u8> + 'static) {
    *device.bend.borrow_mut() = Some(Box::new(how));
}

fn straight(bench: &Bench) {
    *bench.device.bend.borrow_mut() = None;
}

/// A bench with an open file `f` of five bytes.
fn with_file() -> (Bench, fs::FileHandle) {
    let bench = connect(Style::default(), Options::default(), |_| ()).ok().unwrap();
    bench.put_file("f", b"12345");
    let file = bench.opened(b"f", Access::READ | Access::WRITE);
    (bench, file)
}

/// Replies with `reply` under the request's tag.
fn instead(device: &FakeDevice, reply: Reply<'static>) {
    bend(device, move |request, _| {
        let (tag, _) = Request::parse(request).unwrap();
        let mut bytes = vec![0; 100_000];
        let len = reply.emit(tag, &mut bytes).unwrap();
        bytes.truncate(len);
        bytes
    });
}

#[test]
fn a_reply_of_another_type_or_tag_is_an_io_error_and_the_session_goes_on() {
    let (bench, file) = with_file();
    instead(&bench.device, Reply::Clunk {});
    assert_eq!(bench.get_attr(file), Err(Error::Io));
    assert_eq!(bench.bytes(file, 0, 5), Err(Error::Io));
    assert_eq!(bench.put(file, 0, b"1"), Err(Error::Io));
    assert_eq!(bench.find(bench.root, b"f", None).err(), Some(Error::Io));
    bend(&bench.device, |_, mut reply| {
        reply[5] ^= 0x40;
        reply
    });
    assert_eq!(bench.get_attr(file), Err(Error::Io));
    assert_eq!(bench.bytes(file, 0, 5), Err(Error::Io));
    straight(&bench);
    assert_eq!(bench.bytes(file, 0, 5).unwrap(), b"12345");
    assert_eq!(bench.machine.lines().len(), 1, "one line in the log, however many bad replies");
}

#[test]
fn counts_beyond_what_was_asked_or_came_are_refused() {
    let (bench, file) = with_file();
    instead(&bench.device, Reply::Read { data: Data(&[1; 600]) });
    assert_eq!(bench.bytes(file, 0, 5), Err(Error::Io));
    instead(&bench.device, Reply::Write { count: 6 });
    assert_eq!(bench.put(file, 0, b"12345"), Err(Error::Io));
    instead(&bench.device, Reply::Write { count: 0 });
    assert_eq!(bench.put(file, 0, b"12345"), Err(Error::Io));
    straight(&bench);
    for claim in [0, 7, 11, 15] {
        bench.device.claim.set(Some(claim));
        assert_eq!(bench.bytes(file, 0, 5), Err(Error::Io), "the device says {claim} bytes");
    }
    for claim in [0, 6, 159, 100_000, usize::MAX] {
        bench.device.claim.set(Some(claim));
        assert_eq!(bench.get_attr(file), Err(Error::Io), "the device says {claim} bytes");
    }
}

#[test]
fn every_truncation_of_a_reply_is_an_io_error() {
    let (bench, file) = with_file();
    for keep in 0..160 {
        bend(&bench.device, move |_, mut reply| {
            reply.truncate(keep);
            reply
        });
        assert_eq!(bench.get_attr(file), Err(Error::Io));
    }
    for keep in 0..16 {
        bend(&bench.device, move |_, mut reply| {
            reply.truncate(keep);
            reply
        });
        assert_eq!(bench.bytes(file, 0, 5), Err(Error::Io));
    }
}

#[test]
fn a_walk_with_more_qids_than_names_or_none_is_refused() {
    let (bench, _) = with_file();
    const TWO: &[Qid] = &[Qid { kind: 0, version: 0, path: 1 }; 2];
    instead(&bench.device, Reply::Walk { qids: p9_wire::Qids::new(TWO) });
    assert_eq!(bench.find(bench.root, b"f", None).err(), Some(Error::Io));
    instead(&bench.device, Reply::Walk { qids: p9_wire::Qids::new(&[]) });
    assert_eq!(bench.find(bench.root, b"f", None).err(), Some(Error::Io));
}

#[test]
fn an_error_number_zero_or_unknown_is_an_io_error() {
    let (bench, file) = with_file();
    for (ecode, error) in
        [(0, Error::Io), (9999, Error::Io), (u32::MAX, Error::Io), (13, Error::Access), (28, Error::NoSpace)]
    {
        instead(&bench.device, Reply::Lerror { ecode });
        assert_eq!(bench.get_attr(file), Err(error));
    }
}

#[test]
fn listings_that_loop_or_hold_illegal_names_end_in_an_io_error() {
    let bench = connect(Style::default(), Options::default(), |_| ()).ok().unwrap();
    let dir = bench.opened_root();
    let cases: [(&[u8], u64); 5] = [(b".", 0), (b"..", 5), (b"a", 0), (b"a/b", 1), (&[b'x'; 256], 1)];
    for (name, offset) in cases {
        let mut bytes = vec![0; 400];
        let mut writer = DirWriter::new(&mut bytes);
        writer.push(&DirEntry { qid: Qid::default(), offset, kind: 8, name }).unwrap();
        let len = writer.len();
        bytes.truncate(len);
        instead(&bench.device, Reply::Readdir { data: Data(bytes.leak()) });
        assert_eq!(bench.list(dir, 0, 4096), Err(Error::Io), "{name:?} at {offset}");
    }
}

#[test]
fn an_attribute_that_claims_too_much_is_refused() {
    let (bench, node) = with_file();
    instead(&bench.device, Reply::Xattrwalk { size: u64::MAX });
    let name = protocol::Bytes::new(b"user.a").unwrap();
    assert_eq!(bench.get_xattr(fs::GetXattr { node, name, dest: None }, &[]), Err(Error::Io));
}

#[test]
fn a_host_of_another_dialect_or_a_larger_limit_is_refused() {
    let refuse = |reply| {
        connect(Style::default(), Options::default(), move |device| {
            bend(device, move |request, honest| {
                let (tag, request) = Request::parse(request).unwrap();
                if !matches!(request, Request::Version { .. }) {
                    return honest;
                }
                let mut bytes = vec![0; 100];
                let len = Reply::emit(&reply, tag, &mut bytes).unwrap();
                bytes[..len].to_vec()
            });
        })
    };
    let unknown = refuse(Reply::Version { msize: 65536, version: b"unknown" });
    assert_eq!(unknown.err(), Some(ConnectError::Version));
    let huge = refuse(Reply::Version { msize: u32::MAX, version: p9_wire::VERSION });
    assert_eq!(huge.err(), Some(ConnectError::MessageSize(u32::MAX)));
    assert_eq!(refuse(Reply::Lerror { ecode: 13 }).err(), Some(ConnectError::Refused(13)));
    assert_eq!(refuse(Reply::Clunk {}).err(), Some(ConnectError::NoReply));
}

/// A small deterministic generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

/// Bends a reply in one of the ways in which hosts go wrong.
fn garble(random: &mut Random, mut reply: Vec<u8>) -> Vec<u8> {
    match random.below(6) {
        0 => {
            let at = random.below(reply.len());
            reply[at] ^= 1 << random.below(8);
        }
        1 => reply.truncate(random.below(reply.len())),
        2 => reply.iter_mut().skip(7).for_each(|byte| *byte = random.next() as u8),
        3 => reply.iter_mut().for_each(|byte| *byte = random.next() as u8),
        4 => {
            // Whole in size and tag, random in type and body.
            reply[4] = (random.next() as u8 % 128) | 1;
            reply.iter_mut().skip(7).for_each(|byte| *byte = random.next() as u8 % 3);
        }
        _ => {}
    }
    reply
}

/// A round of everything; results do not matter, only that each call ends.
fn everything(bench: &Bench) {
    let file =
        bench.find(bench.root, b"f", Some(Access::READ | Access::WRITE)).map_or(bench.root, |walked| walked.node.file);
    let _ = bench.bytes(file, 0, 5000);
    let _ = bench.put(file, 3, b"text");
    let _ = bench.get_attr(file);
    let change = AttrChange { size: Some(10), ..AttrChange::default() };
    let _ = bench.set_attr(fs::SetAttr { node: file, change }, &[]);
    let _ = bench.find(bench.root, b"d/e/none", None);
    let made = bench.make(bench.root, b"new");
    let _ = bench.mkdir(bench.root, b"sub");
    let _ = bench.list(bench.root, 0, 4096);
    if let Ok(dir) = bench.open(fs::Open { node: bench.root, access: Access::READ }, &[]) {
        let _ = bench.list(dir.file, 0, 4096);
        let _ = bench.close(dir.file);
    }
    let _ = bench.remove(bench.root, b"new", RemoveKind::File);
    let _ = bench.remove(bench.root, b"sub", RemoveKind::Directory);
    let _ = bench.list_xattr(fs::ListXattr { node: file, dest: None }, &[]);
    let _ = bench.stat_fs();
    let _ = bench.sync_all();
    let _ = made.map(|node| bench.close(node.file));
    if file != bench.root {
        let _ = bench.close(file);
    }
}

#[test]
fn random_replies_never_stop_or_panic_the_server() {
    for (index, bench) in both().into_iter().enumerate() {
        bench.put_file("f", b"12345");
        std::fs::create_dir_all(bench.at("d/e")).unwrap();
        let mut random = Random(0xbad_5eed + index as u64);
        let garbled = Rc::new(Cell::new(0));
        let count = garbled.clone();
        bend(&bench.device, move |_, reply| {
            count.set(count.get() + 1);
            garble(&mut random, reply)
        });
        for _ in 0..300 {
            everything(&bench);
        }
        assert!(garbled.get() > 3000);
        straight(&bench);
        bench.put_file("f", b"12345");
        let attached = bench.attach().unwrap();
        assert!(bench.find(attached.root, b"f", None).is_ok(), "an honest host is served again");
    }
}
