//! The host's user edits the tree while the program runs.

use super::bench::{Bench, both, name};
use protocol::fs::{self, Access, Error};
use std::fs as host_fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn an_edit_is_seen_by_the_next_open_and_getattr() {
    for bench in both() {
        bench.put_file("page", b"old");
        let node = bench.find(bench.root, b"page", None).unwrap().node;
        bench.put_file("page", b"newer text");
        assert_eq!(bench.get_attr(node.file).unwrap().size, 10);
        let open = bench.open(fs::Open { node: node.file, access: Access::READ }, &[]).unwrap();
        assert_eq!(open.attr.size, 10);
        assert_eq!(bench.bytes(open.file, 0, 100).unwrap(), b"newer text");
    }
}

#[test]
fn a_file_replaced_by_rename_makes_the_old_name_stale_and_a_new_walk_find_the_new_one() {
    for bench in both() {
        bench.put_file("page", b"old");
        let node = bench.find(bench.root, b"page", None).unwrap().node;
        let open = bench.opened(b"page", Access::READ);
        bench.put_file("page~", b"new");
        host_fs::rename(bench.at("page~"), bench.at("page")).unwrap();
        assert_eq!(bench.get_attr(node.file), Err(Error::Stale));
        assert_eq!(bench.open(fs::Open { node: node.file, access: Access::READ }, &[]), Err(Error::Stale));
        assert_eq!(bench.bytes(open, 0, 9).unwrap(), b"old", "what is open stays the old file");
        let attr = bench.get_attr(open).unwrap();
        assert_eq!((attr.inode, attr.links), (node.attr.inode, 0));
        let fresh = bench.find(bench.root, b"page", Some(Access::READ)).unwrap();
        assert_eq!(fresh.node.attr.inode, host_fs::metadata(bench.at("page")).unwrap().ino());
        assert_eq!(bench.bytes(fresh.node.file, 0, 9).unwrap(), b"new");
    }
}

#[test]
fn a_deleted_file_is_gone() {
    for bench in both() {
        bench.put_file("page", b"old");
        let node = bench.find(bench.root, b"page", None).unwrap().node.file;
        host_fs::remove_file(bench.at("page")).unwrap();
        assert_eq!(bench.get_attr(node), Err(Error::Stale));
        assert_eq!(bench.open(fs::Open { node, access: Access::READ }, &[]), Err(Error::NotFound));
        let walked = bench.find(bench.root, b"page", Some(Access::READ)).unwrap();
        assert_eq!((walked.count, walked.stop), (0, Some(Error::NotFound)));
    }
}

#[test]
fn a_directory_replaced_by_a_file_is_no_directory_any_more() {
    for bench in both() {
        host_fs::create_dir(bench.at("d")).unwrap();
        let dir = bench.find(bench.root, b"d", None).unwrap().node.file;
        host_fs::remove_dir(bench.at("d")).unwrap();
        bench.put_file("d", b"");
        assert_eq!(bench.find(dir, b"x", None).err(), Some(Error::NotDirectory));
        assert_eq!(bench.get_attr(dir), Err(Error::Stale));
    }
}

/// A host out of order, with a spare fid for `page`.
fn with_spare() -> Bench {
    let [_, bench] = both();
    bench.put_file("page", b"old");
    for _ in 0..3 {
        let file = bench.opened(b"page", Access::READ);
        assert_eq!(bench.close(file), Ok(()));
    }
    bench.host_fids();
    bench
}

#[test]
fn a_file_opened_again_and_again_costs_one_kick_each() {
    let bench = with_spare();
    for _ in 0..10 {
        let before = bench.device.kicks.get();
        let file = bench.opened(b"page", Access::READ);
        assert_eq!(bench.device.kicks.get() - before, 1);
        assert_eq!(bench.bytes(file, 0, 9).unwrap(), b"old");
        assert_eq!(bench.close(file), Ok(()));
        assert_eq!(bench.host_fids(), 3);
    }
}

#[test]
fn a_file_opened_again_and_again_is_seen_to_change_move_and_vanish() {
    let bench = with_spare();
    bench.put_file("page", b"edited");
    let edited = bench.find(bench.root, b"page", Some(Access::READ)).unwrap().node;
    assert_eq!(edited.attr.size, 6);
    bench.put_file("page~", b"another");
    host_fs::rename(bench.at("page~"), bench.at("page")).unwrap();
    let another = bench.opened(b"page", Access::READ);
    assert_eq!(bench.bytes(another, 0, 9).unwrap(), b"another");
    let flags = fs::RenameFlags::empty();
    let (from_name, to_name) = (name(b"page"), name(b"moved"));
    let rename = fs::Rename { from_dir: bench.root, from_name, to_dir: bench.root, to_name, flags };
    assert_eq!(bench.rename(rename, &[]), Ok(()));
    let gone = bench.find(bench.root, b"page", Some(Access::READ)).unwrap();
    assert_eq!((gone.count, gone.stop), (0, Some(Error::NotFound)));
}

#[test]
fn opening_many_files_holds_a_bounded_number_of_spares() {
    let [_, bench] = both();
    for round in 0..3 {
        for n in 0..100 {
            let path = std::format!("file-{n}");
            if round == 0 {
                bench.put_file(&path, b"");
            }
            let file = bench.opened(path.into_bytes().leak(), Access::READ);
            assert_eq!(bench.close(file), Ok(()));
        }
    }
    assert!(bench.host_fids() <= 2 + 32);
}

#[test]
fn a_file_replaced_between_open_and_getattr_is_opened_anew() {
    for bench in both() {
        bench.put_file("page", b"old");
        bench.put_file("page~", b"new");
        let (from, to) = (bench.at("page~"), bench.at("page"));
        let mut swapped = false;
        *bench.device.bend.borrow_mut() = Some(std::boxed::Box::new(move |request, reply| {
            // Right after the first successful Tlopen (12), before anything else.
            if request[4] == 12 && reply[4] == 13 && !swapped {
                swapped = true;
                host_fs::rename(&from, &to).unwrap();
            }
            reply
        }));
        let walked = bench.find(bench.root, b"page", Some(Access::READ)).unwrap();
        assert!(walked.opened);
        let expected = host_fs::metadata(bench.at("page")).unwrap().ino();
        let read = bench.bytes(walked.node.file, 0, 9).unwrap();
        // In the reversed order the getattr came first, so that handle and attributes are the old file's.
        assert_eq!(read == b"new", walked.node.attr.inode == expected);
    }
}
