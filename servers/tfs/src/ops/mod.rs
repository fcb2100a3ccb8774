//! One function per request, by subject. Each says what may change while it waits; where it says nothing, it does
//! not wait. Permissions are the front end's business: here everything is allowed that the volume allows.

mod attr;
mod create;
mod data;
mod edge;
mod list;
mod lookup;
mod options;
mod remove;
mod rename;
mod size;
mod xattr;

use crate::handles::Handles;
use crate::inode::Inode;
use crate::store::Store;
use alloc::rc::Rc;
use protocol::fs::{Access, Error, FileHandle, Node, Result};
use rt::{Context, MemoryError};
use tfs_format::ObjectId;

/// A mounted volume and the handles into it.
pub struct Mount {
    pub store: Rc<Store>,
    pub handles: Handles,
}

impl Mount {
    /// Hands out a handle to `inode`.
    fn node(&self, cx: &Context, inode: Rc<Inode>, access: Option<Access>) -> Result<Node> {
        let attr = self.store.attr(&inode);
        Ok(Node { file: self.handles.add(cx, inode, access)?, attr })
    }

    /// The `children` tuple of a directory handle. Errors: `BadHandle`, `NotDirectory`.
    fn directory(&self, cx: &Context, dir: FileHandle) -> Result<(Rc<Inode>, ObjectId)> {
        let inode = self.handles.get(cx, dir)?;
        let children = self.store.tree().children(inode.node).ok_or(Error::NotDirectory)?;
        Ok((inode, children))
    }

    /// [`Mount::directory`], for changing entries. Errors: also `ReadOnly`, `NoSpace`, `NotFound` (it was removed).
    fn changeable(&self, cx: &Context, dir: FileHandle) -> Result<(Rc<Inode>, ObjectId)> {
        let found = self.directory(cx, dir)?;
        self.store.writable()?;
        self.store.room_for_records()?;
        if found.0.is_orphan() { Err(Error::NotFound) } else { Ok(found) }
    }
}

/// A lease that ended or is too small.
fn bad_lease(_: MemoryError) -> Error {
    Error::BadLease
}
