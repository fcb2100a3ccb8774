//! The server's calls, one subject per test, on a disk in memory.

mod common;

use common::*;
use protocol::fs::*;
use protocol::{Bytes, LeaseId, Path};
use rt::fake::HeapMemory;
use rt::sys::Attachment;
use rt::Machine;
use tfs::{MountError, Options};
use tfs_format::build::Builder;
use tfs_format::manifest;

fn world() -> World {
    start(&empty(32 * 1024), Options::default()).unwrap()
}

/// Syncs, checks the disk, and starts another server on it.
fn restart(world: &World) -> World {
    world.run(|c| async move { c.sync().await.unwrap() });
    independent_check(&world.disk.bytes.borrow());
    check(&world.disk.bytes.borrow());
    start(&world.disk, Options::default()).unwrap()
}

#[test]
fn files_of_a_built_image_are_read() {
    let mut builder = Builder::new([1; 16], b"").unwrap();
    builder.file(b"/bin/app", 70_001, 7, info(0o755)).unwrap();
    builder.symlink(b"/lib", b"/usr/lib", info(0o777)).unwrap();
    let world = start(&disk_of(builder, 0), Options::default()).unwrap();
    world.run(|c| async move {
        let file = c.open("bin/app", Access::READ).await.unwrap();
        let attr = c.attr(file).await;
        assert_eq!((attr.size, attr.mode, attr.kind), (70_001, 0o755, Kind::File));
        assert_eq!(c.read(file, 0, 100_000).await.unwrap(), vec![7; 70_001]);
        assert_eq!(c.read(file, 70_000, 10).await.unwrap(), [7]);
        assert_eq!(c.read(file, 511, 514).await.unwrap(), [7; 514]);
        assert_eq!(c.read(file, 70_001, 10).await.unwrap(), []);
        let link = c.find("lib").await.unwrap();
        assert_eq!((link.attr.kind, link.attr.size), (Kind::Link, 8));
        let dest = HeapMemory::zeroed(8);
        let call = ReadLink { node: link.file, dest: LeaseId(0) };
        assert_eq!(c.call(call, &[Attachment::Write(dest.clone())]).await, Ok(8));
        assert_eq!(dest.to_vec(), b"/usr/lib");
        assert_eq!(c.open("bin/none", Access::READ).await, Err(Error::NotFound));
        assert_eq!(c.open("bin/app/x", Access::READ).await, Err(Error::NotDirectory));
        assert_eq!(c.open("lib/x", Access::READ).await, Err(Error::NotDirectory));
        assert_eq!(c.open("bin", Access::WRITE).await, Err(Error::IsDirectory));
    });
}

#[test]
fn a_page_at_the_end_of_a_file_is_filled_up_with_zeros() {
    let world = world();
    world.run(|c| async move {
        let file = c.create("f").await.unwrap();
        c.write(file, 0, &[9; 700]).await.unwrap();
        let dest = HeapMemory::new(vec![0xee; 4096]);
        let call = Read { file, offset: 0, len: 4096, dest: LeaseId(0) };
        assert_eq!(c.call(call, &[Attachment::Write(dest.clone())]).await, Ok(700));
        let page = dest.to_vec();
        assert_eq!(&page[..700], [9; 700]);
        assert_eq!(&page[700..1024], [0; 324]);
    });
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let world = world();
    world.run(|c| async move {
        let dir = c.mkdir(c.root, "dir").await.unwrap();
        let call = Create { dir, name: name("inner"), mode: 0o600, access: BOTH };
        let inner = c.call(call, &[]).await.unwrap();
        c.write(inner.file, 0, b"hello").await.unwrap();
        let file = c.create("big").await.unwrap();
        c.write(file, 1000, &[3; 300_000]).await.unwrap();
        c.write(file, 150_000, &[4; 10]).await.unwrap();
        let target = HeapMemory::new(b"dir/inner".to_vec());
        let call = Symlink { dir: c.root, name: name("link"), target_len: 9, target: LeaseId(0) };
        c.call(call, &[Attachment::Read(target)]).await.unwrap();
        let change = AttrChange { uid: Some(5), mode: Some(0o4711), mtime: Some(SetTime::To(Time { seconds: 77, nanoseconds: 5 })), ..AttrChange::default() };
        c.call(SetAttr { node: file, change }, &[]).await.unwrap();
    });
    let before = world.run(|c| async move { c.find("big").await.unwrap().attr });
    let world = restart(&world);
    world.run(move |c| async move {
        assert_eq!(c.find("big").await.unwrap().attr, before);
        assert_eq!((before.uid, before.mode, before.mtime.seconds, before.mtime.nanoseconds), (5, 0o4711, 77, 5));
        let file = c.open("big", Access::READ).await.unwrap();
        let bytes = c.read(file, 0, 400_000).await.unwrap();
        assert_eq!(bytes.len(), 301_000);
        assert!(bytes[..1000].iter().all(|b| *b == 0));
        assert_eq!(bytes[150_000..150_010], [4; 10]);
        assert_eq!(bytes.iter().filter(|b| **b == 3).count(), 300_000 - 10);
        let inner = c.open("dir/inner", Access::READ).await.unwrap();
        assert_eq!(c.read(inner, 0, 10).await.unwrap(), b"hello");
        assert_eq!(c.find("link").await.unwrap().attr.size, 9);
        let again = c.call(Reopen { inode: before.inode, open: Some(Access::READ) }, &[]).await.unwrap();
        assert_eq!(again.attr.inode, before.inode);
        assert_eq!(c.call(Reopen { inode: 999_999, open: None }, &[]).await, Err(Error::Stale));
    });
}

