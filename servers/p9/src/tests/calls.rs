//! Every call that finds, makes and changes names and attributes, against both kinds of host.

use super::bench::{Bench, both, connect, context, name};
use super::device::Order;
use super::host::Style;
use crate::{ConnectError, Options};
use protocol::fs::{self, Access, AttrChange, Coherence, Error, Kind, RemoveKind, RenameFlags, SetTime, Time};
use protocol::{Bytes, LeaseId};
use rt::fake::HeapMemory;
use rt::service::Context;
use rt::service::fs::Handler;
use rt::sys::Attachment;
use std::fs as host_fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::vec;

fn tree(bench: &Bench) {
    host_fs::create_dir_all(bench.at("a/b/c")).unwrap();
    bench.put_file("a/b/c/file", b"hello");
    bench.put_file("plain", b"x");
    symlink("a/b", bench.at("link")).unwrap();
}

#[test]
fn attach_gives_the_root_and_says_what_may_be_cached() {
    for bench in both() {
        let attached = bench.attach().unwrap();
        assert_eq!(attached.attr.inode, host_fs::metadata(bench.dir.path()).unwrap().ino());
        assert_eq!((attached.attr.kind, attached.coherence), (Kind::Directory, Coherence::Shared));
        assert_eq!((attached.io_bytes, attached.read_only), (125 * 4096, false));
    }
}

#[test]
fn a_host_with_smaller_messages_bounds_the_payload() {
    let style = Style { msize: 9000, ..Style::default() };
    let bench = connect(style, Options::default(), |_| ()).ok().unwrap();
    assert_eq!(bench.attach().unwrap().io_bytes, 8192);
}

#[test]
fn a_session_that_cannot_work_is_refused_with_its_reason() {
    let too_small = Style { msize: 4096, ..Style::default() };
    assert_eq!(connect(too_small, Options::default(), |_| ()).err(), Some(ConnectError::MessageSize(4096)));
    let few = connect(Style::default(), Options::default(), |device| device.pieces.set(4));
    assert_eq!(few.err(), Some(ConnectError::TooFewPieces(4)));
}

#[test]
fn a_walk_reaches_a_file_with_its_attributes() {
    for bench in both() {
        tree(&bench);
        let walked = bench.find(bench.root, b"a/b/c/file", None).unwrap();
        assert_eq!((walked.count, walked.opened, walked.stop), (4, false, None));
        assert_eq!((walked.node.attr.size, walked.node.attr.kind), (5, Kind::File));
        assert_eq!(bench.get_attr(walked.node.file), Ok(walked.node.attr));
    }
}

#[test]
fn an_open_costs_one_kick_where_the_host_keeps_the_order_and_two_where_it_does_not() {
    for (bench, expected) in both().iter().zip([1, 2]) {
        tree(bench);
        bench.opened(b"plain", Access::READ);
        let before = bench.device.kicks.get();
        bench.opened(b"a/b/c/file", Access::READ);
        assert_eq!(bench.device.kicks.get() - before, expected, "{:?}", bench.device.order.get());
    }
}

#[test]
fn a_walk_of_many_components_goes_on_behind_sixteen() {
    for bench in both() {
        let deep: std::string::String = (0..40).map(|_| "d/").collect();
        host_fs::create_dir_all(bench.at(&deep)).unwrap();
        bench.put_file(&std::format!("{deep}end"), b"1");
        let path = std::format!("{deep}end").into_bytes().leak();
        let walked = bench.find(bench.root, path, Some(Access::READ)).unwrap();
        assert_eq!((walked.count, walked.opened), (41, true));
        assert_eq!(bench.close(walked.node.file), Ok(()));
        assert_eq!(bench.host_fids(), 2);
    }
}

#[test]
fn a_walk_stops_before_what_is_missing() {
    for bench in both() {
        tree(&bench);
        let walked = bench.find(bench.root, b"a/b/none/x", Some(Access::READ)).unwrap();
        assert_eq!((walked.count, walked.opened, walked.stop), (2, false, Some(Error::NotFound)));
        assert_eq!(walked.node.attr.inode, host_fs::metadata(bench.at("a/b")).unwrap().ino());
        let nothing = bench.find(bench.root, b"none", None).unwrap();
        assert_eq!((nothing.count, nothing.stop), (0, Some(Error::NotFound)));
        assert_eq!(nothing.node.attr.inode, host_fs::metadata(bench.dir.path()).unwrap().ino());
    }
}

