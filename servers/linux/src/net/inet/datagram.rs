//! UDP sockets and ICMP echo sockets: each datagram is a record in a ring.

use super::wire::Wire;
use super::{Handle, Line, errno, patiently, settings};
use crate::context::Context;
use crate::events::Sink as EventSink;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::net::address::{emit, family, nowhere, parse};
use crate::net::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::wait::{Gate, READABLE, WRITABLE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_abi::Errno;
use linux_abi::Layout;
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use protocol::net::datagram::{HEAD_BYTES, Head};
use protocol::net::{Address, Bind, Connect, Endpoint, Kind, Set, Setting, Shutdown};
use spin::{Mutex, RwLock};

/// Pages of the rings when SO_RCVBUF and SO_SNDBUF say nothing. A ring holds the longest datagram at least.
const PAGES: (usize, usize) = (52, 32);
const LEAST_PAGES: usize = 17;
/// Longest payload of UDP over IPv4.
const LONGEST: usize = 65_507;

struct Shared {
    common: Common,
    wire: RwLock<Option<Arc<Wire>>>,
    deaf: AtomicBool,
    mute: AtomicBool,
}

impl Shared {
    fn wire(&self) -> Option<Arc<Wire>> {
        self.wire.read().clone()
    }

    fn take_error(&self) -> Option<Errno> {
        if let Some(errno) = self.wire().and_then(|wire| wire.take_fault()) {
            // All that breaks these rings is the server's death.
            self.common.fail(if errno == Errno::ECONNRESET { Errno::ENETDOWN } else { errno });
        }
        self.common.take_error()
    }

    fn ready(&self) -> Events {
        let mut events = Events::empty();
        let deaf = self.deaf.load(Ordering::Acquire);
        let mute = self.mute.load(Ordering::Acquire);
        match self.wire() {
            None => events |= WRITABLE,
            Some(wire) => {
                events.set(READABLE, wire.unread() > 0 || wire.input_over());
                events.set(WRITABLE, wire.room() * 4 >= wire.capacity() || wire.output_over());
                events.set(Events::ERR, wire.input_over());
            }
        }
        if deaf {
            events |= READABLE | Events::RDHUP;
        }
        events.set(Events::HUP, deaf && mute);
        events
    }
}

impl EventSink for Shared {
    fn signalled(&self) {
        self.common.queue.wake(self.ready());
    }
}

/// A UDP or echo socket.
pub(super) struct Datagram {
    line: Line,
    kind: Kind,
    shared: Arc<Shared>,
    gate: Gate,
    handle: Mutex<Option<Arc<Handle>>>,
    peer: Mutex<Option<Endpoint>>,
}

impl Datagram {
    /// A socket that is neither bound nor connected.
    pub(super) fn create(shape: Shape, line: Line, kind: Kind) -> Arc<Self> {
        let shared = Arc::new(Shared {
            common: Common::new(shape),
            wire: RwLock::new(None),
            deaf: AtomicBool::new(false),
            mute: AtomicBool::new(false),
        });
        let (gate, handle, peer) = (Gate::new(), Mutex::new(None), Mutex::new(None));
        Arc::new(Self { line, kind, shared, gate, handle, peer })
    }

    fn opened(&self) -> Option<Arc<Handle>> {
        self.handle.lock().clone()
    }

    /// The socket in `net`, opened now if it was not before.
    fn open(&self) -> Result<(Arc<Handle>, Arc<Wire>)> {
        let known = || self.opened().zip(self.shared.wire());
        if let Some(known) = known() {
            return Ok(known);
        }
        let _inside = self.gate.pass();
        if let Some(known) = known() {
            return Ok(known);
        }
        let (rx_pages, tx_pages) = settings::ring_pages(self.common(), PAGES);
        let (rx_pages, tx_pages) = (rx_pages.max(LEAST_PAGES), tx_pages.max(LEAST_PAGES));
        let (wire, rings, attached) = Wire::create(self.shared.clone(), rx_pages, tx_pages)?;
        let handle = Arc::new(Handle::open(&self.line, self.common(), self.kind, Some((rings, attached)))?);
        settings::apply_all(self.common(), &handle)?;
        *self.shared.wire.write() = Some(wire.clone());
        *self.handle.lock() = Some(handle.clone());
        Ok((handle, wire))
    }

    fn is_on(&self, option: i32) -> bool {
        self.common().options.is_on(n::SOL_SOCKET, option)
    }

    fn family(&self) -> u16 {
        self.common().shape.family
    }

    /// The limited broadcast is only for who asked for it. Errors: `EACCES`.
    fn check_broadcast(&self, target: &Endpoint) -> Result<()> {
        if target.address == Address::V4([255; 4]) && !self.is_on(n::SO_BROADCAST) {
            Err(Errno::EACCES)
        } else {
            Ok(())
        }
    }

    /// Where a message goes. Errors: `EDESTADDRREQ`, `EINVAL`, `EAFNOSUPPORT`, `EACCES` (broadcast).
    fn target(&self, to: Option<&[u8]>) -> Result<Endpoint> {
        let target = match to {
            None => self.peer.lock().ok_or(Errno::EDESTADDRREQ)?,
            // A V6 socket also takes an address of IPv4.
            Some(bytes) if family(bytes) == Some(n::AF_INET) => parse(n::AF_INET, bytes)?,
            Some(bytes) => parse(self.family(), bytes)?,
        };
        if target.port == 0 && self.kind == Kind::Datagram {
            return Err(Errno::EINVAL);
        }
        self.check_broadcast(&target)?;
        Ok(self.reachable(target))
    }

    /// The unspecified address means this computer.
    fn reachable(&self, target: Endpoint) -> Endpoint {
        let address = match target.address {
            Address::V4([0, 0, 0, 0]) => Address::V4([127, 0, 0, 1]),
            Address::V6(bytes) if bytes == [0; 16] => {
                Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1])
            }
            other => other,
        };
        Endpoint { address, ..target }
    }

    /// The first record. `Ok(None)`: nothing will come any more.
    fn try_receive(&self, most: usize, peek: bool) -> Option<Result<Option<(Head, Vec<u8>)>>> {
        if let Some(errno) = self.shared.take_error() {
            return Some(Err(errno));
        }
        // Opened by now or never bound: then nothing can come until another thread binds or sends.
        let wire = self.shared.wire();
        let over = wire.as_ref().is_some_and(|wire| wire.input_over());
        match wire.and_then(|wire| wire.take_record(record_len, most, peek)) {
            Some((head, body)) => Some(Head::parse(&head).map(|head| Some((head, body))).ok_or(Errno::EIO)),
            None if self.shared.deaf.load(Ordering::Acquire) => Some(Ok(None)),
            None if over => Some(Err(Errno::ENETDOWN)),
            None => None,
        }
    }

    fn group(&self, option: i32, value: &[u8]) -> Result<()> {
        // `struct ip_mreq` or `ip_mreqn`: the group stands first.
        let group = Address::V4(value.first_chunk().copied().ok_or(Errno::EINVAL)?);
        let joins = option == n::IP_ADD_MEMBERSHIP;
        let setting = if joins { Setting::JoinGroup(group) } else { Setting::LeaveGroup(group) };
        let (handle, _) = self.open()?;
        self.line.remote.call(Set { socket: handle.number()?, setting }, []).map_err(errno)
    }
}

