//! Names that come, go and move: link, remove, rename.

use super::{Op, attr};
use crate::session::is;
use p9_wire::{Reply, Request, flags};
use protocol::fs::{self, Error, RemoveKind, Result};

/// Gives a file one more name.
pub(super) async fn link(op: Op<'_>, call: fs::Link<'_>) -> Result<fs::Attr> {
    op.writable()?;
    let (node, dir) = (op.node(call.node)?, op.dir(call.dir)?);
    let request = Request::Link { dfid: dir.fid.number(), fid: node.fid.number(), name: call.name.get() };
    op.host.call(&request, |reply| is(matches!(reply, Reply::Link {}))).await?;
    attr::current(op, &node).await
}

/// Removes a name.
pub(super) async fn remove(op: Op<'_>, call: fs::Remove<'_>) -> Result<()> {
    op.writable()?;
    let dir = op.dir(call.dir)?;
    let flags = if call.kind == RemoveKind::Directory { flags::unlink::REMOVEDIR } else { 0 };
    let request = Request::Unlinkat { dfid: dir.fid.number(), name: call.name.get(), flags };
    let removed = op.host.call(&request, |reply| is(matches!(reply, Reply::Unlinkat {}))).await;
    match removed.map_err(Error::from) {
        // rmdir(2): some filesystems say EEXIST for a directory that is not empty.
        Err(Error::Exists) => Err(Error::NotEmpty),
        removed => removed,
    }
}

/// Moves a name. 9P has no flags here, and Linux refuses them with EINVAL where a filesystem has none.
pub(super) async fn rename(op: Op<'_>, call: fs::Rename<'_>) -> Result<()> {
    op.writable()?;
    let (from, to) = (op.dir(call.from_dir)?, op.dir(call.to_dir)?);
    if !call.flags.is_empty() {
        return Err(Error::Invalid);
    }
    let request = Request::Renameat {
        old_dfid: from.fid.number(),
        old_name: call.from_name.get(),
        new_dfid: to.fid.number(),
        new_name: call.to_name.get(),
    };
    let renamed = op.host.call(&request, |reply| is(matches!(reply, Reply::Renameat {}))).await;
    Ok(renamed?)
}
