//! Directory calls: listing, creating and removing names, links, renames, the working directory.

use crate::context::{Context, SysResult};
use crate::fs::Files;
use crate::fs::listing::{Directory, Listed};
use crate::fs::names::Place;
use crate::fs::node::{Kind, Node, RenameFlags, Result};
use crate::fs::resolve::{Found, Last, Tail};
use crate::fs::transfer::Sink;
use crate::user;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::{PATH_MAX, at, mode as kinds};

/// Most bytes of entries that are gathered before they are copied out.
const BATCH: usize = 32 * 1024;
/// Bytes of `struct linux_dirent64` before the name.
const HEAD: usize = 19;

/// One `struct linux_dirent64`, appended to `out`.
fn emit(out: &mut Vec<u8>, entry: &Listed) {
    let len = (HEAD + entry.name.len() + 1).next_multiple_of(8);
    let end = out.len() + len;
    out.extend_from_slice(&entry.inode.to_le_bytes());
    out.extend_from_slice(&entry.next.to_le_bytes());
    out.extend_from_slice(&(len as u16).to_le_bytes());
    out.push(entry.kind);
    out.extend_from_slice(entry.name);
    out.resize(end, 0);
}

/// One `struct linux_dirent` (the old call), with the kind in the last byte.
fn emit_old(out: &mut Vec<u8>, entry: &Listed) {
    let len = (18 + entry.name.len() + 2).next_multiple_of(8);
    let end = out.len() + len;
    out.extend_from_slice(&entry.inode.to_le_bytes());
    out.extend_from_slice(&entry.next.to_le_bytes());
    out.extend_from_slice(&(len as u16).to_le_bytes());
    out.extend_from_slice(entry.name);
    out.resize(end - 1, 0);
    out.push(entry.kind);
}

/// getdents64(2).
pub(crate) fn getdents64(cx: &mut Context, fd: i32, addr: u64, len: u32) -> SysResult {
    list(cx, fd, addr, len, emit)
}

/// getdents(2).
pub(crate) fn getdents(cx: &mut Context, fd: i32, addr: u64, len: u32) -> SysResult {
    list(cx, fd, addr, len, emit_old)
}

fn list(cx: &Context, fd: i32, addr: u64, len: u32, emit: fn(&mut Vec<u8>, &Listed)) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    let directory = file.is::<Directory>().ok_or(Errno::ENOTDIR)?;
    let room = (len as usize).min(BATCH);
    file.with_position(|position| {
        let mut out = Vec::new();
        let mut next = position;
        let mut too_small = false;
        let outcome = directory.list(position, &mut |entry| {
            let before = out.len();
            emit(&mut out, &entry);
            if out.len() > room {
                out.truncate(before);
                too_small = before == 0;
                return false;
            }
            next = entry.next;
            true
        });
        let result = match outcome {
            Err(errno) if out.is_empty() => Err(errno),
            _ if too_small => Err(Errno::EINVAL),
            _ => Sink::user(addr, out.len()).and_then(|mut sink| sink.put(&out)),
        };
        match result {
            Ok(count) if count == out.len() => (next, Ok(count as u64)),
            Ok(_) => (position, Err(Errno::EFAULT)),
            Err(errno) => (position, Err(errno)),
        }
    })
}

/// Where a new name is to be made. Errors: `EEXIST` (`.`, `..`, the root), those of resolution.
struct Spot {
    dir: Place,
    name: Vec<u8>,
    slash: bool,
}

fn spot(files: &Files, dirfd: i32, path: &[u8]) -> Result<Spot> {
    let (dir, tail) = files.parent(&files.start(dirfd, path)?, path)?;
    match tail {
        Tail::Name(name, slash) => Ok(Spot { dir, name, slash }),
        Tail::Dot | Tail::DotDot | Tail::Root => Err(Errno::EEXIST),
    }
}

/// What has the name now, not following a link.
fn existing(files: &Files, spot: &Spot) -> Result<Option<Place>> {
    match files.resolve(&spot.dir, &spot.name, Last::StayOrMissing, None)? {
        Found::Place(place) => Ok(Some(place)),
        Found::In(..) => Ok(None),
    }
}

/// Makes a name with `make`, after the checks that all such calls share.
fn create(
    files: &Files,
    spot: &Spot,
    kind: Kind,
    make: impl FnOnce(&Arc<dyn Node>) -> Result<Arc<dyn Node>>,
) -> SysResult {
    let _inside = spot.dir.gate.pass();
    if existing(files, spot)?.is_some() {
        return Err(Errno::EEXIST);
    }
    if spot.slash && kind != Kind::Directory {
        return Err(Errno::ENOENT);
    }
    if spot.dir.is_removed() {
        return Err(Errno::ENOENT);
    }
    if spot.dir.volume().read_only() {
        return Err(Errno::EROFS);
    }
    let made = make(&spot.dir.node()?);
    if matches!(made, Err(Errno::EEXIST)) {
        spot.dir.forget(&spot.name);
    }
    spot.dir.added(&spot.name, made?);
    Ok(0)
}

