//! Arenas: one heap per task, each in its own stretch of addresses, grown page by page up to its limit.
//!
//! The address alone tells which arena a block belongs to, so anybody may free it; dropping a task's arena is
//! unmapping its stretch. The block management is `talc`'s.

use super::frame::{Frame, Need};
use super::layout::{ARENA_STRIDE, ARENAS};
use super::{PAGE_SIZE, kernel_map};
use crate::sync::IrqLock;
use core::alloc::Layout;
use core::ptr::NonNull;
use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

/// Most arenas at once: the core's and one per task.
pub const ARENA_COUNT: usize = 64;
/// The core's own arena.
pub const CORE: usize = 0;
/// Least growth, in bytes.
const GROWTH: usize = 16 * PAGE_SIZE;

/// A task's heap is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapFull;

struct Arena {
    talc: Talc<Manual, DefaultBinning>,
    /// End of what talc manages, once it has claimed anything.
    heap_end: Option<NonNull<u8>>,
    /// Bytes that are mapped.
    mapped: usize,
    limit: usize,
    /// Bytes handed out.
    used: usize,
}

// SAFETY: the pointers lead into the arena's own addresses, which only the holder of its lock manages.
unsafe impl Send for Arena {}

static TABLE: [IrqLock<Option<Arena>>; ARENA_COUNT] = [const { IrqLock::new(None) }; ARENA_COUNT];

fn base(number: usize) -> u64 {
    ARENAS + number as u64 * ARENA_STRIDE
}

/// The arena that an address belongs to.
pub fn owner(address: usize) -> usize {
    ((address as u64 - ARENAS) / ARENA_STRIDE) as usize
}

/// Opens an arena of at most `limit` bytes; `None` if all numbers are in use.
pub fn open(limit: usize) -> Option<usize> {
    (CORE + 1..ARENA_COUNT).find(|&number| open_at(number, limit))
}

/// Opens the arena with this number, unless it is open.
pub fn open_at(number: usize, limit: usize) -> bool {
    let mut slot = TABLE[number].lock();
    if slot.is_some() {
        return false;
    }
    let limit = limit.min(ARENA_STRIDE as usize / 2);
    *slot = Some(Arena { talc: Talc::new(Manual), heap_end: None, mapped: 0, limit, used: 0 });
    true
}

/// Drops an arena with everything in it; no destructor runs.
pub fn close(number: usize) {
    let mapped = TABLE[number].lock().take().map_or(0, |arena| arena.mapped);
    for at in (0..mapped).step_by(PAGE_SIZE) {
        drop(kernel_map::unmap(base(number) + at as u64));
    }
}

/// Bytes handed out and bytes mapped.
pub fn usage(number: usize) -> (usize, usize) {
    TABLE[number].lock().as_ref().map_or((0, 0), |arena| (arena.used, arena.mapped))
}

/// Allocates; null if the arena's limit or memory is used up.
pub fn allocate(number: usize, layout: Layout) -> *mut u8 {
    let mut slot = TABLE[number].lock();
    let Some(arena) = slot.as_mut() else { return core::ptr::null_mut() };
    loop {
        // SAFETY: the layout comes from the allocator interface: its size is not 0.
        if let Some(block) = unsafe { arena.talc.try_allocate(layout) } {
            arena.used += layout.size();
            return block.as_ptr();
        }
        let wanted = layout.size() + layout.align() + 64;
        if arena.grow(base(number), wanted).is_err() {
            return core::ptr::null_mut();
        }
    }
}

/// Frees.
///
/// # Safety
/// The block must come from [`allocate`] with this layout and be free of users.
pub unsafe fn free(block: *mut u8, layout: Layout) {
    let mut slot = TABLE[owner(block as usize)].lock();
    if let Some(arena) = slot.as_mut() {
        arena.used -= layout.size();
        // SAFETY: by the caller.
        unsafe { arena.talc.deallocate(block, layout) };
    }
}

impl Arena {
    fn grow(&mut self, base: u64, wanted: usize) -> Result<(), HeapFull> {
        let step = wanted.next_multiple_of(PAGE_SIZE).max(GROWTH).min(self.limit.saturating_sub(self.mapped));
        if step < wanted {
            return Err(HeapFull);
        }
        let start = self.mapped;
        for at in (start..start + step).step_by(PAGE_SIZE) {
            let frame = Frame::alloc_for(Need::Kernel).ok_or(HeapFull)?;
            if !kernel_map::map(base + at as u64, frame) {
                return Err(HeapFull);
            }
            self.mapped = at + PAGE_SIZE;
        }
        self.manage(base, start)
    }

    /// Hands the mapped bytes behind `start` to talc.
    fn manage(&mut self, base: u64, start: usize) -> Result<(), HeapFull> {
        let end = (base as usize + self.mapped) as *mut u8;
        // SAFETY: the bytes up to `end` are mapped, belong to this arena alone, and follow its heap directly.
        self.heap_end = unsafe {
            match self.heap_end {
                None => self.talc.claim((base as usize + start) as *mut u8, self.mapped - start),
                Some(old) => Some(self.talc.extend(old, end)),
            }
        };
        self.heap_end.map(drop).ok_or(HeapFull)
    }
}
