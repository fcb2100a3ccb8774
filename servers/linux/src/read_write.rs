//! read, write and their vector and positioned forms; moving data between two descriptors.

use crate::context::{Context, SysResult};
use crate::fs::description::{OpenFile, Patience};
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::signal;
use crate::user;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::file::OpenFlags;
use linux_abi::signal::number::SIGPIPE;

/// Bytes that pass through the front end at a time between two descriptors.
const STEP: usize = 16 * 1024;

/// A count for the program; a broken pipe also sends SIGPIPE.
fn written(cx: &Context, outcome: Result<usize>) -> SysResult {
    if outcome == Err(Errno::EPIPE) {
        signal::send_self(cx, SIGPIPE);
    }
    outcome.map(|count| count as u64)
}

/// read(2).
pub(crate) fn read(cx: &mut Context, fd: i32, addr: u64, len: usize) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.readable()?;
    let mut sink = Sink::user(addr, len)?;
    Ok(file.read(cx, &mut sink)? as u64)
}

/// write(2).
pub(crate) fn write(cx: &mut Context, fd: i32, addr: u64, len: usize) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.writable()?;
    let mut source = Source::user(addr, len)?;
    let outcome = file.write(cx, &mut source);
    written(cx, outcome)
}

/// pread64(2).
pub(crate) fn pread64(cx: &mut Context, fd: i32, addr: u64, len: usize, offset: i64) -> SysResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = positioned(cx, fd)?;
    file.readable()?;
    Ok(file.file().read_at(offset, &mut Sink::user(addr, len)?)? as u64)
}

/// pwrite64(2).
pub(crate) fn pwrite64(cx: &mut Context, fd: i32, addr: u64, len: usize, offset: i64) -> SysResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = positioned(cx, fd)?;
    file.writable()?;
    Ok(file.write_at(offset, &mut Source::user(addr, len)?)? as u64)
}

/// A descriptor with positions. Errors: `EBADF`, `ESPIPE`.
fn positioned(cx: &Context, fd: i32) -> Result<Arc<OpenFile>> {
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    let listing = file.is::<crate::fs::listing::Directory>().is_some();
    if listing {
        return Err(Errno::EISDIR);
    }
    if file.file().seekable() { Ok(file) } else { Err(Errno::ESPIPE) }
}

/// readv(2).
pub(crate) fn readv(cx: &mut Context, fd: i32, vectors: u64, count: usize) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.readable()?;
    let vectors = user::read_iovecs(vectors, count)?;
    Ok(file.read(cx, &mut Sink::vector(&vectors))? as u64)
}

/// writev(2).
pub(crate) fn writev(cx: &mut Context, fd: i32, vectors: u64, count: usize) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    file.writable()?;
    let vectors = user::read_iovecs(vectors, count)?;
    let outcome = file.write(cx, &mut Source::vector(&vectors));
    written(cx, outcome)
}

/// preadv(2).
pub(crate) fn preadv(cx: &mut Context, fd: i32, vectors: u64, count: usize, offset: i64) -> SysResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = positioned(cx, fd)?;
    file.readable()?;
    let vectors = user::read_iovecs(vectors, count)?;
    Ok(file.file().read_at(offset, &mut Sink::vector(&vectors))? as u64)
}

/// pwritev(2).
pub(crate) fn pwritev(cx: &mut Context, fd: i32, vectors: u64, count: usize, offset: i64) -> SysResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = positioned(cx, fd)?;
    file.writable()?;
    let vectors = user::read_iovecs(vectors, count)?;
    Ok(file.write_at(offset, &mut Source::vector(&vectors))? as u64)
}

/// Flags of preadv2(2) and pwritev2(2) (`RWF_*`, linux/fs.h).
mod rwf {
    pub(super) const HIPRI: u32 = 1;
    pub(super) const DSYNC: u32 = 2;
    pub(super) const SYNC: u32 = 4;
    pub(super) const NOWAIT: u32 = 8;
    pub(super) const APPEND: u32 = 16;
}

