//! The descriptor table: small numbers to open file descriptions.
//!
//! One table for the whole process. Its lock is a leaf; a description that is taken out is dropped after the lock.

use super::description::OpenFile;
use super::node::Result;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use spin::RwLock;

/// Most descriptors, whatever the limit says (`sysctl_nr_open`).
pub(crate) const MOST: usize = 1_048_576;

struct Slot {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    /// No free slot lies below.
    lowest: usize,
    used: usize,
}

/// All descriptors of the process.
#[derive(Default)]
pub(crate) struct Table {
    slots: RwLock<Slots>,
}

impl Slots {
    /// The lowest free number from `least` on.
    fn free(&self, least: usize) -> usize {
        let start = least.max(self.lowest);
        let taken = self.slots.get(start..).unwrap_or_default();
        start + taken.iter().position(Option::is_none).unwrap_or(taken.len())
    }

    fn put(&mut self, fd: usize, slot: Slot) -> Option<Slot> {
        if self.slots.len() <= fd {
            self.slots.resize_with(fd + 1, || None);
        }
        if fd == self.lowest {
            self.lowest = fd + 1;
        }
        let before = self.slots.get_mut(fd).and_then(|place| place.replace(slot));
        self.used += usize::from(before.is_none());
        before
    }
}

impl Table {
    /// The description of `fd`. Errors: `EBADF`.
    pub(crate) fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        match self.slots.read().slots.get(fd) {
            Some(Some(slot)) => Ok(slot.file.clone()),
            _ => Err(Errno::EBADF),
        }
    }

    /// Puts `file` under the lowest free number from `least` on, below `limit`. Errors: `EMFILE`.
    pub(crate) fn insert(&self, file: Arc<OpenFile>, close_on_exec: bool, least: usize, limit: usize) -> Result<i32> {
        let mut slots = self.slots.write();
        let fd = slots.free(least);
        if fd >= limit.min(MOST) {
            return Err(Errno::EMFILE);
        }
        slots.put(fd, Slot { file, close_on_exec });
        i32::try_from(fd).map_err(|_| Errno::EMFILE)
    }

    /// Puts `file` under exactly `fd`; answers what was there.
    pub(crate) fn replace(&self, fd: usize, file: Arc<OpenFile>, close_on_exec: bool) -> Option<Arc<OpenFile>> {
        self.slots.write().put(fd, Slot { file, close_on_exec }).map(|slot| slot.file)
    }

    /// Takes `fd` out. Errors: `EBADF`.
    pub(crate) fn remove(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let mut slots = self.slots.write();
        let slot = slots.slots.get_mut(fd).and_then(Option::take).ok_or(Errno::EBADF)?;
        slots.lowest = slots.lowest.min(fd);
        slots.used -= 1;
        Ok(slot.file)
    }

    /// Whether `fd` is closed by execve(2). Errors: `EBADF`.
    pub(crate) fn close_on_exec(&self, fd: i32) -> Result<bool> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        match self.slots.read().slots.get(fd) {
            Some(Some(slot)) => Ok(slot.close_on_exec),
            _ => Err(Errno::EBADF),
        }
    }

    /// Sets whether `fd` is closed by execve(2). Errors: `EBADF`.
    pub(crate) fn set_close_on_exec(&self, fd: i32, on: bool) -> Result<()> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        match self.slots.write().slots.get_mut(fd) {
            Some(Some(slot)) => {
                slot.close_on_exec = on;
                Ok(())
            }
            _ => Err(Errno::EBADF),
        }
    }

    /// The numbers in use, ascending, from `least` on; at most `most` of them.
    pub(crate) fn numbers(&self, least: usize, most: usize) -> Vec<usize> {
        let slots = self.slots.read();
        let used = slots.slots.iter().enumerate().skip(least);
        used.filter(|(_, slot)| slot.is_some()).map(|(fd, _)| fd).take(most).collect()
    }

    /// Descriptors in use.
    pub(crate) fn used(&self) -> usize {
        self.slots.read().used
    }

    /// Size of the table, as `FDSize` in `/proc/self/status` tells.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.read().slots.len().next_power_of_two().max(64)
    }
}
