//! mprotect(2).

use super::region::{Backing, PAGE, Region};
use super::{Mm, REGIONS_MAX, State, access, round_up};
use crate::context::{Context, SysResult};
use crate::user::USER_END;
use linux_abi::Errno;
use linux_abi::memory::Prot;

/// mprotect(2). As in Linux, what lies before a hole is changed before `ENOMEM` is answered.
pub(crate) fn mprotect(cx: &mut Context, addr: u64, len: u64, prot: u32) -> SysResult {
    let asked = Prot::from_bits_retain(prot);
    if asked.contains(Prot::GROWSDOWN | Prot::GROWSUP) || !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let end = round_up(len).and_then(|len| addr.checked_add(len)).filter(|&end| end > addr).ok_or(Errno::ENOMEM)?;
    let known = Prot::READ | Prot::WRITE | Prot::EXEC | Prot::from_bits_retain(PROT_SEM) | GROW;
    if !known.contains(asked) {
        return Err(Errno::EINVAL);
    }
    if end > USER_END {
        return Err(Errno::ENOMEM);
    }
    let rights = asked & (Prot::READ | Prot::WRITE | Prot::EXEC);
    let mm = &cx.process.mm;
    let mut state = mm.lock();
    let start = state.start_for(addr, asked)?;
    mm.protect(&mut state, start, end, rights)
}

/// `PROT_SEM`: accepted and without effect on x86.
const PROT_SEM: u32 = 8;
const GROW: Prot = Prot::GROWSDOWN.union(Prot::GROWSUP);

impl Mm {
    fn protect(&self, state: &mut State, start: u64, end: u64, prot: Prot) -> SysResult {
        let mut at = start;
        while at < end {
            let region = state.regions.find(at).ok_or(Errno::ENOMEM)?;
            let piece_end = region.end.min(end);
            if prot.contains(Prot::WRITE) && !region.may_write {
                return Err(Errno::EACCES);
            }
            if region.prot != prot {
                let promises = !region.shared && prot.contains(Prot::WRITE) && !region.accounted;
                let cuts = region.start < at || piece_end < region.end;
                if promises && !state.may_promise(piece_end - at) || cuts && state.regions.count() + 2 > REGIONS_MAX {
                    return Err(Errno::ENOMEM);
                }
                self.change_piece(state, at, piece_end, prot, promises);
            }
            at = piece_end;
        }
        Ok(0)
    }

    /// Changes one piece that lies within one region.
    fn change_piece(&self, state: &mut State, start: u64, end: u64, prot: Prot, promises: bool) {
        let owns_pages = state.regions.find(start).is_some_and(|region| matches!(region.backing, Backing::Anonymous));
        state.regions.update(start, end, |region: &mut Region| {
            region.prot = prot;
            region.accounted |= promises;
        });
        if promises {
            state.accounted += end - start;
        }
        if prot.is_empty() {
            let parked = &mut state.parked;
            self.take_frames(start, end, &mut |addr, frame| {
                parked.insert(addr, frame);
            });
            return;
        }
        // Pages of files become writable by a fault, which decides between copying and marking dirty.
        let rights = if owns_pages { prot } else { prot - Prot::WRITE };
        self.space.protect_range(start, end, access(rights));
    }
}

impl State {
    /// Start of the change: `addr`, or the start of its region with `PROT_GROWSDOWN`.
    fn start_for(&self, addr: u64, asked: Prot) -> Result<u64, Errno> {
        let region = self.regions.find(addr).ok_or(Errno::ENOMEM)?;
        if asked.contains(Prot::GROWSDOWN) {
            return if region.grows_down { Ok(region.start) } else { Err(Errno::EINVAL) };
        }
        if asked.contains(Prot::GROWSUP) { Err(Errno::EINVAL) } else { Ok(addr) }
    }
}

/// pkey_mprotect(2): as mprotect with key -1; there are no other keys.
pub(crate) fn pkey_mprotect(cx: &mut Context, addr: u64, len: u64, prot: u32, key: i32) -> SysResult {
    if key != -1 {
        return Err(Errno::EINVAL);
    }
    mprotect(cx, addr, len, prot)
}

/// pkey_alloc(2): a processor without protection keys has none to give.
pub(crate) fn pkey_alloc(_cx: &mut Context, flags: u64, rights: u64) -> SysResult {
    if flags != 0 || rights & !3 != 0 { Err(Errno::EINVAL) } else { Err(Errno::ENOSPC) }
}

/// pkey_free(2).
pub(crate) fn pkey_free(_cx: &mut Context, _key: i32) -> SysResult {
    Err(Errno::EINVAL)
}
