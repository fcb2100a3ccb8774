//! Resource limits.

use crate::context::{Context, SysResult};
use crate::thread::PID;
use crate::user;
use linux_abi::Errno;
use linux_abi::process::{Rlimit, rlimit};
use spin::Mutex;

/// Limits by number.
pub(super) struct Limits(Mutex<[Rlimit; rlimit::COUNT]>);

/// Highest soft limit of open files (`fs.nr_open`).
const NR_OPEN: u64 = 1 << 20;
/// Stack of the first thread.
const STACK_BYTES: u64 = 8 << 20;

impl Limits {
    /// What a service gets from a usual Linux.
    pub(super) fn new() -> Self {
        let unlimited = Rlimit { current: rlimit::INFINITY, maximum: rlimit::INFINITY };
        let mut limits = [unlimited; rlimit::COUNT];
        let mut set = |which: u32, current, maximum| {
            if let Some(limit) = limits.get_mut(which as usize) {
                *limit = Rlimit { current, maximum };
            }
        };
        set(rlimit::STACK, STACK_BYTES, rlimit::INFINITY);
        set(rlimit::CORE, 0, rlimit::INFINITY);
        set(rlimit::NPROC, 32 * 1024, 32 * 1024);
        set(rlimit::NOFILE, NR_OPEN, NR_OPEN);
        set(rlimit::MEMLOCK, 8 << 20, 8 << 20);
        set(rlimit::SIGPENDING, 4096, 4096);
        set(rlimit::MSGQUEUE, 819_200, 819_200);
        set(rlimit::NICE, 0, 0);
        set(rlimit::RTPRIO, 0, 0);
        Self(Mutex::new(limits))
    }

    pub(super) fn get(&self, which: u32) -> Option<Rlimit> {
        self.0.lock().get(which as usize).copied()
    }

    pub(super) fn all(&self) -> [Rlimit; rlimit::COUNT] {
        *self.0.lock()
    }

    /// Errors: `EINVAL` (no such resource, soft above hard), `EPERM` (open files above the system's limit).
    fn set(&self, which: u32, new: Rlimit) -> Result<(), Errno> {
        if new.current > new.maximum {
            return Err(Errno::EINVAL);
        }
        if which == rlimit::NOFILE && new.maximum > NR_OPEN {
            return Err(Errno::EPERM);
        }
        *self.0.lock().get_mut(which as usize).ok_or(Errno::EINVAL)? = new;
        Ok(())
    }
}

/// prlimit64(2), on the program itself.
pub(crate) fn prlimit64(cx: &mut Context, pid: i32, which: u32, new: u64, old: u64) -> SysResult {
    if which as usize >= rlimit::COUNT {
        return Err(Errno::EINVAL);
    }
    let wanted = if new == 0 { None } else { Some(user::read_struct::<Rlimit>(new)?) };
    if pid != 0 && pid != PID.cast_signed() && cx.process.threads.find(pid.cast_unsigned()).is_none() {
        return Err(Errno::ESRCH);
    }
    let limits = &cx.process.identity.limits;
    let before = limits.get(which).ok_or(Errno::EINVAL)?;
    if let Some(wanted) = wanted {
        limits.set(which, wanted)?;
    }
    user::write_struct_opt(old, &before)?;
    Ok(0)
}

/// getrlimit(2).
pub(crate) fn getrlimit(cx: &mut Context, which: u32, out: u64) -> SysResult {
    let limit = cx.process.identity.limits.get(which).ok_or(Errno::EINVAL)?;
    user::write_struct(out, &limit)?;
    Ok(0)
}

/// setrlimit(2).
pub(crate) fn setrlimit(cx: &mut Context, which: u32, new: u64) -> SysResult {
    cx.process.identity.limits.set(which, user::read_struct(new)?)?;
    Ok(0)
}
