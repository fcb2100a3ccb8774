//! Descriptor calls: open, close, dup, fcntl, lseek, ioctl, and what makes data durable.

use crate::context::{Context, SysResult};
use crate::fs::description::OpenFile;
use crate::fs::node::Result;
use crate::fs::open;
use crate::fs::ram_file::{RamFile, seal};
use crate::pipe::PipeEnd;
use crate::user;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::file::{Flock, OpenFlags, OpenHow, at, fcntl as cmd};
use linux_abi::terminal::ioctl as request;
use linux_abi::{Errno, Layout};

/// open(2).
pub(crate) fn open(cx: &mut Context, path: u64, flags: u32, mode: u32) -> SysResult {
    openat(cx, at::FDCWD, path, flags, mode)
}

/// creat(2).
pub(crate) fn creat(cx: &mut Context, path: u64, mode: u32) -> SysResult {
    let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
    openat(cx, at::FDCWD, path, flags.bits(), mode)
}

/// openat(2). Unknown flags are ignored, as Linux does here.
pub(crate) fn openat(cx: &mut Context, dirfd: i32, path: u64, flags: u32, mode: u32) -> SysResult {
    open_flags(cx, dirfd, path, OpenFlags::from_bits_truncate(flags), mode)
}

/// openat2(2). Errors besides those of openat: `EINVAL` (unknown flags, `mode` without creation), `E2BIG`.
pub(crate) fn openat2(cx: &mut Context, dirfd: i32, path: u64, how: u64, size: u64) -> SysResult {
    if size < OpenHow::BYTES as u64 {
        return Err(Errno::EINVAL);
    }
    if size > OpenHow::BYTES as u64 {
        let extra = usize::try_from(size).ok().filter(|&size| size <= 4096).ok_or(Errno::E2BIG)? - OpenHow::BYTES;
        let mut bytes = alloc::vec![0; extra];
        user::copy_in(how + OpenHow::BYTES as u64, &mut bytes)?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(Errno::E2BIG);
        }
    }
    let how: OpenHow = user::read_struct(how)?;
    let flags = u32::try_from(how.flags).ok().and_then(OpenFlags::from_bits).ok_or(Errno::EINVAL)?;
    let creates = flags.intersects(OpenFlags::CREATE | OpenFlags::TMPFILE);
    if how.mode & !0o7777 != 0 || (how.mode != 0 && !creates) {
        return Err(Errno::EINVAL);
    }
    // Ways of confining the resolution are not offered; programs fall back to openat then.
    if how.resolve != 0 {
        return Err(if how.resolve & !0x3f != 0 { Errno::EINVAL } else { Errno::ENOSYS });
    }
    open_flags(cx, dirfd, path, flags, how.mode as u32)
}

fn open_flags(cx: &mut Context, dirfd: i32, path: u64, flags: OpenFlags, mode: u32) -> SysResult {
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let start = files.start(dirfd, &path)?;
    let file = open::open(files, &start, &path, flags, mode)?;
    Ok(files.install(file, flags.contains(OpenFlags::CLOEXEC))? as u64)
}

/// close(2).
pub(crate) fn close(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.remove(fd)?;
    let outcome = closed(cx, &file);
    drop(file);
    cx.process.fs.flush_closes();
    outcome.map(|()| 0)
}

/// What every closing of a descriptor does before its description may go.
fn closed(_cx: &mut Context, file: &Arc<OpenFile>) -> Result<()> {
    file.file().flush()
}

/// close_range(2).
pub(crate) fn close_range(cx: &mut Context, first: u32, last: u32, flags: u32) -> SysResult {
    const UNSHARE: u32 = 2;
    const CLOEXEC: u32 = 4;
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let numbers = cx.process.fs.table.numbers(first as usize, usize::MAX);
    for fd in numbers.into_iter().take_while(|&fd| fd <= last as usize).filter_map(|fd| i32::try_from(fd).ok()) {
        // Another thread may close it first; then there is nothing to do.
        if flags & CLOEXEC != 0 {
            let _ = cx.process.fs.table.set_close_on_exec(fd, true);
        } else {
            let _ = close(cx, fd);
        }
    }
    Ok(0)
}

