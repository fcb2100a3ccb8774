//! Scheduling calls. Program threads share one class and take turns; priorities and policies are kept at their defaults.

use crate::context::{Context, SysResult};
use crate::thread::PID;
use crate::user;
use linux_abi::Errno;
use linux_abi::process::SchedParam;
use linux_abi::time::Timespec;
use microkernel::task::thread;

/// `SCHED_OTHER`, `SCHED_FIFO`, `SCHED_RR`, `SCHED_BATCH`, `SCHED_IDLE`.
const OTHER: i32 = 0;
const FIFO: i32 = 1;
const RR: i32 = 2;
const BATCH: i32 = 3;
const IDLE: i32 = 5;
/// `SCHED_RESET_ON_FORK`, a flag beside the policy.
const RESET_ON_FORK: i32 = 0x4000_0000;
/// Slice of a round-robin thread (`RR_TIMESLICE`).
const SLICE_NS: u64 = 100_000_000;

/// sched_yield(2).
pub(crate) fn sched_yield(_cx: &mut Context) -> SysResult {
    thread::yield_now();
    Ok(0)
}

/// Whether a thread of this id exists; 0 is the caller. Errors: `EINVAL` (negative), `ESRCH`.
fn check(cx: &Context, tid: i32) -> Result<(), Errno> {
    match u32::try_from(tid) {
        Err(_) => Err(Errno::EINVAL),
        Ok(0) => Ok(()),
        Ok(tid) if cx.process.threads.find(tid).is_some() => Ok(()),
        Ok(_) => Err(Errno::ESRCH),
    }
}

