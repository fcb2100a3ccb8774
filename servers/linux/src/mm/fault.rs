//! Page faults: bringing in the page that an access needs.
//!
//! A fault is planned under the lock and, if a page of a file is needed, finished in two steps: the page is got with
//! the lock released, then the plan is checked again and the page entered. Whatever changed meanwhile starts it over.
//!
//! In a private mapping of a file a page is writable only once it is the program's own copy, which shows in its
//! reference count: the page table's reference and the one just taken to look at it.

use super::region::{Backing, PAGE, Region};
use super::{MappedFile, Mm, STACK_GUARD, State, Wanted, access, zeroed_frame};
use crate::process::process;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::memory::Prot;
use linux_abi::process::rlimit;
use microkernel::mm::frame::Frame;
use microkernel::mm::space::Mapping;

/// Why a page cannot be brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultError {
    /// Nothing is mapped there (`SEGV_MAPERR`).
    NotMapped,
    /// The mapping does not allow it (`SEGV_ACCERR`).
    NotAllowed,
    /// The file has no such page, or it could not be read (`BUS_ADRERR`).
    NoPage,
    /// No memory is left.
    NoMemory,
}

/// References to a frame that only the page table and the one who looks at it hold.
const OWN_REFERENCES: u32 = 2;

/// What is left to do after looking at regions and page tables.
enum Plan {
    /// The page is there.
    Done,
    /// No frame is left; reclaim and look again.
    Reclaim,
    /// Get this page of the file first.
    Fetch { file: Arc<dyn MappedFile>, index: u64, shared: bool },
}

