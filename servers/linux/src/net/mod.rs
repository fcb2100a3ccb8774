//! Sockets: what all families share, and the registry of those with names.
//!
//! A [`Socket`] is one endpoint of a family: those of [`inet`] go to the `net` server over byte rings, [`unix`] stays in the front end,
//! [`netlink`] answers questions about interfaces. [`SocketFile`] makes a file of any of them; [`calls`] and
//! [`message`] are the system calls, [`options`] what getsockopt(2) and setsockopt(2) remember.

pub(crate) mod address;
pub(crate) mod calls;
mod inet;
pub(crate) mod message;
pub(crate) mod netlink;
pub(crate) mod options;
pub(crate) mod unix;

pub(crate) use netlink::interface_table;

use crate::context::Context;
use crate::fs::description::{File, OpenFile, Patience};
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::remote::{Client, Remote};
use crate::user;
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;
use linux_abi::file::Events;
use linux_abi::terminal::ioctl as request;
use options::Options;
use protocol::net::Net;
use spin::Mutex;

/// The network server and the names of local sockets.
pub(crate) struct Sockets {
    line: Option<inet::Line>,
    /// Bound local sockets.
    pub(super) local: unix::Registry,
}

impl Sockets {
    /// With the network server, if there is one.
    pub(crate) fn new(net: Option<Client>) -> Self {
        Self { line: net.map(|client| inet::Line::new(Remote::new(client))), local: unix::Registry::default() }
    }

    /// The network server. Errors: `EAFNOSUPPORT` (the VM has no network).
    pub(crate) fn net(&self) -> Result<&Remote<Net>> {
        self.line().map(inet::Line::remote)
    }

    /// The way to it. Errors: `EAFNOSUPPORT`.
    fn line(&self) -> Result<&inet::Line> {
        self.line.as_ref().ok_or(Errno::EAFNOSUPPORT)
    }
}

/// Family, type and protocol, as socket(2) got them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// `AF_*`.
    pub family: u16,
    /// `SOCK_*` without flags.
    pub kind: u32,
    /// `IPPROTO_*`.
    pub protocol: i32,
}

/// What every socket has.
pub(crate) struct Common {
    /// Family, type, protocol.
    pub shape: Shape,
    /// Those who wait for its readiness.
    pub queue: WaitQueue,
    /// What was set.
    pub options: Options,
    /// Pending error for `SO_ERROR`.
    error: Mutex<Option<Errno>>,
}

impl Common {
    /// For a fresh socket.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, queue: WaitQueue::new(), options: Options::default(), error: Mutex::new(None) }
    }

    /// Leaves an error for the next call.
    pub(crate) fn fail(&self, errno: Errno) {
        *self.error.lock() = Some(errno);
    }

    /// Takes the pending error.
    pub(crate) fn take_error(&self) -> Option<Errno> {
        self.error.lock().take()
    }

    /// Whether an error is pending.
    pub(crate) fn has_error(&self) -> bool {
        self.error.lock().is_some()
    }
}

/// One send.
#[derive(Default)]
pub(crate) struct Sending<'a> {
    /// Does not wait.
    pub dont_wait: bool,
    /// Where to, as a socket address.
    pub to: Option<&'a [u8]>,
    /// Descriptions that travel along.
    pub rights: Vec<Arc<OpenFile>>,
}

/// One receive.
#[derive(Clone, Copy, Default)]
pub(crate) struct Receiving {
    /// Does not wait.
    pub dont_wait: bool,
    /// Takes nothing.
    pub peek: bool,
    /// Waits for all that was asked.
    pub wait_all: bool,
}

/// What a receive brought besides data.
#[derive(Default)]
pub(crate) struct Received {
    /// Bytes placed in the sink.
    pub len: usize,
    /// Length of the whole datagram.
    pub full_len: usize,
    /// From where, as a socket address.
    pub from: Vec<u8>,
    /// Descriptions that travelled along.
    pub rights: Vec<Arc<OpenFile>>,
}

impl Received {
    /// A part of a stream.
    pub(crate) fn part(len: usize) -> Self {
        Self { len, full_len: len, ..Self::default() }
    }
}

/// One endpoint of a family. Addresses are socket addresses as bytes.
pub(crate) trait Socket: Send + Sync + 'static {
    /// What every socket has.
    fn common(&self) -> &Common;
    /// bind(2).
    fn bind(&self, address: &[u8]) -> Result<()>;
    /// listen(2).
    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// accept(2).
    fn accept(&self, _cx: &Context, _patience: Patience) -> Result<Arc<dyn Socket>> {
        Err(Errno::EOPNOTSUPP)
    }
    /// connect(2).
    fn connect(&self, cx: &Context, patience: Patience, address: &[u8]) -> Result<()>;
    /// Sends as much as one call does.
    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize>;
    /// Receives as much as one call does.
    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received>;
    /// shutdown(2).
    fn shutdown(&self, read: bool, write: bool) -> Result<()>;
    /// getsockname(2).
    fn name(&self) -> Result<Vec<u8>>;
    /// getpeername(2).
    fn peer(&self) -> Result<Vec<u8>>;
    /// An option was set that the family obeys.
    fn option_set(&self, _level: i32, _option: i32, _value: &[u8]) -> Result<()> {
        Ok(())
    }
    /// Whether it listens (`SO_ACCEPTCONN`).
    fn listens(&self) -> bool {
        false
    }
    /// What it is ready for.
    fn ready(&self) -> Events;
    /// Bytes that can be read at once (`FIONREAD`).
    fn pending(&self) -> usize;
    /// Bytes that are not sent yet (`TIOCOUTQ`).
    fn unsent(&self) -> usize {
        0
    }
}

/// A socket as a file.
pub(crate) struct SocketFile {
    socket: Arc<dyn Socket>,
}

impl SocketFile {
    /// A file of `socket`.
    pub(crate) fn new(socket: Arc<dyn Socket>) -> Arc<Self> {
        Arc::new(Self { socket })
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }
}

impl File for SocketFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        let how = Receiving { dont_wait: patience == Patience::Never, ..Receiving::default() };
        Ok(self.socket.receive(cx, how, sink)?.len)
    }
    fn write(&self, cx: &Context, patience: Patience, source: &mut Source) -> Result<usize> {
        let how = Sending { dont_wait: patience == Patience::Never, ..Sending::default() };
        self.socket.send(cx, &how, source)
    }
    fn ready(&self) -> Events {
        self.socket.ready()
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.socket.common().queue)
    }
    fn ioctl(&self, cx: &mut Context, command: u32, argument: u64) -> Result<u64> {
        let count = match command {
            request::FIONREAD => self.socket.pending(),
            request::TIOCOUTQ => self.socket.unsent(),
            _ => return netlink::interface_ioctl(cx, command, argument),
        };
        user::write_struct::<u32>(argument, &(count as u32))?;
        Ok(0)
    }
}