/// preadv2(2); offset -1 means the position.
pub(crate) fn preadv2(
    cx: &mut Context,
    fd: i32,
    vectors: u64,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> SysResult {
    if flags & !(rwf::HIPRI | rwf::DSYNC | rwf::SYNC | rwf::NOWAIT) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if offset != -1 {
        return preadv(cx, fd, vectors, count, offset);
    }
    if flags & rwf::NOWAIT == 0 {
        return readv(cx, fd, vectors, count);
    }
    let file = cx.process.fs.table.get(fd)?;
    file.readable()?;
    if file.file().seekable() {
        return Err(Errno::EOPNOTSUPP);
    }
    let vectors = user::read_iovecs(vectors, count)?;
    Ok(file.file().read(cx, Patience::Never, &mut Sink::vector(&vectors))? as u64)
}

/// pwritev2(2); offset -1 means the position.
pub(crate) fn pwritev2(
    cx: &mut Context,
    fd: i32,
    vectors: u64,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> SysResult {
    if flags & !(rwf::HIPRI | rwf::DSYNC | rwf::SYNC | rwf::APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let moved = if flags & rwf::APPEND != 0 {
        let file = positioned(cx, fd)?;
        file.writable()?;
        let vectors = user::read_iovecs(vectors, count)?;
        file.file().append(&mut Source::vector(&vectors))?.0 as u64
    } else if offset == -1 {
        writev(cx, fd, vectors, count)?
    } else {
        pwritev(cx, fd, vectors, count, offset)?
    };
    if flags & (rwf::DSYNC | rwf::SYNC) != 0 && moved > 0 {
        cx.process.fs.table.get(fd)?.file().sync(flags & rwf::SYNC == 0)?;
    }
    Ok(moved)
}

/// Where one side of a move between descriptors reads or writes.
#[derive(Clone, Copy)]
enum Side {
    /// At the description's position.
    Position,
    /// At the offset that the program keeps at this address.
    Kept(u64, u64),
}

fn side(addr: u64) -> Result<Side> {
    if addr == 0 {
        return Ok(Side::Position);
    }
    let offset = user::read_struct::<u64>(addr)?;
    if i64::try_from(offset).is_err() {
        return Err(Errno::EINVAL);
    }
    Ok(Side::Kept(addr, offset))
}

/// Moves up to `len` bytes; both offsets, where kept by the program, are written back.
fn transfer(cx: &Context, from: (&OpenFile, Side), to: (&OpenFile, Side), len: usize) -> Result<usize> {
    let mut buffer = alloc::vec![0; len.min(STEP)];
    let mut total = 0;
    let outcome = loop {
        let want = (len - total).min(buffer.len());
        if want == 0 {
            break Ok(());
        }
        let got = match read_step(cx, from, total as u64, &mut buffer[..want]) {
            Ok(0) => break Ok(()),
            Ok(got) => got,
            Err(errno) => break Err(errno),
        };
        let put = write_step(cx, to, total as u64, &buffer[..got]);
        let moved = *put.as_ref().unwrap_or(&0);
        if moved < got && matches!(from.1, Side::Position) && from.0.file().seekable() {
            // What was read and not taken is read again.
            from.0.with_position(|at| (at - (got - moved) as u64, ()));
        }
        total += moved;
        match put {
            Ok(moved) if moved == got && moved == want => {}
            Ok(_) => break Ok(()),
            Err(errno) => break Err(errno),
        }
        if !from.0.file().seekable() {
            break Ok(());
        }
    };
    for side in [from.1, to.1] {
        if let Side::Kept(addr, offset) = side {
            user::write_struct::<u64>(addr, &(offset + total as u64))?;
        }
    }
    crate::fs::transfer::partial(total, outcome)
}

fn read_step(cx: &Context, from: (&OpenFile, Side), done: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut sink = Sink::memory(buffer);
    match from.1 {
        Side::Position => from.0.read(cx, &mut sink),
        Side::Kept(_, offset) => from.0.file().read_at(offset + done, &mut sink),
    }
}

fn write_step(cx: &Context, to: (&OpenFile, Side), done: u64, bytes: &[u8]) -> Result<usize> {
    let mut source = Source::memory(bytes);
    match to.1 {
        // A stream may take a part at a time; the rest must not be lost.
        Side::Position => {
            while source.remaining() > 0 {
                match to.0.write(cx, &mut source) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(errno) if source.done() == 0 => return Err(errno),
                    Err(_) => break,
                }
            }
            Ok(source.done())
        }
        Side::Kept(_, offset) => to.0.file().write_at(offset + done, &mut source),
    }
}

/// sendfile(2).
pub(crate) fn sendfile(cx: &mut Context, out: i32, input: i32, offset: u64, count: usize) -> SysResult {
    let (from, to) = (cx.process.fs.table.get(input)?, cx.process.fs.table.get(out)?);
    from.readable()?;
    to.writable()?;
    if !from.file().seekable() || to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let len = count.min(linux_abi::file::RW_MAX);
    let moved = transfer(cx, (&from, side(offset)?), (&to, Side::Position), len);
    written(cx, moved)
}

/// splice(2): one side is a pipe.
pub(crate) fn splice(
    cx: &mut Context,
    input: i32,
    in_offset: u64,
    out: i32,
    out_offset: u64,
    len: usize,
    flags: u32,
) -> SysResult {
    if flags & !0xf != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (cx.process.fs.table.get(input)?, cx.process.fs.table.get(out)?);
    from.readable()?;
    to.writable()?;
    let pipe = |file: &OpenFile| file.is::<crate::pipe::PipeEnd>().is_some();
    if !pipe(&from) && !pipe(&to) {
        return Err(Errno::EINVAL);
    }
    for (file, offset) in [(&from, in_offset), (&to, out_offset)] {
        if offset != 0 && !file.file().seekable() {
            return Err(Errno::ESPIPE);
        }
    }
    let moved = transfer(cx, (&from, side(in_offset)?), (&to, side(out_offset)?), len.min(64 * 1024));
    written(cx, moved)
}

/// copy_file_range(2).
pub(crate) fn copy_file_range(
    cx: &mut Context,
    input: i32,
    in_offset: u64,
    out: i32,
    out_offset: u64,
    len: usize,
    flags: u32,
) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (cx.process.fs.table.get(input)?, cx.process.fs.table.get(out)?);
    from.readable()?;
    to.writable()?;
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    for file in [&from, &to] {
        if file.is::<crate::fs::listing::Directory>().is_some() {
            return Err(Errno::EISDIR);
        }
        if !file.file().seekable() {
            return Err(Errno::EINVAL);
        }
    }
    let len = len.min(linux_abi::file::RW_MAX);
    Ok(transfer(cx, (&from, side(in_offset)?), (&to, side(out_offset)?), len)? as u64)
}
