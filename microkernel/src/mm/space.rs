//! The program's half of the address space.
//!
//! There is one program, so there is one [`AddressSpace`]; its tables hang below the kernel's top table. Every mapped
//! page owns a reference to its frame. Blocks of 2 MiB are split when part of one changes.

use super::frame::{Contiguous, Frame};
use super::layout::USER_END;
use super::table::{self, ACCESSED, ADDRESS, DIRTY, LARGE, NO_EXECUTE, PRESENT, USER, WRITABLE};
use super::{BLOCK_SIZE, PAGE_SIZE, kernel_map};
use crate::arch::cpu;
use crate::sync::{Guard, Lock};

/// What the program may do with a page, beside reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Write.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

impl Access {
    fn bits(self) -> u64 {
        let write = if self.write { WRITABLE } else { 0 };
        let execute = if self.execute { 0 } else { NO_EXECUTE };
        table::supported(PRESENT | USER | write | execute)
    }
}

/// Why a page could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Not a page-aligned address of the program's half, or not block-aligned.
    BadAddress,
    /// No frame for a page table.
    NoMemory,
}

/// A page that is mapped.
#[derive(Debug)]
pub struct Mapping {
    /// Its frame (one more reference); `None` for a page of a block.
    pub frame: Option<Frame>,
    /// Physical address of the page.
    pub address: u64,
    /// What the program may do.
    pub access: Access,
    /// Written since the flag was cleared.
    pub dirty: bool,
    /// Used since the flag was cleared.
    pub accessed: bool,
}

/// A page or block that was taken out.
pub enum Removed {
    /// A page.
    Page(Frame),
    /// A block of 2 MiB.
    Block(Contiguous),
}

/// The program's half.
pub struct AddressSpace {
    /// Guards all entries below [`USER_END`].
    lock: Lock<()>,
}

/// Pages beyond which the whole TLB is flushed instead of each page.
const FLUSH_ALL_ABOVE: usize = 32;

/// Collects pages to be flushed from the TLBs.
struct Flush {
    pages: [u64; FLUSH_ALL_ABOVE],
    count: usize,
}

impl Flush {
    fn new() -> Self {
        Self { pages: [0; FLUSH_ALL_ABOVE], count: 0 }
    }

    fn add(&mut self, address: u64) {
        if let Some(slot) = self.pages.get_mut(self.count) {
            *slot = address;
        }
        self.count += 1;
    }

    fn now(&mut self) {
        if self.count > FLUSH_ALL_ABOVE {
            cpu::flush_all();
        } else {
            self.pages[..self.count].iter().for_each(|&page| cpu::flush_page(page));
        }
        self.count = 0;
    }
}

impl Default for AddressSpace {
    fn default() -> Self {
        Self::new()
    }
}

impl AddressSpace {
    /// The program's half, empty. Called once.
    pub const fn new() -> Self {
        Self { lock: Lock::new(()) }
    }

