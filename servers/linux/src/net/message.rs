//! Messages: sendmsg, recvmsg and their many-at-once forms, control data (descriptors), flags.

use super::calls::{Held, read_address};
use super::{Received, Receiving, Sending};
use crate::context::{Context, SysResult};
use crate::fs::description::{OpenFile, Patience};
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::poll::deadline_of_timespec;
use crate::signal;
use crate::user;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::signal::number::SIGPIPE;
use linux_abi::socket::number as n;
use linux_abi::socket::{CmsgHdr, MmsgHdr, MsgHdr, Ucred};
use linux_abi::{Errno, Layout};

/// Most control data of one message.
const MOST_CONTROL: u64 = 20_480;
/// Most descriptors in one message (`SCM_MAX_FD`).
const MOST_RIGHTS: usize = 253;
/// Most messages of one call (`UIO_MAXIOV`).
const MOST_MESSAGES: u32 = 1024;

/// Sends, and sends SIGPIPE along with `EPIPE` unless told not to.
pub(super) fn send_from(cx: &Context, held: &Held, how: Sending, flags: u32, source: &mut Source) -> SysResult {
    if flags & n::MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let dont_wait = flags & n::MSG_DONTWAIT != 0 || held.patience() == Patience::Never;
    let socket = held.socket()?;
    let outcome = socket.send(cx, &Sending { dont_wait, ..how }, source);
    let stream = socket.common().shape.kind != n::SOCK_DGRAM;
    if outcome == Err(Errno::EPIPE) && stream && flags & n::MSG_NOSIGNAL == 0 {
        signal::send_self(cx, SIGPIPE);
    }
    outcome.map(|count| count as u64)
}

/// What a receive brought, and what to tell the program.
pub(super) struct Incoming {
    /// From where, and the descriptions that came along.
    pub received: Received,
    /// Result of the call.
    pub count: u64,
    /// `MSG_TRUNC` where the datagram was cut.
    pub flags: u32,
}

/// Receives with the flags of recv(2).
pub(super) fn receive_into(cx: &Context, held: &Held, flags: u32, sink: &mut Sink) -> Result<Incoming> {
    if flags & n::MSG_OOB != 0 {
        return Err(Errno::EINVAL);
    }
    let how = Receiving {
        dont_wait: flags & n::MSG_DONTWAIT != 0 || held.patience() == Patience::Never,
        peek: flags & n::MSG_PEEK != 0,
        wait_all: flags & n::MSG_WAITALL != 0,
    };
    let received = held.socket()?.receive(cx, how, sink)?;
    let cut = received.full_len > received.len;
    let count = if flags & n::MSG_TRUNC != 0 { received.full_len } else { received.len };
    Ok(Incoming { received, count: count as u64, flags: if cut { n::MSG_TRUNC } else { 0 } })
}

