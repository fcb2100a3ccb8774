//! The mounted volume: tree, log and space in one cell, inodes in use, and the changes that operations make.
//!
//! Everything here is synchronous: a caller that does not await in between sees no change but its own.

use crate::convert;
use crate::disk::{Buffer, Disk};
use crate::flush::Flusher;
use crate::inode::{Graveyard, Inode};
use crate::mount::{MountError, Options};
use crate::span::Span;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, Ref, RefCell};
use hashbrown::{HashMap, HashSet};
use protocol::fs::{Attr, Error, Kind, Result};
use rt::Runtime;
use tfs_format::check::Survey;
use tfs_format::encode::Change;
use tfs_format::tree::ROOT;
use tfs_format::{Cause, ObjectId, SECTOR_BYTES, Symbol, Tree, Value, Volume, symbols};

/// Log bytes that an operation needs at most, long names and a link target included.
const OPERATION_BYTES: u64 = 16 * 1024;

/// A mounted volume.
pub struct Store {
    /// The executor that serves it.
    pub runtime: Runtime,
    /// Its sectors.
    pub disk: Disk,
    /// No request changes anything.
    pub read_only: bool,
    pub(crate) flusher: Flusher,
    volume: RefCell<Volume>,
    inodes: RefCell<HashMap<ObjectId, Weak<Inode>>>,
    /// Parent of every directory.
    parents: RefCell<HashMap<ObjectId, ObjectId>>,
    /// Nodes whose times changed in memory only; the next flush logs them.
    dirty_times: RefCell<HashSet<ObjectId>>,
    graveyard: Graveyard,
    next_inode: Cell<u64>,
}

impl Store {
    /// Takes over a volume that was mounted. Nodes without an inode number get one.
    pub fn new(runtime: &Runtime, disk: Disk, volume: Volume, survey: &Survey, options: Options) -> core::result::Result<Rc<Self>, MountError> {
        let flusher = Flusher::new(runtime).ok_or(MountError::NoMemory)?;
        let store = Rc::new(Store {
            runtime: runtime.clone(),
            read_only: options.read_only || disk.is_read_only(),
            disk,
            flusher,
            volume: RefCell::new(volume),
            inodes: RefCell::default(),
            parents: RefCell::default(),
            dirty_times: RefCell::default(),
            graveyard: Graveyard::default(),
            next_inode: Cell::new(1),
        });
        store.number_nodes(survey);
        let directories = survey.nodes.iter().filter(|found| found.kind == tfs_format::Kind::Directory);
        store.parents.borrow_mut().extend(directories.map(|found| (found.node, found.parent)));
        Ok(store)
    }

    /// Gives a number to each node that has none, or one that is taken: volumes of other tools. On a
    /// read-only volume they last as long as the mount, which finds the same ones each time.
    fn number_nodes(self: &Rc<Self>, survey: &Survey) {
        let mut taken = HashSet::with_capacity(survey.nodes.len());
        let mut without = Vec::new();
        for found in &survey.nodes {
            match self.tree().number(found.node, symbols::INODE) {
                Some(number) if number != 0 && taken.insert(number) => {}
                _ => without.push(found.node),
            }
        }
        let highest = taken.iter().copied().max().unwrap_or(0);
        self.next_inode.set(highest.saturating_add(1));
        for node in without {
            let number = Value::number(self.new_number());
            let change = [(symbols::INODE, Some(number))];
            if self.read_only || self.change(node, &change).is_err() {
                self.set_unlogged(node, &change);
            }
        }
    }

    /// A number that no node has.
    pub fn new_number(&self) -> u64 {
        let number = self.next_inode.get();
        self.next_inode.set(number.saturating_add(1));
        number
    }

