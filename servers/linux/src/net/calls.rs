//! Socket calls: socket, bind, listen, accept, connect, shutdown, names, options, and sends and receives of one buffer.

use super::inet;
use super::message::{Incoming, receive_into, send_from};
use super::netlink::Netlink;
use super::options;
use super::unix::UnixSocket;
use super::{Sending, Shape, Socket, SocketFile};
use crate::context::{Context, SysResult};
use crate::fs::description::{OpenFile, Patience};
use crate::fs::node::{Kind, Result};
use crate::fs::special::anonymous;
use crate::fs::transfer::{Sink, Source};
use crate::user;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::OpenFlags;
use linux_abi::socket::number as n;

/// Largest socket address (`sizeof(struct sockaddr_storage)`).
const MOST_ADDRESS: usize = 128;
/// Type part of the second argument of socket(2).
const TYPE_MASK: u32 = 0xf;
/// Numbers of types and families end below these (`SOCK_MAX`, `AF_MAX`).
const TYPES: u32 = 11;
const FAMILIES: u16 = 46;

/// A descriptor that is a socket.
pub(super) struct Held(Arc<OpenFile>);

impl Held {
    /// Errors: `EBADF`, `ENOTSOCK`.
    pub(super) fn get(cx: &Context, fd: i32) -> Result<Self> {
        let file = cx.process.fs.table.get(fd)?;
        file.usable()?;
        if file.is::<SocketFile>().is_some() { Ok(Self(file)) } else { Err(Errno::ENOTSOCK) }
    }

    /// The socket.
    pub(super) fn socket(&self) -> Result<&Arc<dyn Socket>> {
        self.0.is::<SocketFile>().map(SocketFile::socket).ok_or(Errno::ENOTSOCK)
    }

    /// Whether calls wait.
    pub(super) fn patience(&self) -> Patience {
        self.0.patience()
    }
}

/// A socket address of the program. Errors: `EINVAL`, `EFAULT`.
pub(super) fn read_address(addr: u64, len: u32) -> Result<Vec<u8>> {
    let len = usize::try_from(len.cast_signed()).ok().filter(|&len| len <= MOST_ADDRESS).ok_or(Errno::EINVAL)?;
    let mut bytes = alloc::vec![0; len];
    user::copy_in(addr, &mut bytes)?;
    Ok(bytes)
}

/// Writes a socket address, cut to the room that `len_addr` tells, and its whole length there. Null addresses are left alone.
fn write_address(bytes: &[u8], addr: u64, len_addr: u64) -> Result<()> {
    if addr == 0 {
        return Ok(());
    }
    let room = user::read_struct::<i32>(len_addr)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    user::copy_out(addr, bytes.get(..room.min(bytes.len())).unwrap_or_default())?;
    user::write_struct::<u32>(len_addr, &(bytes.len() as u32))
}