#[test]
fn a_change_reaches_the_disk_by_itself_within_a_second() {
    let world = world();
    world.run(|c| async move { c.create("made").await.unwrap() });
    assert!(check(&world.disk.bytes.borrow()).tree.child(tfs_format::tree::ROOT, b"made").is_none());
    let sleeper = world.runtime.clone();
    world.run(|_| async move { sleeper.sleep(1_100_000_000).await });
    assert!(check(&world.disk.bytes.borrow()).tree.child(tfs_format::tree::ROOT, b"made").is_some());
}

#[test]
fn shrinking_frees_and_growing_again_shows_zeros() {
    let world = world();
    let free = |c: Client| async move { c.call(StatFs {}, &[]).await.unwrap().free };
    let at_first = world.run(free);
    world.run(|c| async move {
        let file = c.create("f").await.unwrap();
        c.write(file, 0, &[1; 100_000]).await.unwrap();
        c.set_size(file, 1000).await.unwrap();
        assert!(c.attr(file).await.blocks <= 8);
        c.set_size(file, 50_000).await.unwrap();
        let bytes = c.read(file, 0, 60_000).await.unwrap();
        assert_eq!(bytes.len(), 50_000);
        assert_eq!(bytes[..1000], [1; 1000]);
        assert!(bytes[1000..].iter().all(|b| *b == 0));
        c.set_size(file, 0).await.unwrap();
        assert_eq!(c.attr(file).await.blocks, 0);
        c.close(file).await;
        c.sync().await.unwrap();
    });
    assert_eq!(world.run(free), at_first);
    restart(&world);
}

#[test]
fn a_removed_file_lives_until_it_is_closed() {
    let world = world();
    let free = |c: Client| async move { c.call(StatFs {}, &[]).await.unwrap().free };
    let at_first = world.run(free);
    world.run(|c| async move {
        let file = c.create("gone").await.unwrap();
        c.write(file, 0, &[8; 40_000]).await.unwrap();
        c.remove("gone", RemoveKind::File).await.unwrap();
        assert_eq!(c.find("gone").await.err(), Some(Error::NotFound));
        assert_eq!(c.attr(file).await.links, 0);
        c.sync().await.unwrap();
        c.write(file, 40_000, &[9; 10]).await.unwrap();
        assert_eq!(c.read(file, 39_999, 5).await.unwrap(), [8, 9, 9, 9, 9]);
        let link = protocol::fs::Link { node: file, dir: c.root, name: name("back") };
        assert_eq!(c.call(link, &[]).await, Err(Error::NotFound));
        c.close(file).await;
        c.sync().await.unwrap();
    });
    assert_eq!(world.run(free), at_first);
    restart(&world);
}