/// dup(2).
pub(crate) fn dup(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    Ok(cx.process.fs.install(file, false)? as u64)
}

/// dup2(2).
pub(crate) fn dup2(cx: &mut Context, old: i32, new: i32) -> SysResult {
    if old == new {
        return cx.process.fs.table.get(old).map(|_| new as u64);
    }
    replace(cx, old, new, false)
}

/// dup3(2).
pub(crate) fn dup3(cx: &mut Context, old: i32, new: i32, flags: u32) -> SysResult {
    if flags & !OpenFlags::CLOEXEC.bits() != 0 || old == new {
        return Err(Errno::EINVAL);
    }
    replace(cx, old, new, flags != 0)
}

fn replace(cx: &mut Context, old: i32, new: i32, close_on_exec: bool) -> SysResult {
    let files = &cx.process.fs;
    let target = usize::try_from(new).ok().filter(|&fd| fd < files.limit()).ok_or(Errno::EBADF)?;
    let file = files.table.get(old)?;
    if let Some(before) = files.table.replace(target, file, close_on_exec) {
        // The error of the silent close is lost, as in Linux.
        let _ = closed(cx, &before);
        drop(before);
        cx.process.fs.flush_closes();
    }
    Ok(target as u64)
}

/// fcntl(2).
pub(crate) fn fcntl(cx: &mut Context, fd: i32, command: u32, argument: u64) -> SysResult {
    let files = &cx.process.fs;
    let file = files.table.get(fd)?;
    let path_only = file.flags().contains(OpenFlags::PATH);
    if path_only && !matches!(command, cmd::DUPFD | cmd::DUPFD_CLOEXEC | cmd::GETFD | cmd::SETFD | cmd::GETFL) {
        return Err(Errno::EBADF);
    }
    match command {
        cmd::DUPFD | cmd::DUPFD_CLOEXEC => {
            let least = usize::try_from(argument as u32).ok().filter(|&fd| fd < files.limit()).ok_or(Errno::EINVAL)?;
            Ok(files.table.insert(file, command == cmd::DUPFD_CLOEXEC, least, files.limit())? as u64)
        }
        cmd::GETFD => Ok(u64::from(files.table.close_on_exec(fd)?)),
        cmd::SETFD => files.table.set_close_on_exec(fd, argument & cmd::FD_CLOEXEC != 0).map(|()| 0),
        cmd::GETFL => Ok(u64::from((file.flags() | OpenFlags::LARGE_FILE).bits())),
        cmd::SETFL => {
            file.set_flags(OpenFlags::from_bits_retain(argument as u32));
            Ok(0)
        }
        cmd::GETLK | cmd::OFD_GETLK => get_lock(&file, argument),
        cmd::SETLK | cmd::SETLKW | cmd::OFD_SETLK | cmd::OFD_SETLKW => set_lock(&file, argument),
        cmd::GETPIPE_SZ => Ok(pipe_end(&file)?.pipe().capacity() as u64),
        cmd::SETPIPE_SZ => Ok(pipe_end(&file)?.pipe().set_capacity(argument)? as u64),
        cmd::GET_SEALS => Ok(u64::from(sealable(&file)?.contents()?.seals())),
        cmd::ADD_SEALS => add_seals(&file, argument as u32),
        cmd::SETOWN | cmd::SETSIG | cmd::SETLEASE => Ok(0),
        cmd::GETOWN | cmd::GETSIG => Ok(0),
        cmd::GETLEASE => Ok(cmd::UNLCK as u64),
        _ => Err(Errno::EINVAL),
    }
}

fn pipe_end(file: &OpenFile) -> Result<&PipeEnd> {
    file.is::<PipeEnd>().ok_or(Errno::EBADF)
}

fn sealable(file: &OpenFile) -> Result<&RamFile> {
    file.is::<RamFile>().ok_or(Errno::EINVAL)
}

fn add_seals(file: &OpenFile, seals: u32) -> SysResult {
    let ram = sealable(file)?;
    if file.writable().is_err() {
        return Err(Errno::EPERM);
    }
    if seals & !seal::ALL != 0 {
        return Err(Errno::EINVAL);
    }
    ram.contents()?.add_seals(seals).map(|()| 0)
}

