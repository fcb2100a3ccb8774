//! Nodes and files of a server: the `fs` protocol behind [`Node`] and [`File`].
//!
//! A [`ServedNode`] is a handle plus the [`Inode`] it leads to. On an exclusive volume the inode has one handle for all data, opened
//! at the first transfer; on a shared volume every open(2) has its own, as the host checks and cuts.

use super::description::File;
use super::inode::Inode;
use super::node::{Access, Attr, AttrChange, Entry, Kind, Node, RenameFlags, Result, Volume, Walked};
use super::served_file::ServedFile;
use super::server::{Handle, LEASE, Lend, Server, frame};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::Errno;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs;
use protocol::{Bytes, Name, Path};
use spin::Mutex;

/// Pages lent for a listing.
const LIST_PAGES: usize = 4;
/// Largest value of an extended attribute (`XATTR_SIZE_MAX`).
const XATTR_PAGES: usize = 16;

/// One node of a server.
pub(crate) struct ServedNode {
    volume: Arc<dyn Volume>,
    server: Arc<Server>,
    handle: Arc<Handle>,
    inode: Arc<Inode>,
    /// How the server opened the handle, if it did.
    opened: Option<Access>,
    /// The inode's attributes are those of the walk just made; told once without asking.
    fresh: AtomicBool,
    target: Mutex<Option<Vec<u8>>>,
}

fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|_| Errno::EINVAL)
}

fn xattr_name(bytes: &[u8]) -> Result<Bytes<'_, { fs::XATTR_NAME_BYTES }>> {
    Bytes::new(bytes).ok_or(Errno::ERANGE)
}

/// Frames that hold `bytes`. Errors: `ENOMEM`.
fn staged(bytes: &[u8]) -> Result<Vec<Frame>> {
    bytes
        .chunks(PAGE_SIZE)
        .map(|part| {
            let frame = frame()?;
            frame.write(0, part).map_err(|_| Errno::EIO)?;
            Ok(frame)
        })
        .collect()
}

/// The first `len` bytes of `frames`.
fn contents(frames: &[Frame], len: usize) -> Result<Vec<u8>> {
    let mut bytes = alloc::vec![0; len.min(frames.len() * PAGE_SIZE)];
    for (part, frame) in bytes.chunks_mut(PAGE_SIZE).zip(frames) {
        frame.read(0, part).map_err(|_| Errno::EIO)?;
    }
    Ok(bytes)
}

fn frames(count: usize) -> Result<Vec<Frame>> {
    (0..count).map(|_| frame()).collect()
}

impl ServedNode {
    /// The root directory of `server`.
    pub(crate) fn root(server: &Arc<Server>) -> Arc<dyn Node> {
        let (handle, attr) = server.root();
        Self::build(server, server.clone(), handle, &attr, None)
    }

    fn build(
        server: &Arc<Server>,
        volume: Arc<dyn Volume>,
        handle: Handle,
        attr: &Attr,
        opened: Option<Access>,
    ) -> Arc<dyn Node> {
        let inode = server.inode(attr);
        Arc::new(Self {
            volume,
            server: server.clone(),
            handle: Arc::new(handle),
            inode,
            opened,
            fresh: AtomicBool::new(true),
            target: Mutex::new(None),
        })
    }

    /// A node that the server handed out in answer to a call on this one.
    fn adopt(&self, node: fs::Node, opened: Option<Access>) -> Arc<dyn Node> {
        let handle = self.server.own(node.file);
        Self::build(&self.server, self.volume.clone(), handle, &node.attr, opened)
    }

