//! File handles: which caller may use which inode, and for what.

use crate::inode::Inode;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use hashbrown::HashMap;
use protocol::fs::{Access, Error, FileHandle, Result};
use rt::Context;

/// Most handles at a time; bounds the memory that callers can use up.
const HANDLES_MAX: usize = 1 << 16;

struct Handle {
    caller: u32,
    inode: Rc<Inode>,
    /// How it is open; `None` if it only names the node.
    access: Option<Access>,
}

/// All handles. Those of an earlier life of a caller are void.
#[derive(Default)]
pub struct Handles {
    open: RefCell<HashMap<u32, Handle>>,
    next: Cell<u32>,
    generations: RefCell<HashMap<u32, u32>>,
}

impl Handles {
    /// Hands a new handle out. Error: `TooManyFiles`.
    pub fn add(&self, cx: &Context, inode: Rc<Inode>, access: Option<Access>) -> Result<FileHandle> {
        self.meet(cx)?;
        let mut open = self.open.borrow_mut();
        if open.len() >= HANDLES_MAX {
            return Err(Error::TooManyFiles);
        }
        let mut number = self.next.get();
        while open.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.next.set(number.wrapping_add(1));
        open.insert(number, Handle { caller: cx.caller, inode, access });
        Ok(FileHandle(number))
    }

    /// The node of a handle. Error: `BadHandle`.
    pub fn get(&self, cx: &Context, file: FileHandle) -> Result<Rc<Inode>> {
        self.with(cx, file, |handle| Ok(handle.inode.clone()))
    }

    /// The node of a handle that is open for `wanted`. Error: `BadHandle`.
    pub fn opened(&self, cx: &Context, file: FileHandle, wanted: Access) -> Result<Rc<Inode>> {
        self.with(cx, file, |handle| match handle.access {
            Some(access) if access.contains(wanted) => Ok(handle.inode.clone()),
            _ => Err(Error::BadHandle),
        })
    }

    /// Takes a handle back. Error: `BadHandle`.
    pub fn remove(&self, cx: &Context, file: FileHandle) -> Result<()> {
        self.with(cx, file, |_| Ok(()))?;
        let handle = self.open.borrow_mut().remove(&file.0);
        handle.map(drop).ok_or(Error::BadHandle)
    }

    fn with<T>(&self, cx: &Context, file: FileHandle, use_it: impl Fn(&Handle) -> Result<T>) -> Result<T> {
        self.meet(cx)?;
        match self.open.borrow().get(&file.0) {
            Some(handle) if handle.caller == cx.caller => use_it(handle),
            _ => Err(Error::BadHandle),
        }
    }

    /// Drops the handles of a caller that was started anew, and refuses what its predecessor still sends.
    fn meet(&self, cx: &Context) -> Result<()> {
        let known = self.generations.borrow().get(&cx.caller).copied();
        match known {
            Some(known) if known == cx.generation => return Ok(()),
            Some(known) if known > cx.generation => return Err(Error::BadHandle),
            _ => {}
        }
        self.generations.borrow_mut().insert(cx.caller, cx.generation);
        self.open.borrow_mut().retain(|_, handle| handle.caller != cx.caller);
        Ok(())
    }
}
