//! Random work against a model, and the power cut after any write.

mod common;

use common::*;
use protocol::fs::*;
use std::collections::{BTreeMap, BTreeSet};
use tfs::Options;
use tfs_format::tree::ROOT;
use tfs_format::{SECTOR, Volume};

type Files = BTreeMap<String, Vec<u8>>;

/// What was durable when so many disk events had happened.
struct Snapshot {
    events: usize,
    files: Files,
    /// Names changed since.
    touched: BTreeSet<String>,
}

async fn write_at(c: &Client, files: &mut Files, name: &str, offset: usize, bytes: &[u8]) {
    let file = match c.open(name, BOTH).await {
        Ok(file) => file,
        Err(Error::NotFound) => c.create(name).await.unwrap(),
        Err(error) => panic!("{error:?}"),
    };
    c.write(file, offset as u64, bytes).await.unwrap();
    let content = files.entry(name.to_owned()).or_default();
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    c.close(file).await;
}

/// One random operation; the names that it touched.
async fn step(c: &Client, random: &mut Random, files: &mut Files) -> Vec<String> {
    let name = format!("file {}", random.below(8));
    let exists = files.contains_key(&name);
    match random.below(10) {
        0..=3 => {
            let offset = random.below(60_000) as usize;
            let len = 1 + random.below(9000) as usize;
            let bytes = random.bytes(len);
            write_at(c, files, &name, offset, &bytes).await;
        }
        4 => {
            // Whole pages, as a page cache writes them.
            let offset = random.below(20) as usize * 4096;
            let pages = 1 + random.below(8) as usize;
            let bytes = random.bytes(pages * 4096);
            write_at(c, files, &name, offset, &bytes).await;
        }
        5 if exists => {
            c.remove(&name, RemoveKind::File).await.unwrap();
            files.remove(&name);
        }
        6 if exists => {
            let size = random.below(70_000);
            let node = c.find(&name).await.unwrap().file;
            c.set_size(node, size).await.unwrap();
            files.get_mut(&name).unwrap().resize(size as usize, 0);
            c.close(node).await;
        }
        7 if exists => {
            let to = format!("file {}", random.below(8));
            c.rename(&name, &to, RenameFlags::empty()).await.unwrap();
            let content = files.remove(&name).unwrap();
            files.insert(to.clone(), content);
            return vec![name, to];
        }
        8 if exists => {
            let file = c.open(&name, BOTH).await.unwrap();
            let (start, len) = (random.below(60_000), 1 + random.below(20_000));
            let mode = [AllocateMode::PunchHole, AllocateMode::ZeroRangeKeepSize, AllocateMode::KeepSize]
                [random.below(3) as usize];
            c.call(Allocate { file, offset: start, len, mode }, &[]).await.unwrap();
            if mode != AllocateMode::KeepSize {
                let content = files.get_mut(&name).unwrap();
                let end = content.len().min((start + len) as usize);
                if (start as usize) < end {
                    content[start as usize..end].fill(0);
                }
            }
            c.close(file).await;
        }
        _ => {
            let Some(content) = files.get(&name) else {
                assert_eq!(c.find(&name).await.err(), Some(Error::NotFound));
                return Vec::new();
            };
            let file = c.open(&name, Access::READ).await.unwrap();
            let offset = random.below(1 + content.len() as u64) as usize;
            let len = random.below(20_000) as usize;
            let read = c.read(file, offset as u64, len).await.unwrap();
            assert!(read == content[offset..(offset + len).min(content.len())], "{name} at {offset}+{len}");
            c.close(file).await;
            return Vec::new();
        }
    }
    vec![name]
}

fn content(disk: &[u8], volume: &Volume, name: &str) -> Option<Vec<u8>> {
    let node = volume.tree.child(ROOT, name.as_bytes())?;
    let mut bytes = vec![0; volume.tree.file_length(node).unwrap() as usize];
    for extent in volume.tree.extents(node).unwrap() {
        let at = extent.block as usize * SECTOR;
        if !extent.uninited && at < bytes.len() {
            let count = (extent.length as usize * SECTOR).min(bytes.len() - at);
            let from = extent.sector as usize * SECTOR;
            bytes[at..at + count].copy_from_slice(&disk[from..from + count]);
        }
    }
    Some(bytes)
}

/// Works at random for a while; what the disk saw, and what was durable when.
fn work(seed: u64, steps: usize) -> (Vec<u8>, Vec<Event>, Vec<Snapshot>) {
    let disk = empty(16 * 1024);
    let initial = disk.bytes.borrow().clone();
    let mut random = Random(seed);
    let mut files = Files::new();
    let mut world = start(&disk, Options::default()).unwrap();
    let mut snapshots = vec![Snapshot { events: 0, files: Files::new(), touched: BTreeSet::new() }];
    for n in 0..steps {
        let (mut r, mut f) = (Random(random.next()), files.clone());
        let (touched, f) = world.run(move |c| async move { (step(&c, &mut r, &mut f).await, f) });
        files = f;
        snapshots.last_mut().unwrap().touched.extend(touched);
        if random.below(12) == 0 {
            world.run(|c| async move { c.sync().await.unwrap() });
            let events = disk.events.borrow().len();
            snapshots.push(Snapshot { events, files: files.clone(), touched: BTreeSet::new() });
        }
        if n % 60 == 59 {
            world.run(|c| async move { c.sync().await.unwrap() });
            world = start(&disk, Options::default()).unwrap();
            let events = disk.events.borrow().len();
            snapshots.push(Snapshot { events, files: files.clone(), touched: BTreeSet::new() });
        }
    }
    let events = disk.events.borrow().clone();
    (initial, events, snapshots)
}

