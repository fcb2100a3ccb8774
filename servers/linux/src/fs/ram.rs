//! Files in memory: tmpfs (`/dev/shm`, `/run` ...) and memfd_create(2), on the frames that a mapping shares.

use super::description::File;
use super::inode::next_identity;
use super::node::{
    Access, Attr, AttrChange, Entry, Kind, Node, RenameFlags, Result, SetTime, Volume, VolumeInfo, now, plain_attr,
};
use super::ram_file::{Contents, RamFile};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::Errno;
use spin::Mutex;

/// `TMPFS_MAGIC` (statfs(2)).
const MAGIC: u32 = 0x0102_1994;

/// One tmpfs.
pub(crate) struct RamVolume {
    device: u64,
    next_inode: AtomicU64,
}

impl RamVolume {
    /// An empty volume; its root directory.
    pub(crate) fn create(device: u64, mode: u16) -> Arc<dyn Node> {
        let volume = Arc::new(Self { device, next_inode: AtomicU64::new(1) });
        RamNode::new(&volume, Kind::Directory, mode, Body::Directory(Mutex::default()))
    }

    /// A nameless file.
    pub(crate) fn file(device: u64) -> Arc<RamNode> {
        let volume = Arc::new(Self { device, next_inode: AtomicU64::new(next_identity()) });
        let node = RamNode::new(&volume, Kind::File, 0o777, Body::File(Contents::default()));
        node.attr.lock().links = 0;
        node
    }
}

impl Volume for RamVolume {
    fn device(&self) -> u64 {
        self.device
    }
    fn type_name(&self) -> &'static str {
        "tmpfs"
    }
    fn stat_fs(&self) -> Result<VolumeInfo> {
        let frames = microkernel::mm::frame::stats();
        let (blocks, free) = (frames.total_frames as u64 / 2, frames.free_frames as u64);
        Ok(VolumeInfo {
            magic: MAGIC,
            block_bytes: 4096,
            blocks,
            free: free.min(blocks),
            available: free.min(blocks),
            files: blocks,
            files_free: free.min(blocks),
            id: self.device,
            name_max: 255,
        })
    }
}

struct Child {
    cookie: u64,
    node: Arc<RamNode>,
}

#[derive(Default)]
struct Children {
    by_name: BTreeMap<Box<[u8]>, Child>,
    next_cookie: u64,
    removed: bool,
}

enum Body {
    Directory(Mutex<Children>),
    File(Contents),
    Link(Vec<u8>),
    Special,
}

/// One node of a tmpfs.
pub(crate) struct RamNode {
    volume: Arc<dyn Volume>,
    ram: Arc<RamVolume>,
    attr: Mutex<Attr>,
    body: Body,
}

impl RamNode {
    fn new(volume: &Arc<RamVolume>, kind: Kind, mode: u16, body: Body) -> Arc<Self> {
        let inode = volume.next_inode.fetch_add(1, Ordering::Relaxed);
        let attr = Mutex::new(plain_attr(inode, kind, mode, now()));
        Arc::new(Self { volume: volume.clone(), ram: volume.clone(), attr, body })
    }

    fn children(&self) -> Result<&Mutex<Children>> {
        if let Body::Directory(children) = &self.body { Ok(children) } else { Err(Errno::ENOTDIR) }
    }

    /// Data of a regular file.
    pub(super) fn contents(&self) -> Option<&Contents> {
        if let Body::File(contents) = &self.body { Some(contents) } else { None }
    }

    /// Contents changed.
    pub(super) fn touch(&self) {
        let time = now();
        let mut attr = self.attr.lock();
        (attr.mtime, attr.ctime) = (time, time);
    }

    fn add(&self, name: &[u8], node: Arc<Self>) -> Result<()> {
        let mut children = self.children()?.lock();
        if children.removed {
            return Err(Errno::ENOENT);
        }
        if children.by_name.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        children.next_cookie += 1;
        let cookie = children.next_cookie;
        if node.kind() == Kind::Directory {
            self.attr.lock().links += 1;
        }
        children.by_name.insert(name.into(), Child { cookie, node });
        drop(children);
        self.touch();
        Ok(())
    }

