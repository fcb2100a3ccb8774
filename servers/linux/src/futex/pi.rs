//! Locks in a futex word (`FUTEX_LOCK_PI` and its siblings): the word holds the owner's id, the kernel hands it on.
//!
//! All program threads have one priority, so there is none to inherit; what remains is the protocol: waiters stand in
//! line, the owner's unlock stores the next one's id, and `FUTEX_WAITERS` says that unlocking needs the kernel.

use super::{Key, Waiter, dequeue, key_of, sleep};
use crate::context::{Context, SysResult};
use crate::mm::Wanted;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use linux_abi::Errno;
use linux_abi::process::futex as op;
use microkernel::mm::user::{self as words, Fault, WordError};

/// What an attempt under the bucket's lock came to.
enum Attempt {
    /// The lock is ours.
    Taken,
    /// We stand in line.
    Queued,
    /// The program changed the word meanwhile.
    Again,
    /// The page of the word is not there.
    Missing(Fault),
}

/// `FUTEX_LOCK_PI`. Errors: `EDEADLK`, `ESRCH`, `ETIMEDOUT`, `EFAULT`, `EINVAL`.
pub(super) fn lock(cx: &mut Context, addr: u64, private: bool, deadline: Option<u64>) -> SysResult {
    let key = key_of(addr, private)?;
    loop {
        let waiter = Waiter::new(cx, key, op::BITSET_ANY);
        match attempt(cx, addr, key, Some(&waiter))? {
            Attempt::Taken => return Ok(0),
            Attempt::Again => {}
            Attempt::Missing(fault) => bring_in(cx, fault)?,
            Attempt::Queued => match sleep(cx, &waiter, deadline) {
                Err(error) if dequeue(cx, &waiter) => {
                    return Err(if error == Errno::ERESTARTSYS { Errno::ERESTARTNOINTR } else { error });
                }
                // Woken: by an unlock, which made the lock ours, or because the owner has ended; the next look tells.
                _ => {}
            },
        }
        if owner(addr) == Some(cx.thread.tid) {
            return Ok(0);
        }
    }
}

/// `FUTEX_TRYLOCK_PI`. Errors: `EAGAIN` (held), `EDEADLK`, `ESRCH`, `EFAULT`, `EINVAL`.
pub(super) fn try_lock(cx: &mut Context, addr: u64, private: bool) -> SysResult {
    let key = key_of(addr, private)?;
    loop {
        match attempt(cx, addr, key, None)? {
            Attempt::Taken => return Ok(0),
            Attempt::Queued => return Err(Errno::EAGAIN),
            Attempt::Again => {}
            Attempt::Missing(fault) => bring_in(cx, fault)?,
        }
    }
}

/// `FUTEX_UNLOCK_PI`. Errors: `EPERM` (not the owner), `EFAULT`, `EINVAL`.
pub(super) fn unlock(cx: &mut Context, addr: u64, private: bool) -> SysResult {
    let key = key_of(addr, private)?;
    loop {
        match hand_on(cx, addr, key)? {
            Attempt::Missing(fault) => bring_in(cx, fault)?,
            Attempt::Again => {}
            Attempt::Taken | Attempt::Queued => return Ok(0),
        }
    }
}

fn bring_in(cx: &Context, fault: Fault) -> Result<(), Errno> {
    cx.process.mm.fault_in(fault.address, Wanted::Write).map_err(|_| Errno::EFAULT)
}

/// The owner in the word, if the word can be read now.
fn owner(addr: u64) -> Option<u32> {
    words::load_u32(addr).ok().map(|word| word & op::TID_MASK)
}

/// Takes a free lock, or lines up behind its owner (`waiter`), telling the owner by `FUTEX_WAITERS`.
fn attempt(cx: &Context, addr: u64, key: Key, waiter: Option<&Arc<Waiter>>) -> Result<Attempt, Errno> {
    let mut bucket = cx.process.futexes.bucket(key).lock();
    let now = match words::load_u32(addr) {
        Ok(now) => now,
        Err(error) => return missing(error),
    };
    let me = cx.thread.tid;
    let holder = now & op::TID_MASK;
    if holder == me {
        return Err(Errno::EDEADLK);
    }
    let new = if holder == 0 { now & !op::TID_MASK | me } else { now | op::WAITERS };
    if holder != 0 {
        if cx.process.threads.find(holder).is_none() && now & op::OWNER_DIED == 0 {
            return Err(Errno::ESRCH);
        }
        if waiter.is_none() {
            return Ok(Attempt::Queued);
        }
    }
    match words::compare_exchange_u32(addr, now, new) {
        Ok(found) if found != now => Ok(Attempt::Again),
        Ok(_) if holder == 0 => Ok(Attempt::Taken),
        Ok(_) => {
            bucket.extend(waiter.cloned());
            Ok(Attempt::Queued)
        }
        Err(error) => missing(error),
    }
}

/// Gives the lock to the first in line, or frees it.
fn hand_on(cx: &Context, addr: u64, key: Key) -> Result<Attempt, Errno> {
    let mut bucket = cx.process.futexes.bucket(key).lock();
    let now = match words::load_u32(addr) {
        Ok(now) => now,
        Err(error) => return missing(error),
    };
    if now & op::TID_MASK != cx.thread.tid {
        return Err(Errno::EPERM);
    }
    let stands = |waiter: &Arc<Waiter>| *waiter.key.lock() == key;
    let first = bucket.iter().position(stands);
    let more = bucket.iter().filter(|waiter| stands(waiter)).nth(1).is_some();
    let next = first.and_then(|at| bucket.get(at)).cloned();
    let new = next.as_ref().map_or(0, |next| next.tid | if more { op::WAITERS } else { 0 });
    match words::compare_exchange_u32(addr, now, new) {
        Ok(found) if found != now => return Ok(Attempt::Again),
        Ok(_) => {}
        Err(error) => return missing(error),
    }
    if let (Some(at), Some(next)) = (first, next) {
        bucket.remove(at);
        next.woken.store(true, Ordering::SeqCst);
        next.thread.notify(crate::block::bits::FUTEX);
    }
    Ok(Attempt::Taken)
}

fn missing(error: WordError) -> Result<Attempt, Errno> {
    match error {
        WordError::BadAddress => Err(Errno::EFAULT),
        WordError::Fault(fault) => Ok(Attempt::Missing(fault)),
    }
}
