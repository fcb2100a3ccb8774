//! readdir. A cookie is the number of the entry's name plus one: it stays good while the server runs, whatever
//! comes and goes in the directory.

use super::{Mount, bad_lease};
use crate::convert;
use alloc::vec;
use protocol::fs::{Access, Error, ReadDir, Result, entry::Entry};
use rt::Context;
use tfs_format::{Symbol, symbols};

/// Most bytes that one call lists, however large the lease.
const LISTING_MAX: usize = 64 * 1024;

impl Mount {
    pub fn read_dir(&self, cx: &Context, call: ReadDir) -> Result<u32> {
        let inode = self.handles.opened(cx, call.dir, Access::READ)?;
        let tree = self.store.tree();
        tree.children(inode.node).ok_or(Error::NotDirectory)?;
        let memory = cx.writable(call.dest, call.len as usize).map_err(|_| Error::BadLease)?;
        let Some(position) = position(call.cookie)? else { return Ok(0) };
        let mut out = vec![0; (call.len as usize).min(LISTING_MAX)];
        let mut used = 0;
        for (name, node) in tree.entries(inode.node, position) {
            let entry = Entry {
                inode: tree.number(node, symbols::INODE).unwrap_or(0),
                cookie: u64::from(name.number()) + 1,
                kind: convert::kind(&tree, node),
                name: tree.symbols.name(name),
            };
            match out.get_mut(used..).and_then(|rest| entry.emit(rest)) {
                Some(len) => used += len,
                None if used == 0 => return Err(Error::Range),
                None => break,
            }
        }
        memory.write(0, out.get(..used).unwrap_or(&[])).map_err(bad_lease)?;
        Ok(used as u32)
    }
}

/// Where a listing goes on: `Some(None)` at the start, `None` behind everything. Error: `Invalid`.
fn position(cookie: u64) -> Result<Option<Option<Symbol>>> {
    match cookie.checked_sub(1) {
        None => Ok(Some(None)),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(Some(Symbol::from_number(number)))),
            Err(_) => Err(Error::Invalid),
        },
    }
}
