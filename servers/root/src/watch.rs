//! The supervisor's view of the tasks: instances, started and killed through the core.

use crate::instances::{Instance, start, system};
use crate::machine::KernelMachine;
use crate::ports::KernelInbox;
use crate::system::{Kind, row};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use microkernel::channel::Port;
use microkernel::task::Task;
use microkernel::thread::Thread;
use microkernel::{log, power, thread};
use protocol::control::SKIFF_FAILED;
use protocol::supervisor::{State, TaskInfo, TaskName};
use rt::sys::{FIRST_FREE_BIT, Ports};
use spin::Once;
use supervisor::{Restart, System};

/// Bit of the supervisor's thread: a task has died.
const DEATH_BIT: u8 = FIRST_FREE_BIT;

/// Trace events of a dead task that its report shows, if it was traced.
const SHOWN_EVENTS: usize = 8;

static WATCHER: Once<Thread> = Once::new();

/// Who hears of deaths, and with which bits.
pub fn watcher() -> (Thread, u64) {
    (WATCHER.get().expect("set before the first task").clone(), 1 << DEATH_BIT)
}

struct Tasks;

fn instance(index: u32) -> &'static Instance {
    system().instance(index as usize).expect("indices are below the count")
}

fn with_task<R>(index: u32, work: impl FnOnce(&Task) -> R) -> Option<R> {
    instance(index).task.lock().as_ref().map(work)
}

impl System for Tasks {
    fn count(&self) -> u32 {
        system().all().count() as u32
    }
    fn name(&self, index: u32) -> String {
        instance(index).name.clone()
    }
    fn policy(&self, index: u32) -> Restart {
        row(instance(index).kind).restart
    }
    fn start(&self, index: u32) -> bool {
        start(index as usize, watcher()).is_ok()
    }
    fn death(&self, index: u32) -> Option<String> {
        with_task(index, |task| task.death().map(|cause| format!("{cause:?}"))).flatten()
    }
    fn reap(&self, index: u32) {
        if let Some(task) = instance(index).task.lock().take() {
            task.last_events(SHOWN_EVENTS, &mut |event| log!("  at {} us: {}", event.at_ns / 1000, event.text()));
            task.reap();
        }
    }
    fn kill(&self, index: u32) {
        with_task(index, Task::kill);
    }
    fn info(&self, index: u32) -> TaskInfo {
        let instance = instance(index);
        let task = instance.task.lock();
        let mut name = TaskName::default();
        let _ = name.0.push_str(&instance.name);
        TaskInfo {
            name,
            state: if task.is_some() { State::Running } else { State::Restarting },
            generation: instance.port.generation(),
            cpu_ns: task.as_ref().map_or(0, Task::cpu_ns),
            heap_bytes: task.as_ref().map_or(0, |task| task.heap().0 as u64),
            messages: instance.port.received(),
        }
    }
    fn end(&self) {
        log::use_uart();
        log!("the VM ends: a task that it needs is gone");
        power::exit(SKIFF_FAILED);
    }
}

/// Becomes the supervisor: starts all tasks and watches over them for ever.
pub fn run() -> ! {
    WATCHER.call_once(thread::current);
    let row = row(Kind::Supervisor);
    let machine = KernelMachine::new(row.word, row);
    let inbox = KernelInbox::open(&Port::new(row.word, row.depth), &machine);
    crate::drain::spawn();
    crate::entropy::spawn();
    crate::program::spawn();
    let ports = Ports { machine, inbox, links: [].into(), name: row.word.into(), generation: 1 };
    supervisor::run(ports, Rc::new(Tasks), DEATH_BIT)
}
