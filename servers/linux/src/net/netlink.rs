//! What programs learn of the interfaces: route netlink dumps, the old ioctls, `/proc/net/dev`.

use super::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::context::Context;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::process::process;
use crate::user;
use crate::wait::{READABLE, WRITABLE, until};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::file::Events;
use linux_abi::socket::SockaddrNl;
use linux_abi::socket::number::{AF_INET, AF_INET6, AF_NETLINK};
use linux_abi::{Errno, Layout};
use protocol::net::{Address, Interface, InterfaceInfo};
use spin::Mutex;

/// Message types and flags (`linux/netlink.h`, `linux/rtnetlink.h`).
mod rt {
    pub(super) const ERROR: u16 = 2;
    pub(super) const DONE: u16 = 3;
    pub(super) const NEWLINK: u16 = 16;
    pub(super) const GETLINK: u16 = 18;
    pub(super) const NEWADDR: u16 = 20;
    pub(super) const GETADDR: u16 = 22;
    pub(super) const MULTI: u16 = 2;
    pub(super) const DUMP: u16 = 0x300;
}

/// Interface flags (`linux/if.h`).
mod iff {
    pub(super) const UP: u32 = 1;
    pub(super) const BROADCAST: u32 = 2;
    pub(super) const LOOPBACK: u32 = 8;
    pub(super) const RUNNING: u32 = 0x40;
    pub(super) const MULTICAST: u32 = 0x1000;
    pub(super) const LOWER_UP: u32 = 0x1_0000;
}

/// Bytes of `struct nlmsghdr`.
const HEAD: usize = 16;

/// All interfaces, by rising index.
fn interfaces() -> Vec<InterfaceInfo> {
    let Ok(net) = process().fs.sockets.net() else { return Vec::new() };
    (0..).map_while(|position| net.call(Interface { position }, []).ok()).collect()
}

fn name(info: &InterfaceInfo) -> String {
    if info.index == 1 { String::from("lo") } else { format!("eth{}", info.index - 2) }
}

fn flags(info: &InterfaceInfo) -> u32 {
    let up = if info.up { iff::UP | iff::RUNNING | iff::LOWER_UP } else { 0 };
    up | if info.index == 1 { iff::LOOPBACK } else { iff::BROADCAST | iff::MULTICAST }
}

/// Appends one attribute, padded to four bytes.
fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(4 + value.len() as u16).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// One message around `body`.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend_from_slice(&((HEAD + body.len()) as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&crate::thread::PID.to_le_bytes());
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// `struct ifinfomsg` with name, MTU and addresses.
fn link(info: &InterfaceInfo) -> Vec<u8> {
    const ADDRESS: u16 = 1;
    const BROADCAST: u16 = 2;
    const NAME: u16 = 3;
    const MTU: u16 = 4;
    const ARPHRD_ETHER: u16 = 1;
    const ARPHRD_LOOPBACK: u16 = 772;
    let loopback = info.index == 1;
    let mut out = alloc::vec![0, 0];
    out.extend_from_slice(&if loopback { ARPHRD_LOOPBACK } else { ARPHRD_ETHER }.to_le_bytes());
    out.extend_from_slice(&info.index.to_le_bytes());
    out.extend_from_slice(&flags(info).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let mut text = name(info).into_bytes();
    text.push(0);
    attribute(&mut out, NAME, &text);
    attribute(&mut out, MTU, &info.mtu.to_le_bytes());
    attribute(&mut out, ADDRESS, &info.mac);
    attribute(&mut out, BROADCAST, &if loopback { [0; 6] } else { [0xff; 6] });
    out
}

/// `struct ifaddrmsg` with address and label.
fn address(info: &InterfaceInfo) -> Option<Vec<u8>> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const LABEL: u16 = 3;
    const PERMANENT: u8 = 0x80;
    const SCOPE_HOST: u8 = 254;
    let (address, prefix) = info.address?;
    let family = if matches!(address, Address::V4(_)) { AF_INET } else { AF_INET6 };
    let scope = if info.index == 1 { SCOPE_HOST } else { 0 };
    let mut out = alloc::vec![family as u8, prefix, PERMANENT, scope];
    out.extend_from_slice(&info.index.to_le_bytes());
    let bytes: &[u8] = match &address {
        Address::V4(bytes) => bytes,
        Address::V6(bytes) => bytes,
    };
    attribute(&mut out, ADDRESS, bytes);
    attribute(&mut out, LOCAL, bytes);
    let mut text = name(info).into_bytes();
    text.push(0);
    attribute(&mut out, LABEL, &text);
    Some(out)
}

/// Answers to one request.
fn answer(request: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize| request.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let sequence = request.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (kind, flags) = (word(4), word(6));
    let bodies: Option<(u16, Vec<Vec<u8>>)> = match kind {
        rt::GETLINK => Some((rt::NEWLINK, interfaces().iter().map(link).collect())),
        rt::GETADDR => Some((rt::NEWADDR, interfaces().iter().filter_map(address).collect())),
        _ => None,
    };
    match bodies {
        Some((kind, bodies)) if flags & rt::DUMP != 0 => {
            let parts = bodies.iter().flat_map(|body| message(kind, rt::MULTI, sequence, body)).collect();
            alloc::vec![parts, message(rt::DONE, rt::MULTI, sequence, &[0; 4])]
        }
        _ => {
            let mut body = (-i32::from(Errno::EOPNOTSUPP.number())).to_le_bytes().to_vec();
            body.extend_from_slice(request.get(..HEAD).unwrap_or(&[0; HEAD]));
            alloc::vec![message(rt::ERROR, 0, sequence, &body)]
        }
    }
}