#[test]
fn a_walk_stops_the_same_at_a_host_that_does_not_tell_how_far_it_got() {
    let style = Style { partial_walks: false, ..Style::default() };
    let bench = connect(style, Options::default(), |_| ()).ok().unwrap();
    tree(&bench);
    let walked = bench.find(bench.root, b"a/b/none/x", None).unwrap();
    assert_eq!((walked.count, walked.stop), (2, Some(Error::NotFound)));
    let link = bench.find(bench.root, b"link/c", None).unwrap();
    assert_eq!((link.count, link.stop, link.node.attr.kind), (1, Some(Error::NotDirectory), Kind::Link));
}

#[test]
fn a_walk_stops_at_links_and_files() {
    for bench in both() {
        tree(&bench);
        let link = bench.find(bench.root, b"link/c", None).unwrap();
        assert_eq!((link.count, link.stop, link.node.attr.kind), (1, Some(Error::NotDirectory), Kind::Link));
        let file = bench.find(bench.root, b"plain/x", None).unwrap();
        assert_eq!((file.count, file.stop, file.node.attr.kind), (1, Some(Error::NotDirectory), Kind::File));
        assert_eq!(bench.find(file.node.file, b"x", None).err(), Some(Error::NotDirectory));
        let end = bench.find(bench.root, b"link", Some(Access::READ)).unwrap();
        assert_eq!((end.count, end.opened, end.stop), (1, false, None));
    }
}

#[test]
fn an_empty_walk_duplicates_the_handle() {
    for bench in both() {
        let again = bench.find(bench.root, b"", None).unwrap();
        assert_ne!(again.node.file, bench.root);
        assert_eq!(bench.close(bench.root), Ok(()));
        assert!(bench.get_attr(again.node.file).is_ok());
        assert_eq!(bench.get_attr(bench.root), Err(Error::BadHandle));
    }
}

#[test]
fn a_directory_opened_by_a_walk_can_be_listed_and_walked_from() {
    for bench in both() {
        tree(&bench);
        let dir = bench.opened(b"a", Access::READ);
        assert_eq!(bench.list(dir, 0, 4096).unwrap().0, [("b".into(), Kind::Directory)]);
        assert_eq!(bench.find(dir, b"b/c", None).unwrap().count, 2);
        let refused = bench.find(bench.root, b"a", Some(Access::WRITE)).unwrap();
        assert_eq!((refused.opened, refused.stop), (false, Some(Error::IsDirectory)));
    }
}

#[test]
fn a_file_opened_to_be_cut_has_the_attributes_after_the_cut() {
    for bench in both() {
        tree(&bench);
        let cut = Access::WRITE | Access::TRUNCATE;
        let walked = bench.find(bench.root, b"plain", Some(cut)).unwrap();
        assert_eq!((walked.opened, walked.node.attr.size), (true, 0));
        assert_eq!(host_fs::metadata(bench.at("plain")).unwrap().len(), 0);
    }
}

#[test]
fn open_gives_a_second_handle_of_the_node() {
    for bench in both() {
        tree(&bench);
        let node = bench.find(bench.root, b"plain", None).unwrap().node.file;
        assert_eq!(bench.bytes(node, 0, 1), Err(Error::BadHandle));
        let open = bench.open(fs::Open { node, access: Access::READ }, &[]).unwrap();
        assert_eq!(bench.bytes(open.file, 0, 1).unwrap(), b"x");
        assert_eq!(bench.put(open.file, 0, b"y"), Err(Error::BadHandle));
        let link = bench.find(bench.root, b"link", None).unwrap().node.file;
        assert_eq!(bench.open(fs::Open { node: link, access: Access::READ }, &[]), Err(Error::Invalid));
        let write = fs::Open { node: bench.root, access: Access::WRITE };
        assert_eq!(bench.open(write, &[]), Err(Error::IsDirectory));
    }
}

#[test]
fn create_makes_a_new_file_and_refuses_an_old_one() {
    for bench in both() {
        let node = bench.make(bench.root, b"new").unwrap();
        assert_eq!((node.attr.kind, node.attr.mode, node.attr.size), (Kind::File, 0o640, 0));
        assert_eq!(bench.put(node.file, 0, b"text"), Ok(4));
        assert_eq!(host_fs::read(bench.at("new")).unwrap(), b"text");
        assert_eq!(bench.make(bench.root, b"new"), Err(Error::Exists));
        assert_eq!(bench.make(node.file, b"new"), Err(Error::NotDirectory));
        assert!(bench.find(bench.root, b"new", None).is_ok(), "the directory's own fid is still the directory");
    }
}

