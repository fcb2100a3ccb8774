//! A gate in front of something that many may use together and one may have alone.

use core::cell::Cell;
use rt::executor::Event;

/// Shared by many or closed by one. Who wants to close it is let in before later sharers.
#[derive(Default)]
pub struct Gate {
    sharing: Cell<u32>,
    closed: Cell<bool>,
    closing: Cell<u32>,
    changed: Event,
}

impl Gate {
    /// Waits until nobody has or wants the gate closed, and shares it.
    pub async fn share(&self) -> Shared<'_> {
        loop {
            let changed = self.changed.wait();
            if !self.closed.get() && self.closing.get() == 0 {
                self.sharing.set(self.sharing.get() + 1);
                return Shared(self);
            }
            changed.await;
        }
    }

    /// Waits until nobody uses the gate, and closes it.
    pub async fn close(&self) -> Closed<'_> {
        let _waiting = Waiting::new(self);
        loop {
            let changed = self.changed.wait();
            if !self.closed.get() && self.sharing.get() == 0 {
                self.closed.set(true);
                return Closed(self);
            }
            changed.await;
        }
    }
}

/// Counts who waits to close, also if the waiting is given up.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.closing.set(gate.closing.get() + 1);
        Waiting(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.closing.set(self.0.closing.get() - 1);
        self.0.changed.notify();
    }
}

/// One of those who share a gate.
pub struct Shared<'a>(&'a Gate);

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        self.0.sharing.set(self.0.sharing.get() - 1);
        self.0.changed.notify();
    }
}

/// The one who has a gate closed.
pub struct Closed<'a>(&'a Gate);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.closed.set(false);
        self.0.changed.notify();
    }
}