#[test]
fn hard_links_share_the_node() {
    let world = world();
    world.run(|c| async move {
        let file = c.create("a").await.unwrap();
        let link = protocol::fs::Link { node: file, dir: c.root, name: name("b") };
        assert_eq!(c.call(link, &[]).await.unwrap().links, 2);
        assert_eq!(c.call(link, &[]).await, Err(Error::Exists));
        c.write(file, 0, b"shared").await.unwrap();
        c.remove("a", RemoveKind::File).await.unwrap();
        c.close(file).await;
    });
    let world = restart(&world);
    world.run(|c| async move {
        let file = c.open("b", Access::READ).await.unwrap();
        assert_eq!(c.read(file, 0, 10).await.unwrap(), b"shared");
        assert_eq!(c.attr(file).await.links, 1);
        let dir = c.mkdir(c.root, "d").await.unwrap();
        let link = protocol::fs::Link { node: dir, dir: c.root, name: name("d2") };
        assert_eq!(c.call(link, &[]).await, Err(Error::NotPermitted));
    });
}

#[test]
fn rename_replaces_refuses_and_exchanges() {
    let world = world();
    world.run(|c| async move {
        for (path, text) in [("a", b"A"), ("b", b"B")] {
            let file = c.create(path).await.unwrap();
            c.write(file, 0, text).await.unwrap();
            c.close(file).await;
        }
        let none = RenameFlags::empty();
        assert_eq!(c.rename("a", "b", RenameFlags::NO_REPLACE).await, Err(Error::Exists));
        assert_eq!(c.rename("a", "c", RenameFlags::EXCHANGE).await, Err(Error::NotFound));
        assert_eq!(c.rename("x", "c", none).await, Err(Error::NotFound));
        c.rename("a", "b", RenameFlags::EXCHANGE).await.unwrap();
        let file = c.open("a", Access::READ).await.unwrap();
        assert_eq!(c.read(file, 0, 2).await.unwrap(), b"B");
        c.rename("a", "b", none).await.unwrap();
        assert_eq!(c.list(c.open("", Access::READ).await.unwrap(), 500).await, ["b"]);
        assert_eq!(c.read(file, 0, 2).await.unwrap(), b"B");
        let outer = c.mkdir(c.root, "outer").await.unwrap();
        let inner = c.mkdir(outer, "inner").await.unwrap();
        let into_itself = Rename { from_dir: c.root, from_name: name("outer"), to_dir: inner, to_name: name("x"), flags: none };
        assert_eq!(c.call(into_itself, &[]).await, Err(Error::Invalid));
        assert_eq!(c.rename("outer", "b", none).await, Err(Error::NotDirectory));
        assert_eq!(c.rename("b", "outer", none).await, Err(Error::IsDirectory));
        c.mkdir(c.root, "other").await.unwrap();
        assert_eq!(c.rename("other", "outer", none).await, Err(Error::NotEmpty));
        assert_eq!(c.rename("outer", "other", none).await, Ok(()));
        let out = Rename { from_dir: outer, from_name: name("inner"), to_dir: c.root, to_name: name("top"), flags: none };
        c.call(out, &[]).await.unwrap();
        assert_eq!(c.remove("top", RemoveKind::File).await, Err(Error::IsDirectory));
        assert_eq!(c.remove("b", RemoveKind::Directory).await, Err(Error::NotDirectory));
        c.remove("top", RemoveKind::Directory).await.unwrap();
        let call = Create { dir: inner, name: name("x"), mode: 0o644, access: BOTH };
        assert_eq!(c.call(call, &[]).await.err(), Some(Error::NotFound));
    });
    restart(&world);
}