/// Locks are always free: the one process of the VM never conflicts with itself.
fn get_lock(file: &OpenFile, argument: u64) -> SysResult {
    file.usable()?;
    let mut lock: Flock = user::read_struct(argument)?;
    check_lock(&lock)?;
    lock.kind = cmd::UNLCK;
    user::write_struct(argument, &lock)?;
    Ok(0)
}

fn set_lock(file: &OpenFile, argument: u64) -> SysResult {
    let lock: Flock = user::read_struct(argument)?;
    check_lock(&lock)?;
    match lock.kind {
        cmd::RDLCK => file.readable()?,
        cmd::WRLCK => file.writable()?,
        _ => {}
    }
    Ok(0)
}

fn check_lock(lock: &Flock) -> Result<()> {
    let known = matches!(lock.kind, cmd::RDLCK | cmd::WRLCK | cmd::UNLCK) && (0..=2).contains(&lock.whence);
    if known && (lock.whence != 0 || lock.start >= 0) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// flock(2): the one process of the VM never conflicts with itself, except through two descriptions of one file.
pub(crate) fn flock(cx: &mut Context, fd: i32, operation: u32) -> SysResult {
    const NONBLOCKING: u32 = 4;
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    if matches!(operation & !NONBLOCKING, 1 | 2 | 8) { Ok(0) } else { Err(Errno::EINVAL) }
}

/// lseek(2).
pub(crate) fn lseek(cx: &mut Context, fd: i32, offset: i64, whence: u32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    if whence > 4 {
        return Err(Errno::EINVAL);
    }
    let listing = file.is::<crate::fs::listing::Directory>().is_some();
    if !file.file().seekable() && !listing {
        return Err(Errno::ESPIPE);
    }
    file.with_position(|position| match seek_to(&file, position, offset, whence, listing) {
        Ok(target) => (target, Ok(target)),
        Err(errno) => (position, Err(errno)),
    })
}

fn seek_to(file: &OpenFile, position: u64, offset: i64, whence: u32, listing: bool) -> Result<u64> {
    let base = match whence {
        0 => 0,
        1 => position,
        2 if listing => i64::MAX as u64,
        2 => file.file().size()?,
        _ => {
            let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            return file.file().seek_extent(from, whence == 3);
        }
    };
    let target = i64::try_from(base).ok().and_then(|base| base.checked_add(offset)).ok_or(Errno::EOVERFLOW)?;
    u64::try_from(target).ok().filter(|&target| target <= file.file().max_position()).ok_or(Errno::EINVAL)
}

/// ioctl(2): what every descriptor has, then what its kind has.
pub(crate) fn ioctl(cx: &mut Context, fd: i32, command: u32, argument: u64) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    match command {
        request::FIOCLEX => cx.process.fs.table.set_close_on_exec(fd, true).map(|()| 0),
        request::FIONCLEX => cx.process.fs.table.set_close_on_exec(fd, false).map(|()| 0),
        request::FIONBIO => {
            file.set_nonblocking(user::read_struct::<u32>(argument)? != 0);
            Ok(0)
        }
        request::FIOASYNC => user::read_struct::<u32>(argument).map(|_| 0),
        request::FIONREAD if file.file().seekable() => {
            let left = file.file().size()?.saturating_sub(file.position());
            user::write_struct::<u32>(argument, &(u32::try_from(left).unwrap_or(i32::MAX as u32)))?;
            Ok(0)
        }
        _ => file.file().clone().ioctl(cx, command, argument),
    }
}

/// fsync(2).
pub(crate) fn fsync(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    file.file().sync(false).map(|()| 0)
}

/// fdatasync(2).
pub(crate) fn fdatasync(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    file.file().sync(true).map(|()| 0)
}

/// sync_file_range(2): writes the file's pages back.
pub(crate) fn sync_file_range(cx: &mut Context, fd: i32, offset: i64, len: i64, flags: u32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    if offset < 0 || len < 0 || offset.checked_add(len).is_none() || flags & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    if !file.file().seekable() {
        return Err(Errno::ESPIPE);
    }
    file.file().sync(true).map(|()| 0)
}

/// sync(2).
pub(crate) fn sync(cx: &mut Context) -> SysResult {
    // sync(2) has no way to tell; the inodes keep their errors for fsync(2).
    let _ = cx.process.fs.sync_all();
    Ok(0)
}

