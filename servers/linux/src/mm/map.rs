//! mmap(2) and munmap(2).

use super::region::{Backing, Label, PAGE, Region};
use super::{FaultError, MAP_MIN, MapTarget, Mm, REGIONS_MAX, STACK_GUARD, State, round_up, shared_anonymous};
use crate::context::{Context, SysResult};
use crate::user::USER_END;
use linux_abi::Errno;
use linux_abi::memory::{MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_TYPE, MapFlags, Prot};
use linux_abi::process::rlimit;

/// Where a mapping shall lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Near this address if it is free; 0 means anywhere.
    Hint(u64),
    /// Exactly there, replacing what is mapped.
    Fixed(u64),
    /// Exactly there, which must be free.
    FixedFree(u64),
    /// Anywhere below 2 GiB (`MAP_32BIT`).
    Low,
}

/// A mapping that is to be made.
pub(crate) struct Wish {
    /// Where.
    pub place: Place,
    /// Bytes, a multiple of the page size, not 0.
    pub len: u64,
    /// Rights.
    pub prot: Prot,
    /// Shared or private.
    pub shared: bool,
    /// See [`Region::may_write`].
    pub may_write: bool,
    /// `MAP_GROWSDOWN`.
    pub grows_down: bool,
    /// `MAP_LOCKED`.
    pub locked: bool,
    /// `MAP_NORESERVE`.
    pub no_reserve: bool,
    /// Contents.
    pub backing: Backing,
}

/// mmap(2). Checks in the order of Linux: offset, descriptor, length, place, sharing and rights.
pub(crate) fn mmap(cx: &mut Context, addr: u64, len: u64, prot: u32, flags: u32, fd: i32, offset: u64) -> SysResult {
    if !offset.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let known = MapFlags::from_bits_truncate(flags);
    let target = if known.contains(MapFlags::ANONYMOUS) { None } else { Some(cx.process.fs.map_target(fd)?) };
    if known.contains(MapFlags::HUGETLB) {
        lacking!("mmap with MAP_HUGETLB: no huge page pool, ENOMEM as on a Linux without one");
        return Err(if target.is_some() { Errno::EINVAL } else { Errno::ENOMEM });
    }
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let len = round_up(len).ok_or(Errno::ENOMEM)?;
    offset.checked_add(len).ok_or(Errno::EOVERFLOW)?;
    let prot = Prot::from_bits_truncate(prot) & (Prot::READ | Prot::WRITE | Prot::EXEC);
    let mm = &cx.process.mm;
    let place = placed(addr, len, known)?;
    if let Place::FixedFree(at) = place
        && !mm.lock().regions.is_free(at, at + len)
    {
        return Err(Errno::EEXIST);
    }
    let (shared, may_write) = sharing(target.as_ref(), prot, flags, known)?;
    let backing = match target.and_then(|target| target.file) {
        Some(file) => Backing::File { file, first: offset / PAGE },
        None if shared => Backing::File { file: shared_anonymous(len), first: 0 },
        None => Backing::Anonymous,
    };
    let wish = Wish {
        place,
        len,
        prot,
        shared,
        may_write,
        grows_down: known.contains(MapFlags::GROWSDOWN),
        locked: known.contains(MapFlags::LOCKED),
        no_reserve: known.contains(MapFlags::NORESERVE),
        backing,
    };
    let populate = known.contains(MapFlags::POPULATE) && !known.contains(MapFlags::NONBLOCK) || wish.locked;
    let start = mm.map(wish)?;
    if populate {
        // As in Linux, a page that cannot be brought in now is not an error of mmap.
        let _: Result<(), FaultError> = mm.populate(start, start + len);
    }
    Ok(start)
}

/// munmap(2).
pub(crate) fn munmap(cx: &mut Context, addr: u64, len: u64) -> SysResult {
    if !addr.is_multiple_of(PAGE) || addr > USER_END || len > USER_END - addr {
        return Err(Errno::EINVAL);
    }
    let len = round_up(len).filter(|&len| len > 0).ok_or(Errno::EINVAL)?;
    let mm = &cx.process.mm;
    let mut state = mm.lock();
    if state.regions.count() >= REGIONS_MAX && state.splits_one(addr, addr + len) {
        return Err(Errno::ENOMEM);
    }
    mm.remove(&mut state, addr, addr + len);
    Ok(0)
}

/// Where the flags put the mapping. Errors: `ENOMEM` (does not fit), `EINVAL` (not aligned), `EPERM` (too low).
fn placed(addr: u64, len: u64, flags: MapFlags) -> Result<Place, Errno> {
    if len > USER_END {
        return Err(Errno::ENOMEM);
    }
    let no_replace = flags.contains(MapFlags::FIXED_NOREPLACE);
    if !flags.contains(MapFlags::FIXED) && !no_replace {
        if flags.contains(MapFlags::BITS_32) {
            return Ok(Place::Low);
        }
        let hint = addr & !(PAGE - 1);
        return Ok(Place::Hint(if hint != 0 { hint.max(MAP_MIN) } else { 0 }));
    }
    if addr > USER_END - len {
        return Err(Errno::ENOMEM);
    }
    if !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    if addr < MAP_MIN {
        return Err(Errno::EPERM);
    }
    Ok(if no_replace { Place::FixedFree(addr) } else { Place::Fixed(addr) })
}

