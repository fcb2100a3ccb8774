//! The supervisor: starts the task table, watches over it, and speaks for it.
//!
//! Owns: how often each task died lately. Calls: nobody, ever: it must work when all others do not. Called by:
//! control. Waits: for deaths, requests and back-off timers; nowhere else. The tasks themselves are behind [`System`],
//! which `servers/root` binds to the core.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use protocol::supervisor::{Error, Kill, Result, Task, TaskInfo};
use rt::service::supervisor::{Handler, Server};
use rt::sys::Ports;
use rt::{Context, Runtime};

/// What follows the death of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is started anew; its clients recover.
    Anew,
    /// The VM ends with the reason: its clients cannot go on without its state.
    EndVm,
}

/// Deaths within [`WINDOW_NS`] after which a task is given up.
pub const DEATHS: usize = 5;
/// The time in which deaths count together, in nanoseconds.
pub const WINDOW_NS: u64 = 10_000_000_000;
/// Pause before the second restart within the window; doubles with each further one.
pub const BACK_OFF_NS: u64 = 20_000_000;

/// The tasks of the table, in the order in which they are started.
pub trait System {
    /// How many there are now; tasks may join, none leaves.
    fn count(&self) -> u32;
    /// Its instance name.
    fn name(&self, index: u32) -> String;
    /// What follows its death.
    fn policy(&self, index: u32) -> Restart;
    /// Starts it. Returns whether there was memory for it.
    fn start(&self, index: u32) -> bool;
    /// Why it died, if it did and was not reaped since.
    fn death(&self, index: u32) -> Option<String>;
    /// Takes back all that the dead task had.
    fn reap(&self, index: u32);
    /// Kills it.
    fn kill(&self, index: u32);
    /// Its figures.
    fn info(&self, index: u32) -> TaskInfo;
    /// Ends the VM as failed.
    fn end(&self);
}

struct Inner {
    runtime: Runtime,
    system: Rc<dyn System>,
    /// Times of the latest deaths of each task.
    deaths: RefCell<Vec<Vec<u64>>>,
}

/// The handler of `supervisor`; cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Rc<Inner>);

impl Supervisor {
    /// Watches over `system`; nothing is started yet.
    pub fn new(runtime: &Runtime, system: Rc<dyn System>) -> Self {
        Self(Rc::new(Inner { runtime: runtime.clone(), system, deaths: RefCell::default() }))
    }

    /// Starts every task of the table. The VM ends if there is no memory for one.
    pub fn start_all(&self) {
        (0..self.0.system.count()).for_each(|index| self.0.start(index));
    }

    /// Looks for tasks that died, and does what their policy says.
    pub fn look(&self) {
        for index in 0..self.0.system.count() {
            if let Some(cause) = self.0.system.death(index) {
                self.0.runtime.machine().log(format_args!("{} died: {cause}", self.0.system.name(index)));
                self.0.system.reap(index);
                self.follow_up(index);
            }
        }
    }

    fn follow_up(&self, index: u32) {
        let inner = &self.0;
        let recent = inner.note_death(index);
        if inner.system.policy(index) == Restart::EndVm {
            inner.system.end();
            return;
        }
        if recent >= DEATHS {
            let name = inner.system.name(index);
            inner.runtime.machine().log(format_args!("{name} died {recent} times in a row and is given up"));
            inner.system.end();
            return;
        }
        let pause = if recent <= 1 { 0 } else { BACK_OFF_NS << (recent - 2) };
        let later = inner.clone();
        inner.runtime.spawn(async move {
            if pause > 0 {
                later.runtime.sleep(pause).await;
            }
            later.start(index);
        });
    }
}

impl Inner {
    fn start(&self, index: u32) {
        if !self.system.start(index) {
            let name = self.system.name(index);
            self.runtime.machine().log(format_args!("too little memory to start {name}; give the VM more with -m"));
            self.system.end();
        }
    }

    /// Notes a death now; how many there were within the window, this one included.
    fn note_death(&self, index: u32) -> usize {
        let now = self.runtime.machine().now_ns();
        let mut deaths = self.deaths.borrow_mut();
        let at = index as usize;
        if deaths.len() <= at {
            deaths.resize_with(at + 1, Vec::new);
        }
        let list = &mut deaths[at];
        list.retain(|&then| now.saturating_sub(then) < WINDOW_NS);
        list.push(now);
        list.len()
    }
}

impl Handler for Supervisor {
    async fn task(&self, _: &Context, call: Task) -> Result<TaskInfo> {
        if call.index < self.0.system.count() { Ok(self.0.system.info(call.index)) } else { Err(Error::NoTask) }
    }

    async fn kill(&self, _: &Context, call: Kill<'_>) -> Result<()> {
        let system = &self.0.system;
        let found = (0..system.count()).find(|&index| system.name(index).as_bytes() == call.name.get());
        system.kill(found.ok_or(Error::NoTask)?);
        Ok(())
    }
}

/// Entry of the task: starts the table and watches for ever. `death_bit` is notified at each death.
pub fn run(ports: Ports, system: Rc<dyn System>, death_bit: u8) -> ! {
    let runtime = Runtime::new(ports.machine);
    let supervisor = Supervisor::new(&runtime, system);
    supervisor.start_all();
    let watcher = supervisor.clone();
    runtime.on_bit(death_bit, move || watcher.look());
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(supervisor)));
    runtime.run()
}
