//! An open directory: its position and its listing, with `.`, `..` and mount points added.
//!
//! Positions: 0 stands before `.`, 1 before `..`, 2 and so on before the names that exist only as mount points, [`VOLUME`]
//! before the first entry of the volume, and `VOLUME + cookie` behind the entry with that cookie. Shares have cookies
//! up to 2^63 - 1 (ext4 has that one behind the last entry), so the sum ends there; nothing follows it.

use super::description::{File, Patience};
use super::names::Place;
use super::node::{Entry, Kind, Node, Result, mode_bits};
use super::transfer::Sink;
use crate::context::Context;
use alloc::sync::Arc;
use core::any::Any;
use linux_abi::Errno;

/// First position of a mount point.
const PINNED: u64 = 2;

/// Position before the volume's first entry; more mount points than fit below are not listed.
const VOLUME: u64 = 1024;

/// Inode numbers of mount points start above this.
const MOUNT_POINTS: u64 = 1 << 62;

/// Largest position: what lseek(2) can carry.
const LAST: u64 = i64::MAX as u64;

/// A directory that was opened.
pub(crate) struct Directory {
    place: Place,
    node: Arc<dyn Node>,
}

/// One entry for the program.
pub(crate) struct Listed<'a> {
    /// Inode number.
    pub inode: u64,
    /// Position behind it.
    pub next: u64,
    /// Kind as `DT_` number.
    pub kind: u8,
    /// Name.
    pub name: &'a [u8],
}

fn dirent_kind(kind: Kind) -> u8 {
    (mode_bits(kind) >> 12) as u8
}

impl Directory {
    /// Opens the directory at `place`.
    pub(crate) fn open(place: &Place) -> Result<Arc<dyn File>> {
        let node = place.node()?.open_directory()?;
        Ok(Arc::new(Self { place: place.clone(), node }))
    }

    /// Lists from `position` on until `take` answers `false` or the end.
    pub(crate) fn list(&self, position: u64, take: &mut dyn FnMut(Listed) -> bool) -> Result<()> {
        if self.place.is_removed() {
            return Err(Errno::ENOENT);
        }
        let mut at = position;
        let directory = dirent_kind(Kind::Directory);
        if at == 0 {
            if !take(Listed { inode: self.node.inode(), next: 1, kind: directory, name: b"." }) {
                return Ok(());
            }
            at = 1;
        }
        if at == 1 {
            let above = self.place.parent().node()?.inode();
            if !take(Listed { inode: above, next: 2, kind: directory, name: b".." }) {
                return Ok(());
            }
            at = 2;
        }
        while at < VOLUME {
            let Some(name) = self.place.pinned((at - PINNED) as usize) else { break };
            at += 1;
            if !take(Listed { inode: MOUNT_POINTS + at, next: at, kind: directory, name: &name }) {
                return Ok(());
            }
        }
        self.list_volume(at.max(VOLUME), take)
    }

    /// The volume's own part from `at` on.
    fn list_volume(&self, mut at: u64, take: &mut dyn FnMut(Listed) -> bool) -> Result<()> {
        let mut full = false;
        loop {
            let before = at;
            let end = self.node.list(at - VOLUME, &mut |entry: Entry| {
                let next = entry.cookie.saturating_add(VOLUME).min(LAST);
                if !self.place.is_pinned(entry.name) {
                    let listed = Listed { inode: entry.inode, next, kind: dirent_kind(entry.kind), name: entry.name };
                    if !take(listed) {
                        full = true;
                        return false;
                    }
                }
                at = next;
                true
            })?;
            // A server that makes no progress is at its end.
            if full || end || at == before {
                return Ok(());
            }
        }
    }
}

impl File for Directory {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn node(&self) -> Option<Arc<dyn Node>> {
        Some(self.node.clone())
    }
    fn read(&self, _cx: &Context, _patience: Patience, _sink: &mut Sink) -> Result<usize> {
        Err(Errno::EISDIR)
    }
    fn sync(&self, data_only: bool) -> Result<()> {
        self.node.sync(data_only)
    }
}
