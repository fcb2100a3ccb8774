//! A buddy allocator over the RAM that the loader named.
//!
//! Free runs of 2^n frames stand in doubly linked lists, one per order; the links are in [`Info`], one small record per
//! frame. RAM is taken in lazily, 2 MiB at a time, so that boot does not walk all of memory.

use super::Need;
use crate::mm::layout::physical_to_virtual;
use crate::mm::{BLOCK_SIZE, PAGE_SIZE};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Runs have 2^0 to 2^9 frames: 4 KiB to 2 MiB.
pub const ORDERS: usize = 10;
const BLOCK_FRAMES: u32 = (BLOCK_SIZE / PAGE_SIZE) as u32;
const REGIONS: usize = 16;
const NIL: u32 = u32::MAX;
/// Value of `order` in a record that is not the head of a free run.
const NOT_FREE: u8 = 0xff;

/// What is known of one frame.
#[repr(C)]
struct Info {
    references: AtomicU32,
    next: u32,
    previous: u32,
    order: u8,
}

/// RAM whose records stand in its own first frames.
struct Region {
    first: u32,
    end: u32,
    /// Frames from here on have no valid record yet.
    untouched: u32,
    infos: NonNull<Info>,
}

/// First frame, end, and address of the records of each region: written once at boot, read without the lock by
/// reference counting.
struct Directory {
    count: AtomicUsize,
    first: [AtomicU32; REGIONS],
    end: [AtomicU32; REGIONS],
    infos: [AtomicUsize; REGIONS],
}

static DIRECTORY: Directory = Directory {
    count: AtomicUsize::new(0),
    first: [const { AtomicU32::new(0) }; REGIONS],
    end: [const { AtomicU32::new(0) }; REGIONS],
    infos: [const { AtomicUsize::new(0) }; REGIONS],
};

fn info(number: u32) -> *mut Info {
    for index in 0..DIRECTORY.count.load(Ordering::Acquire) {
        let first = DIRECTORY.first[index].load(Ordering::Relaxed);
        if number >= first && number < DIRECTORY.end[index].load(Ordering::Relaxed) {
            let base = DIRECTORY.infos[index].load(Ordering::Relaxed) as *mut Info;
            return base.wrapping_add((number - first) as usize);
        }
    }
    panic!("frame {number:#x} is not RAM")
}

fn counter(number: u32) -> &'static AtomicU32 {
    // SAFETY: the records live for ever; the caller holds or held a reference, so the record is valid.
    unsafe { &(*info(number)).references }
}

pub(super) fn references(number: u32) -> u32 {
    counter(number).load(Ordering::Acquire)
}

pub(super) fn add_reference(number: u32) {
    counter(number).fetch_add(1, Ordering::Relaxed);
}

/// Whether that was the last one.
pub(super) fn drop_reference(number: u32) -> bool {
    counter(number).fetch_sub(1, Ordering::AcqRel) == 1
}

pub(super) struct Buddy {
    lists: [u32; ORDERS],
    regions: [Option<Region>; REGIONS],
    total: usize,
    free: usize,
}

// SAFETY: the pointers in `regions` point at records that only the holder of the allocator's lock touches,
// but for the atomic counters.
unsafe impl Send for Buddy {}

impl Buddy {
    pub const fn new() -> Self {
        Self { lists: [NIL; ORDERS], regions: [const { None }; REGIONS], total: 0, free: 0 }
    }

    pub fn total(&self) -> usize {
        self.total
    }

    pub fn free(&self) -> usize {
        self.free
    }

    /// Takes a region in.
    ///
    /// # Safety
    /// See [`super::add_region`].
    pub unsafe fn add_region(&mut self, start: u64, end: u64) {
        let first = start.div_ceil(PAGE_SIZE as u64) as u32;
        let end = (end / PAGE_SIZE as u64) as u32;
        let Some(slot) = self.regions.iter().position(Option::is_none) else { return };
        let frames = end.saturating_sub(first);
        let record_frames = (frames as usize * size_of::<Info>()).div_ceil(PAGE_SIZE) as u32;
        if frames <= record_frames {
            return;
        }
        let infos = physical_to_virtual(u64::from(first) * PAGE_SIZE as u64) as usize;
        let usable = first + record_frames;
        DIRECTORY.first[slot].store(usable, Ordering::Relaxed);
        DIRECTORY.end[slot].store(end, Ordering::Relaxed);
        DIRECTORY.infos[slot].store(infos, Ordering::Relaxed);
        DIRECTORY.count.store(slot + 1, Ordering::Release);
        let infos = NonNull::new(infos as *mut Info).expect("the physical map does not start at 0");
        self.regions[slot] = Some(Region { first: usable, end, untouched: usable, infos });
        self.total += (end - usable) as usize;
        self.free += (end - usable) as usize;
    }

