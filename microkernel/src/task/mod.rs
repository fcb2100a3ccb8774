//! Tasks: protection domains with a heap, handles, and one or more threads.
//!
//! A server task may die at any instruction outside the core: by panic, exception, stack overflow, a full heap, or
//! a kill. Its thread then never runs again; [`Task::reap`] resets its device, drops what the core holds for it, and
//! unmaps its heap and stack. No destructor of the task's own runs. In the core and the front end the same
//! events end the VM.

pub mod handle;
pub(crate) mod sched;
pub(crate) mod stack;
pub mod thread;

use crate::arch::percpu;
use crate::mm::arena;
use crate::sync::Lock;
use crate::trace::{Record, Ring};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use handle::HandleTable;
use thread::{Thread, ThreadInner};

/// What happens when code of the task fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The task dies alone.
    Server,
    /// The VM ends: the core itself, and the front end that hosts the program.
    Essential,
}

/// Why a task died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// `panic!`, with place and message.
    Panic(String),
    /// A CPU exception in its code.
    Exception {
        /// Vector (SDM 3A 6.15).
        vector: u8,
        /// Where.
        rip: u64,
        /// Address of a page fault.
        address: u64,
    },
    /// The stack was used up.
    StackOverflow,
    /// The heap reached its limit, or memory was used up.
    HeapExhausted {
        /// Bytes that were wanted.
        wanted: usize,
    },
    /// Killed from outside.
    Killed,
    /// Its entry function returned.
    Returned,
}

/// How a task is made.
pub struct TaskSpec<'a> {
    /// Instance name (`tfs:/`).
    pub name: &'a str,
    /// 1..=7, higher runs first.
    pub priority: u8,
    /// What happens when it fails.
    pub trust: Trust,
    /// Most bytes of heap.
    pub heap_limit: usize,
    /// Size of the first thread's stack in bytes, at most 96 KiB.
    pub stack_bytes: usize,
    /// What the first thread runs.
    pub entry: fn(usize),
    /// Passed to `entry`.
    pub argument: usize,
}

/// Resets the device of a task; runs in the core after the task's last instruction.
pub type ResetHook = fn(u64);

pub(crate) struct TaskInner {
    pub id: u32,
    pub name: String,
    pub trust: Trust,
    pub arena: usize,
    pub handles: HandleTable,
    resets: Lock<Vec<(ResetHook, u64)>>,
    death: Lock<Option<Death>>,
    threads: Lock<Vec<Arc<ThreadInner>>>,
    watcher: Lock<Option<(Thread, u64)>>,
    reaped: AtomicBool,
    tracing: AtomicBool,
    /// The last trace events; there once the task was traced.
    events: Lock<Option<Ring>>,
    cpu_cycles: AtomicU64,
}

/// A task. Cheap to clone.
#[derive(Clone)]
pub struct Task(pub(crate) Arc<TaskInner>);

