//! Signals that end a run: counted, and passed on to whoever listens at the moment.
//!
//! Long copies ask [`Interrupts::check`] and undo their work; a running machine listens ([`Interrupts::listen`]) and
//! decides by the count: the first signal stops the program in good order, the second one stops at once.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};

/// Called with the number of signals seen so far.
type Listener = Box<dyn Fn(usize) + Send>;

/// The signals seen by this process; cheap to clone.
#[derive(Clone, Default)]
pub struct Interrupts {
    seen: Arc<AtomicUsize>,
    listener: Arc<Mutex<Option<Listener>>>,
}

impl Interrupts {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the whole process.
    pub fn install() -> io::Result<Interrupts> {
        let interrupts = Interrupts::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let shared = interrupts.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                shared.raise();
            }
        })?;
        Ok(interrupts)
    }

    /// Counts one more request to stop and tells the listener.
    pub fn raise(&self) {
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if let Ok(listener) = self.listener.lock()
            && let Some(listener) = listener.as_ref()
        {
            listener(seen);
        }
    }

    /// Errors with [`Error::Interrupted`] once a signal was seen.
    pub fn check(&self) -> Result<()> {
        match self.seen.load(Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(Error::Interrupted),
        }
    }

    /// From now on calls `listener` at each signal, and at once if there was one already.
    pub fn listen(&self, listener: impl Fn(usize) + Send + 'static) {
        if let Ok(mut slot) = self.listener.lock() {
            match self.seen.load(Ordering::SeqCst) {
                0 => {}
                seen => listener(seen),
            }
            *slot = Some(Box::new(listener));
        }
    }

    /// Ends what [`Self::listen`] began.
    pub fn unlisten(&self) {
        if let Ok(mut slot) = self.listener.lock() {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_listener_hears_signals_from_before_and_after_it_listened() {
        let interrupts = Interrupts::default();
        assert!(interrupts.check().is_ok());
        interrupts.raise();
        assert!(matches!(interrupts.check(), Err(Error::Interrupted)));
        let (sender, receiver) = mpsc::channel();
        interrupts.listen(move |seen| sender.send(seen).unwrap_or_default());
        interrupts.raise();
        interrupts.unlisten();
        interrupts.raise();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
    }
}