#[test]
fn listings_go_on_where_they_stopped_while_names_come_and_go() {
    let world = world();
    world.run(|c| async move {
        for n in 0..100 {
            let file = c.create(&format!("file {n}")).await.unwrap();
            c.close(file).await;
        }
        let dir = c.open("", Access::READ).await.unwrap();
        let dest = HeapMemory::zeroed(600);
        let call = ReadDir { dir, cookie: 0, len: 600, dest: LeaseId(0) };
        let len = c.call(call, &[Attachment::Write(dest.clone())]).await.unwrap() as usize;
        let bytes = dest.to_vec();
        let (mut rest, mut cookie) = (&bytes[..len], 0);
        let mut seen = 0;
        while let Some((entry, behind)) = entry::Entry::parse(rest) {
            (cookie, rest) = (entry.cookie, behind);
            seen += 1;
            c.remove(std::str::from_utf8(entry.name).unwrap(), RemoveKind::File).await.unwrap();
        }
        assert!(seen > 5 && seen < 50);
        let call = ReadDir { dir, cookie, len: 64_000, dest: LeaseId(0) };
        let dest = HeapMemory::zeroed(64_000);
        let len = c.call(call, &[Attachment::Write(dest.clone())]).await.unwrap() as usize;
        let bytes = dest.to_vec();
        let mut rest = &bytes[..len];
        while let Some((_, behind)) = entry::Entry::parse(rest) {
            rest = behind;
            seen += 1;
        }
        assert_eq!(seen, 100);
        let call = ReadDir { dir, cookie: 0, len: 10, dest: LeaseId(0) };
        assert_eq!(c.call(call, &[Attachment::Write(HeapMemory::zeroed(10))]).await, Err(Error::Range));
        assert_eq!(c.list(dir, 300).await.len(), 100 - (100 - c.list(dir, 64_000).await.len()));
    });
}

#[test]
fn fallocate_allocates_punches_and_zeros() {
    let world = world();
    world.run(|c| async move {
        let file = c.create("f").await.unwrap();
        let allocate = |offset, len, mode| Allocate { file, offset, len, mode };
        c.call(allocate(0, 20_000, AllocateMode::KeepSize), &[]).await.unwrap();
        let attr = c.attr(file).await;
        assert_eq!(attr.size, 0);
        assert!(attr.blocks >= 40);
        c.call(allocate(0, 20_000, AllocateMode::Extend), &[]).await.unwrap();
        assert_eq!(c.read(file, 0, 30_000).await.unwrap(), vec![0; 20_000]);
        c.write(file, 0, &[5; 20_000]).await.unwrap();
        c.call(allocate(1000, 5000, AllocateMode::PunchHole), &[]).await.unwrap();
        c.call(allocate(10_000, 15_000, AllocateMode::ZeroRange), &[]).await.unwrap();
        let bytes = c.read(file, 0, 30_000).await.unwrap();
        let expected: Vec<u8> = (0..25_000).map(|n| if n < 1000 || (6000..10_000).contains(&n) { 5 } else { 0 }).collect();
        assert!(bytes == expected);
        assert_eq!(c.call(allocate(0, 0, AllocateMode::Extend), &[]).await, Err(Error::Invalid));
        assert_eq!(c.call(allocate(u64::MAX, 5, AllocateMode::Extend), &[]).await, Err(Error::FileTooLarge));
    });
    let world = restart(&world);
    world.run(|c| async move {
        let file = c.open("f", Access::READ).await.unwrap();
        let bytes = c.read(file, 0, 30_000).await.unwrap();
        assert_eq!(bytes.iter().filter(|b| **b == 5).count(), 5000);
    });
}

#[test]
fn reserved_space_is_there_when_the_disk_is_full() {
    let world = start(&empty(0), Options::default()).unwrap();
    world.run(|c| async move {
        let kept = c.create("kept").await.unwrap();
        c.call(Reserve { file: kept, offset: 0, len: 50_000 }, &[]).await.unwrap();
        let greedy = c.create("greedy").await.unwrap();
        let mut offset = 0;
        loop {
            match c.write(greedy, offset, &[1; 32_768]).await {
                Ok(()) => offset += 32_768,
                Err(error) => break assert_eq!(error, Error::NoSpace),
            }
        }
        assert!(c.attr(greedy).await.size >= offset);
        let more = Reserve { file: greedy, offset: 1 << 30, len: 1 << 20 };
        assert_eq!(c.call(more, &[]).await, Err(Error::NoSpace));
        c.write(kept, 0, &[2; 50_000]).await.unwrap();
        assert_eq!(c.read(kept, 49_999, 5).await.unwrap(), [2]);
        c.remove("greedy", RemoveKind::File).await.unwrap();
        c.close(greedy).await;
        c.sync().await.unwrap();
        let next = c.create("next").await.unwrap();
        c.write(next, 0, &[3; 100_000]).await.unwrap();
    });
    restart(&world);
}

