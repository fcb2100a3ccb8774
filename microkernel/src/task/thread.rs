//! Threads: what is scheduled. Each has a kernel stack and a word of notification bits.
//!
//! [`wait`] is the only way to sleep, and [`Thread::notify`] the only way to wake somebody: bits are set, taken and
//! never lost. Program threads also have a user context, vector state and segment bases; they are not preempted while they
//! run front-end code in the kernel.

use super::stack::{DEFAULT_BYTES, Stack};
use super::{NoMemory, Task, TaskInner, sched};
use crate::arch::context;
use crate::arch::fpu::VectorState;
use crate::arch::percpu;
use crate::mm::frame::Need;
use crate::sync::{CoreSection, Lock};
use crate::trap::UserContext;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use spin::Once;

/// Bit: the thread is wanted back (signal, exit). Level-triggered: see [`Thread::attention`].
pub const ATTENTION: u64 = 1 << 63;
/// Bit: a synchronous call was answered.
pub const REPLY: u64 = 1 << 62;
/// Bit: a port has room again.
pub const ROOM: u64 = 1 << 61;

/// Priority of program threads.
pub const PROGRAM_PRIORITY: u8 = 2;

pub(crate) mod state {
    pub const RUNNING: u8 = 0;
    pub const READY: u8 = 1;
    pub const BLOCKED: u8 = 2;
    pub const DEAD: u8 = 3;
}

/// User-mode state of a program thread. Touched by the thread itself and by the context switch only.
pub(crate) struct UserState {
    pub fs_base: Cell<u64>,
    pub gs_base: Cell<u64>,
    pub vector: core::cell::RefCell<VectorState>,
}

pub(crate) struct ThreadInner {
    pub id: u32,
    pub name: String,
    pub task: Arc<TaskInner>,
    pub priority: u8,
    pub state: AtomicU8,
    /// The context is live on a processor; another one must not load it yet.
    pub on_cpu: AtomicBool,
    /// Link of the run queue that the thread stands in; guarded by that queue's lock.
    pub next: AtomicPtr<ThreadInner>,
    pub saved_rsp: UnsafeCell<u64>,
    word: AtomicU64,
    /// Bits that wake the thread now.
    mask: AtomicU64,
    pub attention: AtomicBool,
    pub stack_top: u64,
    pub stack_floor: u64,
    stack: Lock<Option<Stack>>,
    pub user: Option<UserState>,
    data: Once<Box<dyn Any + Send + Sync>>,
    pub cycles: AtomicU64,
}

// SAFETY: `saved_rsp` and `user` are touched only by the processor that runs or switches the thread
// (`on_cpu` orders hand-over); all else is atomic or locked.
unsafe impl Send for ThreadInner {}
// SAFETY: as above.
unsafe impl Sync for ThreadInner {}

/// A thread. Cheap to clone; holding it does not keep the thread from ending.
#[derive(Clone)]
pub struct Thread(pub(crate) Arc<ThreadInner>);

/// How a thread begins.
pub(crate) enum Start {
    /// In a kernel function.
    Kernel { entry: fn(usize), argument: usize },
    /// In user mode.
    User { context: UserContext, fs_base: u64, vector: Option<VectorState> },
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// The running thread; only for core code.
pub(crate) fn current_inner() -> &'static ThreadInner {
    // SAFETY: the scheduler stores an `Arc` pointer that it holds while the thread runs; the reference is used
    // only by code that runs on that thread.
    unsafe { &*(percpu::current() as *const ThreadInner) }
}

/// The running thread.
pub fn current() -> Thread {
    let _section = CoreSection::enter();
    let pointer = percpu::current() as *const ThreadInner;
    // SAFETY: as `current_inner`; the count is raised before the new `Arc` is made.
    unsafe {
        Arc::increment_strong_count(pointer);
        Thread(Arc::from_raw(pointer))
    }
}

impl Thread {
    /// Number of the thread: unique since boot.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sets notification bits and wakes the thread if it waits for one of them.
    pub fn notify(&self, bits: u64) {
        let _section = CoreSection::enter();
        self.0.notify(bits);
    }