/// A task could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Task {
    pub(crate) fn create(name: &str, trust: Trust, heap_limit: usize) -> Result<Self, NoMemory> {
        let _section = crate::sync::CoreSection::enter();
        let arena = arena::open(heap_limit).ok_or(NoMemory)?;
        Ok(Self(Arc::new(TaskInner {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: String::from(name),
            trust,
            arena,
            handles: HandleTable::new(),
            resets: Lock::new(Vec::new()),
            death: Lock::new(None),
            threads: Lock::new(Vec::new()),
            watcher: Lock::new(None),
            reaped: AtomicBool::new(false),
            tracing: AtomicBool::new(false),
            events: Lock::new(None),
            cpu_cycles: AtomicU64::new(0),
        })))
    }

    /// Makes a task and starts its first thread. `watcher` has its bits notified when the task dies.
    ///
    /// Errors: no memory for stack or heap.
    pub fn spawn(spec: &TaskSpec<'_>, watcher: Option<(Thread, u64)>) -> Result<Self, NoMemory> {
        let task = Self::create(spec.name, spec.trust, spec.heap_limit)?;
        *task.0.watcher.lock() = watcher;
        let start = thread::Start::Kernel { entry: spec.entry, argument: spec.argument };
        thread::spawn_in(&task, spec.name, spec.priority, spec.stack_bytes, start).inspect_err(|_| task.reap())?;
        Ok(task)
    }

    /// Number of the task: unique since boot.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Instance name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Why the task died; `None` while it lives.
    pub fn death(&self) -> Option<Death> {
        self.0.death.lock().clone()
    }

    /// Stops the task where it stands, and tells its watcher. It may be reaped at once. Nothing happens to a dead or
    /// essential task; a task that kills itself does not return.
    pub fn kill(&self) {
        if self.0.trust != Trust::Server {
            return;
        }
        let _section = crate::sync::CoreSection::enter();
        if core::ptr::eq(&*thread::current_inner().task, &*self.0) {
            die(Death::Killed);
        }
        self.0.end(Death::Killed);
    }

    /// Takes back all that a dead task had: device, leases, ports, handles, heap, stacks. Idempotent; a server that still
    /// lives is killed first.
    pub fn reap(&self) {
        self.kill();
        if self.0.reaped.swap(true, Ordering::AcqRel) {
            return;
        }
        let _section = crate::sync::CoreSection::enter();
        let resets = core::mem::take(&mut *self.0.resets.lock());
        resets.into_iter().for_each(|(hook, argument)| hook(argument));
        self.0.handles.clear();
        let threads = core::mem::take(&mut *self.0.threads.lock());
        for thread in &threads {
            crate::time::timer::forget(thread);
            thread.release_stack();
        }
        arena::close(self.0.arena);
    }

    /// Bytes of heap handed out, and bytes mapped for it.
    pub fn heap(&self) -> (usize, usize) {
        arena::usage(self.0.arena)
    }

    /// CPU time used by all threads so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        crate::time::cycles_to_ns(self.0.cpu_cycles.load(Ordering::Relaxed))
    }

    /// Turns trace events of this task on or off.
    pub fn set_tracing(&self, on: bool) {
        if on {
            let mut events = self.0.events.lock();
            if events.is_none() {
                *events = Ring::new();
            }
        }
        self.0.tracing.store(on, Ordering::Relaxed);
    }

    /// Records a trace event of this task; nothing happens if it was never traced.
    pub fn record(&self, request: u64, what: core::fmt::Arguments<'_>) {
        let record = Record::new(crate::time::now_ns(), request, what);
        if let Some(ring) = &mut *self.0.events.lock() {
            ring.push(record);
        }
    }

    /// Shows the last `count` trace events, oldest first.
    pub fn last_events(&self, count: usize, show: &mut dyn FnMut(&Record)) {
        if let Some(ring) = &*self.0.events.lock() {
            ring.last(count).for_each(show);
        }
    }

    /// Whether trace events of this task are wanted.
    pub fn tracing(&self) -> bool {
        self.0.tracing.load(Ordering::Relaxed)
    }
}

impl TaskInner {
    /// Notes why the task dies, keeps its threads from running again, and tells the watcher; once.
    fn end(&self, cause: Death) {
        {
            let mut death = self.death.lock();
            if death.is_some() {
                return;
            }
            *death = Some(cause);
        }
        let threads: Vec<_> = self.threads.lock().clone();
        threads.iter().for_each(|thread| sched::stop(thread));
        if let Some((watcher, bits)) = &*self.watcher.lock() {
            watcher.notify(*bits);
        }
    }

    pub(crate) fn add_thread(&self, thread: Arc<ThreadInner>) {
        self.threads.lock().push(thread);
    }

    pub(crate) fn remove_thread(&self, id: u32) {
        self.threads.lock().retain(|thread| thread.id != id);
    }

    pub(crate) fn charge(&self, cycles: u64) {
        self.cpu_cycles.fetch_add(cycles, Ordering::Relaxed);
    }

    pub(crate) fn is_server(&self) -> bool {
        self.trust == Trust::Server
    }
}

/// The running task.
pub fn current() -> Task {
    let _section = crate::sync::CoreSection::enter();
    Task(thread::current_inner().task.clone())
}

/// Has `hook(argument)` run when the running task has died, before its memory is given back.
pub fn on_death(hook: ResetHook, argument: u64) {
    let _section = crate::sync::CoreSection::enter();
    thread::current_inner().task.resets.lock().push((hook, argument));
}

/// The arena of the running task; the core's before there is one.
pub(crate) fn current_arena() -> usize {
    if percpu::current() == 0 { arena::CORE } else { thread::current_inner().task.arena }
}

/// Ends the running server task for good.
pub(crate) fn die(cause: Death) -> ! {
    percpu::set_core_depth(1);
    let thread = thread::current_inner();
    let task = &thread.task;
    if task.is_server() {
        task.end(cause);
        sched::exit_current()
    }
    crate::panic::fatal(format_args!("task {} failed: {cause:?}", task.name))
}

/// Whether a failure of the code that runs now kills its task alone.
pub(crate) fn dies_alone() -> bool {
    percpu::core_depth() == 0 && percpu::current() != 0 && thread::current_inner().task.is_server()
}

/// The running task's heap is full: a server dies, the front end gets a null pointer.
pub(crate) fn heap_exhausted(wanted: usize) {
    if dies_alone() {
        die(Death::HeapExhausted { wanted });
    }
}

/// Kills a server that enters the core with its stack nearly used up.
#[cfg(target_os = "none")]
pub(crate) fn check_stack() {
    let here: u64;
    // SAFETY: reads the stack pointer.
    unsafe { core::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags)) };
    if here < percpu::stack_floor() {
        percpu::set_stack_floor(0);
        die(Death::StackOverflow);
    }
}
