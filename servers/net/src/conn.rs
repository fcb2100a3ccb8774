//! One TCP connection: a smoltcp socket between the wire and the two rings of its owner.
//!
//! smoltcp's own time-outs also end connections that are merely idle, and its keep-alive probes at once when it is switched
//! on; both are therefore kept here and only the probe itself is smoltcp's.

use crate::frame::Flow;
use crate::outlet::Wire;
use crate::pool::Block;
use alloc::rc::Rc;
use protocol::net::{Error, Fault, KeepAlive};
use rt::sys::Ring;
use smoltcp::iface::{Interface, PollResult};
use smoltcp::socket::tcp::{CongestionControl, Socket, State};
use smoltcp::time::{Duration, Instant};

const SECOND_NS: u64 = 1_000_000_000;

/// Time for a connect to succeed (Linux: six SYNs).
const CONNECT_NS: u64 = 127 * SECOND_NS;
/// Time for a neighbour to tell its address (Linux: three questions, a second apart).
const NEIGHBOUR_NS: u64 = 3 * SECOND_NS;
/// Time for a peer to finish the handshake that it began (Linux: five SYN-ACKs).
const HANDSHAKE_NS: u64 = 63 * SECOND_NS;
/// Time for data to be acknowledged when TCP_USER_TIMEOUT says nothing (tcp(7), tcp_retries2).
const UNACKED_NS: u64 = 924 * SECOND_NS;
/// The same when nobody owns the connection any more (tcp_orphan_retries).
const ORPHAN_NS: u64 = 100 * SECOND_NS;
/// Time for the peer to send its FIN after the owner has gone (tcp_fin_timeout).
const FIN_WAIT_NS: u64 = 60 * SECOND_NS;
/// Unanswered probes after which the peer counts as dead (tcp_keepalive_probes).
const PROBES: u64 = 9;

/// Which interface a connection uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `lo`.
    Loopback,
    /// `eth0`.
    Lan,
}

/// Who a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A socket, by its number.
    Socket(u32),
    /// A listening socket: nobody has accepted it yet.
    Listener(u32),
    /// The socket is closed; what is left to send is sent.
    Nobody,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The handshake is under way.
    Opening,
    /// It was established.
    Open,
}

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Still there.
    Alive,
    /// Both ends have closed; the flow rests in TIME-WAIT.
    TimeWait,
    /// Over. `None`: in order.
    Over(Fault),
    /// The handshake that a peer began came to nothing.
    Unborn,
}

/// The rings of a connection.
#[derive(Clone)]
pub struct Rings {
    /// We produce.
    pub rx: Rc<dyn Ring>,
    /// We consume.
    pub tx: Rc<dyn Ring>,
}

/// What the owner has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// SO_KEEPALIVE.
    pub keep_alive: Option<KeepAlive>,
    /// IP_TTL; `None` is the default.
    pub hop_limit: Option<u8>,
    /// TCP_USER_TIMEOUT in milliseconds; 0 is the default.
    pub user_timeout_ms: u32,
}

/// A connection.
pub struct Conn {
    /// smoltcp's part.
    pub block: Block,
    /// Both ends.
    pub flow: Flow,
    /// The interface.
    pub via: Via,
    /// Who it belongs to.
    pub owner: Owner,
    /// How far it is.
    pub stage: Stage,
    /// Where its data goes, once somebody has it.
    pub rings: Option<Rings>,
    /// Why it ended, if not in order; set by who learns of it.
    pub fault: Option<Fault>,
    /// Already in the queue of those to be looked at.
    pub dirty: bool,
    /// Where its timer stands.
    pub armed: Option<u64>,
    settings: Settings,
    /// Send FIN behind what is in the ring.
    finish: bool,
    /// What arrives is of no interest.
    discard: bool,
    /// The peer has sent its FIN.
    finished: bool,
    /// The rx ring is closed.
    ended: bool,
    /// Something is unacknowledged.
    waiting: bool,
    /// The peer was heard, or something new began to wait for it.
    progress_ns: u64,
    /// The peer was heard.
    heard_ns: u64,
    /// Keep-alive probes go out.
    probing: bool,
    /// A packet has left: the neighbour is known.
    left: bool,
}

