//! Process ids, sessions, prctl(2), capabilities, and calls about children, of which there are none.

use crate::context::{Context, SysResult};
use crate::thread::PID;
use crate::user;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_abi::Errno;
use linux_abi::process::{CapData, CapHeader, prctl as op};

/// Settings of prctl(2) that are only remembered.
#[derive(Default)]
pub(super) struct Control {
    death_signal: AtomicU32,
    keep_capabilities: AtomicU32,
    no_new_privileges: AtomicU32,
    subreaper: AtomicU32,
    not_dumpable: AtomicU32,
    no_huge_pages: AtomicU32,
}

/// getpid(2).
pub(crate) fn getpid(_cx: &mut Context) -> SysResult {
    Ok(u64::from(PID))
}

/// getppid(2): the parent is outside, as for process 1 of a container.
pub(crate) fn getppid(_cx: &mut Context) -> SysResult {
    Ok(0)
}

fn check_self(pid: i32) -> Result<(), Errno> {
    if pid == 0 || pid == PID.cast_signed() { Ok(()) } else { Err(Errno::ESRCH) }
}

/// getpgrp(2).
pub(crate) fn getpgrp(_cx: &mut Context) -> SysResult {
    Ok(u64::from(PID))
}

/// getpgid(2).
pub(crate) fn getpgid(_cx: &mut Context, pid: i32) -> SysResult {
    check_self(pid).map(|()| u64::from(PID))
}

/// getsid(2).
pub(crate) fn getsid(_cx: &mut Context, pid: i32) -> SysResult {
    check_self(pid).map(|()| u64::from(PID))
}

/// setsid(2): the program leads its group already.
pub(crate) fn setsid(_cx: &mut Context) -> SysResult {
    Err(Errno::EPERM)
}

/// setpgid(2): a session leader cannot move.
pub(crate) fn setpgid(_cx: &mut Context, pid: i32, group: i32) -> SysResult {
    if group < 0 {
        return Err(Errno::EINVAL);
    }
    check_self(pid)?;
    Err(Errno::EPERM)
}

/// wait4(2): there are no children.
pub(crate) fn wait4(_cx: &mut Context, _pid: i32, _status: u64, options: i32) -> SysResult {
    /// WNOHANG, WUNTRACED, WCONTINUED, __WNOTHREAD, __WALL, __WCLONE.
    const KNOWN: u32 = 0xe000_000b;
    if options.cast_unsigned() & !KNOWN != 0 { Err(Errno::EINVAL) } else { Err(Errno::ECHILD) }
}

/// waitid(2): there are no children.
pub(crate) fn waitid(_cx: &mut Context, which: i32, _id: i32, _info: u64, options: i32) -> SysResult {
    /// WEXITED, WSTOPPED, WCONTINUED: at least one must be asked for.
    const WANTED: i32 = 0x2 | 0x4 | 0x8;
    if !(0..=3).contains(&which) || options & WANTED == 0 { Err(Errno::EINVAL) } else { Err(Errno::ECHILD) }
}

/// rseq(2): libc does without where it is not there.
pub(crate) fn rseq(_cx: &mut Context) -> SysResult {
    Err(Errno::ENOSYS)
}

/// seccomp(2): not built in, as far as the program can see.
pub(crate) fn seccomp(_cx: &mut Context) -> SysResult {
    Err(Errno::EINVAL)
}

/// personality(2): only asking, and the Linux personality.
pub(crate) fn personality(_cx: &mut Context, wanted: u32) -> SysResult {
    /// ADDR_NO_RANDOMIZE: without effect on a program that runs already.
    const NO_RANDOMIZE: u32 = 0x0004_0000;
    if wanted == u32::MAX || wanted & !NO_RANDOMIZE == 0 { Ok(0) } else { Err(Errno::EINVAL) }
}

/// Highest capability number (`CAP_CHECKPOINT_RESTORE`).
const CAP_LAST: u64 = 40;

