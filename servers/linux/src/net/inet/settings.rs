//! Options that the stack itself obeys, on their way to it.

use super::{Handle, errno};
use crate::fs::node::Result;
use crate::net::Common;
use linux_abi::Errno;
use linux_abi::socket::number::{
    IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_UNICAST_HOPS, SO_BROADCAST, SO_KEEPALIVE, SO_RCVBUF, SO_SNDBUF,
    SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY, TCP_SYNCNT, TCP_USER_TIMEOUT,
};
use protocol::net::{KeepAlive, Set, Setting};

/// Linux's times: two hours, 75 seconds (tcp(7)).
const KEEP_IDLE_SECONDS: i32 = 7200;
const KEEP_INTERVAL_SECONDS: i32 = 75;

/// Pages of a ring: what fits the wanted size in bytes.
const PAGES: core::ops::RangeInclusive<usize> = 4..=256;

/// The setting that an option stands for; `None`: the stack does not know it.
fn setting(common: &Common, level: i32, name: i32, value: i32) -> Option<Setting> {
    // What is about to be changed is not among the options yet.
    let number = |other: (i32, i32), default| match other {
        same if same == (level, name) => value,
        (level, name) => common.options.number(level, name, default),
    };
    match (level, name) {
        (IPPROTO_TCP, TCP_NODELAY) => Some(Setting::NoDelay(value != 0)),
        (IPPROTO_TCP, TCP_USER_TIMEOUT) => Some(Setting::UserTimeout(value.cast_unsigned())),
        (SOL_SOCKET, SO_KEEPALIVE) | (IPPROTO_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL) => {
            let times = |name, default| number((IPPROTO_TCP, name), default).cast_unsigned();
            let on = number((SOL_SOCKET, SO_KEEPALIVE), 0) != 0;
            Some(Setting::KeepAlive(on.then(|| KeepAlive {
                idle_seconds: times(TCP_KEEPIDLE, KEEP_IDLE_SECONDS),
                interval_seconds: times(TCP_KEEPINTVL, KEEP_INTERVAL_SECONDS),
            })))
        }
        (SOL_SOCKET, SO_BROADCAST) => Some(Setting::Broadcast(value != 0)),
        (IPPROTO_IP, IP_TTL) | (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => {
            let hops = if value < 0 { 64 } else { value };
            u8::try_from(hops).ok().map(Setting::HopLimit)
        }
        _ => None,
    }
}

/// Errors: `EINVAL` for a value that Linux does not take.
pub(super) fn check(level: i32, name: i32, value: i32) -> Result<()> {
    let takes = match (level, name) {
        (IPPROTO_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL) => (1..=32_767).contains(&value),
        (IPPROTO_TCP, TCP_KEEPCNT | TCP_SYNCNT) => (1..=127).contains(&value),
        (IPPROTO_TCP, TCP_USER_TIMEOUT) => value >= 0,
        (IPPROTO_IP, IP_TTL) => value == -1 || (1..=255).contains(&value),
        (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => (-1..=255).contains(&value),
        _ => true,
    };
    if takes { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Puts a changed option in force. Errors: `EINVAL`, `EOPNOTSUPP`, `ENETDOWN`.
pub(super) fn apply(common: &Common, handle: &Handle, level: i32, name: i32, value: i32) -> Result<()> {
    let Some(setting) = setting(common, level, name, value) else { return Ok(()) };
    let socket = handle.number()?;
    handle.line.remote.call(Set { socket, setting }, []).map_err(errno)
}

/// Puts all options in force that were set before the socket was opened.
pub(super) fn apply_all(common: &Common, handle: &Handle) -> Result<()> {
    for ((level, name), value) in common.options.numbers() {
        match apply(common, handle, level, name, value) {
            Ok(()) | Err(Errno::EINVAL | Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Pages for the rings that receive and send, of which `default` are usual.
pub(super) fn ring_pages(common: &Common, default: (usize, usize)) -> (usize, usize) {
    let pages = |name, default: usize| {
        let wanted = usize::try_from(common.options.number(SOL_SOCKET, name, 0)).ok().filter(|&bytes| bytes > 0);
        wanted.map_or(default, |bytes| bytes.div_ceil(4096).clamp(*PAGES.start(), *PAGES.end()).max(default / 4))
    };
    (pages(SO_RCVBUF, default.0), pages(SO_SNDBUF, default.1))
}
