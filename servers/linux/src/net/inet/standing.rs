//! Standing calls to `net` that run a closure when they have ended.

use super::Line;
use crate::events::Sink;
use crate::remote::{Attached, Remote, Token};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use protocol::net::Net;
use protocol::{Call, MaybeGone};
use spin::Mutex;

/// Standing calls at which no more handshakes begin. The port of `net` has 256 slots; listeners must find some of them free, and the
/// rest is for calls that are answered at once.
const MOST_FOR_CONNECT: usize = 128;
/// Standing calls at which a listener posts no more.
const MOST_FOR_ACCEPT: usize = 224;

struct State<F> {
    /// Known only after the call was started; it may have ended before.
    token: Option<Token>,
    ended: bool,
    then: Option<F>,
}

struct Pending<C, F> {
    remote: Remote<Net>,
    state: Mutex<State<F>>,
    call: PhantomData<fn(C)>,
}

impl<C, F> Pending<C, F>
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    fn settle(&self, change: impl FnOnce(&mut State<F>)) {
        let (token, then) = {
            let mut state = self.state.lock();
            change(&mut state);
            if !state.ended {
                return;
            }
            let Some(token) = state.token else { return };
            (token, state.then.take())
        };
        if let Some(then) = then
            && let Some(reply) = self.remote.finish::<C>(token)
        {
            then(reply);
        }
    }
}

impl<C, F> Sink for Pending<C, F>
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    fn signalled(&self) {
        self.settle(|state| state.ended = true);
    }
}

/// `false`: it could not be sent.
fn start<C, F>(remote: &Remote<Net>, call: C, attached: Vec<Attached>, then: F) -> bool
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    let state = Mutex::new(State { token: None, ended: false, then: Some(then) });
    let pending = Arc::new(Pending::<C, F> { remote: remote.clone(), state, call: PhantomData });
    let Some(token) = remote.start(call, attached, pending.clone()) else { return false };
    pending.settle(|state| state.token = Some(token));
    true
}

/// Starts a call that is counted while it stands.
fn start_counted<C, F>(line: &Line, call: C, attached: Vec<Attached>, then: F) -> bool
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    line.standing.fetch_add(1, Ordering::SeqCst);
    let ended = line.clone();
    let finish = move |reply| {
        ended.standing.fetch_sub(1, Ordering::SeqCst);
        take_turns(&ended);
        then(reply);
    };
    let started = start::<C, _>(&line.remote, call, attached, finish);
    if !started {
        line.standing.fetch_sub(1, Ordering::SeqCst);
    }
    started
}

/// Posts a call that may stand for long; `then` gets the reply, on the helper thread as a rule, and must not wait.
///
/// `false`: nobody serves, or too many calls stand already.
pub(super) fn post<C, F>(line: &Line, call: C, attached: Vec<Attached>, then: F) -> bool
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    line.standing.load(Ordering::SeqCst) < MOST_FOR_ACCEPT && start_counted(line, call, attached, then)
}

/// Has a call stand now, or when its turn comes; `then` is as in [`post`], and also hears that nobody serves.
pub(super) fn queue<C, F>(line: &Line, call: C, attached: Vec<Attached>, then: F)
where
    C: Call<'static, Protocol = Net> + Send + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    let turn = move |line: &Line| {
        // Kept aside, as a call that cannot be sent takes its closure with it.
        let then = Arc::new(Mutex::new(Some(then)));
        let own = then.clone();
        let started = start_counted(line, call, attached, move |reply| {
            let then = own.lock().take();
            if let Some(then) = then {
                then(reply);
            }
        });
        let then = if started { None } else { then.lock().take() };
        if let Some(then) = then {
            then(C::Reply::peer_gone());
        }
    };
    line.turns.lock().push_back(Box::new(turn));
    take_turns(line);
}

/// Starts calls that wait for their turn, as far as there is room. Every call that ends looks here again.
fn take_turns(line: &Line) {
    while line.standing.load(Ordering::SeqCst) < MOST_FOR_CONNECT {
        let Some(turn) = line.turns.lock().pop_front() else { return };
        turn(line);
    }
}
