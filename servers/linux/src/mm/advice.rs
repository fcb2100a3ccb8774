//! madvise(2), mincore(2), msync(2), mlock(2) and relatives.

use super::region::{Backing, PAGE, Region};
use super::{FaultError, Mm, State, round_up};
use crate::context::{Context, SysResult};
use crate::user::{self, USER_END};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::memory::{MS_ASYNC, MS_INVALIDATE, MS_SYNC, advice, lock};

/// madvise(2). Hints without a meaning here are accepted; the destructive ones do what they say.
pub(crate) fn madvise(cx: &mut Context, addr: u64, len: u64, advised: i32) -> SysResult {
    if !is_known(advised) || !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let end = round_up(len).and_then(|len| addr.checked_add(len)).ok_or(Errno::EINVAL)?;
    if end == addr {
        return if len == 0 { Ok(0) } else { Err(Errno::EINVAL) };
    }
    let mm = &cx.process.mm;
    match advised {
        advice::DONTNEED | advice::FREE => mm.discard(addr, end, advised == advice::FREE),
        advice::POPULATE_READ | advice::POPULATE_WRITE => match mm.populate(addr, end) {
            Ok(()) => Ok(0),
            Err(FaultError::NotMapped | FaultError::NoMemory) => Err(Errno::ENOMEM),
            Err(FaultError::NotAllowed) => Err(Errno::EINVAL),
            Err(FaultError::NoPage) => Err(Errno::EFAULT),
        },
        advice::REMOVE => {
            lacking!("madvise MADV_REMOVE: EOPNOTSUPP, as on a filesystem without hole punching");
            Err(Errno::EOPNOTSUPP)
        }
        _ => covered(&mm.lock(), addr, end),
    }
}

fn is_known(advised: i32) -> bool {
    matches!(
        advised,
        advice::NORMAL..=advice::DONTNEED | advice::FREE..=advice::POPULATE_WRITE | advice::COLLAPSE
    )
}

/// `ENOMEM` if a part is not mapped.
fn covered(state: &State, start: u64, end: u64) -> SysResult {
    if state.regions.covers(start, end.min(USER_END)) && end <= USER_END { Ok(0) } else { Err(Errno::ENOMEM) }
}

impl Mm {
    /// Forgets the pages of `start..end`: zeros or the file's contents come back. Regions under mlock refuse.
    fn discard(&self, start: u64, end: u64, anonymous_only: bool) -> SysResult {
        let mut state = self.lock();
        let end_mapped = end.min(USER_END);
        let pieces: Vec<(u64, u64, bool)> = state
            .regions
            .overlapping(start, end_mapped)
            .map(|region| {
                let refused =
                    region.locked || anonymous_only && (region.shared || !matches!(region.backing, Backing::Anonymous));
                (region.start.max(start), region.end.min(end_mapped), refused)
            })
            .collect();
        for (from, to, refused) in pieces {
            if refused {
                return Err(Errno::EINVAL);
            }
            self.clear(&mut state, from, to);
        }
        covered(&state, start, end)
    }
}

/// mincore(2): one byte per page, bit 0 set where an access would not wait.
pub(crate) fn mincore(cx: &mut Context, addr: u64, len: u64, vector: u64) -> SysResult {
    if !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let end = addr.checked_add(len).filter(|&end| end <= USER_END).ok_or(Errno::ENOMEM)?;
    let pages = len.div_ceil(PAGE);
    user::writable(vector, pages as usize)?;
    let mm = &cx.process.mm;
    let mut at = addr;
    let mut out = vector;
    while at < end {
        let stop = end.min(at + 4096 * PAGE);
        let bytes: Vec<u8> = {
            let state = mm.lock();
            (at..stop)
                .step_by(PAGE as usize)
                .map(|page| state.regions.find(page).map(|region| u8::from(mm.is_resident(region, page))))
                .collect::<Option<_>>()
                .ok_or(Errno::ENOMEM)?
        };
        user::copy_out(out, &bytes)?;
        out += bytes.len() as u64;
        at = stop;
    }
    Ok(0)
}

