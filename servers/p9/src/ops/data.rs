//! File data: it travels between the host and the caller's lease by DMA and is never looked at here.

use super::Op;
use crate::node::Node;
use crate::session::{bytes, is};
use alloc::vec::Vec;
use p9_wire::{Reply, Request};
use protocol::fs::{self, Access, Error, Kind, Result};
use rt::device::Segment;

/// Reads into the caller's lease.
///
/// A short reply is the end of the file where the size last seen agrees; else the rest is asked for.
pub(super) async fn read(op: Op<'_>, call: fs::Read) -> Result<u32> {
    let node = file(op, call.file, Access::READ)?;
    let lease = op.cx.writable(call.dest, bytes(call.len)).map_err(|_| Error::BadLease)?;
    let want = call.len.min(op.mount.session.io_bytes.get());
    let mut done = 0;
    while done < want {
        let at = call.offset.checked_add(u64::from(done)).ok_or(Error::Invalid)?;
        let dest = Segment { memory: lease.clone(), at: bytes(done), len: bytes(want - done) };
        let count = op.host.read(node.fid.number(), at, dest).await?;
        done += count;
        if count == 0 || at.saturating_add(u64::from(count)) >= node.seen.get().size {
            break;
        }
    }
    Ok(done)
}

/// Writes from the caller's lease.
pub(super) async fn write(op: Op<'_>, call: fs::Write) -> Result<u32> {
    op.writable()?;
    let node = file(op, call.file, Access::WRITE)?;
    let memory = op.cx.readable(call.src, bytes(call.len)).map_err(|_| Error::BadLease)?;
    let len = call.len.min(op.mount.session.io_bytes.get());
    call.offset.checked_add(u64::from(len)).ok_or(Error::FileTooLarge)?;
    if len == 0 {
        return Ok(0);
    }
    let src = Segment { memory, at: 0, len: bytes(len) };
    let count = op.host.write(node.fid.number(), call.offset, src).await?;
    if count == 0 {
        return Err(op.host.bad(format_args!("a write of {len} bytes took none")).into());
    }
    node.grew_to(call.offset + u64::from(count), op.now());
    Ok(count)
}

/// An open regular file. Errors: `BadHandle`, `IsDirectory`.
fn file(op: Op<'_>, file: fs::FileHandle, access: Access) -> Result<alloc::rc::Rc<Node>> {
    let node = op.node(file)?;
    if node.kind == Kind::Directory {
        return Err(Error::IsDirectory);
    }
    node.opened_for(access)?;
    Ok(node)
}

/// Makes one file durable.
pub(super) async fn sync(op: Op<'_>, call: fs::Sync) -> Result<()> {
    let node = op.node(call.file)?;
    if node.access.is_none() {
        return Err(Error::BadHandle);
    }
    fsync(op, &node, call.data_only).await
}

async fn fsync(op: Op<'_>, node: &Node, data_only: bool) -> Result<()> {
    let written = node.written.replace(false);
    let request = Request::Fsync { fid: node.fid.number(), datasync: u32::from(data_only) };
    let synced = op.host.call(&request, |reply| is(matches!(reply, Reply::Fsync {}))).await;
    if synced.is_err() {
        node.written.set(written || node.written.get());
    }
    Ok(synced?)
}

/// Makes all open files durable that were written; 9P has no word for the whole volume. What was written through a
/// handle that is closed is with the host already.
pub(super) async fn sync_all(op: Op<'_>) -> Result<()> {
    let nodes: Vec<_> = op.mount.handles.written();
    let mut worst = Ok(());
    for node in nodes {
        worst = worst.and(fsync(op, &node, false).await);
    }
    worst
}
