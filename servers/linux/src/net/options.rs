//! Socket options: what was set is remembered and told again; some the families obey.

use super::message::own_credentials;
use super::{Shape, Socket};
use crate::fs::node::Result;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::socket::number as n;
use linux_abi::socket::{Linger, Ucred};
use linux_abi::time::Timeval;
use linux_abi::{Errno, Layout};
use spin::Mutex;

/// Largest value that is remembered.
const MOST_BYTES: usize = 256;

/// Values that were set, and the two timeouts.
#[derive(Default)]
pub(crate) struct Options {
    values: Mutex<BTreeMap<(i32, i32), Vec<u8>>>,
    receive_timeout_ns: AtomicU64,
    send_timeout_ns: AtomicU64,
}

impl Options {
    /// The number that was set for an option, else `default`.
    pub(crate) fn number(&self, level: i32, option: i32, default: i32) -> i32 {
        self.values.lock().get(&(level, option)).map_or(default, |value| i32::get(value))
    }

    /// Whether an option is on.
    pub(crate) fn is_on(&self, level: i32, option: i32) -> bool {
        self.number(level, option, 0) != 0
    }

    /// Deadline of a receive that begins now.
    pub(crate) fn receive_deadline(&self) -> Option<u64> {
        deadline(&self.receive_timeout_ns)
    }

    /// Deadline of a send that begins now.
    pub(crate) fn send_deadline(&self) -> Option<u64> {
        deadline(&self.send_timeout_ns)
    }

    /// `SO_LINGER` with 0 seconds: closing resets.
    pub(crate) fn aborts(&self) -> bool {
        let values = self.values.lock();
        let linger = values.get(&(n::SOL_SOCKET, n::SO_LINGER)).map(|value| Linger::from_bytes(value));
        linger.is_some_and(|linger| linger.on != 0 && linger.seconds == 0)
    }

    /// Has closing reset, as `SO_LINGER` with 0 seconds does.
    pub(crate) fn abort(&self) {
        self.remember(n::SOL_SOCKET, n::SO_LINGER, &Linger { on: 1, seconds: 0 }.to_bytes());
    }

    /// Every number that was set, by level and option.
    pub(crate) fn numbers(&self) -> Vec<((i32, i32), i32)> {
        self.values.lock().iter().map(|(&key, value)| (key, i32::get(value))).collect()
    }

    /// Copies what an accepted connection inherits.
    pub(crate) fn inherit(&self, from: &Self) {
        *self.values.lock() = from.values.lock().clone();
        for (to, from) in [
            (&self.receive_timeout_ns, &from.receive_timeout_ns),
            (&self.send_timeout_ns, &from.send_timeout_ns),
        ] {
            to.store(from.load(Ordering::Acquire), Ordering::Release);
        }
    }

    fn remember(&self, level: i32, option: i32, value: &[u8]) {
        self.values.lock().insert((level, option), value.into());
    }
}

fn deadline(timeout: &AtomicU64) -> Option<u64> {
    match timeout.load(Ordering::Acquire) {
        0 => None,
        ns => Some(microkernel::time::now_ns().saturating_add(ns)),
    }
}

fn timeout_ns(value: &[u8]) -> Result<u64> {
    if value.len() < Timeval::BYTES {
        return Err(Errno::EINVAL);
    }
    let value = Timeval::from_bytes(value);
    if !(0..1_000_000).contains(&value.microseconds) {
        return Err(Errno::EDOM);
    }
    let seconds = u64::try_from(value.seconds).unwrap_or(0);
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(value.microseconds.cast_unsigned() * 1000))
}