    fn make(&self, name: &[u8], kind: Kind, mode: u16, body: Body) -> Result<Arc<dyn Node>> {
        let node = Self::new(&self.ram, kind, mode, body);
        self.add(name, node.clone())?;
        Ok(node)
    }

    fn as_ram(node: &Arc<dyn Node>) -> Result<&Self> {
        node.as_any().downcast_ref().ok_or(Errno::EXDEV)
    }

    /// Errors: `ENOTEMPTY`; else the directory takes no more entries.
    fn close_directory(&self) -> Result<()> {
        let mut children = self.children()?.lock();
        if !children.by_name.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        children.removed = true;
        Ok(())
    }

    fn unlinked(&self, parent: &Self) {
        let mut attr = self.attr.lock();
        attr.ctime = now();
        if attr.kind == Kind::Directory {
            attr.links = 0;
            drop(attr);
            let mut above = parent.attr.lock();
            above.links = above.links.saturating_sub(1);
        } else {
            attr.links = attr.links.saturating_sub(1);
        }
    }

    /// Errors: those of replacing `old` by `new` in a rename.
    fn may_replace(old: &Self, new: &Self) -> Result<()> {
        match (old.kind(), new.kind()) {
            (Kind::Directory, Kind::Directory) => old.close_directory(),
            (Kind::Directory, _) => Err(Errno::EISDIR),
            (_, Kind::Directory) => Err(Errno::ENOTDIR),
            _ => Ok(()),
        }
    }
}

