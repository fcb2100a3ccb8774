//! An open directory: its position and its listing, with `.`, `..` and mount points added.
//!
//! Positions: 0 stands before `.`, 1 before `..`, 2 before the first entry of the volume, and `cookie + 2` behind the entry
//! with that cookie. Names that exist only as mount points come first in the volume's part, from [`PINNED`] on.

use super::description::File;
use super::names::Place;
use super::node::{Entry, Kind, Node, Result, mode_bits};
use alloc::sync::Arc;
use core::any::Any;
use linux_abi::Errno;

/// Positions of mount points, far above every cookie in use.
const PINNED: u64 = 1 << 62;

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
        if at < PINNED && !self.list_volume(&mut at, take)? {
            return Ok(());
        }
        let mut index = at - PINNED;
        while let Some(name) = usize::try_from(index).ok().and_then(|index| self.place.pinned(index)) {
            index += 1;
            if !take(Listed { inode: PINNED + index, next: PINNED + index, kind: directory, name: &name }) {
                break;
            }
        }
        Ok(())
    }

    /// The volume's own part; `true` if it is through, with `at` behind it.
    fn list_volume(&self, at: &mut u64, take: &mut dyn FnMut(Listed) -> bool) -> Result<bool> {
        let mut full = false;
        loop {
            let before = *at;
            let end = self.node.list(*at - 2, &mut |entry: Entry| {
                let next = entry.cookie.saturating_add(2).min(PINNED - 1);
                if !self.place.is_pinned(entry.name) {
                    let listed = Listed { inode: entry.inode, next, kind: dirent_kind(entry.kind), name: entry.name };
                    if !take(listed) {
                        full = true;
                        return false;
                    }
                }
                *at = next;
                true
            })?;
            if full {
                return Ok(false);
            }
            // A server that makes no progress is at its end.
            if end || *at == before {
                *at = PINNED;
                return Ok(true);
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
    fn sync(&self, data_only: bool) -> Result<()> {
        self.node.sync(data_only)
    }
}