    /// Wants the thread back: its waits for [`ATTENTION`] end, and the attention handler runs before it
    /// next returns to user mode. Stays in force until that handler runs or [`clear_attention`].
    pub fn attention(&self) {
        let _section = CoreSection::enter();
        self.0.attention.store(true, Ordering::SeqCst);
        self.0.notify(ATTENTION);
        if percpu::current() == Arc::as_ptr(&self.0) as u64 {
            percpu::set_return_work(1);
        }
    }

    /// CPU time used so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        let mut cycles = self.0.cycles.load(Ordering::Relaxed);
        if percpu::current() == Arc::as_ptr(&self.0) as u64 {
            cycles += sched::cycles_of_current();
        }
        crate::time::cycles_to_ns(cycles)
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == state::DEAD
    }

    /// Runs `work` on the data that the thread's owner attached, if it has that type.
    pub fn with_data<T: Any, R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.data.get().and_then(|data| data.downcast_ref::<T>()).map(work)
    }

    /// Attaches data to a thread, once.
    pub fn set_data(&self, data: Box<dyn Any + Send + Sync>) {
        self.0.data.call_once(|| data);
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Thread {}

impl ThreadInner {
    fn new(
        task: &Task,
        name: &str,
        priority: u8,
        stack: Option<Stack>,
        (top, floor): (u64, u64),
        user: Option<UserState>,
    ) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: String::from(name),
            task: task.0.clone(),
            priority,
            state: AtomicU8::new(state::BLOCKED),
            on_cpu: AtomicBool::new(false),
            next: AtomicPtr::new(core::ptr::null_mut()),
            saved_rsp: UnsafeCell::new(0),
            word: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            attention: AtomicBool::new(false),
            stack_top: top,
            stack_floor: floor,
            stack: Lock::new(stack),
            user,
            data: Once::new(),
            cycles: AtomicU64::new(0),
        }
    }

    pub(crate) fn notify(&self, bits: u64) {
        self.word.fetch_or(bits, Ordering::SeqCst);
        if self.mask.load(Ordering::SeqCst) & bits != 0 {
            sched::wake(self);
        }
    }

    pub(crate) fn release_stack(&self) {
        drop(self.stack.lock().take());
    }

    pub(crate) fn guards(&self, address: u64) -> bool {
        self.stack.lock().as_ref().is_some_and(|stack| stack.guards(address))
    }

    fn take(&self, mask: u64) -> u64 {
        let mut got = self.word.fetch_and(!(mask & !ATTENTION), Ordering::SeqCst) & mask & !ATTENTION;
        if mask & ATTENTION != 0 && self.attention.load(Ordering::SeqCst) {
            got |= ATTENTION;
        }
        got
    }
}

/// Data attached to the running thread.
pub fn with_current_data<T: Any, R>(work: impl FnOnce(&T) -> R) -> Option<R> {
    current_inner().data.get().and_then(|data| data.downcast_ref::<T>()).map(work)
}

/// Data attached to the running thread, for as long as the thread lives.
pub fn current_data<T: Any>() -> Option<&'static T> {
    // The reference is sound for the thread itself: data is attached once and dropped after its last instruction.
    current_inner().data.get().and_then(|data| data.downcast_ref::<T>())
}

/// Sleeps until one of the bits in `mask` is set or the clock reaches `deadline_ns`.
///
/// Takes and returns the bits of `mask` that are set; others stay. 0 means the deadline.
pub fn wait_for(mask: u64, deadline_ns: Option<u64>) -> u64 {
    let _section = CoreSection::enter();
    let me = current_inner();
    loop {
        let got = me.take(mask);
        if got != 0 {
            return got;
        }
        if deadline_ns.is_some_and(|deadline| crate::time::now_ns() >= deadline) {
            return 0;
        }
        me.mask.store(mask, Ordering::SeqCst);
        me.state.store(state::BLOCKED, Ordering::SeqCst);
        let raced = me.word.load(Ordering::SeqCst) & mask & !ATTENTION != 0
            || mask & ATTENTION != 0 && me.attention.load(Ordering::SeqCst);
        if raced {
            sched::wake(me);
        }
        let timer = deadline_ns.map(|deadline| crate::time::timer::arm(deadline, me));
        sched::block();
        if let Some(timer) = timer {
            crate::time::timer::disarm(timer);
        }
        me.mask.store(0, Ordering::SeqCst);
    }
}

