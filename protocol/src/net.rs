//! `net`: sockets of one network stack. Served by `net`; called by `linux`.
//!
//! **Handles.** A [`Socket`] lives from `Open` or `Accept` to `Close`. Handles are per caller.
//!
//! **Data** never travels in messages: each connected or datagram socket has two byte rings that the front end
//! makes and attaches to the call that needs them (`rx`: net produces; `tx`: linux produces). A stream ring
//! carries plain bytes. A datagram ring carries records: [`datagram::Head`], then the payload; a record that
//! does not fit is dropped on `rx`. Closing a ring's producer end means end of stream; a ring closed with a
//! non-zero code carries a [`Fault`] (reset, timeout...), which the front end turns into the socket's error.
//! Each side rings the other's bell when it has put something into an empty ring, or made room in a full one.
//!
//! **Waiting.** `Accept` and `Connect` are standing requests: they are answered when it happened. All others
//! are answered at once. Full queue: the sender waits.

use crate::{Failure, LeaseId};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// One socket of the stack, as handed out to one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, MaxSize)]
pub struct Socket(pub u32);

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// The handle was never given out, is closed, or is of another kind.
    BadSocket,
    /// The address is in use (EADDRINUSE).
    AddressInUse,
    /// The address is not ours (EADDRNOTAVAIL).
    AddressNotAvailable,
    /// The family or protocol is not there (EAFNOSUPPORT, EPROTONOSUPPORT).
    NotSupported,
    /// Not in a state for this call (EINVAL).
    Invalid,
    /// Already connected (EISCONN).
    Connected,
    /// Not connected (ENOTCONN).
    NotConnected,
    /// Refused by the peer (ECONNREFUSED).
    Refused,
    /// Reset by the peer (ECONNRESET).
    Reset,
    /// Given up before it was established or by the other side of the API (ECONNABORTED).
    Aborted,
    /// No answer (ETIMEDOUT).
    TimedOut,
    /// No route (ENETUNREACH).
    NetUnreachable,
    /// The neighbour does not answer (EHOSTUNREACH).
    HostUnreachable,
    /// No interface is up (ENETDOWN).
    NetDown,
    /// Out of memory or sockets (ENOBUFS).
    NoBuffers,
    /// A ring is missing or of the wrong direction.
    BadLease,
    /// The server died with this call in hand.
    PeerGone,
    /// The message could not be decoded.
    Malformed,
}

impl Failure for Error {
    const PEER_GONE: Self = Self::PeerGone;
    const MALFORMED: Self = Self::Malformed;
}

/// Shorthand for replies of this protocol.
pub type Result<T> = core::result::Result<T, Error>;

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, MaxSize)]
pub enum Address {
    /// Bytes in network order.
    V4([u8; 4]),
    /// Bytes in network order.
    V6([u8; 16]),
}

/// Address and port; an unspecified address or port 0 lets the stack choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, MaxSize)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// The port, host order; for raw sockets the IP protocol.
    pub port: u16,
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6, and IPv4 as mapped addresses unless `only`.
    V6 {
        /// IPV6_V6ONLY.
        only: bool,
    },
}

/// What kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
    /// ICMP echo (the "ping socket").
    Echo,
}

/// Why a ring was closed with an error: the code of the ring's closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// No error: end of stream.
    None = 0,
    /// ECONNRESET.
    Reset = 1,
    /// ETIMEDOUT.
    TimedOut = 2,
    /// ECONNREFUSED (also an ICMP answer to a connected datagram socket).
    Refused = 3,
    /// EHOSTUNREACH.
    HostUnreachable = 4,
    /// ENETUNREACH.
    NetUnreachable = 5,
    /// ECONNABORTED.
    Aborted = 6,
}

impl Fault {
    /// The fault of a ring's closing code; unknown codes count as a reset.
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::None,
            2 => Self::TimedOut,
            3 => Self::Refused,
            4 => Self::HostUnreachable,
            5 => Self::NetUnreachable,
            6 => Self::Aborted,
            _ => Self::Reset,
        }
    }
}

/// The two rings of a socket, among the attachments of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Rings {
    /// Filled by `net`.
    pub rx: LeaseId,
    /// Filled by the caller.
    pub tx: LeaseId,
}

