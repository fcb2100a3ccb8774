//! Kernel stacks: mapped at the top of their slots, nothing below, so that an overflow faults.

use super::NoMemory;
use crate::mm::frame::{Frame, Need};
use crate::mm::layout::{STACK_STRIDE, STACKS};
use crate::mm::{PAGE_SIZE, kernel_map};
use crate::sync::Lock;
use alloc::vec::Vec;

/// Stack of a thread that does not ask for another size, in bytes.
pub const DEFAULT_BYTES: usize = 32 << 10;
/// Room that must be left when a thread enters the core, in bytes.
pub const CORE_RESERVE: u64 = 10 << 10;
/// Free stacks of default size that stay mapped for the next thread.
const CACHED: usize = 16;

struct Slots {
    next: u64,
    free: Vec<u64>,
    /// Slots with a mapped stack of default size.
    cached: Vec<u64>,
}

static SLOTS: Lock<Slots> = Lock::new(Slots { next: 0, free: Vec::new(), cached: Vec::new() });

/// A mapped stack.
pub struct Stack {
    slot: u64,
    bytes: usize,
}

impl Stack {
    /// Maps a stack of at least `bytes`. Errors: no memory for this need.
    pub(crate) fn new(bytes: usize, need: Need) -> Result<Self, NoMemory> {
        let bytes = bytes.next_multiple_of(PAGE_SIZE).clamp(4 * PAGE_SIZE, 96 << 10);
        let slot = {
            let mut slots = SLOTS.lock();
            if bytes == DEFAULT_BYTES
                && let Some(slot) = slots.cached.pop()
            {
                return Ok(Self { slot, bytes });
            }
            slots.free.pop().unwrap_or_else(|| {
                slots.next += 1;
                slots.next - 1
            })
        };
        let mut stack = Self { slot, bytes: 0 };
        while stack.bytes < bytes {
            let frame = Frame::alloc_zeroed_for(need).ok_or(NoMemory)?;
            if !kernel_map::map(stack.top() - (stack.bytes + PAGE_SIZE) as u64, frame) {
                return Err(NoMemory);
            }
            stack.bytes += PAGE_SIZE;
        }
        Ok(stack)
    }

    /// The address behind the highest byte.
    pub fn top(&self) -> u64 {
        STACKS + (self.slot + 1) * STACK_STRIDE
    }

    /// Lowest stack pointer with which the core may be entered.
    pub fn floor(&self) -> u64 {
        self.top() - self.bytes as u64 + CORE_RESERVE
    }

    /// Whether a faulting address lies below this stack, in the part of its slot that is never mapped.
    pub fn guards(&self, address: u64) -> bool {
        address < self.top() - self.bytes as u64 && address >= self.top() - STACK_STRIDE
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.bytes == DEFAULT_BYTES {
            let mut slots = SLOTS.lock();
            if slots.cached.len() < CACHED {
                slots.cached.push(self.slot);
                return;
            }
        }
        for at in (0..self.bytes).step_by(PAGE_SIZE) {
            drop(kernel_map::unmap(self.top() - (at + PAGE_SIZE) as u64));
        }
        SLOTS.lock().free.push(self.slot);
    }
}
