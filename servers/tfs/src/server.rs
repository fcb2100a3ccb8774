//! Requests to operations. Without a volume every request answers `Io`; the log says why.

use crate::mount::{self, MountError, Options};
use crate::ops::Mount;
use crate::store::Store;
use protocol::block::Block;
use protocol::fs::*;
use rt::service::fs::Handler;
use rt::{Context, Link, Runtime};

/// The handler of `fs`.
pub struct Server {
    mount: Option<Mount>,
}

impl Server {
    /// Mounts the volume behind `link`.
    pub async fn mount(runtime: &Runtime, link: Link<Block>, options: Options) -> core::result::Result<Self, MountError> {
        let (disk, volume, survey) = mount::mount(runtime, link, options).await?;
        let store = Store::new(runtime, disk, volume, &survey, options)?;
        Ok(Server { mount: Some(Mount { store, handles: Default::default() }) })
    }

    /// A server for a volume that could not be mounted.
    pub fn without_volume() -> Self {
        Server { mount: None }
    }

    fn volume(&self) -> Result<&Mount> {
        self.mount.as_ref().ok_or(Error::Io)
    }
}

impl Handler for Server {
    async fn close(&self, cx: &Context, call: Close) -> Result<()> {
        self.volume()?.close(cx, call)
    }
    async fn read(&self, cx: &Context, call: Read) -> Result<u32> {
        self.volume()?.read(cx, call).await
    }
    async fn write(&self, cx: &Context, call: Write) -> Result<u32> {
        self.volume()?.write(cx, call).await
    }
    async fn attach(&self, cx: &Context, call: Attach) -> Result<Attached> {
        self.volume()?.attach(cx, call)
    }
    async fn walk(&self, cx: &Context, call: Walk<'_>) -> Result<Walked> {
        self.volume()?.walk(cx, call).await
    }
    async fn open(&self, cx: &Context, call: Open) -> Result<Node> {
        self.volume()?.open(cx, call).await
    }
    async fn create(&self, cx: &Context, call: Create<'_>) -> Result<Node> {
        self.volume()?.create(cx, call)
    }
    async fn mkdir(&self, cx: &Context, call: Mkdir<'_>) -> Result<Node> {
        self.volume()?.mkdir(cx, call)
    }
    async fn symlink(&self, cx: &Context, call: Symlink<'_>) -> Result<Node> {
        self.volume()?.symlink(cx, call)
    }
    async fn mknod(&self, cx: &Context, call: Mknod<'_>) -> Result<Node> {
        self.volume()?.mknod(cx, call)
    }
    async fn link(&self, cx: &Context, call: protocol::fs::Link<'_>) -> Result<Attr> {
        self.volume()?.link(cx, call)
    }
    async fn remove(&self, cx: &Context, call: Remove<'_>) -> Result<()> {
        self.volume()?.remove(cx, call)
    }
    async fn rename(&self, cx: &Context, call: Rename<'_>) -> Result<()> {
        self.volume()?.rename(cx, call)
    }
    async fn read_link(&self, cx: &Context, call: ReadLink) -> Result<u32> {
        self.volume()?.read_link(cx, call)
    }
    async fn read_dir(&self, cx: &Context, call: ReadDir) -> Result<u32> {
        self.volume()?.read_dir(cx, call)
    }
    async fn get_attr(&self, cx: &Context, call: GetAttr) -> Result<Attr> {
        self.volume()?.get_attr(cx, call)
    }
    async fn set_attr(&self, cx: &Context, call: SetAttr) -> Result<Attr> {
        self.volume()?.set_attr(cx, call).await
    }
    async fn sync(&self, cx: &Context, call: Sync) -> Result<()> {
        self.volume()?.sync(cx, call).await
    }
    async fn sync_all(&self, cx: &Context, call: SyncAll) -> Result<()> {
        self.volume()?.sync_all(cx, call).await
    }
    async fn stat_fs(&self, cx: &Context, call: StatFs) -> Result<VolumeInfo> {
        self.volume()?.stat_fs(cx, call)
    }
    async fn reserve(&self, cx: &Context, call: Reserve) -> Result<()> {
        self.volume()?.reserve(cx, call).await
    }
    async fn allocate(&self, cx: &Context, call: Allocate) -> Result<()> {
        self.volume()?.allocate(cx, call).await
    }
    async fn reopen(&self, cx: &Context, call: Reopen) -> Result<Node> {
        self.volume()?.reopen(cx, call).await
    }
    async fn get_xattr(&self, cx: &Context, call: GetXattr<'_>) -> Result<u32> {
        self.volume()?.get_xattr(cx, call)
    }
    async fn set_xattr(&self, cx: &Context, call: SetXattr<'_>) -> Result<()> {
        self.volume()?.set_xattr(cx, call)
    }
    async fn list_xattr(&self, cx: &Context, call: ListXattr) -> Result<u32> {
        self.volume()?.list_xattr(cx, call)
    }
    async fn remove_xattr(&self, cx: &Context, call: RemoveXattr<'_>) -> Result<()> {
        self.volume()?.remove_xattr(cx, call)
    }
}
