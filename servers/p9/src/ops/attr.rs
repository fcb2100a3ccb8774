//! Attributes of nodes and of the volume.

use super::Op;
use crate::convert::{self, Failure, errno};
use crate::node::Node;
use crate::session::is;
use p9_wire::{Reply, Request};
use protocol::fs::{self, Attr, Error, Kind, Result, VolumeInfo};

/// The attributes now.
///
/// The host may look the fid's path up anew and find nothing, or another file: then a handle that only names
/// the file is `Stale`. One that is open goes on: reading and writing reach the old file, so what was last seen is
/// answered, without a name.
pub(super) async fn current(op: Op<'_>, node: &Node) -> Result<Attr> {
    let asked = op.host.getattr(node.fid.number()).await?.attr().await;
    match asked {
        Ok(attr) if attr.inode == node.inode && attr.kind == node.kind => {
            node.seen.set(attr);
            Ok(attr)
        }
        Ok(_) | Err(Failure::Host(errno::ENOENT)) if node.access.is_some() => {
            let unlinked = Attr { links: 0, ..node.seen.get() };
            node.seen.set(unlinked);
            Ok(unlinked)
        }
        Ok(_) | Err(Failure::Host(errno::ENOENT)) => Err(Error::Stale),
        Err(failure) => Err(failure.into()),
    }
}

/// Changes attributes.
pub(super) async fn set(op: Op<'_>, call: fs::SetAttr) -> Result<Attr> {
    op.writable()?;
    let node = op.node(call.node)?;
    match (call.change.size, node.kind) {
        (None, _) | (Some(_), Kind::File) => {}
        (Some(_), Kind::Directory) => return Err(Error::IsDirectory),
        (Some(_), _) => return Err(Error::Invalid),
    }
    let attr = convert::set_attr(&call.change).ok_or(Error::Invalid)?;
    if attr.valid != 0 {
        let request = Request::Setattr { fid: node.fid.number(), attr };
        let set = op.host.call(&request, |reply| is(matches!(reply, Reply::Setattr {}))).await;
        set.map_err(|failure| if failure == Failure::Host(errno::ENOENT) { Error::Stale } else { failure.into() })?;
        note_size(&node, call.change.size);
    }
    current(op, &node).await
}

/// Keeps the size right for a file that has lost its name.
fn note_size(node: &Node, size: Option<u64>) {
    if let Some(size) = size {
        node.seen.set(Attr { size, ..node.seen.get() });
    }
}

/// The volume's figures.
pub(super) async fn volume(op: Op<'_>) -> Result<VolumeInfo> {
    let request = Request::Statfs { fid: op.mount.root.number() };
    let asked = op.host.call(&request, |reply| if let Reply::Statfs { stat } = reply { Some(*stat) } else { None });
    let stat = asked.await?;
    Ok(VolumeInfo {
        magic: stat.kind,
        block_bytes: stat.bsize,
        blocks: stat.blocks,
        free: stat.bfree,
        available: stat.bavail,
        files: stat.files,
        files_free: stat.ffree,
        id: stat.fsid,
        name_max: stat.namelen,
    })
}