#[test]
fn mkdir_symlink_and_mknod_make_what_they_say() {
    for bench in both() {
        let dir = bench.mkdir(bench.root, b"d").unwrap();
        assert_eq!((dir.attr.kind, dir.attr.mode), (Kind::Directory, 0o750));
        assert_eq!(bench.mkdir(bench.root, b"d"), Err(Error::Exists));
        let target = [Attachment::Read(HeapMemory::new(b"to/there".to_vec()))];
        let call = fs::Symlink { dir: dir.file, name: name(b"l"), target_len: 8, target: LeaseId(0) };
        let link = bench.symlink(call, &target).unwrap();
        assert_eq!(link.attr.kind, Kind::Link);
        let memory = HeapMemory::zeroed(100);
        let read = fs::ReadLink { node: link.file, dest: LeaseId(0) };
        assert_eq!(bench.read_link(read, &[Attachment::Write(memory.clone())]), Ok(8));
        assert_eq!(&memory.to_vec()[..8], b"to/there");
        assert_eq!(bench.read_link(read, &[Attachment::Write(HeapMemory::zeroed(7))]), Err(Error::Range));
        let other = fs::ReadLink { node: dir.file, dest: LeaseId(0) };
        assert_eq!(bench.read_link(other, &[Attachment::Write(memory)]), Err(Error::Invalid));
        let fifo = fs::Mknod { dir: dir.file, name: name(b"p"), kind: Kind::Fifo, mode: 0o600, rdev: 0 };
        let fifo = bench.mknod(fifo, &[]).unwrap();
        assert_eq!(fifo.attr.kind, Kind::Fifo);
        assert_eq!(bench.open(fs::Open { node: fifo.file, access: Access::READ }, &[]), Err(Error::Invalid));
        let walked = bench.find(dir.file, b"p", Some(Access::READ)).unwrap();
        assert_eq!((walked.opened, walked.stop), (false, None));
    }
}

#[test]
fn the_longest_link_target_fits() {
    for bench in both() {
        let target = [Attachment::Read(HeapMemory::new(vec![b'x'; 4095]))];
        let long = std::boxed::Box::leak(std::boxed::Box::new([b'n'; 255]));
        let call = fs::Symlink { dir: bench.root, name: name(long), target_len: 4095, target: LeaseId(0) };
        let link = bench.symlink(call, &target).unwrap();
        let read = fs::ReadLink { node: link.file, dest: LeaseId(0) };
        assert_eq!(bench.read_link(read, &[Attachment::Write(HeapMemory::zeroed(4096))]), Ok(4095));
        let none = fs::Symlink { target_len: 4095, dir: bench.root, name: name(b"n"), target: LeaseId(1) };
        assert_eq!(bench.symlink(none, &target), Err(Error::BadLease));
    }
}

#[test]
fn link_gives_a_second_name_and_remove_takes_one_away() {
    for bench in both() {
        tree(&bench);
        let node = bench.find(bench.root, b"plain", None).unwrap().node.file;
        assert_eq!(bench.link(node, bench.root, b"second").unwrap().links, 2);
        assert_eq!(bench.link(node, bench.root, b"second"), Err(Error::Exists));
        assert_eq!(bench.remove(bench.root, b"second", RemoveKind::File), Ok(()));
        assert_eq!(bench.remove(bench.root, b"second", RemoveKind::File), Err(Error::NotFound));
        assert_eq!(bench.remove(bench.root, b"a", RemoveKind::Directory), Err(Error::NotEmpty));
        assert_eq!(bench.remove(bench.root, b"a", RemoveKind::File), Err(Error::IsDirectory));
        assert_eq!(bench.remove(bench.root, b"plain", RemoveKind::Directory), Err(Error::NotDirectory));
        let c = bench.find(bench.root, b"a/b/c", None).unwrap().node.file;
        assert_eq!(bench.remove(c, b"file", RemoveKind::File), Ok(()));
    }
}

