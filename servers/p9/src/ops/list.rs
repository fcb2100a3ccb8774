//! What a directory or a link holds: read_dir, read_link.

use super::Op;
use crate::convert::{Outcome, kind_of_entry};
use crate::node::Node;
use crate::session::bytes;
use alloc::vec;
use alloc::vec::Vec;
use p9_wire::{DirEntries, Reply, Request};
use protocol::Name;
use protocol::fs::entry::Entry;
use protocol::fs::{self, Access, Error, Kind, Result};
use rt::device::Segment;

/// Least bytes asked for at once: a request too small for the next entry would look like the end.
const LEAST: u32 = 4096;
/// Most bytes asked for at once.
const MOST: u32 = 64 * 1024;
/// Replies in a row that may hold nothing but `.` and `..`.
const EMPTY_ROUNDS: u32 = 8;

/// Lists a directory. A cookie is the host's offset of the next entry.
pub(super) async fn read_dir(op: Op<'_>, call: fs::ReadDir) -> Result<u32> {
    let node = op.dir(call.dir)?;
    node.opened_for(Access::READ)?;
    let lease = op.cx.writable(call.dest, bytes(call.len)).map_err(|_| Error::BadLease)?;
    let mut packer = Packer { out: vec![0; bytes(call.len.min(MOST))], len: 0, cookie: call.cookie };
    for _ in 0..EMPTY_ROUNDS {
        let before = packer.cookie;
        let entries = fetch(op, &node, before, call.len.clamp(LEAST, MOST)).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        packer.pack(op, &entries)?;
        if packer.len > 0 {
            let packed = packer.out.get(..packer.len).ok_or(Error::Io)?;
            lease.write(0, packed).map_err(|_| Error::BadLease)?;
            return u32::try_from(packer.len).map_err(|_| Error::Io);
        }
        if packer.cookie == before {
            break;
        }
    }
    Err(op.host.bad(format_args!("a listing that does not move on")).into())
}

/// Entries behind `cookie`, in wire form.
async fn fetch(op: Op<'_>, node: &Node, cookie: u64, room: u32) -> Outcome<Vec<u8>> {
    let room = bytes(room.min(op.mount.session.io_bytes.get()));
    let memory = op.host.pages(room)?;
    let dest = Segment { memory: memory.clone(), at: 0, len: room };
    let count = op.host.readdir(node.fid.number(), cookie, dest).await?;
    let mut copy = vec![0; bytes(count)];
    memory.read(0, &mut copy).map_err(|_| Error::Io)?;
    Ok(copy)
}

/// Entries as the protocol packs them. Invariant: `len <= out.len()`, and `cookie` belongs to the last entry seen.
struct Packer {
    out: Vec<u8>,
    len: usize,
    cookie: u64,
}

impl Packer {
    /// Packs what fits. Errors: `Range` if that is nothing, `Io` for a malformed entry.
    fn pack(&mut self, op: Op<'_>, wire: &[u8]) -> Result<()> {
        for entry in DirEntries::new(wire) {
            let entry = entry.map_err(|why| op.host.bad(format_args!("directory entry: {why}")))?;
            let dots = matches!(entry.name, b"." | b"..");
            // An offset of 0 would start the listing over.
            if entry.offset == 0 || !dots && Name::new(entry.name).is_err() {
                return Err(op.host.bad(format_args!("directory entry {entry:?}")).into());
            }
            if !dots {
                let packed = Entry {
                    inode: entry.qid.path,
                    cookie: entry.offset,
                    kind: kind_of_entry(&entry),
                    name: entry.name,
                };
                let rest = self.out.get_mut(self.len..).unwrap_or_default();
                match packed.emit(rest) {
                    Some(len) => self.len += len,
                    None if self.len == 0 => return Err(Error::Range),
                    None => return Ok(()),
                }
            }
            self.cookie = entry.offset;
        }
        Ok(())
    }
}

/// Reads a link's target.
pub(super) async fn read_link(op: Op<'_>, call: fs::ReadLink) -> Result<u32> {
    let node = op.node(call.node)?;
    if node.kind != Kind::Link {
        return Err(Error::Invalid);
    }
    let lease = op.cx.writable(call.dest, 1).map_err(|_| Error::BadLease)?;
    let request = Request::Readlink { fid: node.fid.number() };
    let target = op.host.call(&request, |reply| match reply {
        Reply::Readlink { target } if !target.is_empty() => Some(target.to_vec()),
        _ => None,
    });
    let target = target.await?;
    if target.len() > lease.len() {
        return Err(Error::Range);
    }
    lease.write(0, &target).map_err(|_| Error::BadLease)?;
    u32::try_from(target.len()).map_err(|_| Error::Io)
}