impl Conn {
    /// A connection whose socket has just begun to connect or to listen.
    pub fn new(block: Block, flow: Flow, via: Via, owner: Owner, now_ns: u64) -> Self {
        Self {
            block,
            flow,
            via,
            owner,
            stage: Stage::Opening,
            rings: None,
            fault: None,
            dirty: false,
            armed: None,
            settings: Settings::default(),
            finish: false,
            discard: false,
            finished: false,
            ended: false,
            waiting: true,
            progress_ns: now_ns,
            heard_ns: now_ns,
            probing: false,
            left: false,
        }
    }

    /// smoltcp's state.
    pub fn state(&self) -> State {
        self.block.socket().state()
    }

    /// In memory nothing is lost and nothing is far away: acknowledge at once, never hold back.
    pub fn quicken(&mut self) {
        let socket = self.block.socket_mut();
        socket.set_ack_delay(None);
        socket.set_congestion_control(CongestionControl::None);
    }

    /// Puts settings in force.
    pub fn apply(&mut self, settings: Settings) {
        let socket = self.block.socket_mut();
        socket.set_nagle_enabled(!settings.no_delay);
        socket.set_hop_limit(settings.hop_limit);
        if settings.keep_alive.is_none() && self.probing {
            socket.set_keep_alive(None);
            self.probing = false;
        }
        self.settings = settings;
    }

    /// Processes a frame of this connection. `reset`: it carries RST.
    pub fn ingress(&mut self, iface: &mut Interface, wire: &mut Wire<'_>, reset: bool, now_ns: u64) {
        self.heard_ns = now_ns;
        self.progress_ns = now_ns;
        if self.probing {
            self.probing = false;
            self.block.socket_mut().set_keep_alive(None);
        }
        let before = self.state();
        iface.poll_ingress_single(instant(now_ns), wire, &mut self.block.set);
        if reset && before != State::Closed && self.state() == State::Closed {
            self.fault = Some(if before == State::SynSent { Fault::Refused } else { Fault::Reset });
        }
        self.finished |= peer_finished(self.state());
    }

    /// Moves data between rings and socket, sends what can be sent, and looks at the clocks.
    pub fn service(&mut self, iface: &mut Interface, wire: &mut Wire<'_>, now_ns: u64) {
        self.receive();
        self.send();
        self.look_at_clocks(now_ns);
        wire.outlet.sent_ip = self.left;
        while iface.poll_egress(instant(now_ns), wire, &mut self.block.set) == PollResult::SocketStateChanged {}
        self.left = wire.outlet.sent_ip;
    }

    /// Socket to rx ring.
    fn receive(&mut self) {
        let socket = self.block.socket_mut();
        let Some(rings) = &self.rings else { return };
        if rings.rx.consumer_closed().is_some() {
            self.discard = true;
        }
        let mut moved = 0;
        while socket.can_recv() {
            let part = if self.discard {
                socket.recv(|bytes| (bytes.len(), bytes.len()))
            } else {
                socket.recv(|bytes| {
                    let count = rings.rx.push(bytes);
                    (count, count)
                })
            };
            match part {
                Ok(count) if count > 0 => moved += count,
                _ => break,
            }
        }
        if self.discard && moved > 0 && self.owner == Owner::Nobody {
            // Data for somebody who has gone: the peer must learn that it was not read.
            socket.abort();
        } else if moved > 0 && !self.discard && rings.rx.readable() <= moved {
            rings.rx.ring_bell();
        }
        if self.finished && self.fault.is_none() && !socket.can_recv() {
            self.end_input();
        }
    }

