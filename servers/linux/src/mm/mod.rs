//! The program's memory: regions, mapping calls, page faults.
//!
//! [`Mm`] joins two truths under one lock: [`Regions`] says what may be where, the core's `AddressSpace` what is
//! there now. Pages come on demand ([`fault`]); the calls stand in [`map`], [`protect`], [`remap`], [`advice`], [`brk`].
//!
//! The lock is a spin lock: what may wait (a page of a file, reclaim) happens with it released, and the region is
//! looked at again afterwards.
//!
//! A page that `PROT_NONE` hides keeps its frame in [`State::parked`]: page tables of the core have no such state.

mod advice;
mod brk;
mod fault;
mod file;
mod map;
mod protect;
mod region;
mod regions;
mod remap;
mod shared;

pub(crate) use advice::{madvise, mincore, mlock, mlock2, mlockall, msync, munlock, munlockall};
pub(crate) use brk::brk;
pub(crate) use fault::FaultError;
pub(crate) use file::{MapTarget, MappedFile};
pub(crate) use map::{Place, Wish, mmap, munmap};
pub(crate) use protect::{mprotect, pkey_alloc, pkey_free, pkey_mprotect};
pub(crate) use region::{Backing, Label, PAGE, Region};
pub(crate) use remap::mremap;

use crate::user::USER_END;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::Errno;
use linux_abi::memory::Prot;
use microkernel::mm::frame::{self, Frame};
use microkernel::mm::space::{Access, AddressSpace, Removed};
use regions::Regions;
use spin::{Mutex, MutexGuard};

/// What an access wants to do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Run it.
    Execute,
}

impl Wanted {
    /// Whether `prot` allows it; on x86 every kind of access implies reading.
    fn allowed_by(self, prot: Prot) -> bool {
        match self {
            Self::Read => !(prot & (Prot::READ | Prot::WRITE | Prot::EXEC)).is_empty(),
            Self::Write => prot.contains(Prot::WRITE),
            Self::Execute => prot.contains(Prot::EXEC),
        }
    }
}

/// Lowest address of a mapping (`vm.mmap_min_addr`).
pub(crate) const MAP_MIN: u64 = 0x1_0000;
/// Most regions (`vm.max_map_count`).
const REGIONS_MAX: usize = 65_530;
/// Room kept free below a stack (`stack_guard_gap`, 256 pages).
const STACK_GUARD: u64 = 256 * PAGE;
/// Bytes of a block, the large page of the page tables.
const BLOCK_BYTES: u64 = microkernel::mm::BLOCK_SIZE as u64;

/// The program's memory.
pub(crate) struct Mm {
    pub(in crate::mm) space: AddressSpace,
    state: Mutex<State>,
    /// Pages in the page tables.
    resident: AtomicU64,
}

/// What the lock of [`Mm`] protects.
pub(crate) struct State {
    pub regions: Regions,
    /// Frames of pages that `PROT_NONE` hides, by address.
    pub parked: BTreeMap<u64, Frame>,
    /// New mappings are placed below this.
    pub map_top: u64,
    /// Start of the heap; 0 before exec.
    pub brk_start: u64,
    /// End of the heap, any byte.
    pub brk: u64,
    /// Bytes that private writable regions may need.
    pub accounted: u64,
    /// `mlockall(MCL_FUTURE)` is in force.
    pub lock_future: bool,
}

impl Mm {
    /// An empty address space.
    pub(crate) fn new() -> Self {
        let state = State {
            regions: Regions::default(),
            parked: BTreeMap::new(),
            map_top: USER_END,
            brk_start: 0,
            brk: 0,
            accounted: 0,
            lock_future: false,
        };
        Self { space: AddressSpace::new(), state: Mutex::new(state), resident: AtomicU64::new(0) }
    }

    /// Locks regions and page tables against change.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Places new mappings below `top` from now on.
    pub(crate) fn set_map_top(&self, top: u64) {
        self.lock().map_top = top & !(PAGE - 1);
    }

    /// Calls `visit` with each region, ascending, under the lock (for `/proc/self/maps`).
    pub(crate) fn for_each_region(&self, visit: &mut dyn FnMut(&Region)) {
        self.lock().regions.iter().for_each(visit);
    }

