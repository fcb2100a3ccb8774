//! remove: unlink(2) and rmdir(2).

use super::Mount;
use crate::inode::Inode;
use alloc::rc::Rc;
use protocol::fs::{Error, Remove, RemoveKind, Result};
use rt::Context;
use tfs_format::{ObjectId, symbols};

impl Mount {
    pub fn remove(&self, cx: &Context, call: Remove<'_>) -> Result<()> {
        let (parent, children) = self.changeable(cx, call.dir)?;
        let (entry, node) = self.entry(children, call.name.get())?;
        let directory = self.store.tree().children(node).is_some();
        match call.kind {
            RemoveKind::File if directory => return Err(Error::IsDirectory),
            RemoveKind::Directory if !directory => return Err(Error::NotDirectory),
            RemoveKind::Directory => self.must_be_empty(node)?,
            RemoveKind::File => {}
        }
        let inode = self.store.inode(node)?;
        self.store.change(children, &[(entry, None)])?;
        self.drop_name(&inode)?;
        self.store.touch(&parent, &[symbols::MTIME, symbols::CTIME]);
        drop(inode);
        self.store.bury();
        Ok(())
    }

    /// An entry of a directory. Error: `NotFound`.
    pub(super) fn entry(&self, children: ObjectId, name: &[u8]) -> Result<(tfs_format::Symbol, ObjectId)> {
        let tree = self.store.tree();
        let symbol = tree.symbols.find(name).ok_or(Error::NotFound)?;
        let value = tree.attribute(children, symbol).ok_or(Error::NotFound)?;
        Ok((symbol, value.as_object().ok_or(Error::Io)?))
    }

    /// Error: `NotEmpty`.
    pub(super) fn must_be_empty(&self, directory: ObjectId) -> Result<()> {
        let empty = self.store.tree().entries(directory, None).next().is_none();
        if empty { Ok(()) } else { Err(Error::NotEmpty) }
    }

    /// One name of a node is gone: a directory's only one, or one of a file's.
    pub(super) fn drop_name(&self, inode: &Rc<Inode>) -> Result<()> {
        self.set_names(inode, inode.names.get().saturating_sub(1))?;
        self.store.touch(inode, &[symbols::CTIME]);
        Ok(())
    }
}
