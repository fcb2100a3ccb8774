//! attach, walk, open, reopen, close, statfs, sync.

use super::Mount;
use crate::convert;
use crate::inode::Inode;
use alloc::rc::Rc;
use protocol::fs::{
    Access, Attach, Attached, Close, Coherence, Error, Kind, Node, Open, Reopen, Result, StatFs, Sync, SyncAll,
    VolumeInfo, Walk, Walked,
};
use rt::Context;
use tfs_format::{NAME_MAX, SECTOR, SECTOR_BYTES};

/// `f_type` of the volume: the first bytes of its magic, as no number is registered for TFS.
const STATFS_MAGIC: u32 = u32::from_be_bytes(*b"TFS\x05");
/// Unit in which free space is reported: what files are allocated in.
const BLOCK_BYTES: u64 = 4096;

impl Mount {
    pub fn attach(&self, cx: &Context, _: Attach) -> Result<Attached> {
        let Node { file, attr } = self.node(cx, self.store.root()?, None)?;
        let io_bytes = u32::try_from(self.store.disk.max_sectors() * SECTOR_BYTES).unwrap_or(u32::MAX);
        Ok(Attached { root: file, attr, read_only: self.store.read_only, coherence: Coherence::Exclusive, io_bytes })
    }

    /// Waits only to truncate; the tree may change meanwhile, the node walked to stays.
    pub async fn walk(&self, cx: &Context, call: Walk<'_>) -> Result<Walked> {
        let start = self.handles.get(cx, call.from)?;
        let mut node = start.node;
        let mut count = 0;
        let mut stop = None;
        for name in call.path.components() {
            let tree = self.store.tree();
            if tree.children(node).is_none() {
                stop = Some(Error::NotDirectory);
                break;
            }
            match tree.child(node, name.get()) {
                Some(child) => node = child,
                None => {
                    stop = Some(Error::NotFound);
                    break;
                }
            }
            count += 1;
        }
        if count == 0 && stop == Some(Error::NotDirectory) {
            return Err(Error::NotDirectory);
        }
        let inode = if node == start.node { start } else { self.store.inode(node)? };
        let mut opened = None;
        if let (Some(access), None) = (call.open, stop) {
            match self.prepare(cx, &inode, access).await {
                Ok(()) => opened = Some(access),
                Err(error) => stop = Some(error),
            }
        }
        let node = self.node(cx, inode, opened)?;
        Ok(Walked { count, node, opened: opened.is_some(), stop })
    }

    /// Waits only to truncate.
    pub async fn open(&self, cx: &Context, call: Open) -> Result<Node> {
        let inode = self.handles.get(cx, call.node)?;
        self.prepare(cx, &inode, call.access).await?;
        self.node(cx, inode, Some(call.access))
    }

    /// Waits only to truncate.
    pub async fn reopen(&self, cx: &Context, call: Reopen) -> Result<Node> {
        let node = self.store.find(call.inode).ok_or(Error::Stale)?;
        let inode = self.store.inode(node)?;
        if let Some(access) = call.open {
            self.prepare(cx, &inode, access).await?;
        }
        self.node(cx, inode, call.open)
    }

    /// Checks that a node can be opened so, and cuts it if asked.
    async fn prepare(&self, cx: &Context, inode: &Rc<Inode>, access: Access) -> Result<()> {
        let kind = convert::kind(&self.store.tree(), inode.node);
        let changing = access.intersects(Access::WRITE | Access::TRUNCATE);
        match kind {
            Kind::Directory if changing => return Err(Error::IsDirectory),
            Kind::File | Kind::Directory => {}
            _ => return Err(Error::Invalid),
        }
        if changing {
            self.store.writable()?;
        }
        if access.contains(Access::TRUNCATE) {
            if !access.contains(Access::WRITE) {
                return Err(Error::Invalid);
            }
            self.resize(cx, inode, 0).await?;
        }
        Ok(())
    }

    pub fn close(&self, cx: &Context, call: Close) -> Result<()> {
        self.handles.remove(cx, call.file)?;
        self.store.bury();
        Ok(())
    }

    pub fn stat_fs(&self, _: &Context, _: StatFs) -> Result<VolumeInfo> {
        let volume = self.store.volume();
        let unit = BLOCK_BYTES / SECTOR as u64;
        let free = volume.free_sectors() / unit;
        let id = volume.uuid().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        Ok(VolumeInfo {
            magic: STATFS_MAGIC,
            block_bytes: BLOCK_BYTES as u32,
            blocks: volume.sectors() / unit,
            free,
            available: free,
            files: 0,
            files_free: 0,
            id,
            name_max: NAME_MAX as u32,
        })
    }

    /// Waits for the disk. TFS has one log: the whole volume becomes durable.
    pub async fn sync(&self, cx: &Context, call: Sync) -> Result<()> {
        self.handles.get(cx, call.file)?;
        self.store.sync(cx.request).await
    }

    /// Waits for the disk.
    pub async fn sync_all(&self, cx: &Context, _: SyncAll) -> Result<()> {
        self.store.sync(cx.request).await
    }
}
