//! futex(2): waiting on a word of user memory.
//!
//! A waiter stands in the bucket of its key; the word is compared under the bucket's lock, so that a wake between
//! compare and sleep is not lost. A key is the address for private memory, file and offset for shared.

mod pi;
mod robust;

pub(crate) use robust::leave_robust_list;

use crate::block::{self, Wake, bits};
use crate::context::{Context, SysResult};
use crate::mm::Wanted;
use crate::process::process;
use crate::time;
use crate::user;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::Errno;
use linux_abi::process::futex as op;
use linux_abi::time::Timespec;
use microkernel::mm::user::{self as words, WordError};
use microkernel::task::thread::{self, Thread};
use microkernel::time as clock;
use spin::Mutex;

/// What a futex is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Private(u64),
    Shared(u64, u64),
}

struct Waiter {
    thread: Thread,
    /// Its Linux id, which an unlocker of a PI futex stores in the word.
    tid: u32,
    bitset: u32,
    woken: AtomicBool,
    /// Where the waiter stands now; moved by requeue, under both buckets' locks.
    key: Mutex<Key>,
}

const BUCKETS: usize = 256;

impl Waiter {
    fn new(cx: &Context, key: Key, bitset: u32) -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            tid: cx.thread.tid,
            bitset,
            woken: AtomicBool::new(false),
            key: Mutex::new(key),
        })
    }
}

/// Queues of waiters, by key.
pub(crate) struct Futexes {
    buckets: [Mutex<VecDeque<Arc<Waiter>>>; BUCKETS],
}

impl Default for Futexes {
    fn default() -> Self {
        Self { buckets: [const { Mutex::new(VecDeque::new()) }; BUCKETS] }
    }
}

impl Key {
    fn bucket(self) -> usize {
        let mixed = match self {
            Self::Private(addr) => addr / 4,
            Self::Shared(file, at) => file.wrapping_mul(31).wrapping_add(at / 4),
        };
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % BUCKETS
    }
}

impl Futexes {
    fn bucket(&self, key: Key) -> &Mutex<VecDeque<Arc<Waiter>>> {
        &self.buckets[key.bucket()]
    }

    /// Wakes up to `count` waiters of `key` whose bitset meets `bitset`.
    fn wake(&self, key: Key, count: u32, bitset: u32) -> u32 {
        let mut bucket = self.bucket(key).lock();
        wake_in(&mut bucket, key, count, bitset)
    }
}

fn wake_in(bucket: &mut VecDeque<Arc<Waiter>>, key: Key, count: u32, bitset: u32) -> u32 {
    let mut woken = 0;
    bucket.retain(|waiter| {
        if woken == count || waiter.bitset & bitset == 0 || *waiter.key.lock() != key {
            return true;
        }
        waiter.woken.store(true, Ordering::SeqCst);
        waiter.thread.notify(bits::FUTEX);
        woken += 1;
        false
    });
    woken
}

/// Key of the futex at `addr`. Errors: `EINVAL` (not aligned), `EFAULT`.
fn key_of(addr: u64, private: bool) -> Result<Key, Errno> {
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if addr >= user::USER_END {
        return Err(Errno::EFAULT);
    }
    if private {
        return Ok(Key::Private(addr));
    }
    Ok(process().mm.shared_key(addr).map_or(Key::Private(addr), |(file, at)| Key::Shared(file, at)))
}