#[test]
fn parallel_writes_of_neighbouring_bytes_all_land() {
    let world = world();
    let file = world.run(|c| async move { c.create("f").await.unwrap() });
    for n in (0..200u64).rev() {
        let c = world.client.clone();
        world.runtime.spawn(async move { c.write(file, n * 37, &[n as u8 + 1; 37]).await.unwrap() });
    }
    let sleeper = world.runtime.clone();
    world.run(move |c| async move {
        sleeper.sleep(500_000_000).await;
        let bytes = c.read(file, 0, 10_000).await.unwrap();
        let expected: Vec<u8> = (0..200 * 37).map(|n| (n / 37) as u8 + 1).collect();
        assert!(bytes == expected);
    });
    restart(&world);
}

#[test]
fn extended_attributes_and_root_options_are_told_apart() {
    let mut builder = Builder::new([1; 16], b"").unwrap();
    let options = manifest::parse(b"(program:/bin/app arguments:[app -v] environment:(A:1 B:2) en1:(mtu:1400))").unwrap();
    for option in ["program", "arguments", "environment", "en1"] {
        builder.root_option(option.as_bytes(), options.get(option.as_bytes()).unwrap()).unwrap();
    }
    let world = start(&disk_of(builder, 16_384), Options::default()).unwrap();
    async fn get(c: &Client, node: FileHandle, key: &str) -> Result<Vec<u8>> {
        let dest = HeapMemory::zeroed(100);
        let call = GetXattr { node, name: Bytes::new(key.as_bytes()).unwrap(), dest: Some(LeaseId(0)) };
        let len = c.call(call, &[Attachment::Write(dest.clone())]).await?;
        Ok(dest.to_vec()[..len as usize].to_vec())
    }
    world.run(|c| async move {
        assert_eq!(get(&c, c.root, "skiff.option.program").await.unwrap(), b"/bin/app");
        assert_eq!(get(&c, c.root, "skiff.option.arguments").await.unwrap(), b"app\0-v\0");
        assert_eq!(get(&c, c.root, "skiff.option.environment").await.unwrap(), b"A=1\0B=2\0");
        assert_eq!(get(&c, c.root, "skiff.option.en1.mtu").await.unwrap(), b"1400");
        assert_eq!(get(&c, c.root, "skiff.option.children").await, Err(Error::NoAttribute));
        let file = c.create("f").await.unwrap();
        assert_eq!(get(&c, file, "skiff.option.program").await, Err(Error::NotSupported));
        let key = Bytes::new(b"user.colour").unwrap();
        let value = HeapMemory::new(b"blue".to_vec());
        let set = |create| SetXattr { node: file, name: key, len: 4, src: LeaseId(0), create };
        let lease = [Attachment::Read(value)];
        assert_eq!(c.call(set(Some(false)), &lease).await, Err(Error::NoAttribute));
        c.call(set(None), &lease).await.unwrap();
        assert_eq!(c.call(set(Some(true)), &lease).await, Err(Error::Exists));
        assert_eq!(get(&c, file, "user.colour").await.unwrap(), b"blue");
        let dest = HeapMemory::zeroed(64);
        let list = ListXattr { node: file, dest: Some(LeaseId(0)) };
        assert_eq!(c.call(list, &[Attachment::Write(dest.clone())]).await, Ok(12));
        assert_eq!(&dest.to_vec()[..12], b"user.colour\0");
    });
    let world = restart(&world);
    world.run(|c| async move {
        let file = c.find("f").await.unwrap().file;
        assert_eq!(get(&c, file, "user.colour").await.unwrap(), b"blue");
        c.call(RemoveXattr { node: file, name: Bytes::new(b"user.colour").unwrap() }, &[]).await.unwrap();
        assert_eq!(get(&c, file, "user.colour").await, Err(Error::NoAttribute));
    });
}

#[test]
fn special_nodes_keep_their_kind() {
    let world = world();
    world.run(|c| async move {
        for (path, kind) in [("fifo", Kind::Fifo), ("sock", Kind::Socket), ("dev", Kind::CharDevice)] {
            let call = Mknod { dir: c.root, name: name(path), kind, mode: 0o600, rdev: 0x103 };
            c.call(call, &[]).await.unwrap();
        }
    });
    let world = restart(&world);
    world.run(|c| async move {
        assert_eq!(c.find("fifo").await.unwrap().attr.kind, Kind::Fifo);
        assert_eq!(c.find("sock").await.unwrap().attr.kind, Kind::Socket);
        let device = c.find("dev").await.unwrap();
        assert_eq!((device.attr.kind, device.attr.rdev), (Kind::CharDevice, 0x103));
        assert_eq!(c.open("fifo", Access::READ).await, Err(Error::Invalid));
    });
}