    /// Tx ring to socket; then FIN, if it is time.
    fn send(&mut self) {
        let socket = self.block.socket_mut();
        if !socket.may_send() {
            return;
        }
        let Some(rings) = &self.rings else { return };
        let closing = self.finish || rings.tx.producer_closed().is_some();
        let mut moved = 0;
        while socket.can_send() {
            let part = socket.send(|room| {
                let count = rings.tx.pop(room);
                (count, count)
            });
            match part {
                Ok(count) if count > 0 => moved += count,
                _ => break,
            }
        }
        if moved > 0 && rings.tx.writable() <= moved {
            rings.tx.ring_bell();
        }
        if closing && rings.tx.readable() == 0 {
            socket.close();
        }
    }

    fn look_at_clocks(&mut self, now_ns: u64) {
        let socket = self.block.socket();
        let waiting = socket.send_queue() > 0
            || matches!(
                socket.state(),
                State::SynSent | State::SynReceived | State::FinWait1 | State::Closing | State::LastAck
            )
            || (socket.state() == State::FinWait2 && self.owner == Owner::Nobody);
        if waiting && !self.waiting {
            self.progress_ns = now_ns;
        }
        self.waiting = waiting;
        if self.give_up_ns().is_some_and(|at| at <= now_ns) {
            self.fault.get_or_insert(if self.left { Fault::TimedOut } else { Fault::HostUnreachable });
            self.block.socket_mut().abort();
            return;
        }
        let Some(KeepAlive { idle_seconds, interval_seconds }) = self.keep_alive() else { return };
        if !self.probing && self.heard_ns + u64::from(idle_seconds) * SECOND_NS <= now_ns {
            self.probing = true;
            self.block.socket_mut().set_keep_alive(Some(Duration::from_secs(interval_seconds.max(1).into())));
        }
    }

    /// The keep-alive times, where they apply.
    fn keep_alive(&self) -> Option<KeepAlive> {
        self.settings
            .keep_alive
            .filter(|_| matches!(self.state(), State::Established | State::CloseWait | State::FinWait2))
    }

    /// When the peer counts as dead.
    fn give_up_ns(&self) -> Option<u64> {
        let unacked = self.waiting.then(|| self.progress_ns + self.patience_ns());
        let dead = self.keep_alive().filter(|_| self.probing).map(|times| {
            let probes = u64::from(times.interval_seconds.max(1)) * PROBES;
            self.heard_ns + (u64::from(times.idle_seconds) + probes) * SECOND_NS
        });
        [unacked, dead].into_iter().flatten().min()
    }

    fn patience_ns(&self) -> u64 {
        let user_ns = u64::from(self.settings.user_timeout_ms) * 1_000_000;
        match self.state() {
            State::SynSent if !self.left => NEIGHBOUR_NS,
            State::SynSent if user_ns > 0 => user_ns.min(CONNECT_NS),
            State::SynSent => CONNECT_NS,
            State::SynReceived => HANDSHAKE_NS,
            State::FinWait2 => FIN_WAIT_NS,
            _ if user_ns > 0 => user_ns,
            _ if self.owner == Owner::Nobody => ORPHAN_NS,
            _ => UNACKED_NS,
        }
    }

    /// When the connection wants to be looked at again.
    pub fn deadline_ns(&self, iface: &mut Interface, now_ns: u64) -> Option<u64> {
        // A deadline in the past cannot be met now (no neighbour, no transmit buffer): leave time for that to change.
        let stack = iface.poll_at(instant(now_ns), &self.block.set).map(|at| nanoseconds(at).max(now_ns + 1_000_000));
        let idle = self.keep_alive().filter(|_| !self.probing);
        let idle = idle.map(|times| self.heard_ns + u64::from(times.idle_seconds) * SECOND_NS);
        [stack, self.give_up_ns(), idle].into_iter().flatten().min()
    }

