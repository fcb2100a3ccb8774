//! CPU time in the old forms: times(2), getrusage(2).

use crate::context::{Context, SysResult};
use crate::user;
use linux_abi::Errno;
use linux_abi::process::Rusage;
use linux_abi::time::{NANOSECONDS, Timeval, Tms};
use microkernel::time::now_ns;

/// Nanoseconds of a tick of `sysconf(_SC_CLK_TCK)` = 100.
const TICK_NS: u64 = NANOSECONDS / 100;
const RUSAGE_SELF: i32 = 0;
const RUSAGE_CHILDREN: i32 = -1;
const RUSAGE_THREAD: i32 = 1;

/// times(2). All CPU time counts as user time; there are no children.
pub(crate) fn times(cx: &mut Context, out: u64) -> SysResult {
    let user = (cx.process.threads.cpu_ns() / TICK_NS).cast_signed();
    user::write_struct_opt(out, &Tms { user, ..Tms::default() })?;
    Ok(now_ns() / TICK_NS)
}

/// getrusage(2).
pub(crate) fn getrusage(cx: &mut Context, who: i32, out: u64) -> SysResult {
    let cpu_ns = match who {
        RUSAGE_SELF => cx.process.threads.cpu_ns(),
        RUSAGE_THREAD => cx.thread.cpu_ns(),
        RUSAGE_CHILDREN => 0,
        _ => return Err(Errno::EINVAL),
    };
    let resident = if who == RUSAGE_CHILDREN { 0 } else { cx.process.mm.resident_bytes() / 1024 };
    let usage =
        Rusage { user: Timeval::from_ns(cpu_ns), max_resident_kib: resident.cast_signed(), ..Rusage::default() };
    user::write_struct(out, &usage)?;
    Ok(0)
}
