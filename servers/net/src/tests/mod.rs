//! The bench: one `Net` behind its protocol, a nic that is a pair of queues, and a smoltcp stack of its own at the other end of the wire.

mod addressing;
mod datagrams;
mod loopback;
mod remote;

use crate::{Addressing, Lease, NIC_DEPTH, Net};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::net::Ipv4Addr;
use protocol::LeaseId;
use protocol::net::{
    self, Accept, Accepted, Address, Bind, Connect, Endpoint, Family, Kind, Listen, Open, Rings, Socket,
};
use protocol::nic::{self, Info, NicInfo, Receive, Transmit};
use rt::executor::Event;
use rt::fake::{FakeMachine, block_on, loopback as serve_here, ring_pair};
use rt::service::net::Server;
use rt::service::nic as nic_service;
use rt::sys::{Attachment, Ring};
use rt::{Context, Link, Runtime};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

const HEADROOM: usize = 12;
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const RING: usize = 65_536;

const STATIC: Addressing =
    Addressing::Static(Lease { address: OURS, prefix_len: 24, gateway: Some(PEER), dns: [None; 3] });

/// What the wire does to a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wear {
    Pass,
    Lose,
    /// Comes after the next one.
    Delay,
}

type Wearing = Box<dyn FnMut(&[u8]) -> Wear>;

/// The wire between the net's nic and the peer.
struct Wire {
    to_net: RefCell<VecDeque<Vec<u8>>>,
    to_peer: RefCell<VecDeque<Vec<u8>>>,
    late: RefCell<[Option<Vec<u8>>; 2]>,
    arrived: Event,
    wear: RefCell<Wearing>,
    dead: Cell<bool>,
    sent: Cell<usize>,
}

impl Wire {
    fn carry(&self, frame: Vec<u8>, queue: &RefCell<VecDeque<Vec<u8>>>, direction: usize) {
        let wear = (self.wear.borrow_mut())(&frame);
        match wear {
            Wear::Lose => {}
            Wear::Delay => {
                if let Some(earlier) = self.late.borrow_mut()[direction].replace(frame) {
                    queue.borrow_mut().push_back(earlier);
                }
            }
            Wear::Pass => {
                queue.borrow_mut().push_back(frame);
                queue.borrow_mut().extend(self.late.borrow_mut()[direction].take());
            }
        }
        self.arrived.notify();
    }
}

struct FakeNic(Rc<Wire>);

impl nic_service::Handler for FakeNic {
    async fn info(&self, _: &Context, _: Info) -> nic::Result<NicInfo> {
        if self.0.dead.get() {
            return Err(nic::Error::PeerGone);
        }
        Ok(NicInfo { mac: OUR_MAC, mtu: 1500, link_up: true, receive_depth: 16, headroom: HEADROOM as u16 })
    }
    async fn transmit(&self, cx: &Context, call: Transmit) -> nic::Result<()> {
        if self.0.dead.get() {
            return Err(nic::Error::PeerGone);
        }
        let memory = cx.readable(call.frame, HEADROOM + call.len as usize).map_err(|_| nic::Error::BadLease)?;
        let mut frame = vec![0; call.len as usize];
        memory.read(HEADROOM, &mut frame).map_err(|_| nic::Error::BadLease)?;
        self.0.sent.set(self.0.sent.get() + 1);
        self.0.carry(frame, &self.0.to_peer, 0);
        Ok(())
    }
    async fn receive(&self, cx: &Context, call: Receive) -> nic::Result<u32> {
        let memory = cx.writable(call.buffer, HEADROOM + 1514).map_err(|_| nic::Error::BadLease)?;
        loop {
            let arrived = self.0.arrived.wait();
            if self.0.dead.get() {
                return Err(nic::Error::PeerGone);
            }
            if let Some(frame) = self.0.to_net.borrow_mut().pop_front() {
                memory.write(HEADROOM, &frame).map_err(|_| nic::Error::BadLease)?;
                return Ok(frame.len() as u32);
            }
            arrived.await;
        }
    }
}

/// The peer's device.
struct Plug(Rc<Wire>);

struct PlugRx(Vec<u8>);
struct PlugTx<'a>(&'a Wire);