    /// Bytes mapped and bytes of private writable memory (`/proc/self/statm`).
    pub(crate) fn sizes(&self) -> (u64, u64) {
        let state = self.lock();
        (state.regions.bytes(), state.accounted)
    }

    /// Bytes that have a frame now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.resident.load(Ordering::Relaxed) * PAGE
    }

    /// Enters `frame` into the page tables; what was there is dropped. Errors: `ENOMEM` (no page table frame).
    pub(in crate::mm) fn install(&self, addr: u64, frame: Frame, access: Access) -> Result<(), Errno> {
        if self.space.map(addr, frame, access).map_err(|_| Errno::ENOMEM)?.is_none() {
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes every frame of `start..end` out of the page tables.
    pub(in crate::mm) fn take_frames(&self, start: u64, end: u64, take: &mut dyn FnMut(u64, Frame)) {
        let mut gone = 0;
        self.space.unmap_range(start, end, &mut |addr, removed, _| match removed {
            Removed::Page(frame) => {
                gone += 1;
                take(addr, frame);
            }
            Removed::Block(block) => {
                gone += BLOCK_BYTES / PAGE;
                (addr..).step_by(PAGE as usize).zip(block.into_frames()).for_each(|(at, frame)| take(at, frame));
            }
        });
        self.resident.fetch_sub(gone, Ordering::Relaxed);
    }

    /// Makes every mapping of the file's pages `first..last` read-only, so that the next write is noticed.
    ///
    /// The page cache calls this before it writes the pages back.
    pub(crate) fn write_protect_file(&self, id: u64, first: u64, last: u64) {
        let state = self.lock();
        for (region, start, end) in state.file_ranges(id, first, last) {
            if region.shared {
                self.space.protect_range(start, end, access(region.prot - Prot::WRITE));
            }
        }
    }

    /// Takes the file's pages `first..last` out of every mapping (truncation); private copies go too, as in Linux.
    pub(crate) fn drop_file_pages(&self, id: u64, first: u64, last: u64) {
        let mut state = self.lock();
        let ranges: alloc::vec::Vec<(u64, u64)> =
            state.file_ranges(id, first, last).map(|(_, start, end)| (start, end)).collect();
        for (start, end) in ranges {
            self.clear(&mut state, start, end);
        }
    }

    /// Takes up to `most` pages of the file out of the mappings where they are only read, so that the page cache can let go of them.
    ///
    /// `cached` answers the cache's frame of a page; private copies and writable pages stay. The next access brings a page back.
    pub(crate) fn release_file_pages(&self, id: u64, most: u64, cached: &dyn Fn(u64) -> Option<Frame>) {
        let state = self.lock();
        let mut gone = 0;
        for (region, start, end) in state.file_ranges(id, 0, u64::MAX) {
            for addr in (start..end).step_by(PAGE as usize) {
                if gone == most {
                    break;
                }
                let Some((_, index)) = region.file_page(addr) else { continue };
                let Some(mapping) = self.space.query(addr).filter(|mapping| !mapping.access.write) else { continue };
                let same = mapping.frame.zip(cached(index)).is_some_and(|(mapped, held)| mapped.same(&held));
                if same && self.space.unmap(addr).is_some() {
                    gone += 1;
                }
            }
        }
        self.resident.fetch_sub(gone, Ordering::Relaxed);
    }

    /// Drops every page in `start..end`; regions stay.
    pub(in crate::mm) fn clear(&self, state: &mut State, start: u64, end: u64) {
        self.take_frames(start, end, &mut |_, frame| drop(frame));
        state.unpark(start, end, &mut |_, _| {});
    }

    /// Whether a page table entry for `addr` exists.
    pub(in crate::mm) fn is_present(&self, addr: u64) -> bool {
        self.space.query(addr & !(PAGE - 1)).is_some()
    }

    /// Removes regions and pages of `start..end`.
    pub(in crate::mm) fn remove(&self, state: &mut State, start: u64, end: u64) {
        let State { regions, accounted, .. } = state;
        let mut any = false;
        regions.remove(start, end, |region| {
            any = true;
            if region.accounted {
                *accounted = accounted.saturating_sub(region.len());
            }
        });
        if any {
            self.clear(state, start, end);
        }
    }

    /// Gives `len` bytes of `bytes` to the program at `addr`, through its own mappings (exec builds the stack so).
    ///
    /// Errors: `EFAULT`.
    pub(crate) fn store(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        crate::user::copy_out(addr, bytes)
    }

    /// Adds a region on behalf of exec: exactly there, which must be free. Errors: `ENOMEM`.
    pub(crate) fn add(&self, region: Region) -> Result<(), Errno> {
        let mut state = self.lock();
        if region.end > USER_END || region.start >= region.end || !state.regions.is_free(region.start, region.end) {
            return Err(Errno::ENOMEM);
        }
        state.account_on(&region);
        state.regions.insert(region);
        Ok(())
    }

    /// Zeros the rest of the page at `addr` in a private mapping (end of a program's data). Errors: `EFAULT`.
    pub(crate) fn zero_to_page_end(&self, addr: u64) -> Result<(), Errno> {
        let len = (PAGE - addr % PAGE) % PAGE;
        let zeros = [0; PAGE as usize];
        self.store(addr, zeros.get(..len as usize).unwrap_or_default())
    }

    /// Sets the start of the heap.
    pub(crate) fn set_brk_start(&self, start: u64) {
        let mut state = self.lock();
        state.brk_start = start;
        state.brk = start;
    }

    /// What a shared futex at `addr` is keyed by: the file's id and the byte in it; `None` for private memory.
    pub(crate) fn shared_key(&self, addr: u64) -> Option<(u64, u64)> {
        let state = self.lock();
        let region = state.regions.find(addr).filter(|region| region.shared)?;
        let (file, page) = region.file_page(addr)?;
        Some((file.id(), page * PAGE + addr % PAGE))
    }
}

impl State {
    /// Pieces of regions that map pages `first..last` of file `id`: region, start, end.
    fn file_ranges(&self, id: u64, first: u64, last: u64) -> impl Iterator<Item = (&Region, u64, u64)> {
        self.regions.iter().filter_map(move |region| {
            let Backing::File { file, first: region_first } = &region.backing else { return None };
            let region_last = region_first + region.len() / PAGE;
            let (from, to) = (first.max(*region_first), last.min(region_last));
            (file.id() == id && from < to).then(|| {
                let at = |page: u64| region.start + (page - region_first) * PAGE;
                (region, at(from), at(to))
            })
        })
    }

    /// Takes parked frames of `start..end` out and hands each to `take`.
    pub(in crate::mm) fn unpark(&mut self, start: u64, end: u64, take: &mut dyn FnMut(u64, Frame)) {
        while start < end
            && let Some((&at, _)) = self.parked.range(start..end).next()
        {
            if let Some(frame) = self.parked.remove(&at) {
                take(at, frame);
            }
        }
    }

    pub(in crate::mm) fn account_on(&mut self, region: &Region) {
        if region.accounted {
            self.accounted += region.len();
        }
    }

    /// Whether `len` more bytes may be promised: Linux's heuristic refuses only what can never fit.
    pub(in crate::mm) fn may_promise(&self, len: u64) -> bool {
        len / PAGE <= frame::stats().total_frames as u64
    }
}

/// Page table rights for `prot`; reading is always allowed.
pub(in crate::mm) fn access(prot: Prot) -> Access {
    Access { write: prot.contains(Prot::WRITE), execute: prot.contains(Prot::EXEC) }
}

/// `len` rounded up to pages; `None` on overflow.
pub(in crate::mm) fn round_up(len: u64) -> Option<u64> {
    len.checked_add(PAGE - 1).map(|len| len & !(PAGE - 1))
}

/// A frame for the program, zeroed. May wait: reclaims page cache when memory is short. `None` when nothing is left.
pub(in crate::mm) fn zeroed_frame() -> Option<Frame> {
    loop {
        if let Some(frame) = Frame::alloc_zeroed() {
            return Some(frame);
        }
        if crate::process::process().fs.reclaim(RECLAIM_PAGES) == 0 {
            return None;
        }
    }
}

/// Pages asked back from the page cache when memory is short.
const RECLAIM_PAGES: usize = 256;

/// Shared anonymous memory of `len` bytes, as `MAP_SHARED | MAP_ANONYMOUS` gives it.
pub(in crate::mm) fn shared_anonymous(len: u64) -> Arc<dyn MappedFile> {
    Arc::new(shared::SharedMemory::new(len))
}