/// Flags in the type argument: what stays with the description, and close-on-exec. Errors: `EINVAL`.
fn type_flags(kind: u32) -> Result<(OpenFlags, bool)> {
    let flags = kind & !TYPE_MASK;
    if flags & !(n::SOCK_NONBLOCK | n::SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut status = OpenFlags::READ_WRITE;
    status.set(OpenFlags::NONBLOCK, flags & n::SOCK_NONBLOCK != 0);
    Ok((status, flags & n::SOCK_CLOEXEC != 0))
}

fn install(cx: &Context, socket: Arc<dyn Socket>, status: OpenFlags, close_on_exec: bool) -> SysResult {
    let open = anonymous(SocketFile::new(socket), Kind::Socket, "socket", status);
    Ok(cx.process.fs.install(open, close_on_exec)? as u64)
}

/// Makes a socket of a family. Errors: `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`, `EPERM`, `ENOBUFS`.
fn create(family: u32, kind: u32, protocol: i32) -> Result<Arc<dyn Socket>> {
    let family = u16::try_from(family).map_err(|_| Errno::EAFNOSUPPORT)?;
    if kind >= TYPES {
        return Err(if family < FAMILIES { Errno::EINVAL } else { Errno::EAFNOSUPPORT });
    }
    let shape = |protocol| Shape { family, kind, protocol };
    match (family, kind) {
        (n::AF_UNIX, n::SOCK_STREAM | n::SOCK_DGRAM | n::SOCK_SEQPACKET) => match protocol {
            0 | 1 => Ok(UnixSocket::open(shape(0))),
            _ => Err(Errno::EPROTONOSUPPORT),
        },
        (n::AF_INET | n::AF_INET6, n::SOCK_STREAM) => match protocol {
            0 | n::IPPROTO_TCP => inet::create(shape(n::IPPROTO_TCP)),
            _ => Err(Errno::EPROTONOSUPPORT),
        },
        (n::AF_INET | n::AF_INET6, n::SOCK_DGRAM) => match protocol {
            0 | n::IPPROTO_UDP => inet::create(shape(n::IPPROTO_UDP)),
            n::IPPROTO_ICMP if family == n::AF_INET => inet::create(shape(protocol)),
            n::IPPROTO_ICMPV6 if family == n::AF_INET6 => inet::create(shape(protocol)),
            _ => Err(Errno::EPROTONOSUPPORT),
        },
        (n::AF_INET | n::AF_INET6, n::SOCK_RAW) => Err(Errno::EPERM),
        (n::AF_NETLINK, n::SOCK_RAW | n::SOCK_DGRAM) if protocol == 0 => Ok(Netlink::open(shape(0))),
        (n::AF_NETLINK, n::SOCK_RAW | n::SOCK_DGRAM) => Err(Errno::EPROTONOSUPPORT),
        (n::AF_UNIX | n::AF_INET | n::AF_INET6 | n::AF_NETLINK, _) => Err(Errno::ESOCKTNOSUPPORT),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// socket(2).
pub(crate) fn socket(cx: &mut Context, family: u32, kind: u32, protocol: i32) -> SysResult {
    let (status, close_on_exec) = type_flags(kind)?;
    install(cx, create(family, kind & TYPE_MASK, protocol)?, status, close_on_exec)
}

/// socketpair(2).
pub(crate) fn socketpair(cx: &mut Context, family: u32, kind: u32, protocol: i32, out: u64) -> SysResult {
    let (status, close_on_exec) = type_flags(kind)?;
    if family != u32::from(n::AF_UNIX) {
        return Err(if matches!(family, 2 | 10) { Errno::EOPNOTSUPP } else { Errno::EAFNOSUPPORT });
    }
    let kind = kind & TYPE_MASK;
    if !matches!(kind, n::SOCK_STREAM | n::SOCK_DGRAM | n::SOCK_SEQPACKET) {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if !matches!(protocol, 0 | 1) {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let (one, other) = UnixSocket::pair(Shape { family: n::AF_UNIX, kind, protocol: 0 });
    let first = install(cx, one, status, close_on_exec)? as i32;
    let table = &cx.process.fs.table;
    let second = match install(cx, other, status, close_on_exec) {
        Ok(fd) => fd as i32,
        Err(errno) => {
            drop(table.remove(first));
            return Err(errno);
        }
    };
    if let Err(errno) = user::write_struct(out, &[first, second]) {
        drop((table.remove(first), table.remove(second)));
        return Err(errno);
    }
    Ok(0)
}

/// bind(2).
pub(crate) fn bind(cx: &mut Context, fd: i32, addr: u64, len: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    held.socket()?.bind(&read_address(addr, len)?).map(|()| 0)
}

/// listen(2).
pub(crate) fn listen(cx: &mut Context, fd: i32, backlog: i32) -> SysResult {
    let held = Held::get(cx, fd)?;
    // A negative backlog counts as the most there is.
    held.socket()?.listen(u32::try_from(backlog).unwrap_or(4096)).map(|()| 0)
}

/// accept4(2).
pub(crate) fn accept4(cx: &mut Context, fd: i32, addr: u64, len_addr: u64, flags: u32) -> SysResult {
    if flags & !(n::SOCK_NONBLOCK | n::SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let held = Held::get(cx, fd)?;
    let (status, close_on_exec) = type_flags(flags)?;
    let accepted = held.socket()?.accept(cx, held.patience())?;
    let peer = accepted.peer().unwrap_or_default();
    let fd = install(cx, accepted, status, close_on_exec)?;
    if let Err(errno) = write_address(&peer, addr, len_addr) {
        drop(cx.process.fs.table.remove(fd as i32));
        return Err(errno);
    }
    Ok(fd)
}

/// accept(2).
pub(crate) fn accept(cx: &mut Context, fd: i32, addr: u64, len_addr: u64) -> SysResult {
    accept4(cx, fd, addr, len_addr, 0)
}

/// connect(2).
pub(crate) fn connect(cx: &mut Context, fd: i32, addr: u64, len: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let address = read_address(addr, len)?;
    held.socket()?.connect(cx, held.patience(), &address).map(|()| 0)
}

/// shutdown(2).
pub(crate) fn shutdown(cx: &mut Context, fd: i32, how: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let (read, write) = match how {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    held.socket()?.shutdown(read, write).map(|()| 0)
}

/// getsockname(2).
pub(crate) fn getsockname(cx: &mut Context, fd: i32, addr: u64, len_addr: u64) -> SysResult {
    let held = Held::get(cx, fd)?;
    write_address(&held.socket()?.name()?, addr, len_addr).map(|()| 0)
}

/// getpeername(2).
pub(crate) fn getpeername(cx: &mut Context, fd: i32, addr: u64, len_addr: u64) -> SysResult {
    let held = Held::get(cx, fd)?;
    write_address(&held.socket()?.peer()?, addr, len_addr).map(|()| 0)
}

/// setsockopt(2).
pub(crate) fn setsockopt(cx: &mut Context, fd: i32, level: i32, option: i32, addr: u64, len: i32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?.min(256);
    let mut value = alloc::vec![0; len];
    user::copy_in(addr, &mut value)?;
    options::set(&**held.socket()?, level, option, &value).map(|()| 0)
}

/// getsockopt(2).
pub(crate) fn getsockopt(cx: &mut Context, fd: i32, level: i32, option: i32, addr: u64, len_addr: u64) -> SysResult {
    let held = Held::get(cx, fd)?;
    let room = usize::try_from(user::read_struct::<i32>(len_addr)?).map_err(|_| Errno::EINVAL)?;
    let value = options::get(&**held.socket()?, level, option)?;
    let count = room.min(value.len());
    user::copy_out(addr, value.get(..count).unwrap_or_default())?;
    user::write_struct::<u32>(len_addr, &(count as u32))?;
    Ok(0)
}

/// sendto(2).
pub(crate) fn sendto(cx: &mut Context, fd: i32, buffer: u64, len: usize, flags: u32, addr: u64, addr_len: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let to = if addr == 0 { None } else { Some(read_address(addr, addr_len)?) };
    let mut source = Source::user(buffer, len)?;
    send_from(cx, &held, Sending { to: to.as_deref(), ..Sending::default() }, flags, &mut source)
}

/// recvfrom(2).
pub(crate) fn recvfrom(cx: &mut Context, fd: i32, buffer: u64, len: usize, flags: u32, addr: u64, len_addr: u64) -> SysResult {
    let held = Held::get(cx, fd)?;
    let mut sink = Sink::user(buffer, len)?;
    let Incoming { received, count, .. } = receive_into(cx, &held, flags, &mut sink)?;
    if !received.from.is_empty() {
        write_address(&received.from, addr, len_addr)?;
    } else if addr != 0 {
        user::write_struct::<u32>(len_addr, &0)?;
    }
    Ok(count)
}
