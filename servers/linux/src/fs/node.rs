//! What names lead to: [`Node`], one file, directory or link of some [`Volume`].
//!
//! Implemented by [`served`](super::served) (tfs, p9, mem, through the `fs` protocol), [`ram`](super::ram)
//! (tmpfs, memfd) and the synthetic trees of `/proc`, `/dev`, `/sys`. The vocabulary ([`Attr`], [`Kind`] ...) is the
//! protocol's own. Calls may wait for a server; nothing here is called with a spin lock held.

use super::description::File;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;
pub(crate) use protocol::fs::{Access, Attr, AttrChange, Coherence, Kind, RenameFlags, SetTime, Time, VolumeInfo};

/// Shorthand of the files side.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// One entry of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Inode number.
    pub inode: u64,
    /// Resumes the listing behind this entry; never 0.
    pub cookie: u64,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: &'a [u8],
}

/// What [`Node::walk`] reached.
pub(crate) struct Walked {
    /// Components that were walked.
    pub count: usize,
    /// The node behind them; `None` if not even one was walked.
    pub node: Option<Arc<dyn Node>>,
    /// Whether the next component does not exist (else what was reached is no directory, or all were walked).
    pub missing: bool,
    /// Why the node at the end could not be opened as asked.
    pub refused: Option<Errno>,
}

/// A mounted filesystem.
pub(crate) trait Volume: Send + Sync {
    /// Device number of its nodes (stat(2) `st_dev`).
    fn device(&self) -> u64;
    /// Type name, as in `/proc/mounts`.
    fn type_name(&self) -> &'static str;
    /// Whether changes are refused with `EROFS`.
    fn read_only(&self) -> bool {
        false
    }
    /// How long answers may be cached.
    fn coherence(&self) -> Coherence {
        Coherence::Exclusive
    }
    /// Whether names of directories may be kept in the name cache at all; synthetic trees change by themselves.
    fn caches_names(&self) -> bool {
        self.coherence() == Coherence::Exclusive
    }
    /// Figures of the volume.
    fn stat_fs(&self) -> Result<VolumeInfo>;
    /// Writes back everything and makes it durable.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// One file, directory, link or special node.
pub(crate) trait Node: Send + Sync + 'static {
    /// The volume that it is on.
    fn volume(&self) -> &Arc<dyn Volume>;
    /// What it is; never changes.
    fn kind(&self) -> Kind;
    /// Inode number.
    fn inode(&self) -> u64;
    /// Attributes now.
    fn attr(&self) -> Result<Attr>;
    /// For finding the implementation again.
    fn as_any(&self) -> &dyn Any;
    /// As [`Self::as_any`], keeping the reference.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;

    /// Opens for reading or writing (not links, sockets, pipes: the caller sees to that).
    fn open(self: Arc<Self>, access: Access) -> Result<Arc<dyn File>>;

    /// Opens a directory for listing: the node to list with.
    fn open_directory(self: Arc<Self>) -> Result<Arc<dyn Node>>;

    /// Changes attributes.
    fn set_attr(&self, _change: &AttrChange) -> Result<Attr> {
        Err(Errno::EPERM)
    }
    /// Finds one entry.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Node>> {
        Err(Errno::ENOTDIR)
    }
    /// Walks plain components, stopping at whatever is no directory; opens the end if asked and able to.
    fn walk(&self, names: &[&[u8]], _open: Option<Access>) -> Result<Walked> {
        let first = names.first().ok_or(Errno::EINVAL)?;
        match self.lookup(first) {
            Ok(node) => Ok(Walked { count: 1, node: Some(node), missing: false, refused: None }),
            Err(Errno::ENOENT) => Ok(Walked { count: 0, node: None, missing: true, refused: None }),
            Err(errno) => Err(errno),
        }
    }
    /// Creates a regular file.
    fn create(&self, _name: &[u8], _mode: u16, _access: Access) -> Result<Arc<dyn Node>> {
        Err(Errno::EACCES)
    }
    /// Creates a directory.
    fn mkdir(&self, _name: &[u8], _mode: u16) -> Result<Arc<dyn Node>> {
        Err(Errno::EPERM)
    }
    /// Creates a symbolic link.
    fn symlink(&self, _name: &[u8], _target: &[u8]) -> Result<Arc<dyn Node>> {
        Err(Errno::EPERM)
    }
    /// Creates a socket name, pipe or device node.
    fn mknod(&self, _name: &[u8], _kind: Kind, _mode: u16, _rdev: u64) -> Result<Arc<dyn Node>> {
        Err(Errno::EPERM)
    }
    /// Gives `node` (of the same volume) the name `name` in this directory.
    fn link(&self, _node: &Arc<dyn Node>, _name: &[u8]) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Removes an entry; `directory` says what it must be. `node` is what has the name, where known.
    fn remove(&self, _name: &[u8], _directory: bool, _node: Option<&Arc<dyn Node>>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Moves an entry of this directory to `to_dir` (same volume).
    fn rename(&self, _from: &[u8], _to_dir: &Arc<dyn Node>, _to: &[u8], _flags: RenameFlags) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Target of a link.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }
    /// Where a magic link (`/proc/self/fd/3`) leads without its text being walked.
    fn magic_link(&self) -> Option<super::names::Place> {
        None
    }
    /// Hands entries behind `cookie` (0: from the start) to `take` until that answers `false` or one batch is through.
    /// Answers whether the end was reached.
    fn list(&self, _cookie: u64, _take: &mut dyn FnMut(Entry) -> bool) -> Result<bool> {
        Err(Errno::ENOTDIR)
    }
    /// Makes it durable.
    fn sync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }
    /// Value of an extended attribute.
    fn get_xattr(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Sets an extended attribute; `create`: `Some(true)` must be new, `Some(false)` must exist.
    fn set_xattr(&self, _name: &[u8], _value: &[u8], _create: Option<bool>) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Names of extended attributes, each ended by NUL.
    fn list_xattr(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    /// Removes an extended attribute.
    fn remove_xattr(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
}

/// Type part of `st_mode`.
pub(crate) fn mode_bits(kind: Kind) -> u32 {
    use linux_abi::file::mode;
    match kind {
        Kind::File => mode::FILE,
        Kind::Directory => mode::DIRECTORY,
        Kind::Link => mode::LINK,
        Kind::Socket => mode::SOCKET,
        Kind::Fifo => mode::FIFO,
        Kind::CharDevice => mode::CHAR,
        Kind::BlockDevice => mode::BLOCK,
    }
}

/// Attributes of a node that exists only in the front end.
pub(crate) fn plain_attr(inode: u64, kind: Kind, mode: u16, time: Time) -> Attr {
    let links = if kind == Kind::Directory { 2 } else { 1 };
    Attr {
        inode,
        kind,
        mode,
        links,
        uid: 0,
        gid: 0,
        size: 0,
        blocks: 0,
        rdev: 0,
        atime: time,
        mtime: time,
        ctime: time,
    }
}

/// Wall-clock time now.
pub(crate) fn now() -> Time {
    time_of_ns(microkernel::time::wall_ns())
}

/// A time stamp from nanoseconds since 1970.
pub(crate) fn time_of_ns(ns: u64) -> Time {
    Time { seconds: (ns / 1_000_000_000).cast_signed(), nanoseconds: (ns % 1_000_000_000) as u32 }
}