/// Makes a socket. `rings` are needed for datagram and echo sockets and not allowed for streams.
///
/// Errors: `NotSupported`, `NoBuffers`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Open {
    /// What kind.
    pub kind: Kind,
    /// Which family.
    pub family: Family,
    /// Data rings of a datagram or echo socket.
    pub rings: Option<Rings>,
}

/// Gives a socket back. A stream sends what is in its ring, then FIN, in the background; with `abort` it sends RST.
///
/// Errors: `BadSocket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Close {
    /// The socket.
    pub socket: Socket,
    /// Drop unsent data and reset (SO_LINGER with 0).
    pub abort: bool,
}

/// Sets the local address. Reply: the address in force. Errors: `BadSocket`, `AddressInUse`, `AddressNotAvailable`, `Invalid` (bound already).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Bind {
    /// The socket.
    pub socket: Socket,
    /// What to bind to.
    pub local: Endpoint,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
}

/// Makes a stream socket listen; again with another `backlog` changes it. Reply: the local address in force
/// (an unbound socket gets a port).
///
/// Up to `backlog` established connections wait for `Accept`; further SYNs are dropped, as Linux does.
/// Errors: `BadSocket`, `AddressInUse`, `Invalid`, `Connected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Listen {
    /// The socket.
    pub socket: Socket,
    /// Most connections that wait, 1..=4096.
    pub backlog: u16,
}

/// Waits for the next connection of a listening socket and binds it to the rings.
///
/// Errors: `BadSocket`, `Invalid` (not listening, or closed meanwhile), `NoBuffers`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Accept {
    /// The listening socket.
    pub socket: Socket,
    /// Rings of the new connection.
    pub rings: Rings,
}

/// Reply to [`Accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Accepted {
    /// The connected socket.
    pub socket: Socket,
    /// Our end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

/// Connects. A stream waits until it is established or failed; a datagram socket fixes its peer at once
/// (an unspecified address dissolves that). Reply: the local address.
///
/// Errors: `BadSocket`, `Connected`, `Invalid`, `Refused`, `TimedOut`, `NetUnreachable`, `HostUnreachable`,
/// `AddressNotAvailable` (no free port), `NoBuffers`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Connect {
    /// The socket.
    pub socket: Socket,
    /// Where to.
    pub remote: Endpoint,
    /// Rings of a stream; datagram sockets have theirs already.
    pub rings: Option<Rings>,
}

/// Ends directions of a connection. `read` discards what still arrives; `write` sends FIN behind what is in the ring.
///
/// Errors: `BadSocket`, `NotConnected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Shutdown {
    /// The socket.
    pub socket: Socket,
    /// SHUT_RD.
    pub read: bool,
    /// SHUT_WR.
    pub write: bool,
}

/// A socket option that the stack itself obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Setting {
    /// TCP_NODELAY.
    NoDelay(bool),
    /// SO_KEEPALIVE with TCP_KEEPIDLE and TCP_KEEPINTVL in seconds; `None` is off.
    KeepAlive(Option<KeepAlive>),
    /// IP_TTL, 1..=255.
    HopLimit(u8),
    /// SO_BROADCAST.
    Broadcast(bool),
    /// TCP_USER_TIMEOUT in milliseconds; 0 is the default.
    UserTimeout(u32),
    /// IP_ADD_MEMBERSHIP.
    JoinGroup(Address),
    /// IP_DROP_MEMBERSHIP.
    LeaveGroup(Address),
}

/// Keep-alive times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct KeepAlive {
    /// Silence before the first probe, in seconds.
    pub idle_seconds: u32,
    /// Between probes, in seconds.
    pub interval_seconds: u32,
}

/// Changes a setting. Errors: `BadSocket`, `Invalid`, `NotSupported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Set {
    /// The socket.
    pub socket: Socket,
    /// The new value.
    pub setting: Setting,
}

/// What the stack knows of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Status {
    /// Our end, once bound.
    pub local: Option<Endpoint>,
    /// The other end, once connected.
    pub remote: Option<Endpoint>,
    /// Linux's TCP state number (`TCP_ESTABLISHED` = 1 ... `TCP_CLOSING` = 11); 7 (closed) for datagrams.
    pub tcp_state: u8,
    /// Bytes sent but not acknowledged, and those not sent yet, behind the ring.
    pub unacked_bytes: u32,
}

