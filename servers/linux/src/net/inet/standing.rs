//! Standing calls to `net` that run a closure when they have ended.

use super::Line;
use crate::events::Sink;
use crate::remote::{Attached, Remote, Token};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use protocol::Call;
use protocol::net::Net;
use spin::Mutex;

/// Standing calls at which no more handshakes begin. The port of `net` has 256 slots; listeners must find some of them free, and the
/// rest is for calls that are answered at once.
pub(super) const MOST_FOR_CONNECT: usize = 128;
/// Standing calls at which a listener posts no more.
pub(super) const MOST_FOR_ACCEPT: usize = 224;

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

/// Starts a call that may stand for long; `then` gets the reply, on the helper thread as a rule, and must not wait.
///
/// `false`: nobody serves, or `most` calls stand already.
pub(super) fn stand<C, F>(line: &Line, most: usize, call: C, attached: Vec<Attached>, then: F) -> bool
where
    C: Call<'static, Protocol = Net> + 'static,
    F: FnOnce(C::Reply) + Send + 'static,
{
    let standing = line.standing.clone();
    if standing.fetch_add(1, Ordering::AcqRel) >= most {
        standing.fetch_sub(1, Ordering::AcqRel);
        return false;
    }
    let ended = standing.clone();
    let started = start(&line.remote, call, attached, move |reply| {
        ended.fetch_sub(1, Ordering::AcqRel);
        then(reply);
    });
    if !started {
        standing.fetch_sub(1, Ordering::AcqRel);
    }
    started
}