/// [`wait_for`] all bits but those of the core and [`ATTENTION`].
pub fn wait(deadline_ns: Option<u64>) -> u64 {
    wait_for(!(ATTENTION | REPLY | ROOM), deadline_ns)
}

/// Ends the attention that was asked of the running thread.
pub fn clear_attention() {
    current_inner().attention.store(false, Ordering::SeqCst);
}

/// Whether the running thread is wanted.
pub fn attention_pending() -> bool {
    current_inner().attention.load(Ordering::Relaxed)
}

/// Lets other threads of the same or higher priority run.
pub fn yield_now() {
    let _section = CoreSection::enter();
    sched::yield_now();
}

/// Lets more important threads run, if there are any; for long loops of cooperative threads.
pub fn preempt_point() {
    if percpu::need_resched() != 0 {
        let _section = CoreSection::enter();
        sched::preempt_now();
    }
}

/// Makes a thread of the code that runs at boot, on the boot stack.
pub(crate) fn adopt(task: &Task, name: &str) -> Arc<ThreadInner> {
    Arc::new(ThreadInner::new(task, name, 0, None, (0, 0), None))
}

pub(crate) fn spawn_in(
    task: &Task,
    name: &str,
    priority: u8,
    stack_bytes: usize,
    start: Start,
) -> Result<Thread, NoMemory> {
    let _section = CoreSection::enter();
    let need = if matches!(start, Start::User { .. }) { Need::Program } else { Need::Kernel };
    let stack = Stack::new(stack_bytes, need)?;
    let (top, floor) = (stack.top(), stack.floor());
    let user = match &start {
        Start::Kernel { .. } => None,
        Start::User { .. } => Some(UserState {
            fs_base: Cell::new(0),
            gs_base: Cell::new(0),
            vector: core::cell::RefCell::new(VectorState::new()),
        }),
    };
    let thread = Arc::new(ThreadInner::new(task, name, priority, Some(stack), (top, floor), user));
    // SAFETY: the stack is new and large enough, and its top is aligned to pages.
    let rsp = unsafe {
        match start {
            // On the stack, so that nothing is left over when the thread is killed before it runs.
            Start::Kernel { entry, argument } => {
                let at = top - size_of::<(fn(usize), usize)>() as u64;
                (at as *mut (fn(usize), usize)).write((entry, argument));
                context::prepare(at & !15, kernel_entry, at)
            }
            Start::User { context, fs_base, vector } => {
                let user = thread.user.as_ref().expect("made above");
                user.fs_base.set(fs_base);
                if let Some(vector) = vector {
                    *user.vector.borrow_mut() = vector;
                }
                let at = top - size_of::<UserContext>() as u64;
                (at as *mut UserContext).write(context);
                context::prepare(at & !15, user_entry, at)
            }
        }
    };
    // SAFETY: nobody else knows the thread yet.
    unsafe { *thread.saved_rsp.get() = rsp };
    task.0.add_thread(thread.clone());
    sched::wake(&thread);
    Ok(Thread(thread))
}

extern "C" fn kernel_entry(argument: u64) -> ! {
    sched::after_switch();
    // SAFETY: `spawn_in` put both there for this thread alone.
    let (entry, argument) = unsafe { (argument as *const (fn(usize), usize)).read() };
    crate::arch::cpu::enable_interrupts();
    if percpu::core_leave() && percpu::need_resched() != 0 {
        sched::preempt();
    }
    entry(argument);
    finish()
}