impl Mm {
    /// Brings in the page at `addr` for `wanted`; may wait. `Ok` means that the access is worth another try.
    pub(crate) fn fault_in(&self, addr: u64, wanted: Wanted) -> Result<(), FaultError> {
        let page = addr & !(PAGE - 1);
        loop {
            let plan = self.plan(&mut self.lock(), page, wanted)?;
            match plan {
                Plan::Done => return Ok(()),
                Plan::Reclaim => make_room().ok_or(FaultError::NoMemory)?,
                Plan::Fetch { file, index, shared } => {
                    if self.fetch(page, wanted, &file, index, shared)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Faults in all of `start..end` as far as it is mapped and allowed; for `MAP_POPULATE` and mlock.
    pub(crate) fn populate(&self, start: u64, end: u64) -> Result<(), FaultError> {
        let mut at = start;
        while at < end {
            let prot = self.lock().regions.find(at).map(|region| (region.prot, region.shared));
            let wanted = match prot {
                Some((prot, false)) if prot.contains(Prot::WRITE) => Wanted::Write,
                _ => Wanted::Read,
            };
            self.fault_in(at, wanted)?;
            at += PAGE;
        }
        Ok(())
    }

    fn plan(&self, state: &mut State, page: u64, wanted: Wanted) -> Result<Plan, FaultError> {
        let State { regions, parked, .. } = state;
        let Some(region) = regions.find(page) else {
            grow_stack(state, page)?;
            return self.plan(state, page, wanted);
        };
        if !wanted.allowed_by(region.prot) {
            return Err(FaultError::NotAllowed);
        }
        if let Some(frame) = parked.get(&page) {
            let plan = self.enter_own(region, page, frame.clone());
            if matches!(plan, Plan::Done) {
                parked.remove(&page);
            }
            return Ok(plan);
        }
        let present = self.space.query(page);
        match (present, &region.backing) {
            (Some(mapping), _) if suffices(&mapping, wanted) => Ok(Plan::Done),
            (Some(_), Backing::Anonymous) => {
                self.space.protect_range(page, page + PAGE, access(region.prot));
                Ok(Plan::Done)
            }
            (Some(mapping), Backing::File { .. }) if !region.shared => Ok(self.own_copy(region, page, mapping)),
            (None, Backing::Anonymous) => Ok(match Frame::alloc_zeroed() {
                Some(frame) => self.enter_own(region, page, frame),
                None => Plan::Reclaim,
            }),
            (_, Backing::File { .. }) => {
                let (file, index) = region.file_page(page).ok_or(FaultError::NotMapped)?;
                Ok(Plan::Fetch { file: file.clone(), index, shared: region.shared })
            }
        }
    }

    /// Enters a frame that belongs to the program alone, with all rights of the region.
    fn enter_own(&self, region: &Region, page: u64, frame: Frame) -> Plan {
        let rights = match region.backing {
            Backing::Anonymous => region.prot,
            // Whether the frame is the program's own copy shows at the next write.
            Backing::File { .. } => region.prot - Prot::WRITE,
        };
        match self.install(page, frame, access(rights)) {
            Ok(()) => Plan::Done,
            Err(_) => Plan::Reclaim,
        }
    }

    /// A write to a present page of a private file mapping: makes it the program's own.
    fn own_copy(&self, region: &Region, page: u64, mapping: Mapping) -> Plan {
        let shared = mapping.frame.filter(|frame| frame.references() > OWN_REFERENCES);
        let Some(shared) = shared else {
            self.space.protect_range(page, page + PAGE, access(region.prot));
            return Plan::Done;
        };
        let Some(copy) = Frame::alloc() else { return Plan::Reclaim };
        copy.copy_from(&shared);
        match self.install(page, copy, access(region.prot)) {
            Ok(()) => Plan::Done,
            Err(_) => Plan::Reclaim,
        }
    }

    /// Gets a page of a file and enters it. `false`: something changed meanwhile, look again.
    fn fetch(
        &self,
        page: u64,
        wanted: Wanted,
        file: &Arc<dyn MappedFile>,
        index: u64,
        shared: bool,
    ) -> Result<bool, FaultError> {
        let writing = wanted == Wanted::Write;
        let source = file.page(index, shared && writing).map_err(|error| match error {
            Errno::ENOMEM => FaultError::NoMemory,
            _ => FaultError::NoPage,
        })?;
        let frame = if writing && !shared {
            let copy = zeroed_frame().ok_or(FaultError::NoMemory)?;
            copy.copy_from(&source);
            copy
        } else {
            source
        };
        let state = self.lock();
        let Some(region) = state.regions.find(page) else { return Ok(false) };
        let same = region
            .file_page(page)
            .is_some_and(|(now, at)| Arc::ptr_eq(now, file) && at == index && region.shared == shared);
        if !same || !wanted.allowed_by(region.prot) {
            return Ok(false);
        }
        let present = self.space.query(page);
        // Present by now: another thread was faster, and may have written to its copy already. A shared page is
        // the same frame either way.
        if !shared && present.is_some() {
            return Ok(false);
        }
        let rights = if writing { region.prot } else { region.prot - Prot::WRITE };
        if shared && writing {
            file.mark_dirty(index);
        }
        if self.install(page, frame, access(rights)).is_err() {
            return Err(FaultError::NoMemory);
        }
        if !writing {
            self.map_around(region, page);
        }
        Ok(true)
    }

    /// Maps the cached neighbours of a file page that was just read: programs touch their text in runs.
    fn map_around(&self, region: &Region, page: u64) {
        let block = page & !(AROUND_BYTES - 1);
        let from = block.max(region.start);
        let to = (block + AROUND_BYTES).min(region.end);
        let rights = access(region.prot - Prot::WRITE);
        for at in (from..to).step_by(PAGE as usize).filter(|&at| at != page) {
            let Some((file, index)) = region.file_page(at) else { return };
            if self.is_present(at) {
                continue;
            }
            let Some(frame) = file.cached_page(index) else { continue };
            if self.install(at, frame, rights).is_err() {
                return;
            }
        }
    }
}

/// Frees what entering one page takes: the page and page tables of three levels. Fewer would be reclaimed, used up half
/// way and given back for ever. `None`: there is not so much left.
fn make_room() -> Option<()> {
    let room: [Option<Frame>; 4] = core::array::from_fn(|_| zeroed_frame());
    room.iter().all(Option::is_some).then_some(())
}

/// Bytes looked at around a file fault (Linux: `fault_around_bytes`).
const AROUND_BYTES: u64 = 16 * PAGE;

fn suffices(mapping: &Mapping, wanted: Wanted) -> bool {
    match wanted {
        Wanted::Read => true,
        Wanted::Write => mapping.access.write,
        Wanted::Execute => mapping.access.execute,
    }
}

/// Extends the region that grows down to `page`, within RLIMIT_STACK and with the guard gap below.
fn grow_stack(state: &mut State, page: u64) -> Result<(), FaultError> {
    let region = state.regions.at_or_above(page).filter(|region| region.grows_down).ok_or(FaultError::NotMapped)?;
    let (start, end) = (region.start, region.end);
    let limit = process().identity.limit(rlimit::STACK);
    if end - page > limit {
        return Err(FaultError::NotMapped);
    }
    let floor = state.regions.below(start).map_or(0, |below| below.end);
    if page < floor.saturating_add(STACK_GUARD) {
        return Err(FaultError::NotMapped);
    }
    state.accounted += start - page;
    state.regions.grow_down(start, page);
    Ok(())
}
