//! getattr, setattr, readlink.

use super::{Mount, bad_lease};
use crate::convert;
use alloc::vec::Vec;
use protocol::fs::{AttrChange, Attr, Error, GetAttr, ReadLink, Result, SetAttr, SetTime};
use rt::Context;
use tfs_format::encode::Change;
use tfs_format::{Value, symbols};

impl Mount {
    pub fn get_attr(&self, cx: &Context, call: GetAttr) -> Result<Attr> {
        let inode = self.handles.get(cx, call.node)?;
        Ok(self.store.attr(&inode))
    }

    /// Waits only to change the size. Times alone are logged with the next flush, everything else at once.
    pub async fn set_attr(&self, cx: &Context, call: SetAttr) -> Result<Attr> {
        let inode = self.handles.get(cx, call.node)?;
        self.store.writable()?;
        if let Some(size) = call.change.size {
            self.must_be_file(&inode)?;
            self.resize(cx, &inode, size).await?;
        }
        let changes = self.changes(&inode, &call.change);
        if !changes.is_empty() {
            self.store.room_for_records()?;
            self.store.change_node(&inode, &changes)?;
        }
        if call.change != AttrChange::default() {
            self.store.touch(&inode, &[symbols::CTIME]);
        }
        for (name, time) in [(symbols::ATIME, call.change.atime), (symbols::MTIME, call.change.mtime)] {
            if let Some(time) = time {
                let stamp = match time {
                    SetTime::Now => self.store.now(),
                    SetTime::To(time) => convert::to_stamp(time),
                };
                self.store.set_stamp(&inode, name, stamp);
            }
        }
        Ok(self.store.attr(&inode))
    }

    /// The attributes that are logged at once.
    fn changes(&self, inode: &crate::inode::Inode, change: &AttrChange) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut set = |name, value: u64| changes.push((name, Some(Value::number(value))));
        if let Some(mode) = change.mode {
            let kind = convert::kind(&self.store.tree(), inode.node);
            set(symbols::MODE, convert::mode_word(kind, mode));
        }
        if let Some(uid) = change.uid {
            set(symbols::UID, u64::from(uid));
        }
        if let Some(gid) = change.gid {
            set(symbols::GID, u64::from(gid));
        }
        changes
    }

    pub fn read_link(&self, cx: &Context, call: ReadLink) -> Result<u32> {
        let inode = self.handles.get(cx, call.node)?;
        let tree = self.store.tree();
        let target = tree.link_target(inode.node).map_err(|_| Error::Invalid)?;
        let memory = cx.writable(call.dest, 0).map_err(|_| Error::BadLease)?;
        if memory.len() < target.len() {
            return Err(Error::Range);
        }
        memory.write(0, target).map_err(bad_lease)?;
        Ok(target.len() as u32)
    }
}
