//! The global allocator: the running task's arena, or the core's inside core sections.

use super::arena;
use crate::arch::percpu;
use core::alloc::{GlobalAlloc, Layout};

/// Chooses the arena.
pub struct Heap;

// SAFETY: blocks come from talc-managed arenas, which give out aligned, disjoint blocks; the arena of a block
// follows from its address.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let number = if percpu::core_depth() > 0 { arena::CORE } else { crate::task::current_arena() };
        let block = arena::allocate(number, layout);
        if block.is_null() && number != arena::CORE {
            crate::task::heap_exhausted(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller of the interface.
        unsafe { arena::free(block, layout) };
    }
}

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: Heap = Heap;
