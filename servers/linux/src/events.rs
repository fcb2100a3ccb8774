//! The front end's helper thread: bells of rings and standing calls, and timers that come due.
//!
//! Whoever wants to hear from outside [subscribes](Events::subscribe) a [`Sink`] and gets a tag for the shared
//! [`EventSet`]; the core coalesces signals, the helper thread calls [`Sink::signalled`] once per signalled tag.
//! Sinks run on the helper thread: they may take locks and wake threads, and must not wait.

use crate::block::bits;
use crate::process::process;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use linux_abi::Errno;
use microkernel::event::EventSet;
use microkernel::thread;
use spin::{Mutex, Once};

/// Most subscriptions at a time.
const TAGS: usize = 1 << 17;

/// Receives signals for one tag.
pub(crate) trait Sink: Send + Sync {
    /// Something happened since the last call; find out what.
    fn signalled(&self);
}

/// Subscriptions and the set that the core signals.
#[derive(Default)]
pub(crate) struct Events {
    set: Once<EventSet>,
    sinks: Mutex<Sinks>,
    /// The helper thread, so that an earlier timer can wake it.
    helper: Once<thread::Thread>,
}

#[derive(Default)]
struct Sinks {
    by_tag: BTreeMap<u32, Arc<dyn Sink>>,
    next: u32,
}

impl Events {
    /// Starts the helper thread; called once, before the program runs. Errors: `ENOMEM`.
    pub(crate) fn start(&self) -> Result<(), Errno> {
        let helper = thread::spawn_kernel("linux-events", HELPER_PRIORITY, run, 0).map_err(|_| Errno::ENOMEM)?;
        self.set.call_once(|| EventSet::new(TAGS, helper.clone(), bits::EVENT));
        self.helper.call_once(|| helper);
        self.poke();
        Ok(())
    }

    /// The set to hand to rings and clients, once [`Events::start`] has run.
    pub(crate) fn set(&self) -> Option<&EventSet> {
        self.set.get()
    }

    /// Registers `sink` under a free tag. Errors: `ENFILE` when all tags are in use.
    pub(crate) fn subscribe(&self, sink: Arc<dyn Sink>) -> Result<u32, Errno> {
        let mut sinks = self.sinks.lock();
        if sinks.by_tag.len() >= TAGS {
            return Err(Errno::ENFILE);
        }
        while sinks.by_tag.contains_key(&sinks.next) {
            sinks.next = (sinks.next + 1) % TAGS as u32;
        }
        let tag = sinks.next;
        sinks.next = (tag + 1) % TAGS as u32;
        sinks.by_tag.insert(tag, sink);
        Ok(tag)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, tag: u32) {
        let gone = self.sinks.lock().by_tag.remove(&tag);
        drop(gone);
    }

    /// Makes the helper thread look at timers again.
    pub(crate) fn poke(&self) {
        if let Some(helper) = self.helper.get() {
            helper.notify(bits::EVENT);
        }
    }

    fn deliver(&self) {
        let Some(set) = self.set.get() else { return };
        while let Some(tag) = set.take() {
            let sink = self.sinks.lock().by_tag.get(&tag).cloned();
            if let Some(sink) = sink {
                sink.signalled();
            }
        }
    }
}

/// Above the program's threads: timers and packets must not wait for a busy loop.
const HELPER_PRIORITY: u8 = 1;

fn run(_: usize) {
    // The first poke comes when the set is in place and the process installed.
    let mut deadline = None;
    loop {
        thread::wait_for(bits::EVENT, deadline);
        let process = process();
        process.events.deliver();
        deadline = process.times.run_due();
    }
}
