//! The machine of `rt`, bound to the core: time, pages, bells, log, trace.

use crate::system::{Kind, Row};
use alloc::boxed::Box;
use alloc::rc::Rc;
use microkernel::channel::{EventSet, Memory as CoreMemory, keep};
use microkernel::sync::section;
use microkernel::task::handle::Owned;
use microkernel::task::{self, Task};
use microkernel::{log, random, thread, time};
use rt::sys::{BELL_BIT, Bits, Machine, Memory};
use rt::trace::Event;
use virtio::KernelMemory;

/// Rings that one task can tell apart.
const BELLS: usize = 16 * 1024;

/// The machine as one task has it.
pub struct KernelMachine {
    name: Box<str>,
    keep_bytes: usize,
    /// What this task traces must not go into the log that it carries itself.
    carries_log: bool,
    bells: Owned<EventSet>,
    task: Owned<Task>,
}

impl KernelMachine {
    /// The machine of the running task.
    pub fn new(name: &str, row: &Row) -> Rc<Self> {
        let (bells, task) = section(|| {
            let bells = EventSet::new(BELLS, thread::current(), 1 << BELL_BIT);
            (task::handle::keep(bells), task::handle::keep(task::current()))
        });
        Rc::new(Self {
            name: name.into(),
            keep_bytes: row.keep_bytes,
            carries_log: row.kind == Kind::Console,
            bells,
            task,
        })
    }

    /// What rings of this task signal.
    pub fn bells(&self) -> &EventSet {
        &self.bells
    }
}

impl Machine for KernelMachine {
    fn now_ns(&self) -> u64 {
        time::now_ns()
    }
    fn wall_ns(&self) -> u64 {
        time::wall_ns()
    }
    fn wait(&self, deadline_ns: Option<u64>) -> Bits {
        thread::wait(deadline_ns)
    }
    fn pages(&self, bytes: usize) -> Option<Rc<dyn Memory>> {
        CoreMemory::alloc(bytes).map(|memory| Rc::new(KernelMemory(memory)) as Rc<dyn Memory>)
    }
    fn keep(&self) -> Rc<dyn Memory> {
        let memory = keep::region(&self.name, self.keep_bytes).expect("keep pages are few and made at the first start");
        Rc::new(KernelMemory(memory))
    }
    fn next_bell(&self) -> Option<u32> {
        self.bells.take()
    }
    fn random(&self) -> u64 {
        random::next()
    }
    fn log(&self, line: core::fmt::Arguments<'_>) {
        log!("{line}");
    }
    fn tracing(&self) -> bool {
        self.task.tracing()
    }
    fn trace(&self, event: &Event<'_>) {
        self.task.record(event.request(), format_args!("{event}"));
        let us = time::now_ns() / 1000;
        let (seconds, us) = (us / 1_000_000, us % 1_000_000);
        if self.carries_log {
            log::uart_line(format_args!("[{seconds:5}.{us:06}] {} {event}", self.name));
        } else {
            log!("[{seconds:5}.{us:06}] {} {event}", self.name);
        }
    }
}