#[test]
fn rename_moves_and_handles_follow() {
    for bench in both() {
        tree(&bench);
        let node = bench.find(bench.root, b"a/b/c/file", None).unwrap().node;
        let to_dir = bench.find(bench.root, b"a", None).unwrap().node.file;
        let from_dir = bench.find(bench.root, b"a/b/c", None).unwrap().node.file;
        let flags = RenameFlags::empty();
        let call = fs::Rename { from_dir, from_name: name(b"file"), to_dir, to_name: name(b"moved"), flags };
        assert_eq!(bench.rename(call, &[]), Ok(()));
        assert_eq!(host_fs::read(bench.at("a/moved")).unwrap(), b"hello");
        assert_eq!(bench.get_attr(node.file).unwrap().inode, node.attr.inode);
        assert_eq!(bench.rename(call, &[]), Err(Error::NotFound));
        let exchange = fs::Rename { flags: RenameFlags::EXCHANGE, ..call };
        assert_eq!(bench.rename(exchange, &[]), Err(Error::Invalid));
        let into_itself = fs::Rename { from_dir: bench.root, from_name: name(b"a"), to_dir: from_dir, ..call };
        assert_eq!(bench.rename(into_itself, &[]), Err(Error::Invalid));
    }
}

#[test]
fn set_attr_changes_what_is_given_and_nothing_else() {
    for bench in both() {
        tree(&bench);
        let node = bench.find(bench.root, b"plain", None).unwrap().node.file;
        let mtime = Some(SetTime::To(Time { seconds: 1_000_000_000, nanoseconds: 123_456_789 }));
        let change = AttrChange { mode: Some(0o600), size: Some(100), mtime, ..AttrChange::default() };
        let attr = bench.set_attr(fs::SetAttr { node, change }, &[]).unwrap();
        assert_eq!((attr.mode, attr.size), (0o600, 100));
        assert_eq!(attr.mtime, Time { seconds: 1_000_000_000, nanoseconds: 123_456_789 });
        let meta = host_fs::metadata(bench.at("plain")).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.len(), meta.mtime_nsec()), (0o600, 100, 123_456_789));
        let now = AttrChange { atime: Some(SetTime::Now), ..AttrChange::default() };
        let later = bench.set_attr(fs::SetAttr { node, change: now }, &[]).unwrap();
        assert_eq!((later.mtime, later.size), (attr.mtime, 100));
        assert_eq!(bench.set_attr(fs::SetAttr { node, change: AttrChange::default() }, &[]), Ok(later));
        let size = AttrChange { size: Some(0), ..AttrChange::default() };
        assert_eq!(bench.set_attr(fs::SetAttr { node: bench.root, change: size }, &[]), Err(Error::IsDirectory));
    }
}

#[test]
fn the_volume_has_figures() {
    for bench in both() {
        let info = bench.stat_fs().unwrap();
        assert!(info.blocks >= info.free && info.block_bytes >= 512 && info.name_max == 255);
    }
}

#[test]
fn extended_attributes_are_set_read_listed_and_removed() {
    for bench in both() {
        tree(&bench);
        let node = bench.find(bench.root, b"plain", None).unwrap().node.file;
        let a = Bytes::new(b"user.a").unwrap();
        let value = |len| [Attachment::Read(HeapMemory::new(vec![7; len]))];
        let set = fs::SetXattr { node, name: a, len: 5, src: LeaseId(0), create: None };
        let get = fs::GetXattr { node, name: a, dest: None };
        assert_eq!(bench.get_xattr(get, &[]), Err(Error::NoAttribute));
        assert_eq!(bench.set_xattr(fs::SetXattr { create: Some(false), ..set }, &value(5)), Err(Error::NoAttribute));
        assert_eq!(bench.set_xattr(set, &value(5)), Ok(()));
        assert_eq!(bench.set_xattr(fs::SetXattr { create: Some(true), ..set }, &value(5)), Err(Error::Exists));
        assert_eq!(bench.get_xattr(get, &[]), Ok(5));
        let memory = HeapMemory::zeroed(64);
        let dest = Some(LeaseId(0));
        let read = fs::GetXattr { dest, ..get };
        assert_eq!(bench.get_xattr(read, &[Attachment::Write(memory.clone())]), Ok(5));
        assert_eq!(&memory.to_vec()[..6], [7, 7, 7, 7, 7, 0]);
        assert_eq!(bench.get_xattr(read, &[Attachment::Write(HeapMemory::zeroed(4))]), Err(Error::Range));
        assert_eq!(bench.list_xattr(fs::ListXattr { node, dest: None }, &[]), Ok(7));
        assert_eq!(bench.set_xattr(fs::SetXattr { len: 0, ..set }, &value(0)), Err(Error::NotSupported));
        assert_eq!(bench.remove_xattr(fs::RemoveXattr { node, name: a }, &[]), Ok(()));
        assert_eq!(bench.remove_xattr(fs::RemoveXattr { node, name: a }, &[]), Err(Error::NoAttribute));
        assert_eq!(bench.host_fids(), 3, "host root, our root, the file");
    }
}

