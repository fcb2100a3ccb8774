//! stat, statx, access, statfs, and the calls that change attributes.

use crate::context::{Context, SysResult};
use crate::fs::node::{Attr, AttrChange, Kind, Node, Result, SetTime, Time, Volume, mode_bits};
use crate::fs::resolve::Last;
use crate::user;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::file::{Stat, Statfs, Statx, StatxTime, at};
use linux_abi::time::{Timespec, Timeval};

/// A node that a call is about.
pub(crate) struct Target {
    /// The node.
    pub node: Arc<dyn Node>,
}

/// The node that `dirfd`, `path` and `AT_` flags name.
///
/// Errors: those of path resolution; `EBADF`.
pub(crate) fn target(cx: &Context, dirfd: i32, path: u64, flags: u32) -> Result<Target> {
    let empty = flags & at::EMPTY_PATH != 0;
    if path == 0 && empty {
        return by_descriptor(cx, dirfd);
    }
    let path = user::read_path(path)?;
    if path.is_empty() && empty {
        return by_descriptor(cx, dirfd);
    }
    let last = if flags & at::SYMLINK_NOFOLLOW != 0 { Last::Stay } else { Last::Follow };
    let files = &cx.process.fs;
    let place = files.find(&files.start(dirfd, &path)?, &path, last)?;
    Ok(Target { node: place.node()? })
}

fn by_descriptor(cx: &Context, fd: i32) -> Result<Target> {
    if fd == at::FDCWD {
        let place = cx.process.fs.cwd();
        return Ok(Target { node: place.node()? });
    }
    let file = cx.process.fs.table.get(fd)?;
    let node = match (file.file().node(), file.place()) {
        (Some(node), _) => node,
        (None, Some(place)) => place.node()?,
        (None, None) => return Err(Errno::EBADF),
    };
    Ok(Target { node })
}

/// A descriptor that may be used for more than naming a place. Errors: `EBADF`.
fn by_open_descriptor(cx: &Context, fd: i32) -> Result<Target> {
    cx.process.fs.table.get(fd)?.usable()?;
    by_descriptor(cx, fd)
}

fn timespec(time: Time) -> Timespec {
    Timespec { seconds: time.seconds, nanoseconds: i64::from(time.nanoseconds) }
}

/// Preferred size of transfers.
const BLOCK_BYTES: u32 = 4096;

fn stat_of(node: &Arc<dyn Node>) -> Result<Stat> {
    let attr = node.attr()?;
    Ok(Stat {
        dev: node.volume().device(),
        inode: attr.inode,
        links: u64::from(attr.links),
        mode: mode_bits(attr.kind) | u32::from(attr.mode),
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        size: attr.size.cast_signed(),
        block_size: i64::from(BLOCK_BYTES),
        blocks: attr.blocks.cast_signed(),
        atime: timespec(attr.atime),
        mtime: timespec(attr.mtime),
        ctime: timespec(attr.ctime),
    })
}

fn answer(node: &Arc<dyn Node>, addr: u64) -> SysResult {
    user::write_struct(addr, &stat_of(node)?)?;
    Ok(0)
}

/// Attributes of what a path names. A file of the host may go between the walk and the question: then Linux walks once more.
fn stat_path(cx: &Context, dirfd: i32, path: u64, flags: u32) -> Result<Stat> {
    match stat_of(&target(cx, dirfd, path, flags)?.node) {
        Err(Errno::ESTALE) => stat_of(&target(cx, dirfd, path, flags)?.node),
        outcome => outcome,
    }
}

fn answer_path(cx: &Context, dirfd: i32, path: u64, flags: u32, addr: u64) -> SysResult {
    user::write_struct(addr, &stat_path(cx, dirfd, path, flags)?)?;
    Ok(0)
}

/// stat(2).
pub(crate) fn stat(cx: &mut Context, path: u64, addr: u64) -> SysResult {
    answer_path(cx, at::FDCWD, path, 0, addr)
}

/// lstat(2).
pub(crate) fn lstat(cx: &mut Context, path: u64, addr: u64) -> SysResult {
    answer_path(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW, addr)
}

/// fstat(2).
pub(crate) fn fstat(cx: &mut Context, fd: i32, addr: u64) -> SysResult {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    answer(&by_descriptor(cx, fd)?.node, addr)
}

