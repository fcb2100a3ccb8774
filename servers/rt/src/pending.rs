//! Transfers under way at a device, by tag: whoever submitted waits here until its completion is collected.
//!
//! A device hands a tag out again as soon as its completion was collected, so the result is kept in the
//! [`Transfer`], not in the table.

use crate::device::Tag;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

struct State<T> {
    result: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

impl<T> State<T> {
    fn finish(&self, result: T) {
        self.result.set(Some(result));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Entry<T> {
    state: Rc<State<T>>,
    started_ns: u64,
}

/// The transfers of one queue of a device.
pub struct Pending<T> {
    entries: RefCell<Vec<Option<Entry<T>>>>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { entries: RefCell::default() }
    }
}

impl<T> Pending<T> {
    /// Notes a transfer that was submitted at `now_ns`; the future ends with its result.
    pub fn start(&self, tag: Tag, now_ns: u64) -> Transfer<T> {
        let state = Rc::new(State { result: Cell::new(None), waker: Cell::new(None) });
        let mut entries = self.entries.borrow_mut();
        let index = usize::from(tag);
        if entries.len() <= index {
            entries.resize_with(index + 1, || None);
        }
        entries[index] = Some(Entry { state: state.clone(), started_ns: now_ns });
        Transfer(state)
    }

    /// Ends the transfer `tag`; says whether there was one.
    pub fn finish(&self, tag: Tag, result: T) -> bool {
        let entry = self.entries.borrow_mut().get_mut(usize::from(tag)).and_then(Option::take);
        entry.map(|entry| entry.state.finish(result)).is_some()
    }

    /// Ends all transfers with the same result, as a reset of the device does.
    pub fn finish_all(&self, result: T)
    where
        T: Clone,
    {
        for entry in self.entries.take().into_iter().flatten() {
            entry.state.finish(result.clone());
        }
    }

    /// When the oldest transfer was submitted; `None` when nothing is under way.
    pub fn oldest_ns(&self) -> Option<u64> {
        self.entries.borrow().iter().flatten().map(|entry| entry.started_ns).min()
    }
}

/// Future of [`Pending::start`].
pub struct Transfer<T>(Rc<State<T>>);

impl<T> Future for Transfer<T> {
    type Output = T;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(result) = self.0.result.take() {
            return Poll::Ready(result);
        }
        self.0.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}