    /// The tuples, to look at.
    pub fn tree(&self) -> Ref<'_, Tree> {
        Ref::map(self.volume.borrow(), |volume| &volume.tree)
    }

    /// Tree, log and space, to change. The borrow must end before the next await.
    pub fn volume(&self) -> core::cell::RefMut<'_, Volume> {
        self.volume.borrow_mut()
    }

    /// Now, as TFS stores times.
    pub fn now(&self) -> u64 {
        convert::stamp_of_ns(self.runtime.machine().wall_ns())
    }

    // ---- inodes --------------------------------------------------------------------------

    /// The inode of a node. Error: `Io` if its attributes are malformed.
    pub fn inode(&self, node: ObjectId) -> Result<Rc<Inode>> {
        self.bury();
        if let Some(inode) = self.inodes.borrow().get(&node).and_then(Weak::upgrade) {
            return Ok(inode);
        }
        let tree = self.tree();
        let spans = tree.extents(node).map_err(|_| Error::Io)?.into_iter().map(Span::from).collect();
        let size = tree.file_length(node).map_err(|_| Error::Io)?;
        let number = tree.number(node, symbols::INODE).unwrap_or(0);
        let names = tree.number(node, symbols::NLINK).unwrap_or(1);
        let inode = Rc::new(Inode::new(node, number, names, size, spans, &self.graveyard));
        self.inodes.borrow_mut().insert(node, Rc::downgrade(&inode));
        Ok(inode)
    }

    /// The root directory's inode.
    pub fn root(&self) -> Result<Rc<Inode>> {
        self.inode(ROOT)
    }

    /// Searches the volume for an inode number; after a restart only.
    pub fn find(&self, number: u64) -> Option<ObjectId> {
        let tree = self.tree();
        let mut directories = Vec::from([ROOT]);
        if tree.number(ROOT, symbols::INODE) == Some(number) {
            return Some(ROOT);
        }
        while let Some(directory) = directories.pop() {
            for (_, node) in tree.entries(directory, None) {
                if tree.number(node, symbols::INODE) == Some(number) {
                    return Some(node);
                }
                if tree.children(node).is_some() {
                    directories.push(node);
                }
            }
        }
        None
    }

    /// Attends to inodes that nobody uses any more.
    pub fn bury(&self) {
        let graves = core::mem::take(&mut *self.graveyard.borrow_mut());
        for grave in graves {
            let mut inodes = self.inodes.borrow_mut();
            let alive = inodes.get(&grave.node).is_some_and(|inode| inode.strong_count() > 0);
            if !alive {
                inodes.remove(&grave.node);
            }
            let mut volume = self.volume.borrow_mut();
            grave.reserved.into_iter().for_each(|run| volume.release(run));
            if grave.orphan {
                self.dirty_times.borrow_mut().remove(&grave.node);
                self.parents.borrow_mut().remove(&grave.node);
                volume.discard(grave.node);
            }
        }
    }

    /// Attributes as the protocol has them.
    pub fn attr(&self, inode: &Inode) -> Attr {
        let tree = self.tree();
        let node = inode.node;
        let kind = convert::kind(&tree, node);
        let size = match kind {
            Kind::Link => tree.link_target(node).map_or(0, |target| target.len() as u64),
            Kind::File => inode.size.get(),
            _ => 0,
        };
        let time = |name| convert::from_stamp(tree.number(node, name).unwrap_or(0));
        let mtime = time(symbols::MTIME);
        Attr {
            inode: inode.number,
            kind,
            mode: convert::permissions(&tree, node, kind),
            links: u32::try_from(inode.names.get()).unwrap_or(u32::MAX),
            uid: convert::small(&tree, node, symbols::UID),
            gid: convert::small(&tree, node, symbols::GID),
            size,
            blocks: inode.spans.borrow().iter().map(|span| span.allocated).sum(),
            rdev: tree.number(node, symbols::RDEV).unwrap_or(0),
            atime: time(symbols::ATIME),
            mtime,
            ctime: if tree.attribute(node, symbols::CTIME).is_some() { time(symbols::CTIME) } else { mtime },
        }
    }

    // ---- changes -------------------------------------------------------------------------

    /// Refuses what would change a volume that must not be changed. Errors: `ReadOnly`, `Io`.
    pub fn writable(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        if self.flusher.has_failed() { Err(Error::Io) } else { Ok(()) }
    }

    /// Makes sure that the records of one operation find room in the log, so that it happens whole.
    pub fn room_for_records(&self) -> Result<()> {
        self.bury();
        if self.volume.borrow().has_log_room(OPERATION_BYTES) { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Changes attributes in the tree and the log. Error: `NoSpace`, with nothing changed.
    pub fn change(self: &Rc<Self>, target: ObjectId, changes: &[Change]) -> Result<()> {
        self.volume.borrow_mut().change(target, changes).map_err(|_| Error::NoSpace)?;
        self.flusher.note_change(self);
        Ok(())
    }

    /// Changes attributes of a node; one without a name changes in memory only.
    pub fn change_node(self: &Rc<Self>, inode: &Inode, changes: &[Change]) -> Result<()> {
        if inode.is_orphan() {
            self.set_unlogged(inode.node, changes);
            return Ok(());
        }
        self.change(inode.node, changes)
    }

    fn set_unlogged(&self, node: ObjectId, changes: &[Change]) {
        let mut volume = self.volume.borrow_mut();
        for (name, value) in changes {
            volume.tree.set(node, *name, value.clone());
        }
    }

    /// Sets time stamps to now; the log gets them with the next flush.
    pub fn touch(self: &Rc<Self>, inode: &Inode, stamps: &[Symbol]) {
        let now = self.now();
        stamps.iter().for_each(|name| self.set_stamp(inode, *name, now));
    }

    /// Sets one time stamp; the log gets it with the next flush.
    pub fn set_stamp(self: &Rc<Self>, inode: &Inode, name: Symbol, stamp: u64) {
        self.set_unlogged(inode.node, &[(name, Some(Value::number(stamp)))]);
        if !inode.is_orphan() {
            self.dirty_times.borrow_mut().insert(inode.node);
            self.flusher.note_change(self);
        }
    }

    /// Logs the times that changed in memory only.
    pub fn log_times(self: &Rc<Self>) {
        let nodes = core::mem::take(&mut *self.dirty_times.borrow_mut());
        for node in nodes {
            let changes: Vec<Change> = {
                let tree = self.tree();
                let stamps = [symbols::ATIME, symbols::MTIME, symbols::CTIME].into_iter();
                stamps.filter_map(|name| Some((name, Some(tree.attribute(node, name)?.clone())))).collect()
            };
            // Without room the times stay as they are on disk; nothing depends on them.
            if self.volume.borrow_mut().change(node, &changes).is_err() {
                return;
            }
        }
    }

    /// Whether times wait to be logged.
    pub fn has_dirty_times(&self) -> bool {
        !self.dirty_times.borrow().is_empty()
    }

    /// The symbol of a name. Error: `NoMemory` if the volume cannot hold more names.
    pub fn symbol(&self, name: &[u8]) -> Result<Symbol> {
        self.volume.borrow_mut().tree.symbols.intern(name).map_err(out_of_objects)
    }

    /// A new tuple that nothing refers to yet.
    pub fn new_tuple(&self, attributes: &[(Symbol, Value)]) -> Result<ObjectId> {
        self.volume.borrow_mut().new_tuple(attributes).map_err(out_of_objects)
    }

    /// Gives a file new spans: logs the difference to what its extent table says.
    ///
    /// The sectors that are no longer used stay claimed: releasing them is up to the caller.
    pub fn set_spans(self: &Rc<Self>, inode: &Inode, new: Vec<Span>) -> Result<()> {
        self.room_for_records()?;
        let table = self.extent_table(inode)?;
        let old = inode.spans.borrow().clone();
        let kept = |spans: &[Span], block| spans.binary_search_by_key(&block, |span| span.block).ok();
        let mut table_changes: Vec<Change> = Vec::new();
        let mut discarded = Vec::new();
        for span in old.iter().filter(|span| kept(&new, span.block).is_none()) {
            let key = self.extent_key(span.block)?;
            discarded.extend(self.tree().attribute(table, key).and_then(Value::as_object));
            table_changes.push((key, None));
        }
        let mut resized = Vec::new();
        for span in &new {
            match kept(&old, span.block).and_then(|at| old.get(at)) {
                Some(before) if before == span => {}
                Some(before) => resized.push((*before, *span)),
                None => {
                    let extent = self.new_tuple(&extent_attributes(span))?;
                    table_changes.push((self.extent_key(span.block)?, Some(Value::Object(extent))));
                }
            }
        }
        if !table_changes.is_empty() {
            self.change_of(inode, table, &table_changes)?;
        }
        for (before, span) in resized {
            let key = self.extent_key(span.block)?;
            let extent = self.tree().attribute(table, key).and_then(Value::as_object).ok_or(Error::Io)?;
            self.change_of(inode, extent, &extent_changes(&before, &span))?;
        }
        discarded.into_iter().for_each(|extent| self.volume.borrow_mut().discard_object(extent));
        *inode.spans.borrow_mut() = new;
        Ok(())
    }

    /// Changes a tuple that belongs to a node.
    fn change_of(self: &Rc<Self>, inode: &Inode, target: ObjectId, changes: &[Change]) -> Result<()> {
        if inode.is_orphan() {
            self.set_unlogged(target, changes);
            return Ok(());
        }
        self.change(target, changes)
    }

    /// The `extents` tuple of a file, made if another tool left it out.
    fn extent_table(self: &Rc<Self>, inode: &Inode) -> Result<ObjectId> {
        if let Some(table) = self.tree().extent_table(inode.node) {
            return Ok(table);
        }
        let table = self.new_tuple(&[])?;
        self.change_node(inode, &[(symbols::EXTENTS, Some(Value::Object(table)))])?;
        Ok(table)
    }

    fn extent_key(&self, block: u64) -> Result<Symbol> {
        self.symbol(format!("{block}").as_bytes())
    }

    /// Sets the length of a file.
    pub fn set_size(self: &Rc<Self>, inode: &Inode, size: u64) -> Result<()> {
        if inode.size.get() != size {
            self.change_node(inode, &[(symbols::FILELENGTH, Some(Value::number(size)))])?;
            inode.size.set(size);
        }
        Ok(())
    }

    // ---- directories ---------------------------------------------------------------------

    /// Notes where a directory is.
    pub fn set_parent(&self, directory: ObjectId, parent: ObjectId) {
        self.parents.borrow_mut().insert(directory, parent);
    }

    /// Whether `directory` is `node` or lies below it.
    pub fn is_below(&self, mut directory: ObjectId, node: ObjectId) -> bool {
        let parents = self.parents.borrow();
        // Mounting found a tree without loops and renames keep it one; the count is a second belt.
        for _ in 0..=parents.len() {
            if directory == node {
                return true;
            }
            match parents.get(&directory) {
                Some(parent) if *parent != directory => directory = *parent,
                _ => return false,
            }
        }
        false
    }

    /// Memory for a transfer that does not go straight into the caller's. Error: `NoMemory`.
    pub fn bounce(&self, bytes: u64) -> Result<Buffer> {
        let bytes = usize::try_from(bytes).map_err(|_| Error::NoMemory)?;
        let memory = self.runtime.machine().pages(bytes).ok_or(Error::NoMemory)?;
        Ok(Buffer { memory, at: 0 })
    }
}

fn out_of_objects(_: Cause) -> Error {
    Error::NoMemory
}

fn extent_attributes(span: &Span) -> Vec<(Symbol, Value)> {
    let mut attributes = Vec::from([
        (symbols::OFFSET, Value::number(span.sector)),
        (symbols::LENGTH, Value::number(span.length)),
        (symbols::ALLOCATED, Value::number(span.allocated)),
    ]);
    if span.uninited {
        attributes.push((symbols::UNINITED, Value::Null));
    }
    attributes
}

/// What differs between two spans of the same first block.
fn extent_changes(before: &Span, after: &Span) -> Vec<Change> {
    let mut changes = Vec::new();
    let figures = [
        (symbols::OFFSET, before.sector, after.sector),
        (symbols::LENGTH, before.length, after.length),
        (symbols::ALLOCATED, before.allocated, after.allocated),
    ];
    for (name, old, new) in figures {
        if old != new {
            changes.push((name, Some(Value::number(new))));
        }
    }
    if before.uninited != after.uninited {
        changes.push((symbols::UNINITED, after.uninited.then_some(Value::Null)));
    }
    changes
}

/// The block that holds byte `offset`.
pub fn block_of(offset: u64) -> u64 {
    offset / SECTOR_BYTES
}