/// Descriptions named in the control data of a message. Errors: `EINVAL`, `EBADF`, `EFAULT`.
fn read_rights(cx: &Context, header: &MsgHdr) -> Result<Vec<Arc<OpenFile>>> {
    let mut rights = Vec::new();
    if header.control_len == 0 || header.control == 0 {
        return Ok(rights);
    }
    if header.control_len > MOST_CONTROL {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = alloc::vec![0; header.control_len as usize];
    user::copy_in(header.control, &mut bytes)?;
    let mut rest = &bytes[..];
    while rest.len() >= CmsgHdr::BYTES {
        let head = CmsgHdr::from_bytes(rest);
        let len = usize::try_from(head.len).ok().filter(|&len| len >= CmsgHdr::BYTES && len <= rest.len());
        let len = len.ok_or(Errno::EINVAL)?;
        let data = rest.get(CmsgHdr::BYTES..len).unwrap_or_default();
        if head.level == n::SOL_SOCKET && head.kind == n::SCM_RIGHTS {
            for fd in data.chunks_exact(4) {
                rights.push(cx.process.fs.table.get(i32::get(fd))?);
            }
        } else if head.level == n::SOL_SOCKET && head.kind != n::SCM_CREDENTIALS {
            return Err(Errno::EINVAL);
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    if rights.len() > MOST_RIGHTS { Err(Errno::EINVAL) } else { Ok(rights) }
}

fn send_message(cx: &Context, held: &Held, header: &MsgHdr, flags: u32) -> SysResult {
    let to =
        if header.name == 0 || header.name_len == 0 { None } else { Some(read_address(header.name, header.name_len)?) };
    let count = usize::try_from(header.iov_len).ok().filter(|&count| count <= 1024).ok_or(Errno::EMSGSIZE)?;
    let vectors = user::read_iovecs(header.iov, count)?;
    let how = Sending { to: to.as_deref(), rights: read_rights(cx, header)?, ..Sending::default() };
    send_from(cx, held, how, flags, &mut Source::vector(&vectors))
}

/// sendmsg(2).
pub(crate) fn sendmsg(cx: &mut Context, fd: i32, message: u64, flags: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let header: MsgHdr = user::read_struct(message)?;
    send_message(cx, &held, &header, flags)
}

/// sendmmsg(2).
pub(crate) fn sendmmsg(cx: &mut Context, fd: i32, messages: u64, count: u32, flags: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let mut sent = 0;
    for index in 0..u64::from(count.min(MOST_MESSAGES)) {
        let addr = messages + index * MmsgHdr::BYTES as u64;
        let outcome = user::read_struct::<MmsgHdr>(addr).and_then(|mut header| {
            header.len = send_message(cx, &held, &header.message, flags)? as u32;
            user::write_struct(addr, &header)
        });
        match outcome {
            Ok(()) => sent += 1,
            Err(errno) if sent == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// Puts received descriptions into the table; answers their numbers as bytes. What finds no place is closed.
fn install_rights(cx: &Context, rights: Vec<Arc<OpenFile>>, most: usize, close_on_exec: bool) -> Vec<u8> {
    let mut data = Vec::new();
    for file in rights.into_iter().take(most) {
        let Ok(fd) = cx.process.fs.install(file, close_on_exec) else { break };
        data.extend_from_slice(&fd.to_le_bytes());
    }
    data
}

/// Appends an item of control data; the padding behind it only as far as there is room.
fn append_item(out: &mut Vec<u8>, kind: i32, data: &[u8], room: usize) {
    let head = CmsgHdr { len: (CmsgHdr::BYTES + data.len()) as u64, level: n::SOL_SOCKET, kind };
    out.extend_from_slice(&head.to_bytes());
    out.extend_from_slice(data);
    let padded = out.len().next_multiple_of(8).min(room);
    out.resize(padded.max(out.len()), 0);
}

/// Writes the control data of a message: who sent it, if that was asked for, and the descriptions that came along.
///
/// Answers bytes used, and `MSG_CTRUNC` if something had no room.
fn write_control(
    cx: &Context,
    header: &MsgHdr,
    credentials: bool,
    rights: Vec<Arc<OpenFile>>,
    flags: u32,
) -> Result<(u64, u32)> {
    let room = if header.control == 0 { 0 } else { usize::try_from(header.control_len).unwrap_or(usize::MAX) };
    let mut out = Vec::new();
    let mut cut = false;
    if credentials {
        if room >= CmsgHdr::BYTES + Ucred::BYTES {
            append_item(&mut out, n::SCM_CREDENTIALS, &own_credentials().to_bytes(), room);
        } else {
            cut = true;
        }
    }
    if !rights.is_empty() {
        let (wanted, most) = (rights.len() * 4, room.saturating_sub(out.len() + CmsgHdr::BYTES) / 4);
        let data = install_rights(cx, rights, most, flags & n::MSG_CMSG_CLOEXEC != 0);
        cut |= data.len() < wanted;
        if !data.is_empty() {
            append_item(&mut out, n::SCM_RIGHTS, &data, room);
        }
    }
    user::copy_out(header.control, &out)?;
    Ok((out.len() as u64, if cut { n::MSG_CTRUNC } else { 0 }))
}

/// Who the program is: all local sockets are its own.
pub(super) fn own_credentials() -> Ucred {
    let [_, uid, _, _, gid, _] = crate::process::process().identity.ids();
    Ucred { pid: crate::thread::PID.cast_signed(), uid, gid }
}

fn receive_message(cx: &Context, held: &Held, header: &mut MsgHdr, flags: u32) -> SysResult {
    let count = usize::try_from(header.iov_len).ok().filter(|&count| count <= 1024).ok_or(Errno::EMSGSIZE)?;
    let vectors = user::read_iovecs(header.iov, count)?;
    let incoming = receive_into(cx, held, flags, &mut Sink::vector(&vectors))?;
    let from = &incoming.received.from;
    if header.name != 0 {
        let room = (header.name_len as usize).min(from.len());
        user::copy_out(header.name, from.get(..room).unwrap_or_default())?;
        header.name_len = from.len() as u32;
    }
    let common = held.socket()?.common();
    let credentials = common.shape.family == n::AF_UNIX && common.options.is_on(n::SOL_SOCKET, n::SO_PASSCRED);
    let (control_len, cut) = write_control(cx, header, credentials, incoming.received.rights, flags)?;
    header.control_len = control_len;
    header.flags = incoming.flags | cut | (flags & n::MSG_CMSG_CLOEXEC);
    Ok(incoming.count)
}

/// recvmsg(2).
pub(crate) fn recvmsg(cx: &mut Context, fd: i32, message: u64, flags: u32) -> SysResult {
    let held = Held::get(cx, fd)?;
    let mut header: MsgHdr = user::read_struct(message)?;
    let count = receive_message(cx, &held, &mut header, flags)?;
    user::write_struct(message, &header)?;
    Ok(count)
}

/// recvmmsg(2): the timeout is looked at between two messages, as in Linux.
pub(crate) fn recvmmsg(cx: &mut Context, fd: i32, messages: u64, count: u32, flags: u32, timeout: u64) -> SysResult {
    let held = Held::get(cx, fd)?;
    let deadline = deadline_of_timespec(timeout)?;
    let mut received = 0;
    for index in 0..u64::from(count.min(MOST_MESSAGES)) {
        let wait_for_one = received > 0 && flags & n::MSG_WAITFORONE != 0;
        let flags = flags & !n::MSG_WAITFORONE | if wait_for_one { n::MSG_DONTWAIT } else { 0 };
        let addr = messages + index * MmsgHdr::BYTES as u64;
        let outcome = user::read_struct::<MmsgHdr>(addr).and_then(|mut header| {
            header.len = receive_message(cx, &held, &mut header.message, flags)? as u32;
            user::write_struct(addr, &header)
        });
        match outcome {
            Ok(()) => received += 1,
            Err(errno) if received == 0 => return Err(errno),
            Err(_) => break,
        }
        if deadline.is_some_and(|deadline| microkernel::time::now_ns() >= deadline) {
            break;
        }
    }
    Ok(received)
}