/// Length of what follows a head.
fn record_len(head: &[u8; HEAD_BYTES]) -> usize {
    usize::from(u16::from_le_bytes([head[0], head[1]]))
}

impl Socket for Datagram {
    fn common(&self) -> &Common {
        &self.shared.common
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let local = parse(self.family(), address)?;
        let (handle, _) = self.open()?;
        let call = Bind {
            socket: handle.number()?,
            local,
            reuse_address: self.is_on(n::SO_REUSEADDR),
            reuse_port: self.is_on(n::SO_REUSEPORT),
        };
        self.line.remote.call(call, []).map(drop).map_err(errno)
    }

    fn connect(&self, _cx: &Context, _patience: Patience, address: &[u8]) -> Result<()> {
        let remote = match family(address) {
            None => return Err(Errno::EINVAL),
            Some(n::AF_UNSPEC) => None,
            Some(_) => Some(self.reachable(parse(self.family(), address)?)),
        };
        remote.map_or(Ok(()), |remote| self.check_broadcast(&remote))?;
        let (handle, _) = self.open()?;
        let call =
            Connect { socket: handle.number()?, remote: remote.unwrap_or_else(|| nowhere(self.family())), rings: None };
        self.line.remote.call(call, []).map_err(errno)?;
        *self.peer.lock() = remote;
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        let local = match self.opened() {
            Some(handle) => handle.status()?.local,
            None => None,
        };
        Ok(emit(self.family(), &local.unwrap_or_else(|| nowhere(self.family()))))
    }
    fn peer(&self) -> Result<Vec<u8>> {
        let peer = self.peer.lock().ok_or(Errno::ENOTCONN)?;
        Ok(emit(self.family(), &peer))
    }

    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize> {
        let len = source.remaining();
        if len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE);
        }
        let peer = self.target(how.to)?;
        if let Some(errno) = self.shared.take_error() {
            return Err(errno);
        }
        if self.shared.mute.load(Ordering::Acquire) {
            return Err(Errno::EPIPE);
        }
        if len > LONGEST {
            return Err(Errno::EMSGSIZE);
        }
        let mut payload = alloc::vec![0; len];
        if source.get(&mut payload)? < len {
            return Err(Errno::EFAULT);
        }
        let (handle, wire) = self.open()?;
        handle.number()?;
        let head = Head { len: len as u16, peer }.emit();
        let deadline = self.common().options.send_deadline();
        patiently(cx, how.dont_wait, (&self.common().queue, WRITABLE), deadline, || {
            if wire.output_over() {
                return Some(Err(Errno::ENETDOWN));
            }
            wire.put_record(&head, &payload).then_some(Ok(len))
        })
    }

    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let deadline = self.common().options.receive_deadline();
        let most = sink.remaining();
        let attempt = || self.try_receive(most, how.peek);
        let record = patiently(cx, how.dont_wait, (&self.common().queue, READABLE), deadline, attempt)?;
        let Some((head, body)) = record else { return Ok(Received::default()) };
        let len = if body.is_empty() { 0 } else { sink.put(&body)? };
        if len < body.len() {
            return Err(Errno::EFAULT);
        }
        let from = emit(self.family(), &head.peer);
        Ok(Received { len, full_len: usize::from(head.len), from, ..Received::default() })
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        if self.peer.lock().is_none() {
            return Err(Errno::ENOTCONN);
        }
        if read {
            self.shared.deaf.store(true, Ordering::Release);
            if let Some(handle) = self.opened() {
                // What came before may still be read; the stack drops the rest.
                let call = Shutdown { socket: handle.number()?, read: true, write: false };
                self.line.remote.call(call, []).map_err(errno)?;
            }
        }
        self.shared.mute.fetch_or(write, Ordering::AcqRel);
        self.common().queue.wake_all();
        Ok(())
    }

    fn ready(&self) -> Events {
        self.shared.ready()
    }
    fn pending(&self) -> usize {
        let first = self.shared.wire().and_then(|wire| wire.take_record(record_len, 0, true));
        first.map_or(0, |(head, _)| record_len(&head))
    }
    fn unsent(&self) -> usize {
        self.shared.wire().map_or(0, |wire| wire.unsent())
    }

    fn option_set(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        match (level, option) {
            (n::IPPROTO_IP, n::IP_ADD_MEMBERSHIP | n::IP_DROP_MEMBERSHIP) => return self.group(option, value),
            (n::IPPROTO_IPV6, n::IPV6_V6ONLY) if self.opened().is_some() => return Err(Errno::EINVAL),
            _ => {}
        }
        let value = i32::get(value);
        settings::check(level, option, value)?;
        match self.opened() {
            Some(handle) => settings::apply(self.common(), &handle, level, option, value),
            None => Ok(()),
        }
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        let handle = self.handle.get_mut().take();
        drop(handle);
        let wire = self.shared.wire.write().take();
        drop(wire);
    }
}
