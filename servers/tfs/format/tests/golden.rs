//! Volumes made by other tools: read right, and the damaged ones refused.

mod common;

use common::{Random, replay, root_of, shared, slice, sums, unpack};
use std::path::PathBuf;
use tfs_format::Volume;

/// Names of the packed volumes, good or bad.
fn images(bad: bool) -> Vec<PathBuf> {
    let Some(shared) = shared() else { return Vec::new() };
    let files = std::fs::read_dir(shared.join("golden")).unwrap().map(|entry| entry.unwrap().path());
    let mut images: Vec<PathBuf> = files
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let image = name.ends_with(".tfs.xz") || name.ends_with(".img.xz");
            image && name.starts_with("bad-") == bad
        })
        .collect();
    images.sort();
    assert!(images.len() > 10);
    images
}

#[test]
fn every_golden_volume_is_read_right() {
    for path in images(false) {
        let disk = unpack(&path);
        let volume = slice(&disk, root_of(&disk).unwrap());
        let replayed = replay(volume).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let listing = sums(volume, &replayed.tree);
        let plain = path.with_extension("sums");
        let expected = if plain.exists() {
            std::fs::read(plain).unwrap()
        } else {
            unpack(&path.with_extension("sums.xz"))
        };
        assert!(listing == expected, "{}: contents differ", path.display());
        Volume::open(replayed).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    }
}

#[test]
fn every_damaged_volume_is_refused() {
    for path in images(true) {
        let disk = unpack(&path);
        let Some(root) = root_of(&disk) else { continue };
        let reason = match replay(slice(&disk, root)) {
            Err(error) => error.to_string(),
            Ok(replayed) => match Volume::open(replayed) {
                Err(problem) => problem.to_string(),
                Ok(_) => panic!("{} was accepted", path.display()),
            },
        };
        eprintln!("{}: {reason}", path.file_name().unwrap().to_string_lossy());
    }
}

#[test]
fn the_boot_volume_of_a_disk_is_found() {
    let Some(shared) = shared() else { return };
    let disk = unpack(&shared.join("golden/disk.img.xz"));
    let found = tfs_format::mbr::find(&disk, (disk.len() / 512) as u64).unwrap();
    let boot = replay(slice(&disk, found.boot.unwrap())).unwrap();
    assert!(boot.tree.child(tfs_format::tree::ROOT, b"kernel").is_some());
    assert_eq!(replay(slice(&disk, found.root)).unwrap().label, b"rootlabel");
}

#[test]
fn no_truncation_panics_and_none_inside_the_log_is_accepted() {
    let Some(shared) = shared() else { return };
    for name in ["tiny.tfs.xz", "features.tfs.xz", "fuse.tfs.xz", "ops-v4.tfs.xz"] {
        let volume = unpack(&shared.join("golden").join(name));
        for sectors in 0..1025 {
            assert!(replay(&volume[..sectors * 512]).is_err(), "{name} cut to {sectors} sectors");
        }
        let full = replay(&volume).unwrap();
        let end = full.extensions.last().unwrap().run.sector * 512 + full.tail.offset;
        // The same log, its bytes gone from some point on.
        for cut in 0..end as usize + 1 {
            let mut damaged = volume[..end as usize + 512].to_vec();
            damaged.resize(1025 * 512, 0);
            damaged[cut..].fill(0);
            if let Ok(replayed) = replay(&damaged) {
                assert_eq!(replayed.tail.offset, full.tail.offset, "{name} blank from {cut}");
                let _ = Volume::open(replayed);
            }
        }
    }
}

#[test]
fn random_damage_never_panics() {
    let Some(shared) = shared() else { return };
    for name in ["features.tfs.xz", "fuse.tfs.xz", "ops-v4.tfs.xz", "v4-upgraded.tfs.xz"] {
        let volume = unpack(&shared.join("golden").join(name));
        let full = replay(&volume).unwrap();
        let last = full.extensions.last().unwrap().run.sector;
        let end = (last * 512 + full.tail.offset) as usize;
        let mut random = Random(42);
        let mut damaged = volume.clone();
        for _ in 0..4000 {
            let mut undo = Vec::new();
            for _ in 0..=random.below(4) {
                let at = random.below(end as u64 + 1) as usize;
                undo.push((at, damaged[at]));
                damaged[at] = random.next() as u8;
            }
            if let Ok(replayed) = replay(&damaged) {
                let _ = Volume::open(replayed);
            }
            for (at, byte) in undo.into_iter().rev() {
                damaged[at] = byte;
            }
        }
    }
}