/// mkdirat(2).
pub(crate) fn mkdirat(cx: &mut Context, dirfd: i32, path: u64, mode: u32) -> SysResult {
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let spot = spot(files, dirfd, &path)?;
    let mode = files.masked(mode & 0o1777);
    create(files, &spot, Kind::Directory, |dir| dir.mkdir(&spot.name, mode))
}

/// mkdir(2).
pub(crate) fn mkdir(cx: &mut Context, path: u64, mode: u32) -> SysResult {
    mkdirat(cx, at::FDCWD, path, mode)
}

/// mknodat(2).
pub(crate) fn mknodat(cx: &mut Context, dirfd: i32, path: u64, mode: u32, device: u64) -> SysResult {
    let kind = match mode & kinds::MASK {
        0 | kinds::FILE => Kind::File,
        kinds::FIFO => Kind::Fifo,
        kinds::SOCKET => Kind::Socket,
        kinds::CHAR => Kind::CharDevice,
        kinds::BLOCK => Kind::BlockDevice,
        kinds::DIRECTORY => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let spot = spot(files, dirfd, &path)?;
    let mode = files.masked(mode);
    let rdev = if matches!(kind, Kind::CharDevice | Kind::BlockDevice) { device } else { 0 };
    create(files, &spot, kind, |dir| match kind {
        Kind::File => dir.create(&spot.name, mode, crate::fs::node::Access::READ),
        _ => dir.mknod(&spot.name, kind, mode, rdev),
    })
}

/// mknod(2).
pub(crate) fn mknod(cx: &mut Context, path: u64, mode: u32, device: u64) -> SysResult {
    mknodat(cx, at::FDCWD, path, mode, device)
}

/// Makes the name of a socket (bind(2) of `AF_UNIX`). Errors: `EADDRINUSE`, those of resolution.
pub(crate) fn make_socket(files: &Files, path: &[u8]) -> Result<Place> {
    let spot =
        spot(files, at::FDCWD, path).map_err(|errno| if errno == Errno::EEXIST { Errno::EADDRINUSE } else { errno })?;
    let mode = files.masked(0o777);
    match create(files, &spot, Kind::Socket, |dir| dir.mknod(&spot.name, Kind::Socket, mode, 0)) {
        Ok(_) => files.find(&spot.dir, &spot.name, Last::Stay),
        Err(Errno::EEXIST) => Err(Errno::EADDRINUSE),
        Err(errno) => Err(errno),
    }
}

/// symlinkat(2).
pub(crate) fn symlinkat(cx: &mut Context, target: u64, dirfd: i32, path: u64) -> SysResult {
    let target = user::read_path(target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let spot = spot(files, dirfd, &path)?;
    create(files, &spot, Kind::Link, |dir| dir.symlink(&spot.name, &target))
}

/// symlink(2).
pub(crate) fn symlink(cx: &mut Context, target: u64, path: u64) -> SysResult {
    symlinkat(cx, target, at::FDCWD, path)
}

/// linkat(2).
pub(crate) fn linkat(cx: &mut Context, olddir: i32, old: u64, newdir: i32, new: u64, flags: u32) -> SysResult {
    if flags & !(at::SYMLINK_FOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = if flags & at::SYMLINK_FOLLOW != 0 { 0 } else { at::SYMLINK_NOFOLLOW };
    let from = crate::stat::target(cx, olddir, old, follow | (flags & at::EMPTY_PATH))?;
    let path = user::read_path(new)?;
    let files = &cx.process.fs;
    let spot = spot(files, newdir, &path)?;
    let node = from.node.clone();
    create(files, &spot, node.kind(), |dir| {
        if dir.volume().device() != node.volume().device() {
            return Err(Errno::EXDEV);
        }
        if node.kind() == Kind::Directory {
            return Err(Errno::EPERM);
        }
        dir.link(&node, &spot.name)?;
        // A second name has its own place; the node is looked up anew where names are not kept.
        dir.lookup(&spot.name)
    })
}

/// link(2).
pub(crate) fn link(cx: &mut Context, old: u64, new: u64) -> SysResult {
    linkat(cx, at::FDCWD, old, at::FDCWD, new, 0)
}

fn remove(cx: &Context, dirfd: i32, path: u64, directory: bool) -> SysResult {
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let (dir, tail) = files.parent(&files.start(dirfd, &path)?, &path)?;
    let (name, slash) = match (tail, directory) {
        (Tail::Name(name, slash), _) => (name, slash),
        (Tail::Dot, true) => return Err(Errno::EINVAL),
        (Tail::DotDot, true) => return Err(Errno::ENOTEMPTY),
        (Tail::Root, true) => return Err(Errno::EBUSY),
        (_, false) => return Err(Errno::EISDIR),
    };
    let spot = Spot { dir, name, slash };
    let _inside = spot.dir.gate.pass();
    let place = existing(files, &spot)?.ok_or(Errno::ENOENT)?;
    let is_directory = place.kind() == Kind::Directory;
    if place.is_busy() {
        return Err(Errno::EBUSY);
    }
    if directory && !is_directory {
        return Err(Errno::ENOTDIR);
    }
    if !directory && is_directory {
        return Err(Errno::EISDIR);
    }
    if spot.slash && !is_directory {
        return Err(Errno::ENOTDIR);
    }
    if spot.dir.volume().read_only() {
        return Err(Errno::EROFS);
    }
    let node = place.node()?;
    spot.dir.node()?.remove(&spot.name, directory, Some(&node))?;
    place.mark_removed();
    spot.dir.dropped(&spot.name);
    drop((node, place));
    files.flush_closes();
    Ok(0)
}

/// unlink(2).
pub(crate) fn unlink(cx: &mut Context, path: u64) -> SysResult {
    remove(cx, at::FDCWD, path, false)
}

/// rmdir(2).
pub(crate) fn rmdir(cx: &mut Context, path: u64) -> SysResult {
    remove(cx, at::FDCWD, path, true)
}

/// unlinkat(2).
pub(crate) fn unlinkat(cx: &mut Context, dirfd: i32, path: u64, flags: u32) -> SysResult {
    if flags & !at::REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    remove(cx, dirfd, path, flags & at::REMOVEDIR != 0)
}

/// renameat2(2).
pub(crate) fn renameat2(cx: &mut Context, olddir: i32, old: u64, newdir: i32, new: u64, flags: u32) -> SysResult {
    const NOREPLACE: u32 = 1;
    const EXCHANGE: u32 = 2;
    let wanted = match flags {
        0 => RenameFlags::empty(),
        NOREPLACE => RenameFlags::NO_REPLACE,
        EXCHANGE => RenameFlags::EXCHANGE,
        _ => return Err(Errno::EINVAL),
    };
    let (old, new) = (user::read_path(old)?, user::read_path(new)?);
    let files = &cx.process.fs;
    let (from_dir, from_tail) = files.parent(&files.start(olddir, &old)?, &old)?;
    let (to_dir, to_tail) = files.parent(&files.start(newdir, &new)?, &new)?;
    if from_dir.volume().device() != to_dir.volume().device() {
        return Err(Errno::EXDEV);
    }
    let busy = if flags & NOREPLACE != 0 { Errno::EEXIST } else { Errno::EBUSY };
    let (Tail::Name(from_name, from_slash), to_tail) = (from_tail, to_tail) else { return Err(Errno::EBUSY) };
    let Tail::Name(to_name, to_slash) = to_tail else { return Err(busy) };
    let from = Spot { dir: from_dir, name: from_name, slash: from_slash };
    let to = Spot { dir: to_dir, name: to_name, slash: to_slash };
    rename(files, &from, &to, wanted)
}

fn rename(files: &Files, from: &Spot, to: &Spot, flags: RenameFlags) -> SysResult {
    let same = Arc::ptr_eq(&from.dir, &to.dir);
    // Two directories are always entered in the order of their addresses.
    let from_first = Arc::as_ptr(&from.dir) <= Arc::as_ptr(&to.dir);
    let (first, second) = if from_first { (&from.dir, &to.dir) } else { (&to.dir, &from.dir) };
    let _first = first.gate.pass();
    let _second = (!same).then(|| second.gate.pass());
    let moving = existing(files, from)?.ok_or(Errno::ENOENT)?;
    let target = existing(files, to)?;
    if target.is_some() && flags.contains(RenameFlags::NO_REPLACE) {
        return Err(Errno::EEXIST);
    }
    if target.is_none() && flags.contains(RenameFlags::EXCHANGE) {
        return Err(Errno::ENOENT);
    }
    let directory = |place: &Place| place.kind() == Kind::Directory;
    if !directory(&moving) && (from.slash || (!flags.contains(RenameFlags::EXCHANGE) && to.slash)) {
        return Err(Errno::ENOTDIR);
    }
    if directory(&moving) && moving.is_above(&to.dir) {
        return Err(Errno::EINVAL);
    }
    if let Some(target) = &target {
        if directory(target) && target.is_above(&from.dir) {
            return Err(if flags.contains(RenameFlags::EXCHANGE) { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        if !flags.contains(RenameFlags::EXCHANGE) && directory(&moving) != directory(target) {
            return Err(if directory(target) { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        if target.is_busy() {
            return Err(Errno::EBUSY);
        }
    }
    if moving.is_busy() {
        return Err(Errno::EBUSY);
    }
    if from.dir.volume().read_only() {
        return Err(Errno::EROFS);
    }
    if let Some(target) = &target
        && same_node(&moving, target)?
    {
        return Ok(0);
    }
    from.dir.node()?.rename(&from.name, &to.dir.node()?, &to.name, flags)?;
    if flags.contains(RenameFlags::EXCHANGE) {
        // Both names lead elsewhere now; the next look asks.
        from.dir.forget(&from.name);
        to.dir.forget(&to.name);
    } else {
        if let Some(target) = target {
            target.mark_removed();
            if let Ok(node) = target.node()
                && let Some(served) = node.as_any().downcast_ref::<crate::fs::served::ServedNode>()
            {
                served.links_changed();
            }
        }
        from.dir.moved(&from.name, &to.dir, &to.name, Some(moving));
    }
    files.flush_closes();
    Ok(0)
}

/// Two names of one file: renaming one to the other does nothing.
fn same_node(one: &Place, other: &Place) -> Result<bool> {
    if one.kind() == Kind::Directory {
        return Ok(false);
    }
    Ok(one.node()?.inode() == other.node()?.inode())
}

/// renameat(2).
pub(crate) fn renameat(cx: &mut Context, olddir: i32, old: u64, newdir: i32, new: u64) -> SysResult {
    renameat2(cx, olddir, old, newdir, new, 0)
}

/// rename(2).
pub(crate) fn rename_paths(cx: &mut Context, old: u64, new: u64) -> SysResult {
    renameat2(cx, at::FDCWD, old, at::FDCWD, new, 0)
}

/// readlinkat(2).
pub(crate) fn readlinkat(cx: &mut Context, dirfd: i32, path: u64, addr: u64, len: i32) -> SysResult {
    let len = usize::try_from(len).ok().filter(|&len| len > 0).ok_or(Errno::EINVAL)?;
    // With an empty path the descriptor itself is meant, if it is a link opened with O_PATH.
    let target = crate::stat::target(cx, dirfd, path, at::SYMLINK_NOFOLLOW | at::EMPTY_PATH)?;
    if target.node.kind() != Kind::Link {
        let empty = user::read_path(path)?.is_empty();
        return Err(if empty { Errno::ENOENT } else { Errno::EINVAL });
    }
    let text = target.node.read_link()?;
    let mut sink = Sink::user(addr, len)?;
    Ok(sink.put(text.get(..len.min(text.len())).unwrap_or_default())? as u64)
}

/// readlink(2).
pub(crate) fn readlink(cx: &mut Context, path: u64, addr: u64, len: i32) -> SysResult {
    readlinkat(cx, at::FDCWD, path, addr, len)
}

/// getcwd(2): bytes with the NUL.
pub(crate) fn getcwd(cx: &mut Context, addr: u64, len: usize) -> SysResult {
    let place = cx.process.fs.cwd();
    if place.is_removed() {
        return Err(Errno::ENOENT);
    }
    let mut path = cx.process.fs.path_of(&place);
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.len() > len {
        return Err(Errno::ERANGE);
    }
    user::copy_out(addr, &path)?;
    Ok(path.len() as u64)
}

/// chdir(2).
pub(crate) fn chdir(cx: &mut Context, path: u64) -> SysResult {
    let place = directory_at(cx, path)?;
    cx.process.fs.enter(place).map(|()| 0)
}

/// chroot(2).
pub(crate) fn chroot(cx: &mut Context, path: u64) -> SysResult {
    let place = directory_at(cx, path)?;
    cx.process.fs.change_root(place).map(|()| 0)
}

fn directory_at(cx: &Context, path: u64) -> Result<Place> {
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    files.find(&files.start(at::FDCWD, &path)?, &path, Last::Follow)
}

/// fchdir(2).
pub(crate) fn fchdir(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    let place = file.place().cloned().ok_or(Errno::ENOTDIR)?;
    cx.process.fs.enter(place).map(|()| 0)
}