#[test]
fn random_work_agrees_with_a_model_and_survives_restarts() {
    for seed in 0..6 {
        let disk = empty(16 * 1024);
        let mut random = Random(seed);
        let mut files = Files::new();
        for _ in 0..6 {
            let world = start(&disk, Options::default()).unwrap();
            for _ in 0..80 {
                let (mut r, mut f) = (Random(random.next()), files.clone());
                files = world.run(move |c| async move {
                    step(&c, &mut r, &mut f).await;
                    f
                });
            }
            world.run(|c| async move { c.sync().await.unwrap() });
            let bytes = disk.bytes.borrow();
            independent_check(&bytes);
            let volume = check(&bytes);
            assert_eq!(volume.tree.entries(ROOT, None).count(), files.len());
            for (name, expected) in &files {
                assert!(content(&bytes, &volume, name).as_ref() == Some(expected), "seed {seed}: {name}");
            }
            let free = volume.free_sectors();
            drop(bytes);
            let info = world.run(|c| async move { c.call(StatFs {}, &[]).await.unwrap() });
            assert_eq!(info.free, free / 8, "seed {seed}: sectors were lost");
        }
    }
}

#[test]
fn a_power_cut_after_any_write_loses_nothing_that_was_synced() {
    for seed in 100..103 {
        let (initial, events, snapshots) = work(seed, 150);
        let mut random = Random(seed);
        // What is surely on the disk, and what may be: everything since the last flush.
        let mut sure = initial;
        let mut unsure: Vec<(u64, Vec<u8>)> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Write { sector, bytes } => unsure.push((*sector, bytes.clone())),
                Event::Flush => {
                    for (sector, bytes) in unsure.drain(..) {
                        let start = sector as usize * SECTOR;
                        sure[start..start + bytes.len()].copy_from_slice(&bytes);
                    }
                }
            }
            let mut torn = sure.clone();
            for (sector, bytes) in &unsure {
                for (n, piece) in bytes.chunks(SECTOR).enumerate() {
                    if random.below(2) == 0 {
                        let start = (*sector as usize + n) * SECTOR;
                        torn[start..start + SECTOR].copy_from_slice(piece);
                    }
                }
            }
            let volume = check(&torn);
            let durable = snapshots.iter().rev().find(|s| s.events <= index + 1).unwrap();
            for (name, expected) in durable.files.iter().filter(|(name, _)| !durable.touched.contains(*name)) {
                let found = content(&torn, &volume, name);
                assert!(found.as_ref() == Some(expected), "seed {seed}, event {index}: {name}");
            }
        }
    }
}

#[test]
fn sectors_of_a_removed_file_are_not_reused_before_its_removal_is_on_disk() {
    let disk = empty(0);
    let world = start(&disk, Options::default()).unwrap();
    // More than half of the space, so that a second such file needs the sectors of the first.
    let len = 400 * 1024;
    world.run(move |c| async move {
        let old = c.create("old").await.unwrap();
        c.write(old, 0, &vec![1; len]).await.unwrap();
        c.close(old).await;
        c.sync().await.unwrap();
    });
    let mut bytes = disk.bytes.borrow().clone();
    disk.events.borrow_mut().clear();
    world.run(move |c| async move {
        c.remove("old", RemoveKind::File).await.unwrap();
        let new = c.create("new").await.unwrap();
        // The server flushes by itself when only that makes room.
        c.write(new, 0, &vec![2; len]).await.unwrap();
        c.sync().await.unwrap();
    });
    let mut seen_new = false;
    for event in disk.events.borrow().iter() {
        if let Event::Write { sector, bytes: written } = event {
            let start = *sector as usize * SECTOR;
            bytes[start..start + written.len()].copy_from_slice(written);
        }
        let volume = check(&bytes);
        if let Some(old) = content(&bytes, &volume, "old") {
            assert!(old == vec![1; len]);
        }
        seen_new |= content(&bytes, &volume, "new").is_some_and(|new| new == vec![2; len]);
    }
    assert!(seen_new);
}

#[test]
fn a_log_that_grew_old_is_rewritten_while_serving() {
    let disk = empty(16 * 1024);
    let world = start(&disk, Options::default()).unwrap();
    world.run(|c| async move {
        let kept = c.create("kept").await.unwrap();
        c.write(kept, 0, &[6; 9000]).await.unwrap();
        for n in 0..6000 {
            let file = c.create(&format!("temporary {n}")).await.unwrap();
            c.remove(&format!("temporary {n}"), RemoveKind::File).await.unwrap();
            c.close(file).await;
        }
        c.sync().await.unwrap();
    });
    let bytes = disk.bytes.borrow();
    independent_check(&bytes);
    let replayed = replay(&bytes);
    assert!(replayed.extensions.len() <= 3, "{} extensions", replayed.extensions.len());
    let volume = check(&bytes);
    assert_eq!(content(&bytes, &volume, "kept"), Some(vec![6; 9000]));
}
