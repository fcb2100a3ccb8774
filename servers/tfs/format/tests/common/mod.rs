//! What the tests share: finding and unpacking golden volumes, replaying one from memory, listing
//! its contents the way `tfs.py sums` does, and running `tfs.py` itself.
#![allow(dead_code)] // each test binary uses its own part

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use tfs_format::log::SectorWrite;
use tfs_format::replay::{Replay, Replayed};
use tfs_format::tree::ROOT;
use tfs_format::{Error, Kind, ObjectId, Run, SECTOR, Tree, mbr};

/// The folder with `FORMAT.md`, `tfs.py` and `golden/`, or a note that it is not there.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/tfs");
    if !path.is_dir() {
        eprintln!("skipped: no shared TFS material beside the repository ({})", path.display());
        return None;
    }
    Some(path)
}

pub fn unpack(path: &Path) -> Vec<u8> {
    let packed = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut packed.as_slice(), &mut bytes).expect("golden files unpack");
    bytes
}

/// Volumes of a disk image held in memory.
pub fn root_of(disk: &[u8]) -> Option<Run> {
    Some(mbr::find(disk, (disk.len() / SECTOR) as u64).ok()?.root)
}

pub fn slice(disk: &[u8], run: Run) -> &[u8] {
    let start = run.sector as usize * SECTOR;
    &disk[start..start + run.count as usize * SECTOR]
}

/// Replays a bare volume held in memory.
pub fn replay(volume: &[u8]) -> Result<Replayed, Error> {
    let mut replay = Replay::new((volume.len() / SECTOR) as u64);
    while let Some(run) = replay.next_wanted() {
        let start = run.sector as usize * SECTOR;
        let end = start + run.count as usize * SECTOR;
        let bytes = volume.get(start..end).unwrap_or(&[]);
        replay.feed(bytes)?;
    }
    replay.finish()
}

pub fn content(volume: &[u8], tree: &Tree, node: ObjectId) -> Vec<u8> {
    let length = tree.file_length(node).unwrap() as usize;
    let mut bytes = vec![0; length];
    for extent in tree.extents(node).unwrap() {
        let at = extent.block as usize * SECTOR;
        if extent.uninited || at >= length {
            continue;
        }
        let count = (extent.length as usize * SECTOR).min(length - at);
        let from = extent.sector as usize * SECTOR;
        bytes[at..at + count].copy_from_slice(&volume[from..from + count]);
    }
    bytes
}

/// One line per node: type, size, hash, path.
pub fn sums(volume: &[u8], tree: &Tree) -> Vec<u8> {
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut todo = vec![(b"/".to_vec(), ROOT)];
    while let Some((path, node)) = todo.pop() {
        let hash = |bytes: &[u8]| {
            Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>()
        };
        let (kind, size, digest) = match tree.kind(node) {
            Kind::Directory => ("dir", 0, "-".into()),
            Kind::Socket => ("socket", 0, "-".into()),
            Kind::Special => ("special", 0, "-".into()),
            Kind::Symlink => {
                let target = tree.link_target(node).unwrap();
                ("link", target.len(), hash(target))
            }
            Kind::File => {
                let bytes = content(volume, tree, node);
                ("file", bytes.len(), hash(&bytes))
            }
        };
        let mut line = format!("{kind}\t{size}\t{digest}\t").into_bytes();
        for byte in &path {
            match byte {
                0..=31 | 127 | b'\\' => line.extend(format!("\\x{byte:02x}").bytes()),
                _ => line.push(*byte),
            }
        }
        line.push(b'\n');
        for (name, child) in tree.entries(node, None) {
            let mut below = if path == b"/" { Vec::new() } else { path.clone() };
            below.push(b'/');
            below.extend_from_slice(tree.symbols.name(name));
            todo.push((below, child));
        }
        lines.push((path, line));
    }
    lines.sort();
    lines.into_iter().flat_map(|(_, line)| line).collect()
}

pub fn apply(volume: &mut Vec<u8>, write: &SectorWrite) {
    let start = write.sector as usize * SECTOR;
    let end = start + write.bytes.len();
    if volume.len() < end {
        volume.resize(end, 0);
    }
    volume[start..end].copy_from_slice(&write.bytes);
}

/// Output of `tfs.py COMMAND` on a volume; `None` without Python or the script.
pub fn tfs_py(command: &str, volume: &[u8]) -> Option<Vec<u8>> {
    let script = shared()?.join("tfs.py");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), volume).unwrap();
    let Ok(output) = Command::new("python3").arg(script).arg(command).arg(file.path()).output() else {
        eprintln!("skipped: no python3");
        return None;
    };
    assert!(output.status.success(), "tfs.py {command}: {output:?}");
    Some(output.stdout)
}

/// A small seeded generator (splitmix64), so that a failure can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