impl phy::RxToken for PlugRx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for PlugTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.carry(frame, &self.0.to_net, 1);
        result
    }
}

impl Device for Plug {
    type RxToken<'a> = PlugRx;
    type TxToken<'a> = PlugTx<'a>;
    fn receive(&mut self, _: Instant) -> Option<(PlugRx, PlugTx<'_>)> {
        let frame = self.0.to_peer.borrow_mut().pop_front()?;
        Some((PlugRx(frame), PlugTx(&self.0)))
    }
    fn transmit(&mut self, _: Instant) -> Option<PlugTx<'_>> {
        Some(PlugTx(&self.0))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

/// The stack at the other end of the wire.
struct Peer {
    iface: Interface,
    plug: Plug,
    sockets: SocketSet<'static>,
    next_port: u16,
}

impl Peer {
    fn poll(&mut self, now_ns: u64) {
        self.iface.poll(Instant::from_micros((now_ns / 1000) as i64), &mut self.plug, &mut self.sockets);
    }
    fn add_tcp(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_536]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }
    fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
    fn listen(&mut self, port: u16) -> SocketHandle {
        let handle = self.add_tcp();
        self.tcp(handle).listen(port).expect("listens");
        handle
    }
    fn connect(&mut self, port: u16) -> SocketHandle {
        let handle = self.add_tcp();
        self.next_port += 1;
        let local = self.next_port;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.iface.context(), (OURS, port), local).expect("connects");
        handle
    }
}

/// Everything that a test needs; cheap to clone.
#[derive(Clone)]
struct Bench {
    machine: Rc<FakeMachine>,
    runtime: Runtime,
    net: Link<net::Net>,
    wire: Rc<Wire>,
    peer: Rc<RefCell<Peer>>,
}

fn bench_with(addressing: Addressing) -> Bench {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let wire = Rc::new(Wire {
        to_net: RefCell::default(),
        to_peer: RefCell::default(),
        late: RefCell::default(),
        arrived: Event::default(),
        wear: RefCell::new(Box::new(|_| Wear::Pass)),
        dead: Cell::new(false),
        sent: Cell::new(0),
    });
    let nic =
        serve_here(&runtime, machine.pending(), 2, NIC_DEPTH, Rc::new(nic_service::Server(FakeNic(wire.clone()))));
    let server = Net::new(&runtime, Some(nic), addressing);
    let net = serve_here(&runtime, machine.pending(), 4, 256, Rc::new(Server(server)));
    let mut plug = Plug(wire.clone());
    let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(PEER_MAC)));
    let mut iface = Interface::new(config, &mut plug, Instant::ZERO);
    iface.update_ip_addrs(|addresses| addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(PEER, 24))).expect("has room"));
    let peer = Peer { iface, plug, sockets: SocketSet::new(vec![]), next_port: 49_152 };
    let bench = Bench { machine, runtime, net, wire, peer: Rc::new(RefCell::new(peer)) };
    let driven = bench.clone();
    bench.runtime.spawn(async move {
        loop {
            driven.peer.borrow_mut().poll(driven.now_ns());
            driven.sleep_us(200).await;
        }
    });
    bench
}

fn bench() -> Bench {
    bench_with(STATIC)
}

/// The program's side of a socket.
struct Program {
    bench: Bench,
    id: Socket,
    rx: Rc<dyn Ring>,
    tx: Rc<dyn Ring>,
}