impl Mm {
    fn is_resident(&self, region: &Region, page: u64) -> bool {
        self.is_present(page) || region.file_page(page).is_some_and(|(file, index)| file.cached_page(index).is_some())
    }
}

/// msync(2): writes dirty pages of shared file mappings back.
pub(crate) fn msync(cx: &mut Context, addr: u64, len: u64, flags: u32) -> SysResult {
    if flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0
        || flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC
        || !addr.is_multiple_of(PAGE)
    {
        return Err(Errno::EINVAL);
    }
    let end = round_up(len).and_then(|len| addr.checked_add(len)).ok_or(Errno::ENOMEM)?;
    let (files, whole) = {
        let state = cx.process.mm.lock();
        let mut files = Vec::new();
        for region in state.regions.overlapping(addr, end).filter(|region| region.shared) {
            let from = region.start.max(addr);
            let pages = (region.end.min(end) - from) / PAGE;
            if flags & MS_INVALIDATE != 0 && region.locked {
                return Err(Errno::EBUSY);
            }
            if let Some((file, first)) = region.file_page(from) {
                files.push((Arc::clone(file), first, first + pages));
            }
        }
        (files, end == addr || state.regions.covers(addr, end))
    };
    if flags & MS_SYNC != 0 {
        for (file, first, last) in files {
            file.sync_range(first, last)?;
        }
    }
    if whole { Ok(0) } else { Err(Errno::ENOMEM) }
}

/// mlock(2).
pub(crate) fn mlock(cx: &mut Context, addr: u64, len: u64) -> SysResult {
    set_locked(cx, addr, len, true, true)
}

/// mlock2(2).
pub(crate) fn mlock2(cx: &mut Context, addr: u64, len: u64, flags: u32) -> SysResult {
    if flags & !lock::MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    set_locked(cx, addr, len, true, flags == 0)
}

/// munlock(2).
pub(crate) fn munlock(cx: &mut Context, addr: u64, len: u64) -> SysResult {
    set_locked(cx, addr, len, false, false)
}

/// mlockall(2). Pages never leave memory here, so the lock is a mark that other calls honour.
pub(crate) fn mlockall(cx: &mut Context, flags: u32) -> SysResult {
    if flags == 0
        || flags & !(lock::MCL_CURRENT | lock::MCL_FUTURE | lock::MCL_ONFAULT) != 0
        || flags == lock::MCL_ONFAULT
    {
        return Err(Errno::EINVAL);
    }
    let mut state = cx.process.mm.lock();
    state.lock_future = flags & lock::MCL_FUTURE != 0;
    if flags & lock::MCL_CURRENT != 0 {
        state.regions.update(0, USER_END, |region| region.locked = true);
    }
    Ok(0)
}

/// munlockall(2).
pub(crate) fn munlockall(cx: &mut Context) -> SysResult {
    let mut state = cx.process.mm.lock();
    state.lock_future = false;
    state.regions.update(0, USER_END, |region| region.locked = false);
    Ok(0)
}

fn set_locked(cx: &mut Context, addr: u64, len: u64, locked: bool, fill: bool) -> SysResult {
    let start = addr & !(PAGE - 1);
    let end = len.checked_add(addr - start).and_then(round_up).and_then(|len| start.checked_add(len));
    let end = end.ok_or(Errno::EINVAL)?;
    if end == start {
        return Ok(0);
    }
    let mm = &cx.process.mm;
    let mut state = mm.lock();
    let whole = end <= USER_END && state.regions.covers(start, end);
    state.regions.update(start, end.min(USER_END), |region| region.locked = locked);
    drop(state);
    if !whole {
        return Err(Errno::ENOMEM);
    }
    if fill {
        mm.populate(start, end).map_err(|error| match error {
            FaultError::NoMemory => Errno::EAGAIN,
            FaultError::NotMapped | FaultError::NotAllowed | FaultError::NoPage => Errno::ENOMEM,
        })?;
    }
    Ok(0)
}