    fn changeable(&self) -> Result<()> {
        if self.volume.read_only() { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// A name of the node went.
    pub(crate) fn links_changed(&self) {
        self.inode.lost_name();
    }

    /// The handle and inode, for the files made of this node.
    pub(super) fn parts(&self) -> (&Arc<Handle>, &Arc<Inode>) {
        (&self.handle, &self.inode)
    }

    /// A handle that is open for data as `access` asks.
    pub(super) fn data_handle(&self, access: Access) -> Result<Arc<Handle>> {
        if self.server.is_shared() {
            return match self.opened {
                Some(opened) if opened.contains(access) => Ok(self.handle.clone()),
                _ => self.open_handle(access),
            };
        }
        if let Some(handle) = &*self.inode.io.lock() {
            return Ok(handle.clone());
        }
        let all = if self.volume.read_only() { Access::READ } else { Access::READ | Access::WRITE };
        let handle = self.open_handle(all)?;
        // Of two threads that open at once, the first one's handle stays and the other is given back.
        Ok(self.inode.io.lock().get_or_insert(handle).clone())
    }

    fn open_handle(&self, access: Access) -> Result<Arc<Handle>> {
        let node = self.server.call(fs::Open { node: self.handle.file(), access })?;
        let handle = self.server.own(node.file);
        if self.server.is_shared() {
            self.inode.refresh(&node.attr);
        }
        Ok(Arc::new(handle))
    }

    fn as_served(node: &Arc<dyn Node>) -> Result<&Self> {
        node.as_any().downcast_ref().ok_or(Errno::EXDEV)
    }
}

impl Drop for ServedNode {
    fn drop(&mut self) {
        // What is left of a file without a name is not worth writing once its last user goes: us and the list of dirty ones.
        if self.inode.is_nameless() && Arc::strong_count(&self.inode) == 2 {
            self.server.forget_dirty(&self.inode);
        }
    }
}

impl Node for ServedNode {
    fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }
    fn kind(&self) -> Kind {
        self.inode.kind()
    }
    fn inode(&self) -> u64 {
        self.inode.number()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn attr(&self) -> Result<Attr> {
        let ask = self.server.is_shared() && !self.fresh.swap(false, Ordering::AcqRel);
        self.inode.attr(&self.handle, ask)
    }

    fn open(self: Arc<Self>, access: Access) -> Result<Arc<dyn File>> {
        if self.kind() == Kind::Directory {
            return Err(Errno::EISDIR);
        }
        if access.contains(Access::WRITE) {
            self.changeable()?;
        }
        if !self.server.is_shared() {
            if access.contains(Access::TRUNCATE) && self.inode.size() > 0 {
                let handle = self.data_handle(Access::WRITE)?;
                self.inode.truncate(&handle, 0)?;
            }
            return Ok(Arc::new(ServedFile::new(self, None)));
        }
        let handle = match self.opened {
            Some(opened) if opened == access => self.handle.clone(),
            _ => self.open_handle(access)?,
        };
        self.server.keep(&self.inode);
        Ok(Arc::new(ServedFile::new(self, Some(handle))))
    }

    fn open_directory(self: Arc<Self>) -> Result<Arc<dyn Node>> {
        if self.opened.is_some() {
            return Ok(self);
        }
        let node = self.server.call(fs::Open { node: self.handle.file(), access: Access::READ })?;
        Ok(self.adopt(node, Some(Access::READ)))
    }

    fn set_attr(&self, change: &AttrChange) -> Result<Attr> {
        self.changeable()?;
        self.inode.set_attr(&self.handle, change)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Node>> {
        let walked = self.walk(&[name], None)?;
        match walked.node {
            Some(node) if walked.count == 1 => Ok(node),
            _ if walked.missing => Err(Errno::ENOENT),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn walk(&self, names: &[&[u8]], open: Option<Access>) -> Result<Walked> {
        self.server.flush_closes();
        let path = names.join(&b'/');
        let path = Path::new(&path).map_err(|_| Errno::ENAMETOOLONG)?;
        let open = open.filter(|access| !(self.volume.read_only() && access.contains(Access::WRITE)));
        let walked = self.server.call(fs::Walk { from: self.handle.file(), path, open })?;
        let count = usize::from(walked.count);
        let node = self.adopt(walked.node, open.filter(|_| walked.opened));
        let missing = count < names.len() && walked.stop == Some(fs::Error::NotFound);
        let refused = walked.stop.filter(|_| count == names.len() && open.is_some() && !walked.opened);
        let special = !matches!(walked.node.attr.kind, Kind::File | Kind::Directory);
        Ok(Walked {
            count,
            node: (count > 0).then_some(node),
            missing,
            refused: refused.filter(|_| !special).map(crate::errno::from_fs),
        })
    }

    fn create(&self, file_name: &[u8], mode: u16, access: Access) -> Result<Arc<dyn Node>> {
        self.changeable()?;
        let access = if self.server.is_shared() { access } else { Access::READ | Access::WRITE };
        let node = self.server.call(fs::Create { dir: self.handle.file(), name: name(file_name)?, mode, access })?;
        self.inode.make_stale();
        let created = self.adopt(node, Some(access));
        if !self.server.is_shared()
            && let Some(served) = created.as_any().downcast_ref::<Self>()
        {
            *served.inode.io.lock() = Some(served.handle.clone());
        }
        Ok(created)
    }

    fn mkdir(&self, dir_name: &[u8], mode: u16) -> Result<Arc<dyn Node>> {
        self.changeable()?;
        let node = self.server.call(fs::Mkdir { dir: self.handle.file(), name: name(dir_name)?, mode })?;
        self.inode.make_stale();
        Ok(self.adopt(node, None))
    }

    fn symlink(&self, link_name: &[u8], target: &[u8]) -> Result<Arc<dyn Node>> {
        self.changeable()?;
        let target_len = u16::try_from(target.len()).map_err(|_| Errno::ENAMETOOLONG)?;
        let request = fs::Symlink { dir: self.handle.file(), name: name(link_name)?, target_len, target: LEASE };
        let node = self.server.call_with(request, &staged(target)?, 0, target.len(), Lend::ToTake)?;
        self.inode.make_stale();
        Ok(self.adopt(node, None))
    }

    fn mknod(&self, node_name: &[u8], kind: Kind, mode: u16, rdev: u64) -> Result<Arc<dyn Node>> {
        self.changeable()?;
        let node = self.server.call(fs::Mknod { dir: self.handle.file(), name: name(node_name)?, kind, mode, rdev })?;
        self.inode.make_stale();
        Ok(self.adopt(node, None))
    }

    fn link(&self, node: &Arc<dyn Node>, link_name: &[u8]) -> Result<()> {
        self.changeable()?;
        let target = Self::as_served(node)?;
        let request = fs::Link { node: target.handle.file(), dir: self.handle.file(), name: name(link_name)? };
        let attr = self.server.call(request)?;
        target.inode.merge(&attr);
        self.inode.make_stale();
        Ok(())
    }

    fn remove(&self, entry_name: &[u8], directory: bool, node: Option<&Arc<dyn Node>>) -> Result<()> {
        self.changeable()?;
        let kind = if directory { fs::RemoveKind::Directory } else { fs::RemoveKind::File };
        self.server.call(fs::Remove { dir: self.handle.file(), name: name(entry_name)?, kind })?;
        self.inode.make_stale();
        if let Some(served) = node.and_then(|node| Self::as_served(node).ok()) {
            served.links_changed();
        }
        Ok(())
    }

    fn rename(&self, from: &[u8], to_dir: &Arc<dyn Node>, to: &[u8], flags: RenameFlags) -> Result<()> {
        self.changeable()?;
        let target = Self::as_served(to_dir)?;
        self.server.call(fs::Rename {
            from_dir: self.handle.file(),
            from_name: name(from)?,
            to_dir: target.handle.file(),
            to_name: name(to)?,
            flags,
        })?;
        self.inode.make_stale();
        target.inode.make_stale();
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if let Some(target) = &*self.target.lock() {
            return Ok(target.clone());
        }
        let lent = frames(1)?;
        let request = fs::ReadLink { node: self.handle.file(), dest: LEASE };
        let len = self.server.call_with(request, &lent, 0, PAGE_SIZE, Lend::ToFill)?;
        let target = contents(&lent, len as usize)?;
        if !self.server.is_shared() {
            *self.target.lock() = Some(target.clone());
        }
        Ok(target)
    }

    fn list(&self, cookie: u64, take: &mut dyn FnMut(Entry) -> bool) -> Result<bool> {
        let lent = frames(LIST_PAGES)?;
        let len = LIST_PAGES * PAGE_SIZE;
        let request = fs::ReadDir { dir: self.handle.file(), cookie, len: len as u32, dest: LEASE };
        let len = self.server.call_with(request, &lent, 0, len, Lend::ToFill)?;
        let bytes = contents(&lent, len as usize)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (entry, behind) = fs::entry::Entry::parse(rest).ok_or(Errno::EIO)?;
            rest = behind;
            if !take(Entry { inode: entry.inode, cookie: entry.cookie, kind: entry.kind, name: entry.name }) {
                return Ok(false);
            }
        }
        Ok(bytes.is_empty())
    }

    fn sync(&self, data_only: bool) -> Result<()> {
        let written = self.inode.write_back(0, u64::MAX);
        let file = self.data_handle(Access::WRITE).unwrap_or_else(|_| self.handle.clone());
        written.and(self.server.call(fs::Sync { file: file.file(), data_only }))
    }

    fn get_xattr(&self, attr_name: &[u8]) -> Result<Vec<u8>> {
        let attr_name = xattr_name(attr_name)?;
        let node = self.handle.file();
        let len = self.server.call(fs::GetXattr { node, name: attr_name, dest: None })? as usize;
        let lent = frames(len.div_ceil(PAGE_SIZE).clamp(1, XATTR_PAGES))?;
        let request = fs::GetXattr { node, name: attr_name, dest: Some(LEASE) };
        let len = self.server.call_with(request, &lent, 0, lent.len() * PAGE_SIZE, Lend::ToFill)?;
        contents(&lent, len as usize)
    }

    fn set_xattr(&self, attr_name: &[u8], value: &[u8], create: Option<bool>) -> Result<()> {
        self.changeable()?;
        let lent = if value.is_empty() { frames(1)? } else { staged(value)? };
        let request = fs::SetXattr {
            node: self.handle.file(),
            name: xattr_name(attr_name)?,
            len: value.len() as u32,
            src: LEASE,
            create,
        };
        self.server.call_with(request, &lent, 0, value.len(), Lend::ToTake)
    }

    fn list_xattr(&self) -> Result<Vec<u8>> {
        let node = self.handle.file();
        let len = self.server.call(fs::ListXattr { node, dest: None })? as usize;
        let lent = frames(len.div_ceil(PAGE_SIZE).clamp(1, XATTR_PAGES))?;
        let request = fs::ListXattr { node, dest: Some(LEASE) };
        let len = self.server.call_with(request, &lent, 0, lent.len() * PAGE_SIZE, Lend::ToFill)?;
        contents(&lent, len as usize)
    }

    fn remove_xattr(&self, attr_name: &[u8]) -> Result<()> {
        self.changeable()?;
        self.server.call(fs::RemoveXattr { node: self.handle.file(), name: xattr_name(attr_name)? })
    }
}