/// futex(2).
pub(crate) fn futex(
    cx: &mut Context,
    addr: u64,
    operation: u32,
    val: u32,
    timeout: u64,
    addr2: u64,
    val3: u32,
) -> SysResult {
    let private = operation & op::PRIVATE != 0;
    let realtime = operation & op::CLOCK_REALTIME != 0;
    let command = operation & !(op::PRIVATE | op::CLOCK_REALTIME);
    if realtime && !matches!(command, op::WAIT_BITSET | op::WAIT_REQUEUE_PI | op::LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    match command {
        op::WAIT => wait(cx, addr, private, val, deadline_in(timeout)?, op::BITSET_ANY),
        op::WAIT_BITSET => wait(cx, addr, private, val, deadline_at(timeout, realtime)?, val3),
        op::WAKE => wake(cx, addr, private, val, op::BITSET_ANY),
        op::WAKE_BITSET => wake(cx, addr, private, val, val3),
        op::REQUEUE => requeue(cx, [addr, addr2], private, val, timeout as u32, None),
        op::CMP_REQUEUE => requeue(cx, [addr, addr2], private, val, timeout as u32, Some(val3)),
        op::WAKE_OP => wake_op(cx, [addr, addr2], private, val, timeout as u32, val3),
        op::LOCK_PI => pi::lock(cx, addr, private, deadline_at(timeout, true)?),
        op::LOCK_PI2 => pi::lock(cx, addr, private, deadline_at(timeout, realtime)?),
        op::TRYLOCK_PI => pi::try_lock(cx, addr, private),
        op::UNLOCK_PI => pi::unlock(cx, addr, private),
        op::WAIT_REQUEUE_PI | op::CMP_REQUEUE_PI => {
            lacking!("futex requeue to a priority-inheriting lock (operation {command}): ENOSYS");
            Err(Errno::ENOSYS)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Deadline of a relative timeout; null waits for ever. Errors: `EFAULT`, `EINVAL`.
fn deadline_in(timeout: u64) -> Result<Option<u64>, Errno> {
    if timeout == 0 {
        return Ok(None);
    }
    let ns = user::read_struct::<Timespec>(timeout)?.to_ns().ok_or(Errno::EINVAL)?;
    Ok(Some(clock::now_ns().saturating_add(ns)))
}

/// Deadline of an absolute timeout; null waits for ever. Errors: `EFAULT`, `EINVAL`.
fn deadline_at(timeout: u64, realtime: bool) -> Result<Option<u64>, Errno> {
    if timeout == 0 {
        return Ok(None);
    }
    let ns = user::read_struct::<Timespec>(timeout)?.to_ns().ok_or(Errno::EINVAL)?;
    Ok(Some(if realtime { time::monotonic_of_wall(ns) } else { ns }))
}

fn wait(cx: &mut Context, addr: u64, private: bool, val: u32, deadline: Option<u64>, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = key_of(addr, private)?;
    let waiter = Waiter::new(cx, key, bitset);
    enqueue(cx, addr, key, val, &waiter)?;
    let end = sleep(cx, &waiter, deadline);
    if end.is_ok() || !dequeue(cx, &waiter) {
        return Ok(0);
    }
    match end {
        // A wait with a deadline goes on with it after the interruption (restart_syscall); one without starts anew.
        Err(Errno::ERESTARTSYS) if deadline.is_some() => {
            Err(cx.thread.restart_with(alloc::boxed::Box::new(move |cx: &mut Context| {
                wait(cx, addr, private, val, deadline, bitset)
            })))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(0),
    }
}

/// Enters the waiter if the word is `val`. Errors: `EAGAIN` (it is not), `EFAULT`.
fn enqueue(cx: &Context, addr: u64, key: Key, val: u32, waiter: &Arc<Waiter>) -> Result<(), Errno> {
    loop {
        let fault = {
            let mut bucket = cx.process.futexes.bucket(key).lock();
            match words::load_u32(addr) {
                Ok(now) if now == val => {
                    bucket.push_back(waiter.clone());
                    return Ok(());
                }
                Ok(_) => return Err(Errno::EAGAIN),
                Err(WordError::BadAddress) => return Err(Errno::EFAULT),
                Err(WordError::Fault(fault)) => fault,
            }
        };
        cx.process.mm.fault_in(fault.address, Wanted::Read).map_err(|_| Errno::EFAULT)?;
    }
}

/// Sleeps until woken. Errors: `ETIMEDOUT`, `ERESTARTSYS`.
fn sleep(cx: &Context, waiter: &Waiter, deadline: Option<u64>) -> Result<(), Errno> {
    while !waiter.woken.load(Ordering::SeqCst) {
        match block::wait(cx, bits::FUTEX, deadline) {
            Wake::Bits(_) => {}
            Wake::TimedOut => return Err(Errno::ETIMEDOUT),
            Wake::Interrupted => return Err(Errno::ERESTARTSYS),
        }
    }
    Ok(())
}

/// Takes the waiter out of its bucket; `false` if it was woken meanwhile.
fn dequeue(cx: &Context, waiter: &Arc<Waiter>) -> bool {
    loop {
        let key = *waiter.key.lock();
        let mut bucket = cx.process.futexes.bucket(key).lock();
        if waiter.woken.load(Ordering::SeqCst) {
            return false;
        }
        if let Some(at) = bucket.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            bucket.remove(at);
            return true;
        }
        // Moved to another bucket between the look at the key and the lock: look again.
    }
}

fn wake(cx: &Context, addr: u64, private: bool, count: u32, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = key_of(addr, private)?;
    // Linux wakes one for a count of 0 or less.
    let count = count.cast_signed().max(1).cast_unsigned();
    Ok(u64::from(cx.process.futexes.wake(key, count, bitset)))
}

/// Wakes waiters at `addr`, private and shared, on behalf of the kernel (thread exit).
pub(crate) fn wake_address(addr: u64, count: u32) {
    for private in [true, false] {
        if let Ok(key) = key_of(addr, private) {
            process().futexes.wake(key, count, op::BITSET_ANY);
        }
    }
}

fn requeue(cx: &Context, addrs: [u64; 2], private: bool, wake: u32, shift: u32, compare: Option<u32>) -> SysResult {
    if wake.cast_signed() < 0 || shift.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let [from, to] = [key_of(addrs[0], private)?, key_of(addrs[1], private)?];
    loop {
        let fault = match try_requeue(cx, addrs[0], from, to, wake, shift, compare) {
            Ok(outcome) => return outcome,
            Err(fault) => fault,
        };
        cx.process.mm.fault_in(fault.address, Wanted::Read).map_err(|_| Errno::EFAULT)?;
    }
}

/// One attempt under both locks; the outer error is a page that is not there.
fn try_requeue(
    cx: &Context,
    addr: u64,
    from: Key,
    to: Key,
    wake: u32,
    shift: u32,
    compare: Option<u32>,
) -> Result<SysResult, words::Fault> {
    with_both(cx, from, to, |source, target| {
        if let Some(compare) = compare {
            match words::load_u32(addr) {
                Ok(now) if now == compare => {}
                Ok(_) => return Ok(Err(Errno::EAGAIN)),
                Err(WordError::BadAddress) => return Ok(Err(Errno::EFAULT)),
                Err(WordError::Fault(fault)) => return Err(fault),
            }
        }
        let woken = wake_in(source, from, wake, op::BITSET_ANY);
        let mut moved = 0;
        let mut leaving = VecDeque::new();
        source.retain(|waiter| {
            if moved == shift || *waiter.key.lock() != from {
                return true;
            }
            *waiter.key.lock() = to;
            leaving.push_back(waiter.clone());
            moved += 1;
            false
        });
        match target {
            Some(target) => target.append(&mut leaving),
            None => source.append(&mut leaving),
        }
        Ok(Ok(u64::from(woken + moved)))
    })
}

/// Locks the buckets of both keys in order; one lock (and `None`) if they are the same bucket.
fn with_both<T>(
    cx: &Context,
    from: Key,
    to: Key,
    work: impl FnOnce(&mut VecDeque<Arc<Waiter>>, Option<&mut VecDeque<Arc<Waiter>>>) -> T,
) -> T {
    let futexes = &cx.process.futexes;
    let [a, b] = [from.bucket(), to.bucket()];
    if a == b {
        return work(&mut futexes.bucket(from).lock(), None);
    }
    if a < b {
        let mut source = futexes.bucket(from).lock();
        let mut target = futexes.bucket(to).lock();
        work(&mut source, Some(&mut target))
    } else {
        let mut target = futexes.bucket(to).lock();
        let mut source = futexes.bucket(from).lock();
        work(&mut source, Some(&mut target))
    }
}

fn wake_op(cx: &Context, addrs: [u64; 2], private: bool, wake: u32, wake2: u32, encoded: u32) -> SysResult {
    let [first, second] = [key_of(addrs[0], private)?, key_of(addrs[1], private)?];
    let encoded = Encoded::parse(encoded)?;
    let old = user::with_word(Wanted::Write, || {
        let mut now = words::load_u32(addrs[1])?;
        loop {
            let found = words::compare_exchange_u32(addrs[1], now, encoded.apply(now))?;
            if found == now {
                return Ok(now);
            }
            now = found;
        }
    })?;
    let mut woken = cx.process.futexes.wake(first, wake, op::BITSET_ANY);
    if encoded.holds(old) {
        woken += cx.process.futexes.wake(second, wake2, op::BITSET_ANY);
    }
    Ok(u64::from(woken))
}

/// The packed operation of `FUTEX_WAKE_OP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encoded {
    operation: u32,
    operand: u32,
    comparison: u32,
    compared: u32,
}

impl Encoded {
    /// Errors: `ENOSYS` for an operation or comparison that Linux does not have.
    fn parse(word: u32) -> Result<Self, Errno> {
        /// `FUTEX_OP_OPARG_SHIFT`: the operand is an exponent of two.
        const SHIFT: u32 = 8;
        let signed12 = |bits: u32| (bits << 20).cast_signed() >> 20;
        let operation = word >> 28;
        let operand = signed12(word >> 12 & 0xfff);
        let encoded = Self {
            operation: operation & 7,
            operand: if operation & SHIFT != 0 { 1 << (operand & 31) } else { operand.cast_unsigned() },
            comparison: word >> 24 & 0xf,
            compared: signed12(word & 0xfff).cast_unsigned(),
        };
        if encoded.operation > 4 || encoded.comparison > 5 { Err(Errno::ENOSYS) } else { Ok(encoded) }
    }

    fn apply(self, old: u32) -> u32 {
        match self.operation {
            0 => self.operand,
            1 => old.wrapping_add(self.operand),
            2 => old | self.operand,
            3 => old & !self.operand,
            _ => old ^ self.operand,
        }
    }

    fn holds(self, old: u32) -> bool {
        let [old, compared] = [old.cast_signed(), self.compared.cast_signed()];
        match self.comparison {
            0 => old == compared,
            1 => old != compared,
            2 => old < compared,
            3 => old <= compared,
            4 => old > compared,
            _ => old >= compared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encoded;
    use linux_abi::Errno;

    /// `FUTEX_OP(op, oparg, cmp, cmparg)` of linux/futex.h.
    fn word(operation: u32, operand: u32, comparison: u32, compared: u32) -> u32 {
        operation << 28 | comparison << 24 | (operand & 0xfff) << 12 | compared & 0xfff
    }

    #[test]
    fn the_operation_of_wake_op_is_applied_and_compared_signed() {
        let add = Encoded::parse(word(1, 0xfff, 2, 0)).unwrap();
        assert_eq!(add.apply(5), 4);
        assert!(add.holds(u32::MAX));
        assert!(!add.holds(0));
        assert_eq!(Encoded::parse(word(8, 4, 0, 0)).unwrap().apply(0), 16);
        assert_eq!(Encoded::parse(word(5, 0, 0, 0)), Err(Errno::ENOSYS));
        assert_eq!(Encoded::parse(word(0, 0, 6, 0)), Err(Errno::ENOSYS));
    }
}