impl Bench {
    fn now_ns(&self) -> u64 {
        rt::Machine::now_ns(&*self.machine)
    }
    async fn sleep_us(&self, us: u64) {
        self.runtime.sleep(us * 1000).await;
    }
    async fn until(&self, mut condition: impl FnMut() -> bool) {
        while !condition() {
            self.sleep_us(200).await;
        }
    }
    /// Runs a test; virtual time is bounded.
    fn run<T: 'static>(&self, test: impl Future<Output = T> + 'static) -> T {
        let clock = self.clone();
        self.runtime.spawn(async move {
            clock.sleep_us(2_000_000_000).await;
            panic!("the test hangs");
        });
        block_on(&self.runtime, test)
    }
    /// Rings: the net's ends as attachments, and the program's ends (rx, tx).
    fn rings(&self) -> ([Attachment; 2], Rc<dyn Ring>, Rc<dyn Ring>) {
        let pair = || ring_pair(RING, self.machine.bells(), self.machine.pending());
        let ((rx_in, rx_out), (tx_in, tx_out)) = (pair(), pair());
        ([Attachment::Ring(rx_in), Attachment::Ring(tx_out)], rx_out, tx_in)
    }
    async fn open(&self, kind: Kind) -> Socket {
        let open = Open { kind, family: Family::V4, rings: None };
        self.net.call(0, open, &[]).await.expect("opened")
    }
    async fn open_datagram(&self, kind: Kind) -> Program {
        let (attachments, rx, tx) = self.rings();
        let open = Open { kind, family: Family::V4, rings: Some(RINGS) };
        let id = self.net.call(0, open, &attachments).await.expect("opened");
        Program { bench: self.clone(), id, rx, tx }
    }
    async fn bind(&self, socket: Socket, local: Endpoint) -> net::Result<Endpoint> {
        let call = Bind { socket, local, reuse_address: false, reuse_port: false };
        self.net.call(0, call, &[]).await
    }
    async fn listen(&self, port: u16, backlog: u16) -> Socket {
        let socket = self.open(Kind::Stream).await;
        self.bind(socket, v4(Ipv4Addr::UNSPECIFIED, port)).await.expect("bound");
        self.net.call(0, Listen { socket, backlog }, &[]).await.expect("listens");
        socket
    }
    async fn accept(&self, listener: Socket) -> net::Result<(Program, Accepted)> {
        let (attachments, rx, tx) = self.rings();
        let accepted = self.net.call(0, Accept { socket: listener, rings: RINGS }, &attachments).await?;
        Ok((Program { bench: self.clone(), id: accepted.socket, rx, tx }, accepted))
    }
    async fn connect(&self, remote: Endpoint) -> net::Result<Program> {
        let socket = self.open(Kind::Stream).await;
        let (attachments, rx, tx) = self.rings();
        self.net.call(0, Connect { socket, remote, rings: Some(RINGS) }, &attachments).await?;
        Ok(Program { bench: self.clone(), id: socket, rx, tx })
    }
    async fn close(&self, socket: Socket) {
        self.net.call(0, net::Close { socket, abort: false }, &[]).await.expect("closed");
    }
}

const RINGS: Rings = Rings { rx: LeaseId(0), tx: LeaseId(1) };

fn v4(address: Ipv4Addr, port: u16) -> Endpoint {
    Endpoint { address: Address::V4(address.octets()), port }
}

impl Program {
    async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.tx.push(bytes);
            bytes = &bytes[count..];
            self.tx.ring_bell();
            if count == 0 {
                self.bench.sleep_us(100).await;
            }
        }
    }
    /// Reads at least one byte, or nothing at the end; the error is the ring's closing code.
    async fn read(&self) -> Result<Vec<u8>, u32> {
        loop {
            let closed = self.rx.producer_closed();
            let mut bytes = vec![0; 16_384];
            let was_full = self.rx.writable() == 0;
            let count = self.rx.pop(&mut bytes);
            if count > 0 {
                if was_full {
                    self.rx.ring_bell();
                }
                bytes.truncate(count);
                return Ok(bytes);
            }
            match closed {
                Some(0) => return Ok(vec![]),
                Some(code) => return Err(code),
                None => self.bench.sleep_us(100).await,
            }
        }
    }
    async fn read_all(&self) -> Result<Vec<u8>, u32> {
        let mut all = Vec::new();
        loop {
            let part = self.read().await?;
            if part.is_empty() {
                return Ok(all);
            }
            all.extend(part);
        }
    }
    async fn shutdown_write(&self) {
        let call = net::Shutdown { socket: self.id, read: false, write: true };
        self.bench.net.call(0, call, &[]).await.expect("shut down");
    }
    async fn close(&self) {
        self.bench.close(self.id).await;
    }
    async fn abort(&self) {
        self.bench.net.call(0, net::Close { socket: self.id, abort: true }, &[]).await.expect("closed");
    }
    async fn status(&self) -> net::Status {
        self.bench.net.call(0, net::GetStatus { socket: self.id }, &[]).await.expect("known")
    }
}

/// Bytes that show every loss and swap.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