/// newfstatat(2).
pub(crate) fn newfstatat(cx: &mut Context, dirfd: i32, path: u64, addr: u64, flags: u32) -> SysResult {
    if flags & !(at::SYMLINK_NOFOLLOW | at::NO_AUTOMOUNT | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    answer_path(cx, dirfd, path, flags, addr)
}

/// Major and minor part of a device number in the layout of stat(2).
fn split(device: u64) -> (u32, u32) {
    (((device >> 8) & 0xfff) as u32, ((device & 0xff) | ((device >> 12) & 0xf_ff00)) as u32)
}

fn statx_time(time: Timespec) -> StatxTime {
    StatxTime { seconds: time.seconds, nanoseconds: time.nanoseconds as u32 }
}

/// statx(2).
pub(crate) fn statx(cx: &mut Context, dirfd: i32, path: u64, flags: u32, mask: u32, addr: u64) -> SysResult {
    const BASIC_STATS: u32 = 0x7ff;
    const RESERVED: u32 = 0x8000_0000;
    if mask & RESERVED != 0 || flags & at::STATX_SYNC_TYPE == at::STATX_SYNC_TYPE {
        return Err(Errno::EINVAL);
    }
    if flags & !(at::SYMLINK_NOFOLLOW | at::NO_AUTOMOUNT | at::EMPTY_PATH | at::STATX_SYNC_TYPE) != 0 {
        return Err(Errno::EINVAL);
    }
    let stat = stat_path(cx, dirfd, path, flags)?;
    let ((rdev_major, rdev_minor), (dev_major, dev_minor)) = (split(stat.rdev), split(stat.dev));
    let full = Statx {
        mask: BASIC_STATS,
        block_size: BLOCK_BYTES,
        links: stat.links as u32,
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode as u16,
        inode: stat.inode,
        size: stat.size.cast_unsigned(),
        blocks: stat.blocks.cast_unsigned(),
        atime: statx_time(stat.atime),
        ctime: statx_time(stat.ctime),
        mtime: statx_time(stat.mtime),
        rdev_major,
        rdev_minor,
        dev_major,
        dev_minor,
        ..Statx::default()
    };
    user::write_struct(addr, &full)?;
    Ok(0)
}

fn check_access(target: &Target, mode: u32) -> SysResult {
    const EXECUTE: u32 = 1;
    const WRITE: u32 = 2;
    if mode & WRITE != 0
        && target.node.volume().read_only()
        && matches!(target.node.kind(), Kind::File | Kind::Directory)
    {
        return Err(Errno::EROFS);
    }
    // The program is root: everything is allowed but to execute a file without any execute bit.
    if mode & EXECUTE != 0 && target.node.kind() == Kind::File && target.node.attr()?.mode & 0o111 == 0 {
        return Err(Errno::EACCES);
    }
    Ok(0)
}

/// access(2).
pub(crate) fn access(cx: &mut Context, path: u64, mode: u32) -> SysResult {
    faccessat2(cx, at::FDCWD, path, mode, 0)
}

/// faccessat(2), the call without flags.
pub(crate) fn faccessat(cx: &mut Context, dirfd: i32, path: u64, mode: u32) -> SysResult {
    faccessat2(cx, dirfd, path, mode, 0)
}

/// faccessat2(2).
pub(crate) fn faccessat2(cx: &mut Context, dirfd: i32, path: u64, mode: u32, flags: u32) -> SysResult {
    if mode & !7 != 0 || flags & !(at::EACCESS | at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    check_access(&target(cx, dirfd, path, flags & !at::EACCESS)?, mode)
}

fn write_statfs(volume: &dyn Volume, addr: u64) -> SysResult {
    const ST_RDONLY: i64 = 1;
    const ST_VALID: i64 = 0x20;
    let info = volume.stat_fs()?;
    let block = i64::from(info.block_bytes);
    let statfs = Statfs {
        kind: i64::from(info.magic),
        block_size: block,
        blocks: info.blocks,
        blocks_free: info.free,
        blocks_available: info.available,
        files: info.files,
        files_free: info.files_free,
        id: [info.id as i32, (info.id >> 32) as i32],
        name_max: i64::from(info.name_max),
        fragment_size: block,
        flags: ST_VALID | if volume.read_only() { ST_RDONLY } else { 0 },
    };
    user::write_struct(addr, &statfs)?;
    Ok(0)
}

/// statfs(2).
pub(crate) fn statfs(cx: &mut Context, path: u64, addr: u64) -> SysResult {
    write_statfs(&**target(cx, at::FDCWD, path, 0)?.node.volume(), addr)
}

/// fstatfs(2).
pub(crate) fn fstatfs(cx: &mut Context, fd: i32, addr: u64) -> SysResult {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    write_statfs(&**by_descriptor(cx, fd)?.node.volume(), addr)
}

fn change(target: &Target, change: &AttrChange) -> Result<Attr> {
    if target.node.volume().read_only() {
        return Err(Errno::EROFS);
    }
    target.node.set_attr(change)
}

/// fchmodat2(2), and the body of the other three.
pub(crate) fn fchmodat2(cx: &mut Context, dirfd: i32, path: u64, mode: u32, flags: u32) -> SysResult {
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    set_mode(&target(cx, dirfd, path, flags)?, mode)
}

fn set_mode(target: &Target, mode: u32) -> SysResult {
    if target.node.kind() == Kind::Link {
        return Err(Errno::EOPNOTSUPP);
    }
    change(target, &AttrChange { mode: Some((mode & 0o7777) as u16), ..AttrChange::default() }).map(|_| 0)
}

/// chmod(2).
pub(crate) fn chmod(cx: &mut Context, path: u64, mode: u32) -> SysResult {
    fchmodat2(cx, at::FDCWD, path, mode, 0)
}

/// fchmodat(2), the call without flags.
pub(crate) fn fchmodat(cx: &mut Context, dirfd: i32, path: u64, mode: u32) -> SysResult {
    fchmodat2(cx, dirfd, path, mode, 0)
}

/// fchmod(2).
pub(crate) fn fchmod(cx: &mut Context, fd: i32, mode: u32) -> SysResult {
    set_mode(&by_open_descriptor(cx, fd)?, mode)
}

fn set_owner(target: &Target, uid: u32, gid: u32) -> SysResult {
    let given = |id: u32| (id != u32::MAX).then_some(id);
    let (uid, gid) = (given(uid), given(gid));
    if uid.is_none() && gid.is_none() {
        return Ok(0);
    }
    change(target, &AttrChange { uid, gid, ..AttrChange::default() }).map(|_| 0)
}

/// fchownat(2).
pub(crate) fn fchownat(cx: &mut Context, dirfd: i32, path: u64, uid: u32, gid: u32, flags: u32) -> SysResult {
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    set_owner(&target(cx, dirfd, path, flags)?, uid, gid)
}

/// chown(2).
pub(crate) fn chown(cx: &mut Context, path: u64, uid: u32, gid: u32) -> SysResult {
    set_owner(&target(cx, at::FDCWD, path, 0)?, uid, gid)
}

/// lchown(2).
pub(crate) fn lchown(cx: &mut Context, path: u64, uid: u32, gid: u32) -> SysResult {
    set_owner(&target(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW)?, uid, gid)
}

/// fchown(2).
pub(crate) fn fchown(cx: &mut Context, fd: i32, uid: u32, gid: u32) -> SysResult {
    set_owner(&by_open_descriptor(cx, fd)?, uid, gid)
}

/// One of the two times of utimensat(2): to be set, or left.
fn wanted_time(spec: Timespec) -> Result<Option<SetTime>> {
    const UTIME_NOW: i64 = 0x3fff_ffff;
    const UTIME_OMIT: i64 = 0x3fff_fffe;
    match spec.nanoseconds {
        UTIME_NOW => Ok(Some(SetTime::Now)),
        UTIME_OMIT => Ok(None),
        0..=999_999_999 => Ok(Some(SetTime::To(Time { seconds: spec.seconds, nanoseconds: spec.nanoseconds as u32 }))),
        _ => Err(Errno::EINVAL),
    }
}

/// utimensat(2); a null path means the descriptor itself.
pub(crate) fn utimensat(cx: &mut Context, dirfd: i32, path: u64, times: u64, flags: u32) -> SysResult {
    let (atime, mtime) = if times == 0 {
        (Some(SetTime::Now), Some(SetTime::Now))
    } else {
        let [atime, mtime]: [Timespec; 2] = user::read_struct(times)?;
        let both = (wanted_time(atime)?, wanted_time(mtime)?);
        if both == (None, None) {
            return Ok(0);
        }
        both
    };
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let target =
        if path == 0 && dirfd != at::FDCWD { by_open_descriptor(cx, dirfd)? } else { target(cx, dirfd, path, flags)? };
    change(&target, &AttrChange { atime, mtime, ..AttrChange::default() }).map(|_| 0)
}

/// Two `timeval`s at `times`, or now.
fn set_timevals(cx: &Context, dirfd: i32, path: u64, times: u64) -> SysResult {
    let (atime, mtime) = if times == 0 {
        (SetTime::Now, SetTime::Now)
    } else {
        let pair: [Timeval; 2] = user::read_struct(times)?;
        let convert = |value: Timeval| match value.microseconds {
            0..=999_999 => {
                Ok(SetTime::To(Time { seconds: value.seconds, nanoseconds: value.microseconds as u32 * 1000 }))
            }
            _ => Err(Errno::EINVAL),
        };
        (convert(pair[0])?, convert(pair[1])?)
    };
    let target = target(cx, dirfd, path, 0)?;
    change(&target, &AttrChange { atime: Some(atime), mtime: Some(mtime), ..AttrChange::default() }).map(|_| 0)
}

/// futimesat(2).
pub(crate) fn futimesat(cx: &mut Context, dirfd: i32, path: u64, times: u64) -> SysResult {
    set_timevals(cx, dirfd, path, times)
}

/// utimes(2).
pub(crate) fn utimes(cx: &mut Context, path: u64, times: u64) -> SysResult {
    set_timevals(cx, at::FDCWD, path, times)
}

/// utime(2).
pub(crate) fn utime(cx: &mut Context, path: u64, times: u64) -> SysResult {
    let (atime, mtime) = if times == 0 {
        (SetTime::Now, SetTime::Now)
    } else {
        let [atime, mtime]: [i64; 2] = user::read_struct(times)?;
        let at = |seconds| SetTime::To(Time { seconds, nanoseconds: 0 });
        (at(atime), at(mtime))
    };
    let target = target(cx, at::FDCWD, path, 0)?;
    change(&target, &AttrChange { atime: Some(atime), mtime: Some(mtime), ..AttrChange::default() }).map(|_| 0)
}