/// Options that Linux knows on each level and that need no more than being remembered or obeyed.
fn known(shape: Shape, level: i32, option: i32) -> bool {
    let inet = matches!(shape.family, n::AF_INET | n::AF_INET6);
    match level {
        n::SOL_SOCKET => matches!(
            option,
            n::SO_DEBUG | n::SO_REUSEADDR | n::SO_DONTROUTE | n::SO_BROADCAST | n::SO_SNDBUF | n::SO_RCVBUF | n::SO_KEEPALIVE
                | n::SO_OOBINLINE | n::SO_PRIORITY | n::SO_LINGER | n::SO_REUSEPORT | n::SO_PASSCRED | n::SO_RCVLOWAT
                | n::SO_RCVTIMEO | n::SO_SNDTIMEO | n::SO_TIMESTAMP | n::SO_SNDBUFFORCE | n::SO_RCVBUFFORCE
                | n::SO_MARK | n::SO_INCOMING_CPU | n::SO_BUSY_POLL
        ),
        n::IPPROTO_TCP if inet && shape.kind == n::SOCK_STREAM => matches!(
            option,
            n::TCP_NODELAY | n::TCP_MAXSEG | n::TCP_CORK | n::TCP_KEEPIDLE | n::TCP_KEEPINTVL | n::TCP_KEEPCNT | n::TCP_SYNCNT
                | n::TCP_LINGER2 | n::TCP_DEFER_ACCEPT | n::TCP_WINDOW_CLAMP | n::TCP_QUICKACK | n::TCP_USER_TIMEOUT
        ),
        n::IPPROTO_IP if inet => matches!(
            option,
            n::IP_TOS | n::IP_TTL | n::IP_PKTINFO | n::IP_MTU_DISCOVER | n::IP_RECVERR | n::IP_MULTICAST_IF | n::IP_MULTICAST_TTL
                | n::IP_MULTICAST_LOOP | n::IP_ADD_MEMBERSHIP | n::IP_DROP_MEMBERSHIP
        ),
        n::IPPROTO_IPV6 if shape.family == n::AF_INET6 => matches!(
            option,
            n::IPV6_UNICAST_HOPS | n::IPV6_MULTICAST_IF | n::IPV6_MULTICAST_HOPS | n::IPV6_MULTICAST_LOOP | n::IPV6_V6ONLY
                | n::IPV6_RECVPKTINFO | n::IPV6_TCLASS | n::IPV6_RECVERR
        ),
        _ => false,
    }
}

/// setsockopt(2). Errors: `ENOPROTOOPT`, `EINVAL`, `EDOM`.
pub(crate) fn set(socket: &dyn Socket, level: i32, option: i32, value: &[u8]) -> Result<()> {
    let common = socket.common();
    if !known(common.shape, level, option) {
        return Err(Errno::ENOPROTOOPT);
    }
    if value.len() < 4 && level != n::IPPROTO_IP {
        return Err(Errno::EINVAL);
    }
    match (level, option) {
        (n::SOL_SOCKET, n::SO_RCVTIMEO) => common.options.receive_timeout_ns.store(timeout_ns(value)?, Ordering::Release),
        (n::SOL_SOCKET, n::SO_SNDTIMEO) => common.options.send_timeout_ns.store(timeout_ns(value)?, Ordering::Release),
        (n::SOL_SOCKET, n::SO_SNDBUF | n::SO_RCVBUF | n::SO_SNDBUFFORCE | n::SO_RCVBUFFORCE) => {
            // Linux doubles the size for its bookkeeping and tells the doubled one.
            let doubled = i32::get(value).saturating_mul(2).clamp(2304, 425_984);
            let plain = if matches!(option, n::SO_SNDBUF | n::SO_SNDBUFFORCE) { n::SO_SNDBUF } else { n::SO_RCVBUF };
            common.options.remember(level, plain, &doubled.to_le_bytes());
            return Ok(());
        }
        _ => {}
    }
    socket.option_set(level, option, value)?;
    common.options.remember(level, option, value.get(..value.len().min(MOST_BYTES)).unwrap_or_default());
    Ok(())
}

