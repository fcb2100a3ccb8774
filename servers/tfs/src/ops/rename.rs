//! rename: renameat2(2). All records of one rename become durable together (see `tfs_format::log`).

use super::Mount;
use protocol::fs::{Error, Rename, RenameFlags, Result};
use rt::Context;
use tfs_format::encode::Change;
use tfs_format::{ObjectId, Symbol, Value, symbols};

/// One end of a rename.
struct End {
    directory: ObjectId,
    children: ObjectId,
    entry: Symbol,
}

impl Mount {
    pub fn rename(&self, cx: &Context, call: Rename<'_>) -> Result<()> {
        let (from_dir, from_children) = self.changeable(cx, call.from_dir)?;
        let (to_dir, to_children) = self.changeable(cx, call.to_dir)?;
        if call.flags == RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE {
            return Err(Error::Invalid);
        }
        let (entry, node) = self.entry(from_children, call.from_name.get())?;
        let from = End { directory: from_dir.node, children: from_children, entry };
        let entry = self.store.symbol(call.to_name.get())?;
        let to = End { directory: to_dir.node, children: to_children, entry };
        let replaced = self.store.tree().attribute(to_children, entry).and_then(Value::as_object);
        match replaced {
            _ if self.store.is_below(to.directory, node) => return Err(Error::Invalid),
            None if call.flags.contains(RenameFlags::EXCHANGE) => return Err(Error::NotFound),
            Some(_) if call.flags.contains(RenameFlags::NO_REPLACE) => return Err(Error::Exists),
            // Two names of one node: nothing happens (rename(2)).
            Some(target) if target == node => return Ok(()),
            Some(target) if call.flags.contains(RenameFlags::EXCHANGE) => self.exchange(&from, node, &to, target)?,
            _ => self.replace(&from, node, &to, replaced)?,
        }
        for directory in [&from_dir, &to_dir] {
            self.store.touch(directory, &[symbols::MTIME, symbols::CTIME]);
        }
        self.store.bury();
        Ok(())
    }

    fn exchange(&self, from: &End, node: ObjectId, to: &End, target: ObjectId) -> Result<()> {
        if self.store.is_below(from.directory, target) {
            return Err(Error::Invalid);
        }
        let (moved, other) = (self.store.inode(node)?, self.store.inode(target)?);
        self.change_both(
            (to.children, (to.entry, Some(Value::Object(node)))),
            (from.children, (from.entry, Some(Value::Object(target)))),
        )?;
        self.moved(node, to.directory);
        self.moved(target, from.directory);
        self.store.touch(&moved, &[symbols::CTIME]);
        self.store.touch(&other, &[symbols::CTIME]);
        Ok(())
    }

    fn replace(&self, from: &End, node: ObjectId, to: &End, replaced: Option<ObjectId>) -> Result<()> {
        let is_directory = |id| self.store.tree().children(id).is_some();
        if let Some(target) = replaced {
            match (is_directory(node), is_directory(target)) {
                (true, false) => return Err(Error::NotDirectory),
                (false, true) => return Err(Error::IsDirectory),
                (true, true) => self.must_be_empty(target)?,
                (false, false) => {}
            }
        }
        let moved = self.store.inode(node)?;
        let old = replaced.map(|target| self.store.inode(target)).transpose()?;
        self.change_both(
            (to.children, (to.entry, Some(Value::Object(node)))),
            (from.children, (from.entry, None)),
        )?;
        self.moved(node, to.directory);
        self.store.touch(&moved, &[symbols::CTIME]);
        old.map_or(Ok(()), |old| self.drop_name(&old))
    }

    /// Changes two entries: as one record if they are in one directory. There is room for both.
    fn change_both(&self, first: (ObjectId, Change), second: (ObjectId, Change)) -> Result<()> {
        if first.0 == second.0 {
            return self.store.change(first.0, &[first.1, second.1]);
        }
        self.store.change(first.0, &[first.1])?;
        self.store.change(second.0, &[second.1])
    }

    fn moved(&self, node: ObjectId, directory: ObjectId) {
        if self.store.tree().children(node).is_some() {
            self.store.set_parent(node, directory);
        }
    }
}
