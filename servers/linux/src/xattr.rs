//! Extended attributes (xattr(7)).

use crate::context::{Context, SysResult};
use crate::fs::node::{Kind, Result};
use crate::stat::{Target, target};
use crate::user;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::at;

/// Longest name with its NUL.
const NAME_BYTES: usize = 256;
/// Largest value (`XATTR_SIZE_MAX`).
const VALUE_MAX: usize = 65_536;

fn by_fd(cx: &Context, fd: i32) -> Result<Target> {
    cx.process.fs.table.get(fd)?.usable()?;
    target(cx, fd, 0, at::EMPTY_PATH)
}

/// A name. Errors: `ERANGE` (empty or too long), `EFAULT`.
fn name_at(addr: u64) -> Result<Vec<u8>> {
    let name = user::read_cstr(addr, NAME_BYTES)?.ok_or(Errno::ERANGE)?;
    if name.is_empty() { Err(Errno::ERANGE) } else { Ok(name) }
}

/// Attributes of the user namespace exist on files and directories only.
fn check(target: &Target, name: &[u8]) -> Result<()> {
    let plain = matches!(target.node.kind(), Kind::File | Kind::Directory);
    if name.starts_with(b"user.") && !plain {
        return Err(Errno::EPERM);
    }
    let known: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system."];
    if known.iter().any(|space| name.starts_with(space)) { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// Copies `value` out; with `size` 0 only its length is told.
fn answer(value: &[u8], addr: u64, size: usize) -> SysResult {
    if size > 0 {
        if value.len() > size {
            return Err(Errno::ERANGE);
        }
        user::copy_out(addr, value)?;
    }
    Ok(value.len() as u64)
}

fn get(target: &Target, name: u64, addr: u64, size: usize) -> SysResult {
    let name = name_at(name)?;
    if !name.starts_with(b"user.") || matches!(target.node.kind(), Kind::File | Kind::Directory) {
        check(target, &name)?;
        return answer(&target.node.get_xattr(&name)?, addr, size);
    }
    Err(Errno::ENODATA)
}

fn set(target: &Target, name: u64, addr: u64, size: usize, flags: u32) -> SysResult {
    let create = match flags {
        0 => None,
        1 => Some(true),
        2 => Some(false),
        _ => return Err(Errno::EINVAL),
    };
    let name = name_at(name)?;
    if size > VALUE_MAX {
        return Err(Errno::E2BIG);
    }
    let mut value = alloc::vec![0; size];
    user::copy_in(addr, &mut value)?;
    check(target, &name)?;
    target.node.set_xattr(&name, &value, create).map(|()| 0)
}

fn list(target: &Target, addr: u64, size: usize) -> SysResult {
    answer(&target.node.list_xattr()?, addr, size)
}

fn remove(target: &Target, name: u64) -> SysResult {
    let name = name_at(name)?;
    check(target, &name)?;
    target.node.remove_xattr(&name).map(|()| 0)
}

/// getxattr(2).
pub(crate) fn getxattr(cx: &mut Context, path: u64, name: u64, addr: u64, size: usize) -> SysResult {
    get(&target(cx, at::FDCWD, path, 0)?, name, addr, size)
}
/// lgetxattr(2).
pub(crate) fn lgetxattr(cx: &mut Context, path: u64, name: u64, addr: u64, size: usize) -> SysResult {
    get(&target(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW)?, name, addr, size)
}
/// fgetxattr(2).
pub(crate) fn fgetxattr(cx: &mut Context, fd: i32, name: u64, addr: u64, size: usize) -> SysResult {
    get(&by_fd(cx, fd)?, name, addr, size)
}
/// setxattr(2).
pub(crate) fn setxattr(cx: &mut Context, path: u64, name: u64, addr: u64, size: usize, flags: u32) -> SysResult {
    set(&target(cx, at::FDCWD, path, 0)?, name, addr, size, flags)
}
/// lsetxattr(2).
pub(crate) fn lsetxattr(cx: &mut Context, path: u64, name: u64, addr: u64, size: usize, flags: u32) -> SysResult {
    set(&target(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW)?, name, addr, size, flags)
}
/// fsetxattr(2).
pub(crate) fn fsetxattr(cx: &mut Context, fd: i32, name: u64, addr: u64, size: usize, flags: u32) -> SysResult {
    set(&by_fd(cx, fd)?, name, addr, size, flags)
}
/// listxattr(2).
pub(crate) fn listxattr(cx: &mut Context, path: u64, addr: u64, size: usize) -> SysResult {
    list(&target(cx, at::FDCWD, path, 0)?, addr, size)
}
/// llistxattr(2).
pub(crate) fn llistxattr(cx: &mut Context, path: u64, addr: u64, size: usize) -> SysResult {
    list(&target(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW)?, addr, size)
}
/// flistxattr(2).
pub(crate) fn flistxattr(cx: &mut Context, fd: i32, addr: u64, size: usize) -> SysResult {
    list(&by_fd(cx, fd)?, addr, size)
}
/// removexattr(2).
pub(crate) fn removexattr(cx: &mut Context, path: u64, name: u64) -> SysResult {
    remove(&target(cx, at::FDCWD, path, 0)?, name)
}
/// lremovexattr(2).
pub(crate) fn lremovexattr(cx: &mut Context, path: u64, name: u64) -> SysResult {
    remove(&target(cx, at::FDCWD, path, at::SYMLINK_NOFOLLOW)?, name)
}
/// fremovexattr(2).
pub(crate) fn fremovexattr(cx: &mut Context, fd: i32, name: u64) -> SysResult {
    remove(&by_fd(cx, fd)?, name)
}
