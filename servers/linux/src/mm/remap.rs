//! mremap(2).

use super::map::Place;
use super::region::{Backing, PAGE, Region};
use super::{Mm, REGIONS_MAX, State, access, round_up};
use crate::context::{Context, SysResult};
use crate::user::USER_END;
use linux_abi::Errno;
use linux_abi::memory::{MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, Prot};
use linux_abi::process::rlimit;
use microkernel::mm::frame::Frame;

/// mremap(2).
pub(crate) fn mremap(cx: &mut Context, addr: u64, old_len: u64, new_len: u64, flags: u32, new_addr: u64) -> SysResult {
    let may_move = flags & MREMAP_MAYMOVE != 0;
    let keep_old = flags & MREMAP_DONTUNMAP != 0;
    let fixed = flags & MREMAP_FIXED != 0;
    if flags & !(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) != 0
        || (fixed || keep_old) && !may_move
        || keep_old && old_len != new_len
        || !addr.is_multiple_of(PAGE)
    {
        return Err(Errno::EINVAL);
    }
    let old_len = round_up(old_len).ok_or(Errno::EINVAL)?;
    let new_len = round_up(new_len).filter(|&len| len > 0).ok_or(Errno::EINVAL)?;
    let mm = &cx.process.mm;
    let mut state = mm.lock();
    let region = state.regions.find(addr).cloned();
    if fixed {
        check_target(addr, old_len, new_len, new_addr)?;
    }
    let region = region.ok_or(Errno::EFAULT)?;
    state.check_resize(&region, addr, old_len, new_len, keep_old)?;
    let change = Change { addr, old_len, new_len, keep_old };
    if fixed {
        mm.remove(&mut state, new_addr, new_addr + new_len);
        return mm.relocate(&mut state, &region, change, new_addr);
    }
    if keep_old || old_len == 0 {
        let to = state.choose(Place::Hint(0), new_len)?;
        return mm.relocate(&mut state, &region, change, to);
    }
    if new_len <= old_len {
        mm.remove(&mut state, addr + new_len, addr + old_len);
        return Ok(addr);
    }
    let end = addr + old_len;
    let new_end = addr.checked_add(new_len).filter(|&end| end <= USER_END);
    if let Some(new_end) = new_end.filter(|&new_end| region.end == end && state.regions.is_free(end, new_end)) {
        let mut tail = piece(&region, addr, end, new_end);
        tail.label = region.label;
        state.account_on(&tail);
        state.regions.insert(tail);
        return Ok(addr);
    }
    if !may_move {
        return Err(Errno::ENOMEM);
    }
    let to = state.choose(Place::Hint(0), new_len)?;
    mm.relocate(&mut state, &region, change, to)
}

/// One move: what, how much, and whether the old range stays mapped.
#[derive(Clone, Copy)]
struct Change {
    addr: u64,
    old_len: u64,
    new_len: u64,
    keep_old: bool,
}

fn check_target(addr: u64, old_len: u64, new_len: u64, to: u64) -> Result<(), Errno> {
    let fits = new_len <= USER_END && to <= USER_END - new_len;
    if !to.is_multiple_of(PAGE) || !fits || addr < to + new_len && to < addr.saturating_add(old_len) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// `region` seen as a mapping of `start..end`, whose contents continue those at `addr`.
fn piece(region: &Region, addr: u64, start: u64, end: u64) -> Region {
    let mut piece = region.clone();
    if let Backing::File { first, .. } = &mut piece.backing {
        *first += (start - addr + (addr - region.start)) / PAGE;
    }
    piece.start = start;
    piece.end = end;
    piece
}

impl State {
    /// Whether the range may be resized. Errors: `EINVAL`, `EFAULT` (crosses regions), `ENOMEM` (limits).
    fn check_resize(&self, region: &Region, addr: u64, old_len: u64, new_len: u64, keep: bool) -> Result<(), Errno> {
        if old_len == 0 && !region.shared || keep && (region.locked || old_len == 0) {
            return Err(Errno::EINVAL);
        }
        if old_len > region.end - addr {
            return Err(Errno::EFAULT);
        }
        let grows_by = if keep { new_len } else { new_len.saturating_sub(old_len) };
        let limit = crate::process::process().identity.limit(rlimit::AS);
        if self.regions.count() + 3 > REGIONS_MAX
            || self.regions.bytes().saturating_add(grows_by) > limit
            || region.accounted && !self.may_promise(grows_by)
        {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }
}

impl Mm {
    /// Moves the pages of the range to `to`, which is free, and maps the new length there.
    fn relocate(&self, state: &mut State, region: &Region, change: Change, to: u64) -> SysResult {
        let Change { addr, old_len, new_len, keep_old } = change;
        let moved = old_len.min(new_len);
        let mut target = piece(region, addr, addr, addr + moved);
        target.start = to;
        target.end = to + new_len;
        state.account_on(&target);
        let rights = match target.backing {
            Backing::Anonymous => access(target.prot),
            Backing::File { .. } => access(target.prot - Prot::WRITE),
        };
        state.regions.insert(target);
        let mut frames = alloc::vec::Vec::new();
        if !region.shared {
            self.take_frames(addr, addr + moved, &mut |at, frame| frames.push((at, frame)));
        }
        for (at, frame) in frames {
            self.enter_moved(state, at - addr + to, frame, rights);
        }
        let mut parked = alloc::vec::Vec::new();
        state.unpark(addr, addr + moved, &mut |at, frame| parked.push((at - addr + to, frame)));
        state.parked.extend(parked);
        if !keep_old {
            self.remove(state, addr, addr + old_len);
        }
        Ok(to)
    }

    /// Enters a moved frame; without a page table frame it is parked and comes back by a fault.
    fn enter_moved(&self, state: &mut State, at: u64, frame: Frame, rights: microkernel::mm::space::Access) {
        let kept = frame.clone();
        if self.install(at, frame, rights).is_err() {
            state.parked.insert(at, kept);
        }
    }
}