extern "C" fn user_entry(context: u64) -> ! {
    sched::after_switch();
    percpu::core_leave();
    #[cfg(target_os = "none")]
    // SAFETY: `spawn_in` put a context there, which ends at the stack top.
    unsafe {
        crate::arch::syscall::enter_user(context as *const UserContext)
    }
    #[cfg(not(target_os = "none"))]
    unreachable!("no user mode on the host: {context:#x}")
}

/// A kernel thread's entry function has returned: a server dies, a helper of an essential task ends.
fn finish() -> ! {
    if current_inner().task.is_server() {
        super::die(super::Death::Returned);
    }
    exit()
}

/// Starts a program thread in the running task; it begins in user mode with this context.
///
/// `vector` is the vector state to start with: a fresh one, or a copy of the running thread's.
/// Errors: no memory for its stack.
pub fn spawn_user(
    name: &str,
    context: UserContext,
    fs_base: u64,
    inherit_vector: bool,
    data: Box<dyn Any + Send + Sync>,
) -> Result<Thread, NoMemory> {
    let _section = CoreSection::enter();
    let vector = inherit_vector.then(copy_vector_state).flatten();
    let start = Start::User { context, fs_base, vector };
    // The thread must not run before its data is there.
    let thread = spawn_in(&super::current(), name, PROGRAM_PRIORITY, DEFAULT_BYTES, start)?;
    thread.set_data(data);
    Ok(thread)
}

/// Starts a helper thread in the running task.
///
/// Errors: no memory for its stack.
pub fn spawn_kernel(name: &str, priority: u8, entry: fn(usize), argument: usize) -> Result<Thread, NoMemory> {
    spawn_in(&super::current(), name, priority, DEFAULT_BYTES, Start::Kernel { entry, argument })
}

/// Ends the running thread. Its stack is given back once it has been left.
pub fn exit() -> ! {
    percpu::core_enter();
    let me = current_inner();
    me.task.remove_thread(me.id);
    sched::exit_current()
}

fn copy_vector_state() -> Option<VectorState> {
    let user = current_inner().user.as_ref()?;
    sched::save_vector_state();
    Some(user.vector.borrow().duplicate())
}

/// Shows the running program thread's vector state, in the standard XSAVE (or FXSAVE) format.
pub fn with_vector_state<R>(work: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let _section = CoreSection::enter();
    let user = current_inner().user.as_ref()?;
    sched::save_vector_state();
    let state = user.vector.borrow();
    Some(work(state.bytes()))
}

/// Size of the vector state image in bytes, and the XSAVE components in it (0: FXSAVE).
pub fn vector_layout() -> (usize, u64) {
    let layout = crate::arch::fpu::layout();
    (layout.len, layout.components)
}

/// Replaces the running program thread's vector state with an image from outside.
///
/// Errors: the image is not one that this machine can load.
pub fn set_vector_state(image: &[u8]) -> Result<(), crate::arch::fpu::BadState> {
    let _section = CoreSection::enter();
    let user = current_inner().user.as_ref().ok_or(crate::arch::fpu::BadState)?;
    sched::save_vector_state();
    user.vector.borrow_mut().replace(image)?;
    user.vector.borrow().restore();
    Ok(())
}

/// Puts the running program thread's vector state back to that of a fresh program.
pub fn reset_vector_state() {
    let _section = CoreSection::enter();
    if let Some(user) = current_inner().user.as_ref() {
        sched::save_vector_state();
        *user.vector.borrow_mut() = VectorState::new();
        user.vector.borrow().restore();
    }
}

/// The program's FS base on the running thread.
pub fn fs_base() -> u64 {
    sched::segment_bases().0
}

/// Sets the program's FS base on the running thread. The address must be the program's.
pub fn set_fs_base(address: u64) {
    sched::set_fs_base(address.min(crate::mm::layout::USER_END));
}

/// The program's GS base on the running thread.
pub fn gs_base() -> u64 {
    sched::segment_bases().1
}

/// Sets the program's GS base on the running thread. The address must be the program's.
pub fn set_gs_base(address: u64) {
    sched::set_gs_base(address.min(crate::mm::layout::USER_END));
}