/// Whether the mapping is shared, and whether it may ever be written.
fn sharing(target: Option<&MapTarget>, prot: Prot, flags: u32, known: MapFlags) -> Result<(bool, bool), Errno> {
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if target.is_some() => {
            // MAP_SYNC is a promise of DAX files; others refuse it.
            if known.contains(MapFlags::SYNC) || flags & !(MapFlags::all().bits() | MAP_TYPE) != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            true
        }
        _ => return Err(Errno::EINVAL),
    };
    let Some(target) = target else {
        return if shared && known.contains(MapFlags::GROWSDOWN) { Err(Errno::EINVAL) } else { Ok((shared, true)) };
    };
    if shared && prot.contains(Prot::WRITE) && !target.writable || !target.readable {
        return Err(Errno::EACCES);
    }
    if target.file.is_none() {
        return Err(Errno::ENODEV);
    }
    if known.contains(MapFlags::GROWSDOWN) {
        return Err(Errno::EINVAL);
    }
    Ok((shared, !shared || target.writable))
}

impl Mm {
    /// Makes a mapping; returns its start. Errors: `ENOMEM`, `EEXIST`, `EAGAIN` (RLIMIT_MEMLOCK).
    pub(crate) fn map(&self, wish: Wish) -> Result<u64, Errno> {
        let mut state = self.lock();
        let limits = &crate::process::process().identity;
        if state.regions.count() >= REGIONS_MAX {
            return Err(Errno::ENOMEM);
        }
        let start = state.choose(wish.place, wish.len)?;
        let end = start + wish.len;
        let replaced = match wish.place {
            Place::Fixed(_) => state.regions.bytes_in(start, end),
            Place::Hint(_) | Place::FixedFree(_) | Place::Low => 0,
        };
        if (state.regions.bytes() - replaced).saturating_add(wish.len) > limits.limit(rlimit::AS) {
            return Err(Errno::ENOMEM);
        }
        let accounted = !wish.shared && !wish.no_reserve && wish.prot.contains(Prot::WRITE);
        if accounted && !state.may_promise(wish.len) {
            return Err(Errno::ENOMEM);
        }
        let locked = wish.locked || state.lock_future;
        if replaced > 0 {
            self.remove(&mut state, start, end);
        }
        let region = Region {
            start,
            end,
            prot: wish.prot,
            shared: wish.shared,
            may_write: wish.may_write,
            grows_down: wish.grows_down,
            locked,
            accounted,
            backing: wish.backing,
            label: Label::None,
        };
        state.account_on(&region);
        state.regions.insert(region);
        Ok(start)
    }
}

impl State {
    /// Finds the start of a range of `len` bytes. Errors: `ENOMEM`, `EEXIST`.
    pub(in crate::mm) fn choose(&self, place: Place, len: u64) -> Result<u64, Errno> {
        let found = match place {
            Place::Fixed(at) => return Ok(at),
            Place::FixedFree(at) if self.regions.is_free(at, at + len) => return Ok(at),
            Place::FixedFree(_) => return Err(Errno::EEXIST),
            Place::Low => self.regions.find_free_above(len, LOW_START, LOW_END),
            Place::Hint(at) if at != 0 && at <= USER_END - len && self.hint_is_free(at, at + len) => Some(at),
            Place::Hint(_) => self
                .regions
                .find_free_below(len, MAP_MIN, self.map_top, STACK_GUARD)
                .or_else(|| self.regions.find_free_above(len, self.map_top, USER_END)),
        };
        found.ok_or(Errno::ENOMEM)
    }

    /// Start of a free range of `len` bytes anywhere. Errors: `ENOMEM`.
    pub(crate) fn choose_free(&self, len: u64) -> Result<u64, Errno> {
        self.choose(Place::Hint(0), len)
    }

    fn hint_is_free(&self, start: u64, end: u64) -> bool {
        let stack_above = self
            .regions
            .at_or_above(end)
            .is_some_and(|next| next.grows_down && end > next.start.saturating_sub(STACK_GUARD));
        self.regions.is_free(start, end) && !stack_above
    }

    /// Whether taking out `start..end` would turn one region into two.
    fn splits_one(&self, start: u64, end: u64) -> bool {
        self.regions.find(start).is_some_and(|region| region.start < start && end < region.end)
    }
}

/// `MAP_32BIT` looks in the second gibibyte (`arch/x86/kernel/sys_x86_64.c`).
const LOW_START: u64 = 0x4000_0000;
const LOW_END: u64 = 0x8000_0000;
