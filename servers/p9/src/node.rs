//! Handles: which file of the host each one given out stands for.
//!
//! Handles belong to one caller in one generation. A number is not given out again before all others were, so that
//! a handle that was closed is refused instead of naming another file.

use crate::fid::Fid;
use crate::spare::Spares;
use crate::walk::Found;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use hashbrown::HashMap;
use protocol::fs::{Access, Attr, Error, FileHandle, Kind, Result};
use rt::service::Context;

/// Most handles at once; a program runs into its own limit of open files first.
const MAX_HANDLES: usize = 1 << 20;

/// One file of the host.
pub(crate) struct Node {
    pub(crate) fid: Fid,
    /// Identity; a fid that leads to another inode is stale.
    pub(crate) inode: u64,
    pub(crate) kind: Kind,
    /// How it was opened.
    pub(crate) access: Option<Access>,
    /// Attributes as last seen. Answered only for an open file that has lost its name, where many hosts cannot tell.
    pub(crate) seen: Cell<Attr>,
    /// Whether something was written since the last sync.
    pub(crate) written: Cell<bool>,
    /// Of a directory: fids walked ahead.
    pub(crate) spares: Spares,
}

impl Node {
    /// A node for what was found; `access` says how it was opened.
    pub(crate) fn new(found: Found, access: Option<Access>) -> Self {
        let Found { fid, attr, .. } = found;
        Self {
            fid,
            inode: attr.inode,
            kind: attr.kind,
            access,
            seen: Cell::new(attr),
            written: Cell::new(false),
            spares: Spares::default(),
        }
    }

    /// Errors: `BadHandle` unless opened with `wanted`.
    pub(crate) fn opened_for(&self, wanted: Access) -> Result<()> {
        match self.access {
            Some(access) if access.contains(wanted) => Ok(()),
            _ => Err(Error::BadHandle),
        }
    }

    /// Errors: `NotDirectory`.
    pub(crate) fn directory(&self) -> Result<()> {
        if self.kind == Kind::Directory { Ok(()) } else { Err(Error::NotDirectory) }
    }

    /// Notes that the file reaches to `end` at least, and changed at `now`.
    pub(crate) fn grew_to(&self, end: u64, now: protocol::fs::Time) {
        let mut attr = self.seen.get();
        attr.size = attr.size.max(end);
        attr.mtime = now;
        attr.ctime = now;
        self.seen.set(attr);
        self.written.set(true);
    }
}

struct Entry {
    caller: u32,
    generation: u32,
    node: Rc<Node>,
}

/// All handles given out.
#[derive(Default)]
pub(crate) struct Handles {
    entries: RefCell<HashMap<u32, Entry>>,
    next: Cell<u32>,
    /// The generation last seen of each caller.
    callers: RefCell<HashMap<u32, u32>>,
}

impl Handles {
    /// Gives a handle for `node` to the caller. Errors: `TooManyFiles`.
    pub(crate) fn give(&self, cx: &Context, node: Rc<Node>) -> Result<FileHandle> {
        let mut entries = self.entries.borrow_mut();
        if entries.len() >= MAX_HANDLES {
            return Err(Error::TooManyFiles);
        }
        let mut number = self.next.get();
        while entries.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.next.set(number.wrapping_add(1));
        entries.insert(number, Entry { caller: cx.caller, generation: cx.generation, node });
        Ok(FileHandle(number))
    }

    /// The node behind a handle of this caller. Errors: `BadHandle`.
    pub(crate) fn get(&self, cx: &Context, file: FileHandle) -> Result<Rc<Node>> {
        self.enter(cx);
        let entries = self.entries.borrow();
        let entry = entries.get(&file.0).filter(|entry| entry.belongs_to(cx));
        entry.map(|entry| entry.node.clone()).ok_or(Error::BadHandle)
    }

    /// Takes a handle back. Errors: `BadHandle`.
    pub(crate) fn close(&self, cx: &Context, file: FileHandle) -> Result<()> {
        self.get(cx, file)?;
        let closed = self.entries.borrow_mut().remove(&file.0);
        drop(closed);
        Ok(())
    }

    /// Any node with this inode, of any caller.
    pub(crate) fn by_inode(&self, inode: u64) -> Option<Rc<Node>> {
        self.entries.borrow().values().find(|entry| entry.node.inode == inode).map(|entry| entry.node.clone())
    }

    /// Files that were written since their last sync.
    pub(crate) fn written(&self) -> Vec<Rc<Node>> {
        self.entries
            .borrow()
            .values()
            .filter(|entry| entry.node.written.get())
            .map(|entry| entry.node.clone())
            .collect()
    }

    /// Notes the caller's generation; a new one ends all handles of the earlier ones.
    pub(crate) fn enter(&self, cx: &Context) {
        let last = self.callers.borrow_mut().insert(cx.caller, cx.generation);
        if last.is_some_and(|last| last != cx.generation) {
            self.entries.borrow_mut().retain(|_, entry| entry.caller != cx.caller || entry.generation == cx.generation);
        }
    }
}

impl Entry {
    fn belongs_to(&self, cx: &Context) -> bool {
        self.caller == cx.caller && self.generation == cx.generation
    }
}