/// syncfs(2).
pub(crate) fn syncfs(cx: &mut Context, fd: i32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    match file.file().node() {
        Some(node) => node.volume().sync().map(|()| 0),
        None => Ok(0),
    }
}

/// ftruncate(2).
pub(crate) fn ftruncate(cx: &mut Context, fd: i32, size: i64) -> SysResult {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    file.writable().map_err(|_| Errno::EINVAL)?;
    file.file().truncate(size).map(|()| 0)
}

/// truncate(2).
pub(crate) fn truncate(cx: &mut Context, path: u64, size: i64) -> SysResult {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let path = user::read_path(path)?;
    let files = &cx.process.fs;
    let start = files.start(at::FDCWD, &path)?;
    let place = files.find(&start, &path, crate::fs::resolve::Last::Follow)?;
    match place.kind() {
        crate::fs::node::Kind::Directory => return Err(Errno::EISDIR),
        crate::fs::node::Kind::File => {}
        _ => return Err(Errno::EINVAL),
    }
    let file = open::open_place(&place, OpenFlags::WRITE_ONLY)?;
    file.file().truncate(size).map(|()| 0)
}

/// fallocate(2).
pub(crate) fn fallocate(cx: &mut Context, fd: i32, mode: u32, offset: i64, len: i64) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    let (offset, len) = match (u64::try_from(offset), u64::try_from(len)) {
        (Ok(offset), Ok(len)) if len > 0 => (offset, len),
        _ => return Err(Errno::EINVAL),
    };
    file.writable()?;
    if offset.checked_add(len).is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(Errno::EFBIG);
    }
    if !file.file().seekable() {
        return Err(if file.is::<PipeEnd>().is_some() { Errno::ESPIPE } else { Errno::ENODEV });
    }
    file.file().allocate(mode, offset, len).map(|()| 0)
}

/// fadvise64(2): advice is heard and not needed.
pub(crate) fn fadvise64(cx: &mut Context, fd: i32, _offset: i64, _len: i64, advice: u32) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    if file.is::<PipeEnd>().is_some() {
        return Err(Errno::ESPIPE);
    }
    if advice > 5 { Err(Errno::EINVAL) } else { Ok(0) }
}

/// readahead(2).
pub(crate) fn readahead(cx: &mut Context, fd: i32, _offset: i64, _count: u64) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.readable()?;
    if file.file().seekable() { Ok(0) } else { Err(Errno::EINVAL) }
}

/// memfd_create(2).
pub(crate) fn memfd_create(cx: &mut Context, name: u64, flags: u32) -> SysResult {
    const CLOEXEC: u32 = 1;
    const ALLOW_SEALING: u32 = 2;
    const NOEXEC_SEAL: u32 = 8;
    const EXEC: u32 = 0x10;
    const NAME_MAX: usize = 249;
    if flags & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0
        || flags & (NOEXEC_SEAL | EXEC) == NOEXEC_SEAL | EXEC
    {
        return Err(Errno::EINVAL);
    }
    let name = user::read_cstr(name, NAME_MAX + 1)?.ok_or(Errno::EINVAL)?;
    let node = crate::fs::ram::RamVolume::file(1);
    let file = Arc::new(RamFile::new(node.clone()));
    let seals = match (flags & ALLOW_SEALING != 0, flags & NOEXEC_SEAL != 0) {
        (_, true) => seal::EXEC,
        (true, false) => 0,
        (false, false) => seal::SEAL,
    };
    file.contents()?.start_seals(seals);
    let mut label: Vec<u8> = b"/memfd:".to_vec();
    label.extend_from_slice(&name);
    label.extend_from_slice(b" (deleted)");
    let place = crate::fs::names::Dentry::anonymous(node, &label);
    let open = OpenFile::new(file, OpenFlags::READ_WRITE | OpenFlags::LARGE_FILE, Some(place));
    Ok(cx.process.fs.install(open, flags & CLOEXEC != 0)? as u64)
}

/// umask(2).
pub(crate) fn umask(cx: &mut Context, mask: u32) -> SysResult {
    Ok(u64::from(cx.process.fs.set_umask(mask)))
}
