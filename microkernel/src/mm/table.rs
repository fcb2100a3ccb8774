//! Page tables: four levels, walked and changed through the physical map.

use super::frame::{Frame, Need};
use super::layout::physical_to_virtual;
use super::{BLOCK_SIZE, PAGE_SIZE};

/// Entry bits (SDM 3A 4.5).
pub const PRESENT: u64 = 1;
/// Writes are allowed.
pub const WRITABLE: u64 = 1 << 1;
/// User mode may use it.
pub const USER: u64 = 1 << 2;
/// Not cached.
pub const NO_CACHE: u64 = 1 << 4 | 1 << 3;
/// Set by the processor on use.
pub const ACCESSED: u64 = 1 << 5;
/// Set by the processor on write.
pub const DIRTY: u64 = 1 << 6;
/// Maps a block instead of pointing at a table.
pub const LARGE: u64 = 1 << 7;
/// Stays in the TLB when CR3 is loaded.
pub const GLOBAL: u64 = 1 << 8;
/// Cannot be executed; only where the processor has it.
pub const NO_EXECUTE: u64 = 1 << 63;
/// The address in an entry.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const ENTRIES: usize = 512;

/// Removes [`NO_EXECUTE`] where the processor does not know it.
pub fn supported(flags: u64) -> u64 {
    if crate::arch::cpu::features().nx { flags } else { flags & !NO_EXECUTE }
}

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
}

/// The table at a physical address.
///
/// # Safety
/// The address must be that of a page table that the caller may change.
unsafe fn entry(table: u64, index: usize) -> *mut u64 {
    (physical_to_virtual(table) as *mut u64).wrapping_add(index)
}

/// How an intermediate table is made. `None`: out of memory.
pub type TableSource<'a> = &'a mut dyn FnMut() -> Option<u64>;

/// The zeroed frames of the program's tables: owned by the entry that points at them.
pub fn program_table() -> Option<u64> {
    Frame::alloc_zeroed().map(Frame::into_address)
}

/// The zeroed frames of the kernel's tables, likewise.
pub fn kernel_table() -> Option<u64> {
    Frame::alloc_zeroed_for(Need::Kernel).map(Frame::into_address)
}

/// Finds the entry of `address` at `level` (0: page, 1: block), making tables on the way if `make` is given.
///
/// `None`: a table is missing (and could not be made), or a block stands in the way.
///
/// # Safety
/// `root` must be a page table hierarchy that the caller holds exclusively (for changes).
pub unsafe fn walk(root: u64, address: u64, level: u32, mut make: Option<TableSource<'_>>) -> Option<*mut u64> {
    let mut table = root;
    for above in (level + 1..4).rev() {
        // SAFETY: `table` is part of the hierarchy.
        let slot = unsafe { entry(table, index(address, above)) };
        // SAFETY: as above.
        let value = unsafe { slot.read_volatile() };
        if value & PRESENT == 0 {
            let new = make.as_mut()?()?;
            let user = if address < super::layout::USER_END { USER } else { 0 };
            // SAFETY: as above.
            unsafe { slot.write_volatile(new | PRESENT | WRITABLE | user) };
            table = new;
        } else if value & LARGE != 0 {
            return None;
        } else {
            table = value & ADDRESS;
        }
    }
    // SAFETY: as above.
    Some(unsafe { entry(table, index(address, level)) })
}

/// Calls `visit` for every present page and block entry in `start..end`, skipping what has no table.
///
/// `visit` gets the address, the entry, and whether it is a block; a block is visited once.
///
/// # Safety
/// As [`walk`].
pub unsafe fn visit_range(root: u64, start: u64, end: u64, visit: &mut dyn FnMut(u64, *mut u64, bool)) {
    let mut address = start;
    while address < end {
        // SAFETY: by the caller.
        let (step, found) = unsafe { locate(root, address) };
        if let Some((slot, block)) = found {
            let base = if block { address & !(BLOCK_SIZE as u64 - 1) } else { address };
            visit(base, slot, block);
        }
        // The next boundary of what was looked at.
        let next = (address | (step - 1)).wrapping_add(1);
        if next == 0 {
            return;
        }
        address = next;
    }
}

/// The present entry that maps `address`, and how far the answer holds.
unsafe fn locate(root: u64, address: u64) -> (u64, Option<(*mut u64, bool)>) {
    let mut table = root;
    for level in (0..4).rev() {
        // SAFETY: `table` is part of the hierarchy.
        let slot = unsafe { entry(table, index(address, level)) };
        // SAFETY: as above.
        let value = unsafe { slot.read_volatile() };
        let span = (PAGE_SIZE as u64) << (9 * level);
        if value & PRESENT == 0 {
            return (span, None);
        }
        if level == 0 || value & LARGE != 0 {
            return (span, Some((slot, level != 0)));
        }
        table = value & ADDRESS;
    }
    (PAGE_SIZE as u64, None)
}

/// The present entry that maps `address`.
///
/// # Safety
/// As [`walk`], for reading.
pub unsafe fn find(root: u64, address: u64) -> Option<(*mut u64, bool)> {
    // SAFETY: by the caller.
    unsafe { locate(root, address).1 }
}
