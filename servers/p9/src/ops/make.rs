//! New files: create, mkdir, symlink, mknod.

use super::Op;
use crate::convert::{Failure, Outcome, open_flags, split_device, type_bits};
use crate::fid::Fid;
use crate::node::Node;
use crate::session::Host;
use crate::walk::{self, Found};
use alloc::vec;
use p9_wire::{Reply, Request, flags};
use protocol::fs::{self, Error, Kind, Result};

/// New files belong to the program, which is root inside; what that means on the host is QEMU's security model.
const GID: u32 = 0;

/// Creates a regular file and opens it.
pub(super) async fn create(op: Op<'_>, call: fs::Create<'_>) -> Result<fs::Node> {
    op.writable()?;
    let dir = op.dir(call.dir)?;
    let fid = op.host.reserve()?;
    let flags = open_flags(call.access) & !flags::open::TRUNC | flags::open::CREATE | flags::open::EXCL;
    let request =
        Request::Lcreate { fid: fid.number(), name: call.name.get(), flags, mode: u32::from(call.mode), gid: GID };
    clone_and_create(op.host, &dir.fid, &fid, &request).await?;
    let attr = op.host.getattr(fid.number()).await?.attr().await?;
    op.give(Node::new(Found { fid, attr, opened: None }, Some(call.access)))
}

/// Clones the directory's fid and has `request` turn the clone into the new file: one batch where the host
/// keeps the order.
async fn clone_and_create(host: Host<'_>, dir: &Fid, fid: &Fid, request: &Request<'_>) -> Outcome<()> {
    if !host.session.ordered.get() {
        walk::clone_fid(host, dir, fid).await?;
        return await_create(host, request).await;
    }
    let walking = walk::send_walk(host, dir, fid, &[]).await?;
    let created = await_create(host, request).await;
    fid.bound_by(walking.await_qids(0).await)?;
    match created {
        Err(failure) if walk::too_early(failure) => {
            let again = await_create(host, request).await;
            if again.is_ok() {
                host.session.ordered.set(false);
            }
            again
        }
        created => created,
    }
}

async fn await_create(host: Host<'_>, request: &Request<'_>) -> Outcome<()> {
    host.call(request, |reply| matches!(reply, Reply::Lcreate { .. }).then_some(())).await
}

/// Creates a directory.
pub(super) async fn mkdir(op: Op<'_>, call: fs::Mkdir<'_>) -> Result<fs::Node> {
    let name = call.name.get();
    make(op, call.dir, name, |dfid| Request::Mkdir { dfid, name, mode: u32::from(call.mode), gid: GID }).await
}

/// Creates a symbolic link.
pub(super) async fn symlink(op: Op<'_>, call: fs::Symlink<'_>) -> Result<fs::Node> {
    let len = usize::from(call.target_len);
    if !(1..=4095).contains(&len) {
        return Err(Error::Invalid);
    }
    let lease = op.cx.readable(call.target, len).map_err(|_| Error::BadLease)?;
    let mut target = vec![0; len];
    lease.read(0, &mut target).map_err(|_| Error::BadLease)?;
    let name = call.name.get();
    make(op, call.dir, name, |dfid| Request::Symlink { dfid, name, target: &target, gid: GID }).await
}

/// Creates a socket name, named pipe or device node.
pub(super) async fn mknod(op: Op<'_>, call: fs::Mknod<'_>) -> Result<fs::Node> {
    if matches!(call.kind, Kind::File | Kind::Directory | Kind::Link) {
        return Err(Error::Invalid);
    }
    let (major, minor) = split_device(call.rdev);
    let mode = u32::from(call.mode) | type_bits(call.kind);
    let name = call.name.get();
    make(op, call.dir, name, |dfid| Request::Mknod { dfid, name, mode, major, minor, gid: GID }).await
}

/// Sends a request that makes `name` in a directory, then finds what it made.
async fn make<'r>(
    op: Op<'_>,
    dir: fs::FileHandle,
    name: &[u8],
    request: impl FnOnce(u32) -> Request<'r>,
) -> Result<fs::Node> {
    op.writable()?;
    let dir = op.dir(dir)?;
    op.host.call(&request(dir.fid.number()), made).await?;
    let found = walk::reach_one(op.host, &dir.fid, Some(name), None).await;
    // The name was made; if somebody on the host took it away at once, there is nothing to hand out.
    let found =
        found.map_err(|failure| if walk::too_early(failure) { Failure::Here(Error::Stale) } else { failure })?;
    op.give(Node::new(found, None))
}

fn made(reply: &Reply<'_>) -> Option<()> {
    matches!(reply, Reply::Mkdir { .. } | Reply::Symlink { .. } | Reply::Mknod { .. }).then_some(())
}
