//! create, mkdir, symlink, mknod, link: new names.

use super::{Mount, bad_lease};
use crate::convert;
use crate::inode::Inode;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use protocol::Name;
use protocol::fs::{Attr, Create, Error, FileHandle, Kind, Link, Mkdir, Mknod, Node, Result, Symlink};
use rt::Context;
use tfs_format::{ObjectId, Symbol, Value, symbols};

/// Linux's limit on names per file (`LINK_MAX` of most filesystems is not smaller).
const LINKS_MAX: u64 = 65_000;

impl Mount {
    pub fn create(&self, cx: &Context, call: Create<'_>) -> Result<Node> {
        let inode = self.new_node(cx, call.dir, call.name, Kind::File, call.mode, Vec::new())?;
        self.node(cx, inode, Some(call.access))
    }

    pub fn mkdir(&self, cx: &Context, call: Mkdir<'_>) -> Result<Node> {
        let inode = self.new_node(cx, call.dir, call.name, Kind::Directory, call.mode, Vec::new())?;
        self.node(cx, inode, None)
    }

    pub fn symlink(&self, cx: &Context, call: Symlink<'_>) -> Result<Node> {
        let mut target = vec![0; usize::from(call.target_len)];
        if target.is_empty() || target.len() > tfs_format::LINK_TARGET_MAX {
            return Err(Error::Invalid);
        }
        let memory = cx.readable(call.target, target.len()).map_err(|_| Error::BadLease)?;
        memory.read(0, &mut target).map_err(bad_lease)?;
        let link = vec![(symbols::LINKTARGET, Value::text(&target))];
        let inode = self.new_node(cx, call.dir, call.name, Kind::Link, 0o777, link)?;
        self.node(cx, inode, None)
    }

    pub fn mknod(&self, cx: &Context, call: Mknod<'_>) -> Result<Node> {
        let special = vec![(symbols::RDEV, Value::number(call.rdev))];
        let inode = match call.kind {
            Kind::CharDevice | Kind::BlockDevice => {
                self.new_node(cx, call.dir, call.name, call.kind, call.mode, special)?
            }
            Kind::File | Kind::Fifo | Kind::Socket => {
                self.new_node(cx, call.dir, call.name, call.kind, call.mode, Vec::new())?
            }
            Kind::Directory | Kind::Link => return Err(Error::Invalid),
        };
        self.node(cx, inode, None)
    }

    /// Adds an entry with a new node behind it.
    fn new_node(
        &self,
        cx: &Context,
        dir: FileHandle,
        name: Name<'_>,
        kind: Kind,
        mode: u16,
        mut attributes: Vec<(Symbol, Value)>,
    ) -> Result<Rc<Inode>> {
        let (parent, children) = self.changeable(cx, dir)?;
        let entry = self.new_entry(children, name)?;
        attributes.extend(self.common_attributes(kind, mode)?);
        let node = self.store.new_tuple(&attributes)?;
        self.store.change(children, &[(entry, Some(Value::Object(node)))])?;
        if kind == Kind::Directory {
            self.store.set_parent(node, parent.node);
        }
        self.store.touch(&parent, &[symbols::MTIME, symbols::CTIME]);
        self.store.inode(node)
    }

    /// What every new node of a kind has.
    fn common_attributes(&self, kind: Kind, mode: u16) -> Result<Vec<(Symbol, Value)>> {
        let now = self.store.now();
        let mut attributes = vec![
            (symbols::INODE, Value::number(self.store.new_number())),
            (symbols::MODE, Value::number(convert::mode_word(kind, mode))),
            (symbols::ATIME, Value::number(now)),
            (symbols::MTIME, Value::number(now)),
            (symbols::CTIME, Value::number(now)),
        ];
        match kind {
            Kind::Directory => attributes.push((symbols::CHILDREN, Value::Object(self.store.new_tuple(&[])?))),
            Kind::Socket => attributes.push((symbols::SOCKET, Value::Null)),
            Kind::Link => {}
            Kind::File | Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
                attributes.push((symbols::EXTENTS, Value::Object(self.store.new_tuple(&[])?)));
                attributes.push((symbols::FILELENGTH, Value::number(0)));
            }
        }
        Ok(attributes)
    }

    /// The symbol of a name that is not taken yet. Error: `Exists`.
    pub(super) fn new_entry(&self, children: ObjectId, name: Name<'_>) -> Result<Symbol> {
        let entry = self.store.symbol(name.get())?;
        let taken = self.store.tree().attribute(children, entry).is_some();
        if taken { Err(Error::Exists) } else { Ok(entry) }
    }

    pub fn link(&self, cx: &Context, call: Link<'_>) -> Result<Attr> {
        let inode = self.handles.get(cx, call.node)?;
        let (parent, children) = self.changeable(cx, call.dir)?;
        if self.store.tree().children(inode.node).is_some() {
            return Err(Error::NotPermitted);
        }
        let names = inode.names.get();
        if names == 0 {
            return Err(Error::NotFound);
        }
        if names >= LINKS_MAX {
            return Err(Error::TooManyLinks);
        }
        let entry = self.new_entry(children, call.name)?;
        self.store.change(children, &[(entry, Some(Value::Object(inode.node)))])?;
        self.set_names(&inode, names + 1)?;
        self.store.touch(&inode, &[symbols::CTIME]);
        self.store.touch(&parent, &[symbols::MTIME, symbols::CTIME]);
        Ok(self.store.attr(&inode))
    }

    /// Notes how many names a node has now; 0 makes it an orphan that goes with its last user.
    pub(super) fn set_names(&self, inode: &Inode, names: u64) -> Result<()> {
        if names > 0 {
            self.store.change_node(inode, &[(symbols::NLINK, Some(Value::number(names)))])?;
        }
        inode.names.set(names);
        Ok(())
    }
}
