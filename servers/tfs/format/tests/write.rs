//! Volumes that this crate writes: what comes back is what went in, by our own reader and by
//! `tfs.py`, also when a flush was cut off anywhere.

mod common;

use common::{Random, apply, content, replay, shared, sums, tfs_py, unpack};
use std::collections::BTreeMap;
use tfs_format::build::{BuildError, Builder, FileInfo, Size};
use tfs_format::log::SectorWrite;
use tfs_format::manifest::{self, Manifest};
use tfs_format::symbols;
use tfs_format::tree::ROOT;
use tfs_format::{ObjectId, SECTOR, Value, Volume, mbr};

/// Builds an image in memory; file `n` holds bytes of value `n`.
fn build(builder: Builder, size: Size) -> Vec<u8> {
    let built = builder.finish(size).unwrap();
    let mut volume = vec![0; built.sectors as usize * SECTOR];
    for write in &built.writes {
        apply(&mut volume, write);
    }
    for copy in &built.copies {
        let start = copy.sector as usize * SECTOR;
        volume[start..start + copy.bytes as usize].fill(copy.source as u8);
    }
    volume
}

fn empty() -> Vec<u8> {
    build(Builder::new([3; 16], b"test").unwrap(), Size::AtLeast(16 * 1024))
}

fn open(volume: &[u8]) -> Volume {
    Volume::open(replay(volume).unwrap()).map(|(volume, _)| volume).unwrap_or_else(|p| panic!("{p}"))
}

fn check(volume: &[u8]) {
    tfs_py("check", volume);
    if let Some(theirs) = tfs_py("sums", volume) {
        let ours = sums(volume, &replay(volume).unwrap().tree);
        assert!(ours == theirs, "tfs.py sees other contents");
    }
}

/// Adds a file entry to the root, with its log record.
fn create(volume: &mut Volume, name: &str) -> ObjectId {
    let table = volume.new_tuple(&[]).unwrap();
    let node = volume
        .new_tuple(&[(symbols::EXTENTS, Value::Object(table)), (symbols::FILELENGTH, Value::number(0))])
        .unwrap();
    let name = volume.tree.symbols.intern(name.as_bytes()).unwrap();
    let children = volume.tree.children(ROOT).unwrap();
    volume.change(children, &[(name, Some(Value::Object(node)))]).unwrap();
    node
}

fn remove(volume: &mut Volume, name: &str) {
    let node = volume.tree.child(ROOT, name.as_bytes()).unwrap();
    let children = volume.tree.children(ROOT).unwrap();
    let name = volume.tree.symbols.find(name.as_bytes()).unwrap();
    volume.change(children, &[(name, None)]).unwrap();
    volume.discard(node);
}

fn flush(volume: &mut Volume, disk: &mut Vec<u8>) {
    if let Some(flush) = volume.plan() {
        for write in flush.plan.stages.iter().flatten() {
            apply(disk, write);
        }
        volume.written(&flush);
    }
}

#[test]
fn a_built_volume_holds_what_was_put_in() {
    let mut builder = Builder::new([9; 16], b"skiff").unwrap();
    let options = manifest::parse(b"(program:/bin/app arguments:[app \"-x y\"] environment:(HOME:/))").unwrap();
    for name in ["program", "arguments", "environment"] {
        builder.root_option(name.as_bytes(), options.get(name.as_bytes()).unwrap()).unwrap();
    }
    let info = FileInfo { mode: 0o755, uid: 0, gid: 7, mtime: 1_700_000_000 << 32 };
    builder.file(b"/bin/app", 100_001, 1, info).unwrap();
    builder.file("/etc/naïve name".as_bytes(), 512, 2, info).unwrap();
    builder.file(b"/etc/empty", 0, 3, info).unwrap();
    builder.directory(b"/tmp", FileInfo { mode: 0o1777, ..info }).unwrap();
    builder.symlink(b"/lib/x/link", b"../../bin/app", info).unwrap();
    assert_eq!(builder.file(b"/bin/app", 1, 4, info), Err(BuildError::Exists));
    assert_eq!(builder.file(b"/bin/app/x", 1, 4, info), Err(BuildError::NotDirectory));
    assert_eq!(builder.file(b"/bin/../x", 1, 4, info), Err(BuildError::Name));
    assert!(builder.contains(b"lib/x/link") && !builder.contains(b"/lib/y"));
    let volume = build(builder, Size::AtLeast(0));
    assert_eq!(volume.len() % (512 * 1024), 0);
    check(&volume);
    let opened = open(&volume);
    let bin = opened.tree.child(ROOT, b"bin").unwrap();
    let app = opened.tree.child(bin, b"app").unwrap();
    assert_eq!(content(&volume, &opened.tree, app), vec![1; 100_001]);
    assert_eq!(opened.tree.number(app, symbols::MODE), Some(0o100_755));
    let loaded = Manifest::load(&opened.tree, ROOT);
    assert_eq!(loaded.get(b"arguments"), options.get(b"arguments"));
    assert_eq!(loaded.get(b"environment"), options.get(b"environment"));
}

