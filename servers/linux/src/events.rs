//! The front end's helper thread: bells of rings, ended standing calls, and timers that come due.
//!
//! Whoever wants to hear of a ring or another tagged source [subscribes](Events::subscribe) a [`Sink`] and gets a tag for
//! the shared [`EventSet`]; the core coalesces signals, the helper thread calls [`Sink::signalled`] once per signalled tag.
//! Sinks run on the helper thread: they may take locks and wake threads, and must not wait or call servers synchronously.

use crate::block::bits;
use crate::process::process;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use microkernel::channel::EventSet;
use microkernel::task::thread::{self, Thread};
use spin::Mutex;

/// Most subscriptions at a time.
const TAGS: u32 = 1 << 16;

/// Receives signals of one source.
pub(crate) trait Sink: Send + Sync {
    /// Something happened since the last call; find out what.
    fn signalled(&self);
}

/// Subscriptions and the set that the core signals.
pub(crate) struct Events {
    helper: Thread,
    set: EventSet,
    sinks: Mutex<Sinks>,
    /// Looked at after every wake-up: connections with standing calls.
    polled: Mutex<Vec<Arc<dyn Sink>>>,
}

#[derive(Default)]
struct Sinks {
    by_tag: BTreeMap<u32, Arc<dyn Sink>>,
    next: u32,
}

impl Events {
    /// Starts the helper thread; it sleeps until the first [`Events::poke`], for which the process must be installed.
    ///
    /// Errors: `ENOMEM`.
    pub(crate) fn start() -> Result<Self, Errno> {
        let helper = thread::spawn_kernel("linux-events", HELPER_PRIORITY, run, 0).map_err(|_| Errno::ENOMEM)?;
        let set = EventSet::new(TAGS as usize, helper.clone(), bits::EVENT);
        Ok(Self { helper, set, sinks: Mutex::default(), polled: Mutex::default() })
    }

    /// The helper thread and the bit that wakes it.
    pub(crate) fn helper(&self) -> (Thread, u64) {
        (self.helper.clone(), bits::EVENT)
    }

    /// The set to hand to rings.
    pub(crate) fn set(&self) -> &EventSet {
        &self.set
    }

    /// Has `sink` signalled after every wake-up of the helper thread.
    pub(crate) fn poll_too(&self, sink: Arc<dyn Sink>) {
        self.polled.lock().push(sink);
    }

    /// Registers `sink` under a free tag. Errors: `ENFILE` when all tags are in use.
    pub(crate) fn subscribe(&self, sink: Arc<dyn Sink>) -> Result<u32, Errno> {
        let mut sinks = self.sinks.lock();
        if sinks.by_tag.len() >= TAGS as usize {
            return Err(Errno::ENFILE);
        }
        while sinks.by_tag.contains_key(&sinks.next) {
            sinks.next = (sinks.next + 1) % TAGS;
        }
        let tag = sinks.next;
        sinks.next = (tag + 1) % TAGS;
        sinks.by_tag.insert(tag, sink);
        Ok(tag)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, tag: u32) {
        let gone = self.sinks.lock().by_tag.remove(&tag);
        drop(gone);
    }

    /// Makes the helper thread look at everything again, timers included.
    pub(crate) fn poke(&self) {
        self.helper.notify(bits::EVENT);
    }

    fn deliver(&self) {
        while let Some(tag) = self.set.take() {
            let sink = self.sinks.lock().by_tag.get(&tag).cloned();
            if let Some(sink) = sink {
                sink.signalled();
            }
        }
        let polled = self.polled.lock().clone();
        polled.iter().for_each(|sink| sink.signalled());
    }
}

/// Above the program's threads: timers and packets must not wait for a busy loop.
const HELPER_PRIORITY: u8 = thread::PROGRAM_PRIORITY + 1;

fn run(_: usize) {
    let mut deadline = None;
    loop {
        thread::wait_for(bits::EVENT, deadline);
        let process = process();
        process.events.deliver();
        deadline = process.times.run_due();
    }
}