#[test]
fn a_read_only_mount_changes_nothing() {
    let options = Options { read_only: true, ..Options::default() };
    let bench = connect(Style::default(), options, |device| device.order.set(Order::Reversed)).ok().unwrap();
    tree(&bench);
    assert!(bench.attach().unwrap().read_only);
    assert_eq!(bench.make(bench.root, b"n"), Err(Error::ReadOnly));
    assert_eq!(bench.mkdir(bench.root, b"n"), Err(Error::ReadOnly));
    assert_eq!(bench.remove(bench.root, b"plain", RemoveKind::File), Err(Error::ReadOnly));
    let walked = bench.find(bench.root, b"plain", Some(Access::READ | Access::WRITE)).unwrap();
    assert_eq!((walked.opened, walked.stop), (false, Some(Error::ReadOnly)));
    assert_eq!(bench.link(walked.node.file, bench.root, b"n"), Err(Error::ReadOnly));
    let change = AttrChange { size: Some(0), ..AttrChange::default() };
    assert_eq!(bench.set_attr(fs::SetAttr { node: walked.node.file, change }, &[]), Err(Error::ReadOnly));
    assert_eq!(bench.bytes(bench.opened(b"plain", Access::READ), 0, 9).unwrap(), b"x");
    let before = walked.node.attr;
    assert_eq!(bench.get_attr(walked.node.file).map(|attr| (attr.size, attr.mtime)), Ok((before.size, before.mtime)));
}

#[test]
fn reopen_finds_the_root_and_what_is_held_but_no_other_inode() {
    for bench in both() {
        tree(&bench);
        let root = bench.attach().unwrap().attr.inode;
        assert!(bench.reopen(fs::Reopen { inode: root, open: Some(Access::READ) }, &[]).is_ok());
        let held = bench.find(bench.root, b"plain", None).unwrap().node;
        let again = bench.reopen(fs::Reopen { inode: held.attr.inode, open: Some(Access::READ) }, &[]).unwrap();
        assert_eq!(bench.bytes(again.file, 0, 1).unwrap(), b"x");
        assert_eq!(bench.reopen(fs::Reopen { inode: u64::MAX, open: None }, &[]), Err(Error::Stale));
    }
}

#[test]
fn handles_belong_to_their_caller_and_its_generation() {
    let [bench, _] = both();
    let root = bench.root;
    let attr = |caller, generation| {
        bench.run(async move |server| {
            server.get_attr(&Context::new(caller, generation, 0, &[]), fs::GetAttr { node: root }).await
        })
    };
    assert!(attr(1, 1).is_ok());
    assert_eq!(attr(2, 1), Err(Error::BadHandle));
    assert!(attr(1, 1).is_ok());
    assert_eq!(attr(1, 2), Err(Error::BadHandle));
    assert_eq!(attr(1, 1), Err(Error::BadHandle), "the new generation ended the old one's handles");
    assert_eq!(bench.host_fids(), 1);
}

#[test]
fn closed_handles_give_their_fids_back() {
    for bench in both() {
        tree(&bench);
        for _ in 0..50 {
            let file = bench.opened(b"a/b/c/file", Access::READ);
            let made = bench.make(bench.root, b"tmp").unwrap().file;
            assert_eq!(bench.remove(bench.root, b"tmp", RemoveKind::File), Ok(()));
            assert_eq!((bench.close(file), bench.close(made)), (Ok(()), Ok(())));
            assert_eq!(bench.close(file), Err(Error::BadHandle));
        }
        let spare = usize::from(bench.device.order.get() == Order::Reversed);
        assert_eq!(bench.host_fids(), 2 + spare);
    }
}

#[test]
fn calls_without_a_session_are_io_errors() {
    let [bench, _] = both();
    let result = rt::fake::block_on(&bench.runtime, async {
        crate::Server::without_session().attach(&context(&[]), fs::Attach {}).await
    });
    assert_eq!(result, Err(Error::Io));
}
