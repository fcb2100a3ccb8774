//! UDP sockets and ICMP echo sockets: records in two byte rings.

use super::address::{emit, family, nowhere, parse};
use super::stream::{Ends, family_of};
use super::{Common, Received, Receiving, Sending, Shape, Socket};
use crate::context::Context;
use crate::errno::from_net;
use crate::events::Sink as Listener;
use crate::fs::description::Patience;
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use crate::process::process;
use crate::remote::Remote;
use crate::wait::{Gate, READABLE, WRITABLE, until};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_abi::file::Events;
use linux_abi::socket::number as n;
use linux_abi::{Errno, Layout};
use protocol::LeaseId;
use protocol::net::datagram::{HEAD_BYTES, Head};
use protocol::net::{Address, Bind, Close, Connect, Endpoint, Kind, Net, Open, Rings, Set, Setting};
use spin::Mutex;

/// Size of each ring: four of the largest datagrams.
const RING_PAGES: usize = 64;
/// Largest payload (RFC 768 over IPv4).
const MOST_BYTES: usize = 65_507;

/// A UDP or echo socket.
pub(crate) struct Datagram {
    common: Common,
    net: Remote<Net>,
    tag: u32,
    setup: Gate,
    inner: Mutex<Inner>,
}

struct Inner {
    socket: protocol::net::Socket,
    ends: Ends,
    local: Option<Endpoint>,
    remote: Option<Endpoint>,
    shut_read: bool,
    shut_write: bool,
}

struct Bell(Weak<Datagram>);

impl Listener for Bell {
    fn signalled(&self) {
        if let Some(socket) = self.0.upgrade() {
            let ready = socket.ready();
            socket.common.queue.wake(ready);
        }
    }
}

fn open_on_server(net: &Remote<Net>, shape: Shape, v6_only: bool) -> Result<(protocol::net::Socket, Ends)> {
    let (ends, attached) = Ends::create(RING_PAGES)?;
    let echo = matches!(shape.protocol, n::IPPROTO_ICMP | n::IPPROTO_ICMPV6);
    let kind = if echo { Kind::Echo } else { Kind::Datagram };
    let rings = Some(Rings { rx: LeaseId(0), tx: LeaseId(1) });
    let request = Open { kind, family: family_of(shape, v6_only), rings };
    let socket = net.call(request, attached).map_err(|error| match from_net(error) {
        Errno::EOPNOTSUPP => Errno::EAFNOSUPPORT,
        errno => errno,
    })?;
    Ok((socket, ends))
}

impl Datagram {
    /// A fresh socket. Errors: `EAFNOSUPPORT`, `ENOBUFS`, `ENFILE`.
    pub(crate) fn open(shape: Shape) -> Result<Arc<dyn Socket>> {
        let net = process().fs.sockets.net()?.clone();
        let (socket, ends) = open_on_server(&net, shape, false)?;
        let mut failed = None;
        let datagram = Arc::new_cyclic(|me: &Weak<Self>| {
            let tag = process().events.subscribe(Arc::new(Bell(me.clone()))).unwrap_or_else(|errno| {
                failed = Some(errno);
                u32::MAX
            });
            ends.set_bells(tag);
            let inner = Inner { socket, ends, local: None, remote: None, shut_read: false, shut_write: false };
            Self { common: Common::new(shape), net, tag, setup: Gate::new(), inner: Mutex::new(inner) }
        });
        match failed {
            Some(errno) => Err(errno),
            None => Ok(datagram),
        }
    }

    fn socket(&self) -> protocol::net::Socket {
        self.inner.lock().socket
    }

    fn bind_to(&self, local: Endpoint) -> Result<()> {
        let options = &self.common.options;
        let request = Bind {
            socket: self.socket(),
            local,
            reuse_address: options.is_on(n::SOL_SOCKET, n::SO_REUSEADDR),
            reuse_port: options.is_on(n::SOL_SOCKET, n::SO_REUSEPORT),
        };
        let bound = self.net.call(request, []).map_err(from_net)?;
        self.inner.lock().local = Some(bound);
        Ok(())
    }