    /// Whether there is something to send soon; in TIME-WAIT that is the acknowledgement of the peer's FIN, which the end
    /// of the wait is far behind.
    pub fn owes_answer(&self, iface: &mut Interface, now_ns: u64) -> bool {
        let next = iface.poll_at(instant(now_ns), &self.block.set).map(nanoseconds);
        next.is_some_and(|at_ns| at_ns < now_ns + SECOND_NS)
    }

    /// What has become of it.
    pub fn fate(&self) -> Fate {
        let socket = self.block.socket();
        let unread = socket.recv_queue() > 0 && !self.discard && self.rings.is_some();
        match socket.state() {
            State::Listen => Fate::Unborn,
            State::Closed if self.stage == Stage::Opening && matches!(self.owner, Owner::Listener(_)) => Fate::Unborn,
            State::Closed => match self.fault {
                Some(fault) => Fate::Over(fault),
                None if unread => Fate::Alive,
                None if self.finished || self.discard || self.owner == Owner::Nobody => Fate::Over(Fault::None),
                None => Fate::Over(Fault::Aborted),
            },
            State::TimeWait if !unread => Fate::TimeWait,
            _ => Fate::Alive,
        }
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        !matches!(self.state(), State::Closed | State::Listen | State::SynSent | State::SynReceived)
    }

    /// Bytes have come that nobody has read.
    pub fn has_unread(&self) -> bool {
        let in_ring = self.rings.as_ref().is_some_and(|rings| !self.ended && rings.rx.readable() > 0);
        in_ring || self.block.socket().recv_queue() > 0
    }

    /// SHUT_RD and SHUT_WR.
    pub fn shutdown(&mut self, read: bool, write: bool) {
        if read {
            self.discard = true;
            self.end_input();
        }
        self.finish |= write;
    }

    fn end_input(&mut self) {
        if let Some(rings) = &self.rings
            && !self.ended
        {
            self.ended = true;
            rings.rx.close(Fault::None as u32);
            rings.rx.ring_bell();
        }
    }

    /// The owner has gone: what is in the ring is sent, then FIN.
    pub fn orphan(&mut self, now_ns: u64) {
        self.owner = Owner::Nobody;
        self.finish = true;
        self.discard = true;
        self.progress_ns = now_ns;
        if self.rings.is_none() {
            self.block.socket_mut().close();
        }
    }

    /// Ends at once with RST.
    pub fn abort(&mut self) {
        self.fault.get_or_insert(Fault::Aborted);
        self.block.socket_mut().abort();
    }

    /// Tells the rings that it is over.
    pub fn close_rings(&mut self, fault: Fault) {
        if let Some(rings) = self.rings.take() {
            if !self.ended {
                rings.rx.close(fault as u32);
                rings.rx.ring_bell();
            }
            rings.tx.close(fault as u32);
            rings.tx.ring_bell();
        }
    }

    /// Bytes behind the ring that the peer has not acknowledged.
    pub fn unacked_bytes(&self) -> u32 {
        u32::try_from(self.block.socket().send_queue()).unwrap_or(u32::MAX)
    }
}

fn peer_finished(state: State) -> bool {
    matches!(state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait)
}

/// The number of a state in Linux (include/net/tcp_states.h).
pub fn linux_state(socket: &Socket<'_>) -> u8 {
    match socket.state() {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// The error of a failed connect.
pub fn connect_error(fault: Fault) -> Error {
    match fault {
        Fault::None | Fault::Aborted => Error::Aborted,
        Fault::Reset => Error::Reset,
        Fault::TimedOut => Error::TimedOut,
        Fault::Refused => Error::Refused,
        Fault::HostUnreachable => Error::HostUnreachable,
        Fault::NetUnreachable => Error::NetUnreachable,
    }
}

/// The machine's clock in smoltcp's terms.
pub fn instant(ns: u64) -> Instant {
    Instant::from_micros((ns / 1000) as i64)
}

/// smoltcp's time on the machine's clock.
pub fn nanoseconds(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000)
}