#[test]
fn thousands_of_long_names_spread_over_extensions() {
    let mut builder = Builder::new([9; 16], b"").unwrap();
    for n in 0..4000usize {
        let path = format!("/d{}/{:0>200}", n % 3, n);
        builder.file(path.as_bytes(), (n % 5 * 300) as u64, n, FileInfo::default()).unwrap();
    }
    let volume = build(builder, Size::AtLeast(0));
    assert!(replay(&volume).unwrap().extensions.len() > 2);
    check(&volume);
}

#[test]
fn a_boot_volume_has_its_exact_size_or_is_refused() {
    let make = |bytes| {
        let mut builder = Builder::new([1; 16], b"").unwrap();
        builder.file(b"kernel", bytes, 5, FileInfo::default()).unwrap();
        builder
    };
    let volume = build(make(1 << 20), Size::Exactly(mbr::BOOT_SECTORS));
    assert_eq!(volume.len(), 12 << 20);
    check(&volume);
    let refused = make(13 << 20).finish(Size::Exactly(mbr::BOOT_SECTORS)).map(|_| ());
    assert!(matches!(refused, Err(BuildError::TooLarge(_))));
}

#[test]
fn changes_survive_sessions_and_extensions() {
    let mut disk = empty();
    let mut expected = BTreeMap::new();
    for session in 0..3 {
        let mut volume = open(&disk);
        for n in 0..1500 {
            let name = format!("{session}-{n:0>120}");
            let node = create(&mut volume, &name);
            volume.change(node, &[(symbols::MODE, Some(Value::number(n)))]).unwrap();
            expected.insert(name, n);
            if n % 3 == 0 {
                let gone = format!("{session}-{:0>120}", n / 2);
                if expected.remove(&gone).is_some() {
                    remove(&mut volume, &gone);
                }
            }
            if n % 100 == 7 {
                flush(&mut volume, &mut disk);
            }
        }
        flush(&mut volume, &mut disk);
        assert!(!volume.is_dirty());
        check(&disk);
    }
    let volume = open(&disk);
    assert!(replay(&disk).unwrap().extensions.len() > 2);
    let found: BTreeMap<String, u64> = volume
        .tree
        .entries(ROOT, None)
        .map(|(name, node)| {
            let name = String::from_utf8(volume.tree.symbols.name(name).to_vec()).unwrap();
            (name, volume.tree.number(node, symbols::MODE).unwrap())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_flush_cut_off_anywhere_leaves_the_old_or_the_new_state() {
    let mut disk = empty();
    let mut volume = open(&disk);
    let mut random = Random(7);
    for round in 0..30 {
        for n in 0..random.below(120) {
            create(&mut volume, &format!("{round}-{n}-{:0>100}", random.next()));
        }
        if round == 20 {
            volume.compact().unwrap();
        }
        let Some(flush) = volume.plan() else { continue };
        let before = sums(&disk, &replay(&disk).unwrap().tree);
        let mut cut = disk.clone();
        for (stage, writes) in flush.plan.stages.iter().enumerate() {
            // Within a stage sectors land in any order: try some subsets of single sectors.
            let mut sectors: Vec<SectorWrite> = Vec::new();
            for write in writes {
                for (n, bytes) in write.bytes.chunks(SECTOR).enumerate() {
                    sectors.push(SectorWrite { sector: write.sector + n as u64, bytes: bytes.to_vec() });
                }
            }
            for _ in 0..8 {
                let mut torn = cut.clone();
                let skipped = random.below(sectors.len() as u64) as usize;
                for (n, write) in sectors.iter().enumerate() {
                    if n != skipped && random.below(3) > 0 {
                        apply(&mut torn, write);
                    }
                }
                if stage + 1 < flush.plan.stages.len() || sectors.len() == 1 {
                    let seen = sums(&torn, &replay(&torn).unwrap().tree);
                    assert!(seen == before, "round {round}, stage {stage}");
                }
            }
            for write in writes {
                apply(&mut cut, write);
            }
            if stage + 1 == flush.plan.stages.len() {
                assert_eq!(writes.iter().map(|w| w.bytes.len()).sum::<usize>(), SECTOR);
            }
        }
        disk = cut;
        volume.written(&flush);
        let after = sums(&disk, &replay(&disk).unwrap().tree);
        assert!(after == sums(&disk, &volume.tree), "round {round}");
    }
    check(&disk);
}

#[test]
fn compaction_sheds_history_and_frees_the_old_log() {
    let mut disk = empty();
    let mut volume = open(&disk);
    create(&mut volume, "kept");
    let mut rewrites = 0;
    for n in 0..9000 {
        let name = format!("short-lived {n}");
        create(&mut volume, &name);
        remove(&mut volume, &name);
        if n % 64 == 0 {
            if volume.wants_compaction() {
                volume.compact().unwrap();
                rewrites += 1;
            }
            flush(&mut volume, &mut disk);
        }
    }
    flush(&mut volume, &mut disk);
    assert!(rewrites > 1);
    assert!(replay(&disk).unwrap().extensions.len() <= 3);
    assert!(volume.tree.symbols.find(b"short-lived 1").is_none());
    check(&disk);
    let reopened = open(&disk);
    assert_eq!(reopened.free_sectors(), volume.free_sectors());
    assert!(reopened.tree.child(ROOT, b"kept").is_some());
    assert_eq!(reopened.tree.entries(ROOT, None).count(), 1);
}

#[test]
fn a_full_volume_refuses_changes_and_stays_sound() {
    let mut disk = build(Builder::new([3; 16], b"").unwrap(), Size::Exactly(4096));
    let mut volume = open(&disk);
    assert!(volume.allocate(1, 8).is_some());
    let mut made = 0;
    loop {
        let table = volume.new_tuple(&[]).unwrap();
        let node = volume.new_tuple(&[(symbols::EXTENTS, Value::Object(table))]).unwrap();
        let name = volume.tree.symbols.intern(format!("{made:0>250}").as_bytes()).unwrap();
        let children = volume.tree.children(ROOT).unwrap();
        if volume.change(children, &[(name, Some(Value::Object(node)))]).is_err() {
            break;
        }
        made += 1;
    }
    assert!(made > 1000);
    assert_eq!(volume.allocate(1, 1), None);
    flush(&mut volume, &mut disk);
    check(&disk);
    assert_eq!(open(&disk).tree.entries(ROOT, None).count(), made);
}

#[test]
fn volumes_of_other_tools_are_continued() {
    let Some(shared) = shared() else { return };
    for name in ["tiny", "features", "fuse", "ops-v4", "ops-v5", "v4-upgraded", "logext", "compact"] {
        let mut disk = unpack(&shared.join(format!("golden/{name}.tfs.xz")));
        // Room for the log to grow, as on a disk that was enlarged.
        disk.resize(disk.len() + (4 << 20), 0);
        let mut volume = open(&disk);
        let node = create(&mut volume, "added by us");
        let xattr = volume.tree.symbols.intern(b"user.note").unwrap();
        volume.change(node, &[(xattr, Some(Value::text(b"hello")))]).unwrap();
        flush(&mut volume, &mut disk);
        check(&disk);
        volume.compact().unwrap();
        flush(&mut volume, &mut disk);
        check(&disk);
        let again = open(&disk);
        assert!(again.tree.child(ROOT, b"added by us").is_some(), "{name}");
    }
}