/// prctl(2).
pub(crate) fn prctl(cx: &mut Context, option: u32, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> SysResult {
    let control = &cx.process.identity.control;
    let rest_is_zero = arg3 | arg4 | arg5 == 0;
    match option {
        op::SET_NAME => set_name(cx, arg2),
        op::GET_NAME => {
            let name = *cx.thread.name.lock();
            user::copy_out(arg2, &name).map(|()| 0)
        }
        op::SET_PDEATHSIG if arg2 <= 64 => remember(&control.death_signal, arg2),
        op::GET_PDEATHSIG => user::write_u32(arg2, control.death_signal.load(Ordering::Relaxed)).map(|()| 0),
        op::SET_DUMPABLE if arg2 <= 1 => remember(&control.not_dumpable, 1 - arg2),
        op::GET_DUMPABLE => Ok(1 - recall(&control.not_dumpable)),
        op::SET_KEEPCAPS if arg2 <= 1 => remember(&control.keep_capabilities, arg2),
        op::GET_KEEPCAPS => Ok(recall(&control.keep_capabilities)),
        op::SET_NO_NEW_PRIVS if arg2 == 1 && rest_is_zero => remember(&control.no_new_privileges, 1),
        op::GET_NO_NEW_PRIVS if arg2 == 0 && rest_is_zero => Ok(recall(&control.no_new_privileges)),
        op::SET_CHILD_SUBREAPER => remember(&control.subreaper, u64::from(arg2 != 0)),
        op::GET_CHILD_SUBREAPER => user::write_u32(arg2, recall(&control.subreaper) as u32).map(|()| 0),
        op::SET_THP_DISABLE if rest_is_zero => remember(&control.no_huge_pages, u64::from(arg2 != 0)),
        op::GET_THP_DISABLE if arg2 == 0 && rest_is_zero => Ok(recall(&control.no_huge_pages)),
        op::GET_TIMERSLACK => Ok(50_000),
        op::SET_TIMERSLACK => Ok(0),
        op::CAPBSET_READ if arg2 <= CAP_LAST => Ok(1),
        op::CAPBSET_DROP if arg2 <= CAP_LAST => Ok(0),
        op::GET_SECCOMP => Ok(0),
        // A kernel without CONFIG_ANON_VMA_NAME says the same; libraries go on without names.
        op::SET_VMA => Err(Errno::EINVAL),
        op::SET_PDEATHSIG
        | op::SET_DUMPABLE
        | op::SET_KEEPCAPS
        | op::SET_NO_NEW_PRIVS
        | op::GET_NO_NEW_PRIVS
        | op::SET_THP_DISABLE
        | op::GET_THP_DISABLE
        | op::CAPBSET_READ
        | op::CAPBSET_DROP
        | op::SET_SECCOMP => Err(Errno::EINVAL),
        _ => {
            lacking!("prctl {option}: EINVAL");
            Err(Errno::EINVAL)
        }
    }
}

fn remember(slot: &AtomicU32, value: u64) -> SysResult {
    slot.store(value as u32, Ordering::Relaxed);
    Ok(0)
}

fn recall(slot: &AtomicU32) -> u64 {
    u64::from(slot.load(Ordering::Relaxed))
}

/// The first 15 bytes count.
fn set_name(cx: &Context, addr: u64) -> SysResult {
    let mut name = [0; 16];
    for (at, slot) in (addr..).zip(name.iter_mut().take(15)) {
        let mut byte = [0];
        user::copy_in(at, &mut byte)?;
        if byte[0] == 0 {
            break;
        }
        *slot = byte[0];
    }
    *cx.thread.name.lock() = name;
    Ok(0)
}

/// `_LINUX_CAPABILITY_VERSION_3`, the one with 64 bits.
const CAP_VERSION: u32 = 0x2008_0522;
/// All capabilities, in two words.
const CAP_ALL: [u32; 2] = [u32::MAX, (1 << (CAP_LAST - 31)) - 1];

/// Versions 1 (one word), 2 and 3 (two words); another version is told the right one.
fn cap_words(header_at: u64) -> Result<(CapHeader, usize), Errno> {
    let header = user::read_struct::<CapHeader>(header_at)?;
    match header.version {
        0x1998_0330 => Ok((header, 1)),
        0x2007_1026 | CAP_VERSION => Ok((header, 2)),
        _ => {
            user::write_struct(header_at, &CapHeader { version: CAP_VERSION, ..header })?;
            Err(Errno::EINVAL)
        }
    }
}

/// capget(2): root has all of them.
pub(crate) fn capget(cx: &mut Context, header_at: u64, data: u64) -> SysResult {
    let (header, words) = match cap_words(header_at) {
        Err(Errno::EINVAL) if data == 0 => return Ok(0),
        other => other?,
    };
    if header.pid < 0 {
        return Err(Errno::EINVAL);
    }
    if header.pid != 0 && cx.process.threads.find(header.pid.cast_unsigned()).is_none() {
        return Err(Errno::ESRCH);
    }
    let root = cx.process.identity.ids()[1] == 0;
    for (index, &all) in CAP_ALL.iter().enumerate().take(words) {
        let held = if root { all } else { 0 };
        let data_at = data + (index * 12) as u64;
        user::write_struct(data_at, &CapData { effective: held, permitted: held, inheritable: 0 })?;
    }
    Ok(0)
}

/// capset(2): giving up is accepted; nothing here asks for a capability.
pub(crate) fn capset(_cx: &mut Context, header_at: u64, data: u64) -> SysResult {
    let (_, words) = cap_words(header_at)?;
    user::read_array::<CapData>(data, words)?;
    Ok(0)
}