/// sched_getaffinity(2): answers the bytes written.
pub(crate) fn sched_getaffinity(cx: &mut Context, tid: i32, len: u32, out: u64) -> SysResult {
    let cpus = cx.process.identity.cpus();
    if len.saturating_mul(8) < cpus || !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    check(cx, tid).map_err(|_| Errno::ESRCH)?;
    let bytes = (cpus.div_ceil(64) * 8).min(len) as usize;
    let mut mask = alloc::vec![0u8; bytes];
    for cpu in 0..cpus as usize {
        if let Some(byte) = mask.get_mut(cpu / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    user::copy_out(out, &mask)?;
    Ok(bytes as u64)
}

/// sched_setaffinity(2): a mask must leave a CPU; the choice itself is the core's.
pub(crate) fn sched_setaffinity(cx: &mut Context, tid: i32, len: u32, mask: u64) -> SysResult {
    let mut bytes = alloc::vec![0u8; (len as usize).min(128)];
    user::copy_in(mask, &mut bytes)?;
    check(cx, tid).map_err(|_| Errno::ESRCH)?;
    let cpus = cx.process.identity.cpus() as usize;
    let any = (0..cpus).any(|cpu| bytes.get(cpu / 8).is_some_and(|byte| byte >> (cpu % 8) & 1 != 0));
    if any { Ok(0) } else { Err(Errno::EINVAL) }
}

/// sched_setscheduler(2).
pub(crate) fn sched_setscheduler(cx: &mut Context, tid: i32, policy: i32, param: u64) -> SysResult {
    if policy < 0 || param == 0 {
        return Err(Errno::EINVAL);
    }
    let priority = user::read_struct::<SchedParam>(param)?.priority;
    check(cx, tid)?;
    match policy & !RESET_ON_FORK {
        OTHER | BATCH | IDLE if priority == 0 => Ok(0),
        FIFO | RR if (1..=99).contains(&priority) => {
            lacking!("real-time scheduling: accepted, threads still take turns");
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// sched_getscheduler(2).
pub(crate) fn sched_getscheduler(cx: &mut Context, tid: i32) -> SysResult {
    check(cx, tid)?;
    Ok(OTHER as u64)
}

/// sched_setparam(2).
pub(crate) fn sched_setparam(cx: &mut Context, tid: i32, param: u64) -> SysResult {
    if param == 0 {
        return Err(Errno::EINVAL);
    }
    let priority = user::read_struct::<SchedParam>(param)?.priority;
    check(cx, tid)?;
    if priority == 0 { Ok(0) } else { Err(Errno::EINVAL) }
}

/// sched_getparam(2).
pub(crate) fn sched_getparam(cx: &mut Context, tid: i32, param: u64) -> SysResult {
    if param == 0 {
        return Err(Errno::EINVAL);
    }
    check(cx, tid)?;
    user::write_struct(param, &SchedParam { priority: 0 })?;
    Ok(0)
}

/// sched_get_priority_max(2).
pub(crate) fn sched_get_priority_max(_cx: &mut Context, policy: i32) -> SysResult {
    match policy {
        FIFO | RR => Ok(99),
        OTHER | BATCH | IDLE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_get_priority_min(2).
pub(crate) fn sched_get_priority_min(_cx: &mut Context, policy: i32) -> SysResult {
    match policy {
        FIFO | RR => Ok(1),
        OTHER | BATCH | IDLE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_rr_get_interval(2).
pub(crate) fn sched_rr_get_interval(cx: &mut Context, tid: i32, out: u64) -> SysResult {
    check(cx, tid)?;
    user::write_struct(out, &Timespec::from_ns(SLICE_NS))?;
    Ok(0)
}

/// getcpu(2): threads are not bound, the first CPU is as good an answer as any.
pub(crate) fn getcpu(_cx: &mut Context, cpu: u64, node: u64) -> SysResult {
    user::write_struct_opt(cpu, &0u32)?;
    user::write_struct_opt(node, &0u32)?;
    Ok(0)
}

const PRIO_PROCESS: i32 = 0;
const PRIO_USER: i32 = 2;

/// getpriority(2): nice value 0, as the raw call shows it (20 - nice).
pub(crate) fn getpriority(cx: &mut Context, which: i32, who: i32) -> SysResult {
    target(cx, which, who)?;
    Ok(20)
}

/// setpriority(2): accepted; there is nobody to be nice to.
pub(crate) fn setpriority(cx: &mut Context, which: i32, who: i32, _nice: i32) -> SysResult {
    target(cx, which, who)?;
    Ok(0)
}

fn target(cx: &Context, which: i32, who: i32) -> Result<(), Errno> {
    if !(PRIO_PROCESS..=PRIO_USER).contains(&which) {
        return Err(Errno::EINVAL);
    }
    let found = who == 0 || which != PRIO_PROCESS || check(cx, who).is_ok() || who == PID.cast_signed();
    if found { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Commands of membarrier(2).
const MEMBARRIER_QUERY: i32 = 0;
/// Global and global expedited, private expedited, core-sync, and the registration of each.
const MEMBARRIER_KNOWN: u64 = 0x7f;

/// membarrier(2): the other threads stand between two instructions while this one is in the kernel on the only CPU
/// that runs the program; a fence orders this one.
pub(crate) fn membarrier(_cx: &mut Context, command: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if command == MEMBARRIER_QUERY {
        return Ok(MEMBARRIER_KNOWN);
    }
    let bit = u64::try_from(command).map_err(|_| Errno::EINVAL)?;
    if !bit.is_power_of_two() || bit & MEMBARRIER_KNOWN == 0 {
        return Err(Errno::EINVAL);
    }
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    Ok(0)
}

/// Bytes of the first published `struct sched_attr`.
const SCHED_ATTR_BYTES: u32 = 48;

/// sched_getattr(2): always `SCHED_OTHER` with nice value 0.
pub(crate) fn sched_getattr(cx: &mut Context, tid: i32, out: u64, size: u32, flags: u32) -> SysResult {
    if flags != 0 || !(SCHED_ATTR_BYTES..=4096).contains(&size) || out == 0 {
        return Err(Errno::EINVAL);
    }
    check(cx, tid)?;
    let mut attributes = [0; SCHED_ATTR_BYTES as usize];
    attributes[..4].copy_from_slice(&SCHED_ATTR_BYTES.to_le_bytes());
    user::copy_out(out, &attributes)?;
    Ok(0)
}

/// sched_setattr(2): the policies of sched_setscheduler(2), with the same effect.
pub(crate) fn sched_setattr(cx: &mut Context, tid: i32, attributes: u64, flags: u32) -> SysResult {
    if flags != 0 || attributes == 0 || tid < 0 {
        return Err(Errno::EINVAL);
    }
    let size = user::read_u32(attributes)?;
    if size != 0 && size < SCHED_ATTR_BYTES {
        return Err(Errno::E2BIG);
    }
    let policy = user::read_u32(attributes + 4)?;
    let priority = user::read_u32(attributes + 20)?;
    check(cx, tid)?;
    match policy.cast_signed() {
        OTHER | BATCH | IDLE if priority == 0 => Ok(0),
        FIFO | RR if (1..=99).contains(&priority) => {
            lacking!("real-time scheduling: accepted, threads still take turns");
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