    fn enter(&self) -> Guard<'_, ()> {
        self.lock.lock()
    }

    /// Maps a frame; returns what was mapped there.
    ///
    /// Errors: `BadAddress`, `NoMemory`.
    pub fn map(&self, page: u64, frame: Frame, access: Access) -> Result<Option<Frame>, MapError> {
        if page >= USER_END || !page.is_multiple_of(PAGE_SIZE as u64) {
            return Err(MapError::BadAddress);
        }
        let _guard = self.enter();
        self.split_block(page)?;
        // SAFETY: the lock guards the program's half.
        unsafe {
            let slot =
                table::walk(kernel_map::root(), page, 0, Some(&mut table::program_table)).ok_or(MapError::NoMemory)?;
            let old = slot.read_volatile();
            slot.write_volatile(frame.into_address() | access.bits());
            if old & PRESENT == 0 {
                return Ok(None);
            }
            cpu::flush_page(page);
            Ok(Some(Frame::from_address(old & ADDRESS)))
        }
    }

    /// Maps a block of 2 MiB where nothing is mapped. Gives the block back if it cannot.
    pub fn map_block(&self, address: u64, block: Contiguous, access: Access) -> Result<(), (MapError, Contiguous)> {
        if address >= USER_END || !address.is_multiple_of(BLOCK_SIZE as u64) || block.len() != BLOCK_SIZE {
            return Err((MapError::BadAddress, block));
        }
        let _guard = self.enter();
        // SAFETY: the lock guards the program's half.
        unsafe {
            let root = kernel_map::root();
            let Some(slot) = table::walk(root, address, 1, Some(&mut table::program_table)) else {
                return Err((MapError::NoMemory, block));
            };
            let old = slot.read_volatile();
            if old & PRESENT != 0 {
                // A table stands here; it may go only if it is empty.
                let mut used = old & LARGE != 0;
                table::visit_range(root, address, address + BLOCK_SIZE as u64, &mut |_, _, _| used = true);
                if used {
                    return Err((MapError::BadAddress, block));
                }
                drop(Frame::from_address(old & ADDRESS));
                cpu::flush_all();
            }
            slot.write_volatile(block.into_address() | access.bits() | LARGE);
        }
        Ok(())
    }

    /// Replaces the block that holds `address` by its 512 pages.
    fn split_block(&self, address: u64) -> Result<(), MapError> {
        // SAFETY: callers hold the lock.
        unsafe {
            let Some((slot, true)) = table::find(kernel_map::root(), address) else { return Ok(()) };
            let value = slot.read_volatile();
            let new = table::program_table().ok_or(MapError::NoMemory)?;
            let flags = value & !(ADDRESS | LARGE);
            let block = Contiguous::block_from_address(value & ADDRESS & !(BLOCK_SIZE as u64 - 1));
            slot.write_volatile(new | PRESENT | WRITABLE | USER);
            let base = address & !(BLOCK_SIZE as u64 - 1);
            for (index, frame) in block.into_frames().enumerate() {
                let page = base + (index * PAGE_SIZE) as u64;
                let entry = table::walk(kernel_map::root(), page, 0, None).ok_or(MapError::NoMemory)?;
                entry.write_volatile(frame.into_address() | flags);
            }
            cpu::flush_all();
        }
        Ok(())
    }

    /// Takes everything out of `start..end`, giving each page or block with its dirty flag to `removed`.
    ///
    /// `removed` runs after the TLBs were flushed, outside the lock's critical order: it may free frames but must not call
    /// back into the address space. Blocks that reach over the ends are split first.
    pub fn unmap_range(&self, start: u64, end: u64, removed: &mut dyn FnMut(u64, Removed, bool)) {
        let end = end.min(USER_END);
        let _guard = self.enter();
        for edge in [start, end] {
            if !edge.is_multiple_of(BLOCK_SIZE as u64) {
                // Without memory for the table the block stays whole; the caller keeps its own record of it.
                let _ = self.split_block(edge);
            }
        }
        let mut flush = Flush::new();
        // Frames are collected until the TLBs have forgotten them.
        let mut taken: [(u64, u64); FLUSH_ALL_ABOVE] = [(0, 0); FLUSH_ALL_ABOVE];
        let mut count = 0;
        // SAFETY: the lock guards the program's half.
        unsafe {
            table::visit_range(kernel_map::root(), start, end, &mut |address, slot, _| {
                taken[count] = (address, slot.read_volatile());
                slot.write_volatile(0);
                flush.add(address);
                count += 1;
                if count == taken.len() {
                    flush.now();
                    taken.iter().for_each(|&(at, value)| give(at, value, removed));
                    count = 0;
                }
            });
        }
        flush.now();
        taken[..count].iter().for_each(|&(at, value)| give(at, value, removed));
    }

    /// Takes one page out; its frame and whether it was dirty.
    pub fn unmap(&self, page: u64) -> Option<(Frame, bool)> {
        let mut result = None;
        self.unmap_range(page, page + PAGE_SIZE as u64, &mut |_, removed, dirty| {
            if let Removed::Page(frame) = removed {
                result = Some((frame, dirty));
            }
        });
        result
    }

    /// Changes what the program may do with the mapped pages of a range.
    pub fn protect_range(&self, start: u64, end: u64, access: Access) {
        let end = end.min(USER_END);
        let _guard = self.enter();
        for edge in [start, end] {
            if !edge.is_multiple_of(BLOCK_SIZE as u64) {
                let _ = self.split_block(edge);
            }
        }
        let mut flush = Flush::new();
        // SAFETY: the lock guards the program's half.
        unsafe {
            table::visit_range(kernel_map::root(), start, end, &mut |address, slot, block| {
                let value = slot.read_volatile();
                let kept = value & (ADDRESS | ACCESSED | DIRTY) & !NO_EXECUTE;
                slot.write_volatile(kept | access.bits() | if block { LARGE } else { 0 });
                flush.add(address);
            });
        }
        flush.now();
    }

    /// What is mapped at a page.
    pub fn query(&self, page: u64) -> Option<Mapping> {
        if page >= USER_END {
            return None;
        }
        let _guard = self.enter();
        // SAFETY: the lock guards the program's half; the entry owns a reference while it stands.
        unsafe {
            let (slot, block) = table::find(kernel_map::root(), page)?;
            let value = slot.read_volatile();
            let physical = value & ADDRESS;
            let address = if block {
                physical + page % BLOCK_SIZE as u64 / PAGE_SIZE as u64 * PAGE_SIZE as u64
            } else {
                physical
            };
            Some(Mapping {
                frame: if block { None } else { Some(Frame::share_address(physical)) },
                address,
                access: Access { write: value & WRITABLE != 0, execute: value & NO_EXECUTE == 0 },
                dirty: value & DIRTY != 0,
                accessed: value & ACCESSED != 0,
            })
        }
    }

    /// As [`AddressSpace::query`], but a block is split first, so that there is a frame to hold on to.
    pub fn pin(&self, page: u64) -> Option<Mapping> {
        {
            let _guard = self.enter();
            self.split_block(page).ok()?;
        }
        self.query(page)
    }

    /// Clears the dirty flags of a range, calling `was_dirty` for each page or block that had one.
    pub fn clean_range(&self, start: u64, end: u64, was_dirty: &mut dyn FnMut(u64)) {
        let _guard = self.enter();
        let mut flush = Flush::new();
        // SAFETY: the lock guards the program's half.
        unsafe {
            table::visit_range(kernel_map::root(), start, end.min(USER_END), &mut |address, slot, _| {
                let value = slot.read_volatile();
                if value & DIRTY != 0 {
                    slot.write_volatile(value & !DIRTY);
                    flush.add(address);
                    was_dirty(address);
                }
            });
        }
        flush.now();
    }

    /// Clears the accessed flag of a page; whether it was set.
    pub fn clear_accessed(&self, page: u64) -> bool {
        let _guard = self.enter();
        // SAFETY: the lock guards the program's half.
        unsafe {
            let Some((slot, _)) = table::find(kernel_map::root(), page) else { return false };
            let value = slot.read_volatile();
            slot.write_volatile(value & !ACCESSED);
            value & ACCESSED != 0
        }
    }
}

fn give(address: u64, value: u64, removed: &mut dyn FnMut(u64, Removed, bool)) {
    let dirty = value & DIRTY != 0;
    // SAFETY: the entry owned the reference and is gone.
    let what = unsafe {
        if value & LARGE != 0 {
            Removed::Block(Contiguous::block_from_address(value & ADDRESS & !(BLOCK_SIZE as u64 - 1)))
        } else {
            Removed::Page(Frame::from_address(value & ADDRESS))
        }
    };
    removed(address, what, dirty);
}