#[test]
fn a_read_only_volume_is_not_written() {
    let disk = empty(16_384);
    disk.read_only.set(true);
    let world = start(&disk, Options::default()).unwrap();
    world.run(|c| async move {
        assert_eq!(c.create("x").await, Err(Error::ReadOnly));
        assert_eq!(c.set_size(c.root, 1).await.err(), Some(Error::ReadOnly));
        c.sync().await.unwrap();
    });
    assert!(disk.events.borrow().is_empty());
}

#[test]
fn handles_of_an_earlier_life_of_the_caller_are_void() {
    use rt::Context;
    let world = world();
    let handles = tfs::handles::Handles::default();
    let inode = std::rc::Rc::new(tfs::inode::Inode::new(
        tfs_format::tree::ROOT, 1, 1, 0, Vec::new(), &Default::default(),
    ));
    let context = |generation| Context::new(7, generation, 0, &[]);
    let file = handles.add(&context(1), inode, None).unwrap();
    assert!(handles.get(&context(1), file).is_ok());
    assert!(handles.get(&Context::new(8, 1, 0, &[]), file).is_err());
    assert!(handles.get(&context(2), file).is_err());
    assert!(handles.get(&context(1), file).is_err());
    drop(world);
}

#[test]
fn a_block_server_that_dies_is_asked_again() {
    let world = world();
    world.disk.dying.set(3);
    world.run(|c| async move {
        let file = c.create("f").await.unwrap();
        c.write(file, 0, &[1; 5000]).await.unwrap();
        c.sync().await.unwrap();
        assert_eq!(c.read(file, 0, 5000).await.unwrap(), vec![1; 5000]);
    });
    restart(&world);
}

#[test]
fn a_disk_that_fails_stops_changes_but_not_reads() {
    let world = world();
    world.run(|c| async move {
        let file = c.create("f").await.unwrap();
        c.write(file, 0, b"data").await.unwrap();
        c.sync().await.unwrap();
        c.create("lost").await.unwrap();
    });
    world.disk.broken.set(true);
    assert_eq!(world.run(|c| async move { c.sync().await }), Err(Error::Io));
    world.disk.broken.set(false);
    world.run(|c| async move {
        assert_eq!(c.create("more").await, Err(Error::Io));
        let file = c.open("f", Access::READ).await.unwrap();
        assert_eq!(c.read(file, 0, 10).await.unwrap(), b"data");
    });
    assert!(world.machine.lines().iter().any(|line| line.contains("log cannot be written")));
    assert!(check(&world.disk.bytes.borrow()).tree.child(tfs_format::tree::ROOT, b"f").is_some());
}

#[test]
fn mount_errors_say_what_is_wrong() {
    let fails = |bytes: Vec<u8>| start(&RamDisk::new(bytes), Options::default()).err().unwrap();
    assert!(matches!(fails(vec![0; 4096]), MountError::Log(_)));
    assert!(fails(vec![0; 4096]).to_string().contains("magic"));
    assert!(matches!(fails(Vec::new()), MountError::Read(_)));
    let boot = Options { partition: tfs::Partition::Boot, ..Options::default() };
    assert_eq!(start(&empty(0), boot).err(), Some(MountError::NoBootVolume));
}

#[test]
fn a_walk_tells_how_far_it_came() {
    let world = world();
    world.run(|c| async move {
        let dir = c.mkdir(c.root, "a").await.unwrap();
        c.mkdir(dir, "b").await.unwrap();
        let call = Walk { from: c.root, path: Path::new(b"a/b/c/d").unwrap(), open: Some(Access::READ) };
        let walked = c.call(call, &[]).await.unwrap();
        assert_eq!((walked.count, walked.opened, walked.stop), (2, false, Some(Error::NotFound)));
        assert_eq!(walked.node.attr.kind, Kind::Directory);
    });
    assert!(world.machine.now_ns() > 0);
}