/// A route netlink socket that answers dumps of links and addresses.
pub(crate) struct Netlink {
    common: Common,
    answers: Mutex<VecDeque<Vec<u8>>>,
}

impl Netlink {
    /// A fresh socket.
    pub(crate) fn open(shape: Shape) -> Arc<dyn Socket> {
        Arc::new(Self { common: Common::new(shape), answers: Mutex::default() })
    }

    fn take(&self, peek: bool) -> Option<Vec<u8>> {
        let mut answers = self.answers.lock();
        if peek { answers.front().cloned() } else { answers.pop_front() }
    }
}

fn netlink_address(port: u32) -> Vec<u8> {
    SockaddrNl { family: AF_NETLINK, port, groups: 0 }.to_bytes().to_vec()
}

impl Socket for Netlink {
    fn common(&self) -> &Common {
        &self.common
    }
    fn bind(&self, address: &[u8]) -> Result<()> {
        if address.len() < SockaddrNl::BYTES { Err(Errno::EINVAL) } else { Ok(()) }
    }
    fn connect(&self, _cx: &Context, _patience: Patience, _address: &[u8]) -> Result<()> {
        Ok(())
    }
    fn send(&self, _cx: &Context, _how: &Sending, source: &mut Source) -> Result<usize> {
        let mut request = alloc::vec![0; source.remaining().min(4096)];
        let count = source.get(&mut request)?;
        request.truncate(count);
        if count < HEAD {
            return Err(Errno::EINVAL);
        }
        let answers = answer(&request);
        self.answers.lock().extend(answers);
        self.common.queue.wake(READABLE);
        Ok(count)
    }
    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let attempt = || self.take(how.peek).map(Ok);
        let answer = if how.dont_wait {
            attempt().unwrap_or(Err(Errno::EAGAIN))?
        } else {
            let deadline = self.common.options.receive_deadline();
            until(cx, &self.common.queue, READABLE, deadline, attempt)?.ok_or(Errno::EAGAIN)?
        };
        let len = sink.put(&answer)?;
        Ok(Received { len, full_len: answer.len(), from: netlink_address(0), rights: Vec::new() })
    }
    fn shutdown(&self, _read: bool, _write: bool) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    fn name(&self) -> Result<Vec<u8>> {
        Ok(netlink_address(crate::thread::PID))
    }
    fn peer(&self) -> Result<Vec<u8>> {
        Ok(netlink_address(0))
    }
    fn ready(&self) -> Events {
        if self.answers.lock().is_empty() { WRITABLE } else { READABLE | WRITABLE }
    }
    fn pending(&self) -> usize {
        self.answers.lock().front().map_or(0, Vec::len)
    }
}

/// `struct ifreq`: name, then 24 bytes of the answer.
const IFREQ: usize = 40;
const NAME_BYTES: usize = 16;

/// ioctls about one interface. Errors: `ENOTTY` (another request), `ENODEV`, `EADDRNOTAVAIL`.
pub(super) fn interface_ioctl(_cx: &Context, command: u32, argument: u64) -> Result<u64> {
    const GIFFLAGS: u32 = 0x8913;
    const GIFADDR: u32 = 0x8915;
    const GIFNETMASK: u32 = 0x891b;
    const GIFMTU: u32 = 0x8921;
    const GIFHWADDR: u32 = 0x8927;
    const GIFINDEX: u32 = 0x8933;
    if !matches!(command, GIFFLAGS | GIFADDR | GIFNETMASK | GIFMTU | GIFHWADDR | GIFINDEX) {
        return Err(Errno::ENOTTY);
    }
    let mut request = [0; IFREQ];
    user::copy_in(argument, &mut request)?;
    let len = request.iter().take(NAME_BYTES).position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
    let wanted = request.get(..len).unwrap_or_default();
    let info = interfaces().into_iter().find(|info| name(info).as_bytes() == wanted).ok_or(Errno::ENODEV)?;
    let v4 = match info.address {
        Some((Address::V4(bytes), prefix)) => Ok((bytes, prefix)),
        _ => Err(Errno::EADDRNOTAVAIL),
    };
    let sockaddr = |bytes: [u8; 4]| {
        let mut out = [0; 8];
        out[..2].copy_from_slice(&AF_INET.to_le_bytes());
        out[4..].copy_from_slice(&bytes);
        out
    };
    let value: [u8; 8] = match command {
        GIFFLAGS => u64::from(flags(&info) & 0xffff).to_le_bytes(),
        GIFADDR => sockaddr(v4?.0),
        GIFNETMASK => sockaddr((u32::MAX << (32 - u32::from(v4?.1.clamp(1, 32)))).to_be_bytes()),
        GIFMTU => u64::from(info.mtu).to_le_bytes(),
        GIFINDEX => u64::from(info.index).to_le_bytes(),
        _ => {
            let mut out = [1, 0, 0, 0, 0, 0, 0, 0];
            out[2..].copy_from_slice(&info.mac);
            out
        }
    };
    user::copy_out(argument + NAME_BYTES as u64, &value)?;
    Ok(0)
}

/// `/proc/net/dev`.
pub(crate) fn interface_table() -> Vec<u8> {
    let mut text = String::from(concat!(
        "Inter-|   Receive                                                |  Transmit\n",
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    ));
    for info in interfaces() {
        let [frames_in, frames_out, bytes_in, bytes_out] = info.counters;
        text.push_str(&format!(
            "{:>6}: {bytes_in} {frames_in} 0 0 0 0 0 0 {bytes_out} {frames_out} 0 0 0 0 0 0\n",
            name(&info)
        ));
    }
    text.into_bytes()
}