    /// Free frames that are kept for the core and the servers: 1/32 of all, 256 KiB to 4 MiB.
    pub fn reserve(&self) -> usize {
        (self.total / 32).clamp(64, 1024)
    }

    /// First frame of a run of 2^order frames, with one reference.
    pub fn alloc(&mut self, order: usize, need: Need) -> Option<u32> {
        if need == Need::Program && self.free < self.reserve() + (1 << order) {
            return None;
        }
        let number = loop {
            if let Some(found) = (order..ORDERS).find(|&order| self.lists[order] != NIL) {
                break self.take(found, order);
            }
            if !self.touch_more() {
                return None;
            }
        };
        self.free -= 1 << order;
        counter(number).store(1, Ordering::Release);
        Some(number)
    }

    /// Takes the head of list `from` and gives back what is more than 2^order frames.
    fn take(&mut self, from: usize, order: usize) -> u32 {
        let number = self.lists[from];
        self.unlink(number, from);
        for split in (order..from).rev() {
            self.link(number + (1 << split), split);
        }
        number
    }

    /// Gives a run back and joins it with its free buddies.
    pub fn release(&mut self, mut number: u32, mut order: usize) {
        self.free += 1 << order;
        while order + 1 < ORDERS {
            let buddy = number ^ (1 << order);
            if !self.is_free_head(buddy, order) {
                break;
            }
            self.unlink(buddy, order);
            number = number.min(buddy);
            order += 1;
        }
        self.link(number, order);
    }

    /// Makes single frames of an allocated run: each gets one reference.
    pub fn split(&mut self, number: u32, order: u8) {
        for frame in number..number + (1 << order) {
            counter(frame).store(1, Ordering::Release);
        }
    }

    fn is_free_head(&self, number: u32, order: usize) -> bool {
        let touched = self.regions.iter().flatten().any(|region| number >= region.first && number < region.untouched);
        // SAFETY: touched frames have valid records, and the lock is held.
        touched && unsafe { (*info(number)).order == order as u8 }
    }

    fn link(&mut self, number: u32, order: usize) {
        let head = self.lists[order];
        // SAFETY: the records of touched frames are valid, and the lock is held.
        unsafe {
            let record = info(number);
            (*record).next = head;
            (*record).previous = NIL;
            (*record).order = order as u8;
            if head != NIL {
                (*info(head)).previous = number;
            }
        }
        self.lists[order] = number;
    }

    fn unlink(&mut self, number: u32, order: usize) {
        // SAFETY: as `link`.
        unsafe {
            let record = info(number);
            let (next, previous) = ((*record).next, (*record).previous);
            (*record).order = NOT_FREE;
            if next != NIL {
                (*info(next)).previous = previous;
            }
            if previous != NIL {
                (*info(previous)).next = next;
            } else {
                self.lists[order] = next;
            }
        }
    }

    /// Makes the records of the next piece of untouched RAM valid and frees it. False if there is none.
    fn touch_more(&mut self) -> bool {
        let Some(index) = self.regions.iter().position(|region| region.as_ref().is_some_and(|r| r.untouched < r.end))
        else {
            return false;
        };
        let region = self.regions[index].as_mut().expect("found above");
        let start = region.untouched;
        let end = region.end.min((start / BLOCK_FRAMES + 1) * BLOCK_FRAMES);
        for number in start..end {
            // SAFETY: the records of a region cover all its frames.
            unsafe {
                region.infos.add((number - region.first) as usize).write(Info {
                    references: AtomicU32::new(0),
                    next: NIL,
                    previous: NIL,
                    order: NOT_FREE,
                });
            }
        }
        region.untouched = end;
        self.link_range(start, end);
        true
    }

    /// Links a range as the largest aligned runs that it holds.
    fn link_range(&mut self, mut start: u32, end: u32) {
        while start < end {
            let aligned = start.trailing_zeros().min(ORDERS as u32 - 1);
            let fits = (end - start).ilog2();
            let order = aligned.min(fits);
            self.link(start, order as usize);
            start += 1 << order;
        }
    }
}
