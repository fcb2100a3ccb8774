//! Sockets of `AF_INET` and `AF_INET6`: bytes pass through rings to server `net`, which has the TCP/IP stack.
//!
//! [`stream`] is TCP with [`connect`] and [`listener`] beside it, [`datagram`] UDP and ICMP echo, [`wire`] the pair of rings, [`standing`]
//! the calls that stand. A socket is opened in `net` when it is first bound, connected or made to listen: until then options may
//! still decide how.

mod connect;
mod datagram;
mod listener;
mod settings;
mod standing;
mod stream;
mod wire;

use super::{Common, Shape, Socket};
use crate::context::Context;
use crate::errno::from_net;
use crate::fs::node::Result;
use crate::remote::Remote;
use crate::wait::{WaitQueue, until};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;
use linux_abi::Errno;
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use protocol::net::{self, Error, Family, Kind, Net};
use spin::Mutex;

/// The way to server `net`. Cheap to clone.
#[derive(Clone)]
pub(super) struct Line {
    remote: Remote<Net>,
    /// Standing calls under way: they must leave slots of the port free for others.
    standing: Arc<AtomicUsize>,
    /// Handshakes that wait for others to end.
    turns: Arc<Mutex<VecDeque<Turn>>>,
}

/// Starts a call.
type Turn = Box<dyn FnOnce(&Line) + Send>;

impl Line {
    /// Speaks over `remote`.
    pub(super) fn new(remote: Remote<Net>) -> Self {
        Self { remote, standing: Arc::default(), turns: Arc::default() }
    }

    /// The server.
    pub(super) fn remote(&self) -> &Remote<Net> {
        &self.remote
    }
}

/// A new socket. Errors: `EAFNOSUPPORT` (no network).
pub(super) fn create(shape: Shape) -> Result<Arc<dyn Socket>> {
    let line = crate::process::process().fs.sockets.line()?.clone();
    Ok(match shape.protocol {
        n::IPPROTO_TCP => stream::Stream::create(shape, line),
        n::IPPROTO_ICMP | n::IPPROTO_ICMPV6 => datagram::Datagram::create(shape, line, Kind::Echo),
        _ => datagram::Datagram::create(shape, line, Kind::Datagram),
    })
}

/// A socket in `net`; given back when dropped.
struct Handle {
    line: Line,
    socket: net::Socket,
    generation: u32,
    /// Reset the connection instead of ending it in order.
    abort: bool,
    /// What the server needs until it has heard of the closing.
    kept: Option<Arc<wire::Wire>>,
}

impl Handle {
    fn new(line: &Line, socket: net::Socket) -> Self {
        Self { line: line.clone(), socket, generation: line.remote.generation(), abort: false, kept: None }
    }

    /// Opens a socket. Errors: `EADDRNOTAVAIL` (IPv6 only: there is no such address), `ENOBUFS`, `ENETDOWN`.
    fn open(
        line: &Line,
        common: &Common,
        kind: Kind,
        rings: Option<(net::Rings, Vec<crate::remote::Attached>)>,
    ) -> Result<Self> {
        let only = common.options.is_on(n::IPPROTO_IPV6, n::IPV6_V6ONLY);
        let family = if common.shape.family == n::AF_INET6 { Family::V6 { only } } else { Family::V4 };
        let (rings, attached) = rings.map_or((None, Vec::new()), |(ids, attached)| (Some(ids), attached));
        match line.remote.call(net::Open { kind, family, rings }, attached) {
            Ok(socket) => Ok(Self::new(line, socket)),
            Err(Error::NotSupported) => Err(Errno::EADDRNOTAVAIL),
            Err(error) => Err(errno(error)),
        }
    }

    /// The socket's number. Errors: `ENETDOWN` (the server that knew it is gone).
    fn number(&self) -> Result<net::Socket> {
        if self.generation == self.line.remote.generation() { Ok(self.socket) } else { Err(Errno::ENETDOWN) }
    }

    /// What the stack knows. Errors: `ENETDOWN`.
    fn status(&self) -> Result<net::Status> {
        let socket = self.number()?;
        self.line.remote.call(net::GetStatus { socket }, Vec::new()).map_err(errno)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Ok(socket) = self.number() {
            let call = net::Close { socket, abort: self.abort };
            if !self.line.remote.send_off(call, self.kept.take()) {
                // All slots are in use, or the server is gone, which then answers at once.
                let _ = self.line.remote.call(call, []);
            }
        }
    }
}

/// Errors of the stack: without its server the network is down.
fn errno(error: Error) -> Errno {
    match error {
        Error::BadSocket | Error::PeerGone => Errno::ENETDOWN,
        error => from_net(error),
    }
}

/// Repeats `attempt` until it yields something or the deadline passes.
///
/// Errors: those of `attempt`; `EAGAIN` (who does not wait, or the deadline passed); `EINTR`, `ERESTARTSYS`.
fn patiently<T>(
    cx: &Context,
    dont_wait: bool,
    (queue, events): (&WaitQueue, Events),
    deadline: Option<u64>,
    mut attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    if dont_wait {
        return attempt().unwrap_or(Err(Errno::EAGAIN));
    }
    match until(cx, queue, events, deadline, attempt) {
        Ok(outcome) => outcome.ok_or(Errno::EAGAIN),
        // With a timeout the call cannot be started anew with what is left of it.
        Err(Errno::ERESTARTSYS) if deadline.is_some() => Err(Errno::EINTR),
        Err(errno) => Err(errno),
    }
}