    /// Takes or looks at the first record.
    fn try_receive(&self, peek: bool) -> Option<Result<(Vec<u8>, Endpoint)>> {
        if let Some(errno) = self.common.take_error() {
            return Some(Err(errno));
        }
        let inner = self.inner.lock();
        let rx = &inner.ends.rx;
        let mut head = [0; HEAD_BYTES];
        if rx.peek(0, &mut head) < HEAD_BYTES {
            let over = inner.shut_read || rx.producer_closed().is_some();
            return over.then(|| Ok((Vec::new(), nowhere(self.common.shape.family))));
        }
        let Some(head) = Head::parse(&head) else { return Some(Err(Errno::EIO)) };
        let mut payload = alloc::vec![0; usize::from(head.len)];
        let got = rx.peek(HEAD_BYTES, &mut payload);
        payload.truncate(got);
        if !peek {
            let taken = rx.discard(HEAD_BYTES + payload.len());
            if rx.writable() <= taken + MOST_BYTES {
                rx.ring_bell();
            }
        }
        Some(Ok((payload, head.peer)))
    }

    fn try_send(&self, record: &[u8]) -> Option<Result<()>> {
        let inner = self.inner.lock();
        if inner.shut_write {
            return Some(Err(Errno::EPIPE));
        }
        let tx = &inner.ends.tx;
        if tx.consumer_closed().is_some() {
            return Some(Err(Errno::ENETDOWN));
        }
        if tx.writable() < record.len() {
            return None;
        }
        tx.push(record);
        if tx.readable() <= record.len() {
            tx.ring_bell();
        }
        Some(Ok(()))
    }

    fn set_on_server(&self, setting: Setting) -> Result<()> {
        self.net.call(Set { socket: self.socket(), setting }, []).map_err(from_net)
    }

    /// `struct ip_mreq` or `ip_mreqn`: the group stands first.
    fn group(value: &[u8]) -> Result<Address> {
        let bytes = value.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::EINVAL)?;
        Ok(Address::V4(bytes))
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        process().events.unsubscribe(self.tag);
        let socket = self.inner.get_mut().socket;
        self.net.send_off(Close { socket, abort: false }, ());
    }
}

impl Socket for Datagram {
    fn common(&self) -> &Common {
        &self.common
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let local = parse(self.common.shape.family, address)?;
        let _inside = self.setup.pass();
        if self.inner.lock().local.is_some() {
            return Err(Errno::EINVAL);
        }
        self.bind_to(local)
    }

    fn connect(&self, _cx: &Context, _patience: Patience, address: &[u8]) -> Result<()> {
        let own = self.common.shape.family;
        let dissolve = family(address) == Some(n::AF_UNSPEC);
        let remote = if dissolve { nowhere(own) } else { parse(own, address)? };
        let _inside = self.setup.pass();
        let request = Connect { socket: self.socket(), remote, rings: None };
        let local = self.net.call(request, []).map_err(from_net)?;
        let mut inner = self.inner.lock();
        inner.remote = (!dissolve).then_some(remote);
        if !dissolve {
            inner.local = Some(local);
        }
        Ok(())
    }

    fn send(&self, cx: &Context, how: &Sending, source: &mut Source) -> Result<usize> {
        let own = self.common.shape.family;
        let len = source.remaining();
        if len > MOST_BYTES {
            return Err(Errno::EMSGSIZE);
        }
        let to = how.to.map(|address| parse(own, address)).transpose()?;
        let connected = self.inner.lock().remote;
        let peer = match (to, connected) {
            (Some(to), _) if to.port == 0 && self.common.shape.protocol != n::IPPROTO_ICMP => return Err(Errno::EINVAL),
            (Some(to), _) => to,
            (None, Some(_)) => nowhere(own),
            (None, None) => return Err(Errno::EDESTADDRREQ),
        };
        if let Some(errno) = self.common.take_error() {
            return Err(errno);
        }
        let mut record = alloc::vec![0; HEAD_BYTES + len];
        let head = Head { len: len as u16, peer };
        record.get_mut(..HEAD_BYTES).ok_or(Errno::EIO)?.copy_from_slice(&head.emit());
        if source.get(record.get_mut(HEAD_BYTES..).unwrap_or_default())? < len {
            return Err(Errno::EFAULT);
        }
        if self.inner.lock().local.is_none() {
            let _inside = self.setup.pass();
            if self.inner.lock().local.is_none() {
                self.bind_to(nowhere(own))?;
            }
        }
        if how.dont_wait {
            return self.try_send(&record).unwrap_or(Err(Errno::EAGAIN)).map(|()| len);
        }
        let deadline = self.common.options.send_deadline();
        until(cx, &self.common.queue, WRITABLE, deadline, || self.try_send(&record))?.ok_or(Errno::EAGAIN)?;
        Ok(len)
    }

