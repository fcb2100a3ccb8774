//! Fids: the numbers by which the host knows its files in this session. We choose them.
//!
//! A [`Fid`] is one number; dropping it gives the number back, after a Tclunk if the host knows it. A number is
//! not used again before its Rclunk has come, because a host may carry out requests in any order.

use crate::convert::{Failure, Outcome};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem;
use rt::executor::Event;

/// All numbers of a session.
#[derive(Default)]
pub(crate) struct Fids {
    next: Cell<u32>,
    free: RefCell<Vec<u32>>,
    dropped: RefCell<Vec<u32>>,
    more_dropped: Event,
}

impl Fids {
    /// A number that the host does not know yet; `None` when all are in use.
    pub(crate) fn reserve(self: &Rc<Self>) -> Option<Fid> {
        let number = self.free.borrow_mut().pop().or_else(|| self.fresh())?;
        Some(Fid { number, state: Cell::new(State::Reserved), fids: self.clone() })
    }

    fn fresh(&self) -> Option<u32> {
        let number = self.next.get();
        if number == p9_wire::NO_FID {
            return None;
        }
        self.next.set(number + 1);
        Some(number)
    }

    /// Waits for dropped fids and takes them: the caller clunks them, then calls [`Fids::release`] for each.
    pub(crate) async fn dropped(&self) -> Vec<u32> {
        loop {
            let more = self.more_dropped.wait();
            let numbers = mem::take(&mut *self.dropped.borrow_mut());
            if !numbers.is_empty() {
                return numbers;
            }
            more.await;
        }
    }

    /// Makes a clunked number free.
    pub(crate) fn release(&self, number: u32) {
        self.free.borrow_mut().push(number);
    }
}

/// One number, ours until dropped.
pub(crate) struct Fid {
    number: u32,
    state: Cell<State>,
    fids: Rc<Fids>,
}

/// What has to be done when a fid is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The host does not know the number.
    Reserved,
    /// A file of the host stands behind it.
    Bound,
    /// Somebody else clunks and releases it.
    HandedOver,
}

impl Fid {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The host has confirmed that a file stands behind the number now.
    pub(crate) fn bind(&self) {
        self.state.set(State::Bound);
    }

    /// Notes what came of a request that binds the number, and passes it on. After nonsense the number counts as
    /// bound: a clunk too many is refused, but a number in use must not be taken again.
    pub(crate) fn bound_by<T>(&self, outcome: Outcome<T>) -> Outcome<T> {
        if let Ok(_) | Err(Failure::Here(_)) = outcome {
            self.bind();
        }
        outcome
    }

    /// Gives the number to somebody who clunks it and then calls [`Fids::release`].
    pub(crate) fn into_number(self) -> u32 {
        self.state.set(State::HandedOver);
        self.number
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        match self.state.get() {
            State::Reserved => self.fids.release(self.number),
            State::Bound => {
                self.fids.dropped.borrow_mut().push(self.number);
                self.fids.more_dropped.notify();
            }
            State::HandedOver => {}
        }
    }
}