/// Asks for the state of a socket. Errors: `BadSocket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct GetStatus {
    /// The socket.
    pub socket: Socket,
}

/// One network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct InterfaceInfo {
    /// 1 is `lo`, 2 is `eth0`, and so on.
    pub index: u32,
    /// Ethernet address; zeros for `lo`.
    pub mac: [u8; 6],
    /// MTU in bytes.
    pub mtu: u32,
    /// Address and prefix length, once configured.
    pub address: Option<(Address, u8)>,
    /// Default gateway.
    pub gateway: Option<Address>,
    /// Whether the link is up.
    pub up: bool,
    /// Name servers that DHCP named.
    pub dns: [Option<Address>; 3],
    /// Frames in, frames out, bytes in, bytes out, since the stack started.
    pub counters: [u64; 4],
}

/// Asks for the interface with the `position`-th lowest index. Errors: `Invalid` (behind the last).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Interface {
    /// Counted from 0.
    pub position: u32,
}

/// Answered when the interface has an address, or `timeout_ms` passed (then `TimedOut`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct WaitConfigured {
    /// Milliseconds.
    pub timeout_ms: u32,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    Open(Open),
    Close(Close),
    Bind(Bind),
    Listen(Listen),
    Accept(Accept),
    Connect(Connect),
    Shutdown(Shutdown),
    Set(Set),
    GetStatus(GetStatus),
    Interface(Interface),
    WaitConfigured(WaitConfigured),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! net_calls {
    ($apply:path) => {
        $apply! { 'a Net net "net" Request {
            Open(Open) open<> -> Result<Socket>, Ambiguous;
            Close(Close) close<> -> Result<()>, Idempotent;
            Bind(Bind) bind<> -> Result<Endpoint>, Ambiguous;
            Listen(Listen) listen<> -> Result<Endpoint>, Ambiguous;
            Accept(Accept) accept<> -> Result<Accepted>, Ambiguous;
            Connect(Connect) connect<> -> Result<Endpoint>, Ambiguous;
            Shutdown(Shutdown) shutdown<> -> Result<()>, Idempotent;
            Set(Set) set<> -> Result<()>, Idempotent;
            GetStatus(GetStatus) get_status<> -> Result<Status>, Idempotent;
            Interface(Interface) interface<> -> Result<InterfaceInfo>, Idempotent;
            WaitConfigured(WaitConfigured) wait_configured<> -> Result<()>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request;

net_calls!(crate::calls::implement_calls);

/// Records in a datagram ring: a head of fixed size, then `len` bytes of payload.
pub mod datagram {
    use super::{Address, Endpoint};

    /// Bytes of the head: `len: u16, port: u16, family: u8 (4 or 6), zeros: [u8; 3], address: [u8; 16]`, little endian;
    /// an IPv4 address fills the first four bytes.
    pub const HEAD_BYTES: usize = 24;

    /// What stands before every datagram.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Head {
        /// Bytes of payload that follow.
        pub len: u16,
        /// The other end: sender on `rx`, receiver on `tx` (ignored when connected and unspecified).
        pub peer: Endpoint,
    }

    impl Head {
        /// Packs the head.
        pub fn emit(&self) -> [u8; HEAD_BYTES] {
            let mut out = [0; HEAD_BYTES];
            out[0..2].copy_from_slice(&self.len.to_le_bytes());
            out[2..4].copy_from_slice(&self.peer.port.to_le_bytes());
            match self.peer.address {
                Address::V4(bytes) => {
                    out[4] = 4;
                    out[8..12].copy_from_slice(&bytes);
                }
                Address::V6(bytes) => {
                    out[4] = 6;
                    out[8..24].copy_from_slice(&bytes);
                }
            }
            out
        }

        /// Reads a head; `None` if the family is unknown.
        pub fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
            let mut address = [0; 16];
            address.copy_from_slice(&bytes[8..24]);
            let address = match bytes[4] {
                4 => Address::V4([address[0], address[1], address[2], address[3]]),
                6 => Address::V6(address),
                _ => return None,
            };
            Some(Self {
                len: u16::from_le_bytes([bytes[0], bytes[1]]),
                peer: Endpoint { address, port: u16::from_le_bytes([bytes[2], bytes[3]]) },
            })
        }
    }
}
