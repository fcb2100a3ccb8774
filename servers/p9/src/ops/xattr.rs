//! Extended attributes: 9P makes a fid of each, to be read, or to be written and set by its clunk.

use super::Op;
use crate::convert::Outcome;
use crate::fid::Fid;
use crate::node::Node;
use crate::session::{Host, bytes, is};
use crate::walk;
use alloc::rc::Rc;
use p9_wire::{Reply, Request};
use protocol::LeaseId;
use protocol::fs::{self, Error, Result};
use rt::Memory;
use rt::device::Segment;

/// Longest value and longest list (xattr(7): XATTR_SIZE_MAX, XATTR_LIST_MAX).
const MOST: u32 = 65536;
/// Linux `XATTR_CREATE`: must not exist.
const CREATE: u32 = 1;
/// Linux `XATTR_REPLACE`: must exist.
const REPLACE: u32 = 2;

/// Reads one attribute.
pub(super) async fn get(op: Op<'_>, call: fs::GetXattr<'_>) -> Result<u32> {
    let name = checked(call.name.get())?;
    let node = op.node(call.node)?;
    fetch(op, &node, name, call.dest).await
}

/// Lists the names; to 9P, the attribute without a name.
pub(super) async fn list(op: Op<'_>, call: fs::ListXattr) -> Result<u32> {
    let node = op.node(call.node)?;
    fetch(op, &node, b"", call.dest).await
}

/// A name that cannot be mistaken: not the list, and whole for a host that ends strings at NUL.
fn checked(name: &[u8]) -> Result<&[u8]> {
    if name.is_empty() || name.contains(&0) { Err(Error::Invalid) } else { Ok(name) }
}

async fn fetch(op: Op<'_>, node: &Node, name: &[u8], dest: Option<LeaseId>) -> Result<u32> {
    let dest = match dest {
        Some(id) => Some(op.cx.writable(id, 0).map_err(|_| Error::BadLease)?),
        None => None,
    };
    let fid = op.host.reserve()?;
    let request = Request::Xattrwalk { fid: node.fid.number(), newfid: fid.number(), name };
    let sized = op.host.call(&request, |reply| if let Reply::Xattrwalk { size } = reply { Some(*size) } else { None });
    let size = fid.bound_by(sized.await)?;
    let Some(size) = u32::try_from(size).ok().filter(|&size| size <= MOST) else {
        return Err(op.host.bad(format_args!("an attribute of {size} bytes")).into());
    };
    match dest {
        Some(lease) if bytes(size) > lease.len() => Err(Error::Range),
        Some(lease) => Ok(fill(op, &fid, size, &lease).await.map(|()| size)?),
        None => Ok(size),
    }
}

/// Reads all of a value into the lease.
async fn fill(op: Op<'_>, fid: &Fid, size: u32, lease: &Rc<dyn Memory>) -> Outcome<()> {
    let limit = op.mount.session.io_bytes.get();
    let mut done = 0;
    while done < size {
        let dest = Segment { memory: lease.clone(), at: bytes(done), len: bytes((size - done).min(limit)) };
        let count = op.host.read(fid.number(), u64::from(done), dest).await?;
        if count == 0 {
            return Err(op.host.bad(format_args!("an attribute of {size} bytes ends after {done}")));
        }
        done += count;
    }
    Ok(())
}

/// Sets one attribute. An empty value cannot be set: to hosts it means removal.
pub(super) async fn set(op: Op<'_>, call: fs::SetXattr<'_>) -> Result<()> {
    op.writable()?;
    let name = checked(call.name.get())?;
    let node = op.node(call.node)?;
    let lease = op.cx.readable(call.src, bytes(call.len)).map_err(|_| Error::BadLease)?;
    let flags = match call.create {
        Some(true) => CREATE,
        Some(false) => REPLACE,
        None => 0,
    };
    match call.len {
        0 => Err(Error::NotSupported),
        len if len > MOST => Err(Error::Range),
        len => Ok(store(op, &node, Value { name, flags, len, lease: Some(&lease) }).await?),
    }
}

/// Removes one attribute: to 9P, setting it to nothing.
pub(super) async fn remove(op: Op<'_>, call: fs::RemoveXattr<'_>) -> Result<()> {
    op.writable()?;
    let name = checked(call.name.get())?;
    let node = op.node(call.node)?;
    Ok(store(op, &node, Value { name, flags: REPLACE, len: 0, lease: None }).await?)
}

/// An attribute to be set.
struct Value<'v> {
    name: &'v [u8],
    flags: u32,
    len: u32,
    lease: Option<&'v Rc<dyn Memory>>,
}

async fn store(op: Op<'_>, node: &Node, value: Value<'_>) -> Outcome<()> {
    let fid = op.host.reserve()?;
    walk::clone_fid(op.host, &node.fid, &fid).await?;
    let request =
        Request::Xattrcreate { fid: fid.number(), name: value.name, size: u64::from(value.len), flags: value.flags };
    op.host.call(&request, |reply| is(matches!(reply, Reply::Xattrcreate {}))).await?;
    if let Some(lease) = value.lease {
        write(op.host, &fid, value.len, lease).await?;
    }
    op.host.clunk(fid).await
}

async fn write(host: Host<'_>, fid: &Fid, len: u32, lease: &Rc<dyn Memory>) -> Outcome<()> {
    let limit = host.session.io_bytes.get();
    let mut done = 0;
    while done < len {
        let src = Segment { memory: lease.clone(), at: bytes(done), len: bytes((len - done).min(limit)) };
        let count = host.write(fid.number(), u64::from(done), src).await?;
        if count == 0 {
            return Err(host.bad(format_args!("an attribute of {len} bytes took only {done}")));
        }
        done += count;
    }
    Ok(())
}
