//! What stands behind a socket number of the protocol.

use crate::conn::{Rings, Settings};
use crate::datagram::Datagram;
use crate::frame::Flow;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::net::Ipv4Addr;
use protocol::net::{Family, Result};
use rt::executor::Event;

/// A socket.
pub struct Socket {
    /// The task that it was given to.
    pub caller: u32,
    /// Its family.
    pub family: Family,
    /// What kind.
    pub kind: Kind,
}

/// What kind of socket.
pub enum Kind {
    /// TCP.
    Stream(Stream),
    /// UDP or ICMP echo.
    Datagram(Datagram),
}

/// A local address that a socket has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// On this address only.
    pub address: Option<Ipv4Addr>,
    /// The port.
    pub port: u16,
}

/// A TCP socket.
pub struct Stream {
    /// Its claim on a port; accepted connections have none.
    pub bound: Option<Bound>,
    /// What it is used for.
    pub role: Role,
    /// What its owner has set.
    pub settings: Settings,
}

/// What a TCP socket is used for.
pub enum Role {
    /// Nothing yet.
    Idle,
    /// Waits for connections.
    Listening(Listener),
    /// Connects, or is one end of a connection.
    Connected(Connected),
}

/// A listening socket's state.
pub struct Listener {
    /// Most connections that wait.
    pub backlog: u16,
    /// Established connections that nobody has accepted.
    pub ready: VecDeque<u32>,
    /// Handshakes under way.
    pub half_open: usize,
    /// Notified when a connection becomes ready, or the socket is closed.
    pub changed: Rc<Event>,
}

/// A connected socket's state.
pub struct Connected {
    /// Both ends.
    pub flow: Flow,
    /// The connection while it lives.
    pub conn: Option<u32>,
    /// How the connect ended.
    pub outcome: Option<Result<()>>,
    /// Notified when it has.
    pub changed: Rc<Event>,
}

impl Socket {
    /// The TCP part.
    pub fn stream_mut(&mut self) -> Option<&mut Stream> {
        match &mut self.kind {
            Kind::Stream(stream) => Some(stream),
            Kind::Datagram(_) => None,
        }
    }

    /// The datagram part.
    pub fn datagram_mut(&mut self) -> Option<&mut Datagram> {
        match &mut self.kind {
            Kind::Stream(_) => None,
            Kind::Datagram(datagram) => Some(datagram),
        }
    }
}

impl Stream {
    /// A socket that was just made.
    pub fn new() -> Self {
        Self { bound: None, role: Role::Idle, settings: Settings::default() }
    }

    /// The listening part.
    pub fn listener_mut(&mut self) -> Option<&mut Listener> {
        match &mut self.role {
            Role::Listening(listener) => Some(listener),
            _ => None,
        }
    }
}

impl Rings {
    /// Has both ends' bells say `tag`.
    pub fn set_tag(&self, tag: u32) {
        self.rx.set_tag(tag);
        self.tx.set_tag(tag);
    }
}
