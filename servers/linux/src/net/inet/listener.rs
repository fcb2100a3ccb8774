//! Listening TCP sockets: a few accepts stand in `net` at any time, so that a burst of connections finds rings waiting; what they
//! bring queues up here until accept(2) takes it.

use super::stream::{Ends, PAGES, Phase, Shared, Stream};
use super::wire::Wire;
use super::{Handle, Line, errno, settings, standing};
use crate::fs::node::Result;
use crate::net::options::Options;
use crate::net::{Shape, Socket};
use crate::wait::{Gate, READABLE};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::AtomicBool;
use linux_abi::Errno;
use linux_abi::file::Events;
use protocol::net::{Accept, Accepted, Error, Listen};
use spin::Mutex;

/// Accepts that stand at a time.
const STANDING: usize = 4;
/// Largest backlog (`net.core.somaxconn`).
const MOST_BACKLOG: u32 = 4096;

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<Stream>>,
    /// Accepts under way.
    posted: usize,
    backlog: usize,
    /// The program wants no more.
    closed: bool,
    /// The stack takes no more.
    dead: bool,
}

/// What a listening stream has besides.
pub(super) struct Listener {
    me: Weak<Listener>,
    shared: Weak<Shared>,
    line: Line,
    handle: Arc<Handle>,
    shape: Shape,
    pages: (usize, usize),
    /// What an accepted socket inherits.
    options: Options,
    state: Mutex<State>,
}

/// listen(2). Errors: `EINVAL` (connected), `EADDRINUSE`, those of opening.
pub(super) fn listen(stream: &Stream, backlog: u32) -> Result<()> {
    let backlog = backlog.min(MOST_BACKLOG);
    let _inside = stream.gate.pass();
    let phase = stream.shared.phase();
    if !matches!(phase, Phase::Idle | Phase::Listening(_)) {
        return Err(Errno::EINVAL);
    }
    let handle = stream.open()?;
    let call = Listen { socket: handle.number()?, backlog: backlog.max(1) as u16 };
    let local = stream.line.remote.call(call, []).map_err(errno)?;
    stream.ends.lock().local = Some(local);
    let listener = match phase {
        Phase::Listening(listener) => listener,
        _ => Listener::create(stream, handle),
    };
    listener.state.lock().backlog = backlog as usize + 1;
    stream.shared.enter(Phase::Listening(listener.clone()));
    listener.post();
    stream.common().queue.wake_all();
    Ok(())
}

/// shutdown(2) of a listening socket: whoever waits in accept(2) gets `EINVAL`.
pub(super) fn stop(stream: &Stream) {
    if let Phase::Listening(listener) = stream.shared.phase() {
        listener.close();
        stream.shared.enter(Phase::Idle);
        let handle = stream.handle.lock().take();
        drop((handle, listener));
        stream.common().queue.wake_all();
    }
}

impl Listener {
    fn create(stream: &Stream, handle: Arc<Handle>) -> Arc<Self> {
        let options = Options::default();
        options.inherit(&stream.common().options);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            shared: Arc::downgrade(&stream.shared),
            line: stream.line.clone(),
            handle,
            shape: stream.common().shape,
            pages: settings::ring_pages(stream.common(), PAGES),
            options,
            state: Mutex::default(),
        })
    }

    /// Counts an accept about to be posted; `false`: enough stand.
    fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let full = state.ready.len() + state.posted >= state.backlog.max(STANDING);
        if state.closed || state.dead || state.posted >= STANDING || full {
            return false;
        }
        state.posted += 1;
        true
    }

    /// Has as many accepts stand as shall.
    fn post(&self) {
        while self.claim() {
            if self.post_one().is_none() {
                self.state.lock().posted -= 1;
                return;
            }
        }
    }

    /// `None`: no memory, or too many calls stand; the next accept(2) tries again.
    fn post_one(&self) -> Option<()> {
        let Ok(socket) = self.handle.number() else {
            self.state.lock().dead = true;
            return None;
        };
        let shared = Shared::new(self.shape, Phase::Connecting);
        let (wire, rings, attached) = Wire::create(shared.clone(), self.pages.0, self.pages.1).ok()?;
        let me = self.me.clone();
        let line = self.line.clone();
        standing::post(&self.line, Accept { socket, rings }, attached, move |reply| {
            let handle = reply.as_ref().ok().map(|accepted| Handle::new(&line, accepted.socket));
            if let Some(listener) = me.upgrade() {
                listener.arrived(reply, handle, shared, wire);
            }
        })
        .then_some(())
    }

    /// An accept has ended.
    fn arrived(
        &self,
        reply: core::result::Result<Accepted, Error>,
        handle: Option<Handle>,
        shared: Arc<Shared>,
        wire: Arc<Wire>,
    ) {
        let arrived = match (reply, handle) {
            (Ok(accepted), Some(handle)) => {
                shared.enter(Phase::Connected(wire));
                Some(self.stream(accepted, handle, shared))
            }
            _ => None,
        };
        let refused = {
            let mut state = self.state.lock();
            state.posted -= 1;
            match arrived {
                Some(stream) if state.closed => Some(stream),
                Some(stream) => {
                    state.ready.push_back(stream);
                    None
                }
                None => {
                    state.dead |= matches!(reply, Err(Error::PeerGone | Error::BadSocket | Error::Invalid));
                    None
                }
            }
        };
        drop(refused);
        if reply.is_ok() {
            self.post();
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.common.queue.wake(READABLE);
        }
    }

    fn stream(&self, accepted: Accepted, handle: Handle, shared: Arc<Shared>) -> Arc<Stream> {
        shared.common.options.inherit(&self.options);
        Arc::new(Stream {
            line: self.line.clone(),
            shared,
            gate: Gate::new(),
            handle: Mutex::new(Some(Arc::new(handle))),
            ends: Arc::new(Mutex::new(Ends { local: Some(accepted.local), remote: Some(accepted.remote) })),
            told: AtomicBool::new(true),
        })
    }

    /// The oldest connection. Errors: `EINVAL` (closed), `ENETDOWN`. `None`: none waits.
    pub(super) fn take(&self) -> Option<Result<Arc<Stream>>> {
        let (taken, closed, dead) = {
            let mut state = self.state.lock();
            (state.ready.pop_front(), state.closed, state.dead)
        };
        if taken.is_none() && (closed || dead) {
            return Some(Err(if closed { Errno::EINVAL } else { Errno::ENETDOWN }));
        }
        self.post();
        taken.map(Ok)
    }

    /// Readable while a connection waits, or once none will come any more.
    pub(super) fn ready(&self) -> Events {
        let state = self.state.lock();
        if state.dead {
            READABLE | Events::ERR
        } else if state.ready.is_empty() {
            Events::empty()
        } else {
            READABLE
        }
    }

    /// Takes no more; connections that nobody accepted are reset.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed = true;
            core::mem::take(&mut state.ready)
        };
        waiting.iter().for_each(|stream| stream.common().options.abort());
        drop(waiting);
    }
}