impl Node for RamNode {
    fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }
    fn kind(&self) -> Kind {
        self.attr.lock().kind
    }
    fn inode(&self) -> u64 {
        self.attr.lock().inode
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn attr(&self) -> Result<Attr> {
        let mut attr = *self.attr.lock();
        match &self.body {
            Body::File(contents) => (attr.size, attr.blocks) = (contents.size(), contents.pages() * 8),
            Body::Link(target) => attr.size = target.len() as u64,
            Body::Directory(_) | Body::Special => {}
        }
        Ok(attr)
    }
    fn open(self: Arc<Self>, access: Access) -> Result<Arc<dyn File>> {
        let contents = self.contents().ok_or(Errno::ENXIO)?;
        if access.contains(Access::TRUNCATE) {
            contents.truncate(0)?;
        }
        Ok(Arc::new(RamFile::new(self)))
    }
    fn open_directory(self: Arc<Self>) -> Result<Arc<dyn Node>> {
        Ok(self)
    }
    fn set_attr(&self, change: &AttrChange) -> Result<Attr> {
        let time = now();
        let pick = |wanted: SetTime| match wanted {
            SetTime::Now => time,
            SetTime::To(time) => time,
        };
        let mut attr = self.attr.lock();
        attr.mode = change.mode.unwrap_or(attr.mode);
        attr.uid = change.uid.unwrap_or(attr.uid);
        attr.gid = change.gid.unwrap_or(attr.gid);
        attr.atime = change.atime.map_or(attr.atime, pick);
        attr.mtime = change.mtime.map_or(attr.mtime, pick);
        attr.ctime = time;
        Ok(*attr)
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Node>> {
        let children = self.children()?.lock();
        children.by_name.get(name).map(|child| child.node.clone() as Arc<dyn Node>).ok_or(Errno::ENOENT)
    }
    fn create(&self, name: &[u8], mode: u16, _access: Access) -> Result<Arc<dyn Node>> {
        self.make(name, Kind::File, mode, Body::File(Contents::default()))
    }
    fn mkdir(&self, name: &[u8], mode: u16) -> Result<Arc<dyn Node>> {
        self.make(name, Kind::Directory, mode, Body::Directory(Mutex::default()))
    }
    fn symlink(&self, name: &[u8], target: &[u8]) -> Result<Arc<dyn Node>> {
        self.make(name, Kind::Link, 0o777, Body::Link(target.into()))
    }
    fn mknod(&self, name: &[u8], kind: Kind, mode: u16, rdev: u64) -> Result<Arc<dyn Node>> {
        let node = Self::new(&self.ram, kind, mode, Body::Special);
        node.attr.lock().rdev = rdev;
        self.add(name, node.clone())?;
        Ok(node)
    }
    fn link(&self, node: &Arc<dyn Node>, name: &[u8]) -> Result<()> {
        let volume = self.ram.clone();
        let target = Self::as_ram(node)?;
        if !Arc::ptr_eq(&volume, &target.ram) {
            return Err(Errno::EXDEV);
        }
        let shared = node.clone().into_any().downcast::<Self>().map_err(|_| Errno::EXDEV)?;
        self.add(name, shared)?;
        target.attr.lock().links += 1;
        Ok(())
    }
    fn remove(&self, name: &[u8], directory: bool, _node: Option<&Arc<dyn Node>>) -> Result<()> {
        let mut children = self.children()?.lock();
        let child = children.by_name.get(name).ok_or(Errno::ENOENT)?.node.clone();
        match (child.kind() == Kind::Directory, directory) {
            (true, true) => child.close_directory()?,
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (false, false) => {}
        }
        let gone = children.by_name.remove(name);
        drop(children);
        drop(gone);
        child.unlinked(self);
        self.touch();
        Ok(())
    }
    fn rename(&self, from: &[u8], to_dir: &Arc<dyn Node>, to: &[u8], flags: RenameFlags) -> Result<()> {
        let target = Self::as_ram(to_dir)?;
        let same = core::ptr::eq(self, target);
        let moving = self.children()?.lock().by_name.get(from).ok_or(Errno::ENOENT)?.node.clone();
        let existing = target.children()?.lock().by_name.get(to).map(|child| child.node.clone());
        if let Some(old) = &existing {
            if flags.contains(RenameFlags::NO_REPLACE) {
                return Err(Errno::EEXIST);
            }
            if Arc::ptr_eq(old, &moving) {
                return Ok(());
            }
            if !flags.contains(RenameFlags::EXCHANGE) {
                Self::may_replace(old, &moving)?;
            }
        } else if flags.contains(RenameFlags::EXCHANGE) {
            return Err(Errno::ENOENT);
        }
        // The gates of both directories are held by the caller, so nothing changes between these steps.
        let taken = self.children()?.lock().by_name.remove(from);
        let replaced = target.children()?.lock().by_name.remove(to);
        drop((taken, replaced));
        if moving.kind() == Kind::Directory && !same {
            let mut above = self.attr.lock();
            above.links = above.links.saturating_sub(1);
        } else if moving.kind() == Kind::Directory {
            self.attr.lock().links -= 1;
        }
        target.add(to, moving)?;
        match existing {
            Some(old) if flags.contains(RenameFlags::EXCHANGE) => self.add(from, old)?,
            Some(old) => old.unlinked(target),
            None => {}
        }
        self.touch();
        Ok(())
    }
    fn read_link(&self) -> Result<Vec<u8>> {
        if let Body::Link(target) = &self.body { Ok(target.clone()) } else { Err(Errno::EINVAL) }
    }
    fn list(&self, cookie: u64, take: &mut dyn FnMut(Entry) -> bool) -> Result<bool> {
        let mut rest: Vec<(u64, Box<[u8]>, u64, Kind)> = {
            let children = self.children()?.lock();
            let behind = children.by_name.iter().filter(|(_, child)| child.cookie > cookie);
            behind.map(|(name, child)| (child.cookie, name.clone(), child.node.inode(), child.node.kind())).collect()
        };
        rest.sort_unstable_by_key(|entry| entry.0);
        for (cookie, name, inode, kind) in &rest {
            if !take(Entry { inode: *inode, cookie: *cookie, kind: *kind, name }) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
