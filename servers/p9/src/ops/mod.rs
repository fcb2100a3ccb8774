//! One function per call of the `fs` protocol, by subject: [`find`] hands out handles of what is there,
//! [`make`] of what is new, [`names`] moves and removes names, [`data`] reads and writes, [`list`] reads
//! directories and links, [`attr`] and [`xattr`] hold attributes. Here: the server's state, and the handler
//! that ties calls to functions.
//!
//! Any call may find the host's tree changed across each of its awaits; the server's own state changes only by
//! handles being given out and closed, which the `Rc` of a node in hand outlives.

mod attr;
mod data;
mod find;
mod list;
mod make;
mod names;
mod xattr;

use crate::fid::Fid;
use crate::node::{Handles, Node};
use crate::session::{Host, Session};
use alloc::rc::Rc;
use protocol::fs::{self, Error, Result};
use rt::service::Context;
use rt::service::fs::Handler;

/// A live mount: the session, its root, and the handles given out.
pub(crate) struct Mount {
    pub(crate) session: Rc<Session>,
    pub(crate) root: Fid,
    pub(crate) handles: Handles,
    pub(crate) read_only: bool,
}

/// A call in hand: what each function here works with.
#[derive(Clone, Copy)]
pub(crate) struct Op<'m> {
    mount: &'m Mount,
    cx: &'m Context,
    host: Host<'m>,
}

impl<'m> Op<'m> {
    fn node(&self, file: fs::FileHandle) -> Result<Rc<Node>> {
        self.mount.handles.get(self.cx, file)
    }

    /// The directory behind a handle. Errors: `BadHandle`, `NotDirectory`.
    fn dir(&self, file: fs::FileHandle) -> Result<Rc<Node>> {
        let node = self.node(file)?;
        node.directory()?;
        Ok(node)
    }

    /// Errors: `ReadOnly`.
    fn writable(&self) -> Result<()> {
        if self.mount.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }

    fn give(&self, node: Node) -> Result<fs::Node> {
        let attr = node.seen.get();
        let file = self.mount.handles.give(self.cx, Rc::new(node))?;
        Ok(fs::Node { file, attr })
    }

    fn now(&self) -> fs::Time {
        crate::convert::wall_time(self.mount.session.runtime.machine().wall_ns())
    }
}

impl crate::Server {
    /// Errors: `Io` when there is no session (the reason was logged).
    fn op<'m>(&'m self, cx: &'m Context) -> Result<Op<'m>> {
        let mount = self.mount().ok_or(Error::Io)?;
        mount.handles.enter(cx);
        Ok(Op { mount, cx, host: mount.session.host(cx.request) })
    }
}

impl Handler for crate::Server {
    async fn close(&self, cx: &Context, call: fs::Close) -> Result<()> {
        self.op(cx)?.mount.handles.close(cx, call.file)
    }
    async fn read(&self, cx: &Context, call: fs::Read) -> Result<u32> {
        data::read(self.op(cx)?, call).await
    }
    async fn write(&self, cx: &Context, call: fs::Write) -> Result<u32> {
        data::write(self.op(cx)?, call).await
    }
    async fn attach(&self, cx: &Context, _: fs::Attach) -> Result<fs::Attached> {
        find::attach(self.op(cx)?).await
    }
    async fn walk<'a>(&self, cx: &Context, call: fs::Walk<'a>) -> Result<fs::Walked> {
        find::walk(self.op(cx)?, call).await
    }
    async fn open(&self, cx: &Context, call: fs::Open) -> Result<fs::Node> {
        find::open(self.op(cx)?, call).await
    }
    async fn create<'a>(&self, cx: &Context, call: fs::Create<'a>) -> Result<fs::Node> {
        make::create(self.op(cx)?, call).await
    }
    async fn mkdir<'a>(&self, cx: &Context, call: fs::Mkdir<'a>) -> Result<fs::Node> {
        make::mkdir(self.op(cx)?, call).await
    }
    async fn symlink<'a>(&self, cx: &Context, call: fs::Symlink<'a>) -> Result<fs::Node> {
        make::symlink(self.op(cx)?, call).await
    }
    async fn mknod<'a>(&self, cx: &Context, call: fs::Mknod<'a>) -> Result<fs::Node> {
        make::mknod(self.op(cx)?, call).await
    }
    async fn link<'a>(&self, cx: &Context, call: fs::Link<'a>) -> Result<fs::Attr> {
        names::link(self.op(cx)?, call).await
    }
    async fn remove<'a>(&self, cx: &Context, call: fs::Remove<'a>) -> Result<()> {
        names::remove(self.op(cx)?, call).await
    }
    async fn rename<'a>(&self, cx: &Context, call: fs::Rename<'a>) -> Result<()> {
        names::rename(self.op(cx)?, call).await
    }
    async fn read_link(&self, cx: &Context, call: fs::ReadLink) -> Result<u32> {
        list::read_link(self.op(cx)?, call).await
    }
    async fn read_dir(&self, cx: &Context, call: fs::ReadDir) -> Result<u32> {
        list::read_dir(self.op(cx)?, call).await
    }
    async fn get_attr(&self, cx: &Context, call: fs::GetAttr) -> Result<fs::Attr> {
        let op = self.op(cx)?;
        attr::current(op, &*op.node(call.node)?).await
    }
    async fn set_attr(&self, cx: &Context, call: fs::SetAttr) -> Result<fs::Attr> {
        attr::set(self.op(cx)?, call).await
    }
    async fn sync(&self, cx: &Context, call: fs::Sync) -> Result<()> {
        data::sync(self.op(cx)?, call).await
    }
    async fn sync_all(&self, cx: &Context, _: fs::SyncAll) -> Result<()> {
        data::sync_all(self.op(cx)?).await
    }
    async fn stat_fs(&self, cx: &Context, _: fs::StatFs) -> Result<fs::VolumeInfo> {
        attr::volume(self.op(cx)?).await
    }
    async fn reserve(&self, cx: &Context, call: fs::Reserve) -> Result<()> {
        // The space is the host's; 9P cannot reserve any of it.
        let op = self.op(cx)?;
        op.node(call.file)?.opened_for(fs::Access::WRITE)?;
        op.writable()
    }
    async fn allocate(&self, cx: &Context, call: fs::Allocate) -> Result<()> {
        // 9P has no fallocate; Linux answers EOPNOTSUPP there, and libraries fall back to writing.
        let op = self.op(cx)?;
        op.node(call.file)?.opened_for(fs::Access::WRITE)?;
        op.writable()?;
        Err(Error::NotSupported)
    }
    async fn reopen(&self, cx: &Context, call: fs::Reopen) -> Result<fs::Node> {
        find::reopen(self.op(cx)?, call).await
    }
    async fn get_xattr<'a>(&self, cx: &Context, call: fs::GetXattr<'a>) -> Result<u32> {
        xattr::get(self.op(cx)?, call).await
    }
    async fn set_xattr<'a>(&self, cx: &Context, call: fs::SetXattr<'a>) -> Result<()> {
        xattr::set(self.op(cx)?, call).await
    }
    async fn list_xattr(&self, cx: &Context, call: fs::ListXattr) -> Result<u32> {
        xattr::list(self.op(cx)?, call).await
    }
    async fn remove_xattr<'a>(&self, cx: &Context, call: fs::RemoveXattr<'a>) -> Result<()> {
        xattr::remove(self.op(cx)?, call).await
    }
}