    fn receive(&self, cx: &Context, how: Receiving, sink: &mut Sink) -> Result<Received> {
        let (payload, from) = if how.dont_wait {
            self.try_receive(how.peek).unwrap_or(Err(Errno::EAGAIN))?
        } else {
            let deadline = self.common.options.receive_deadline();
            until(cx, &self.common.queue, READABLE, deadline, || self.try_receive(how.peek))?.ok_or(Errno::EAGAIN)?
        };
        let len = if payload.is_empty() { 0 } else { sink.put(&payload)? };
        let from = emit(self.common.shape.family, &from);
        Ok(Received { len, full_len: payload.len(), from, rights: Vec::new() })
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let connected = {
            let mut inner = self.inner.lock();
            inner.shut_read |= read;
            inner.shut_write |= write;
            inner.remote.is_some()
        };
        self.common.queue.wake_all();
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn name(&self) -> Result<Vec<u8>> {
        let own = self.common.shape.family;
        Ok(emit(own, &self.inner.lock().local.unwrap_or_else(|| nowhere(own))))
    }
    fn peer(&self) -> Result<Vec<u8>> {
        let remote = self.inner.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(emit(self.common.shape.family, &remote))
    }

    fn option_set(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        let number = i32::get(value);
        match (level, option) {
            (n::SOL_SOCKET, n::SO_BROADCAST) => self.set_on_server(Setting::Broadcast(number != 0)),
            (n::IPPROTO_IP, n::IP_TTL) => match u8::try_from(number) {
                Ok(hops) if hops > 0 => self.set_on_server(Setting::HopLimit(hops)),
                _ => Err(Errno::EINVAL),
            },
            (n::IPPROTO_IP, n::IP_ADD_MEMBERSHIP) => self.set_on_server(Setting::JoinGroup(Self::group(value)?)),
            (n::IPPROTO_IP, n::IP_DROP_MEMBERSHIP) => self.set_on_server(Setting::LeaveGroup(Self::group(value)?)),
            (n::IPPROTO_IPV6, n::IPV6_V6ONLY) => {
                if self.inner.lock().local.is_some() {
                    return Err(Errno::EINVAL);
                }
                let _inside = self.setup.pass();
                let (socket, ends) = open_on_server(&self.net, self.common.shape, number != 0)?;
                ends.set_bells(self.tag);
                let before = {
                    let mut inner = self.inner.lock();
                    (core::mem::replace(&mut inner.socket, socket), core::mem::replace(&mut inner.ends, ends))
                };
                self.net.send_off(Close { socket: before.0, abort: false }, ());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Events {
        let mut events = Events::empty();
        events.set(Events::ERR, self.common.has_error());
        let inner = self.inner.lock();
        let over = inner.shut_read || inner.ends.rx.producer_closed().is_some();
        events.set(READABLE, over || self.common.has_error() || inner.ends.rx.readable() >= HEAD_BYTES);
        events.set(WRITABLE, inner.shut_write || inner.ends.tx.writable() >= HEAD_BYTES + MOST_BYTES);
        events.set(Events::RDHUP, inner.shut_read);
        events.set(Events::HUP, inner.shut_read && inner.shut_write);
        events
    }
    fn pending(&self) -> usize {
        let inner = self.inner.lock();
        let mut head = [0; HEAD_BYTES];
        if inner.ends.rx.peek(0, &mut head) < HEAD_BYTES {
            return 0;
        }
        Head::parse(&head).map_or(0, |head| usize::from(head.len))
    }
}