/// getsockopt(2): the bytes of the value. Errors: `ENOPROTOOPT`.
pub(crate) fn get(socket: &dyn Socket, level: i32, option: i32) -> Result<Vec<u8>> {
    let common = socket.common();
    let shape = common.shape;
    let number = |value: i32| Ok(value.to_le_bytes().to_vec());
    match (level, option) {
        (n::SOL_SOCKET, n::SO_TYPE) => return number(shape.kind.cast_signed()),
        (n::SOL_SOCKET, n::SO_DOMAIN) => return number(i32::from(shape.family)),
        (n::SOL_SOCKET, n::SO_PROTOCOL) => return number(shape.protocol),
        (n::SOL_SOCKET, n::SO_ACCEPTCONN) => return number(i32::from(socket.listens())),
        (n::SOL_SOCKET, n::SO_ERROR) => {
            return number(common.take_error().map_or(0, |errno| i32::from(errno.number())));
        }
        (n::SOL_SOCKET, n::SO_PEERCRED) if shape.family == n::AF_UNIX => {
            let connected = socket.peer().is_ok();
            let nobody = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
            return Ok(if connected { own_credentials() } else { nobody }.to_bytes().to_vec());
        }
        (n::IPPROTO_TCP, n::TCP_INFO) if shape.kind == n::SOCK_STREAM => return Ok(tcp_info(socket)),
        (n::IPPROTO_TCP, n::TCP_CONGESTION) if shape.kind == n::SOCK_STREAM => return Ok(b"cubic\0".to_vec()),
        _ => {}
    }
    if !known(shape, level, option) {
        return Err(Errno::ENOPROTOOPT);
    }
    if let Some(value) = common.options.values.lock().get(&(level, option)) {
        return Ok(value.clone());
    }
    default(level, option)
}

/// Values of options that were never set.
fn default(level: i32, option: i32) -> Result<Vec<u8>> {
    let number: i32 = match (level, option) {
        (n::SOL_SOCKET, n::SO_SNDBUF | n::SO_RCVBUF) => 212_992,
        (n::SOL_SOCKET, n::SO_RCVLOWAT) => 1,
        (n::SOL_SOCKET, n::SO_LINGER) => return Ok(alloc::vec![0; Linger::BYTES]),
        (n::SOL_SOCKET, n::SO_RCVTIMEO | n::SO_SNDTIMEO) => return Ok(alloc::vec![0; Timeval::BYTES]),
        (n::SOL_SOCKET, n::SO_INCOMING_CPU) => -1,
        (n::IPPROTO_TCP, n::TCP_MAXSEG) => 1460,
        (n::IPPROTO_TCP, n::TCP_KEEPIDLE) => 7200,
        (n::IPPROTO_TCP, n::TCP_KEEPINTVL) => 75,
        (n::IPPROTO_TCP, n::TCP_KEEPCNT) => 9,
        (n::IPPROTO_TCP, n::TCP_SYNCNT) => 6,
        (n::IPPROTO_TCP, n::TCP_QUICKACK) => 1,
        (n::IPPROTO_TCP, n::TCP_LINGER2) => 60,
        (n::IPPROTO_IP, n::IP_TTL) | (n::IPPROTO_IPV6, n::IPV6_UNICAST_HOPS) => 64,
        (n::IPPROTO_IP, n::IP_MULTICAST_TTL | n::IP_MULTICAST_LOOP) => 1,
        (n::IPPROTO_IP, n::IP_MTU_DISCOVER) => 1,
        (n::IPPROTO_IPV6, n::IPV6_MULTICAST_HOPS | n::IPV6_MULTICAST_LOOP) => 1,
        _ => 0,
    };
    Ok(number.to_le_bytes().to_vec())
}

/// The start of `struct tcp_info`: its first byte is the state.
fn tcp_info(socket: &dyn Socket) -> Vec<u8> {
    const BYTES: usize = 104;
    const ESTABLISHED: u8 = 1;
    const CLOSE: u8 = 7;
    const LISTEN: u8 = 10;
    let state = match (socket.listens(), socket.peer().is_ok()) {
        (true, _) => LISTEN,
        (false, true) => ESTABLISHED,
        (false, false) => CLOSE,
    };
    let mut info = alloc::vec![0; BYTES];
    info[0] = state;
    info
}
