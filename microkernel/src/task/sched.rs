//! The scheduler: fixed priorities, round robin within one, preemption outside the core.
//!
//! Ready threads stand in intrusive queues, one per priority, so that an interrupt handler can wake a thread without
//! allocating. A switch always happens at core depth 1 with interrupts off. A thread that is woken while it still
//! runs (it was about to sleep) is queued like any other; `on_cpu` keeps other processors from loading it too early.

use super::thread::{ThreadInner, state};
use crate::arch::{context, cpu, gdt, percpu};
use crate::sync::{InterruptsOff, IrqLock};
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Priorities 0 (idle) to 7.
const PRIORITIES: usize = 8;
/// Time that threads of one priority take turns in, in nanoseconds.
const QUANTUM_NS: u64 = 10_000_000;

const MSR_FS_BASE: u32 = 0xc000_0100;
const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;

struct Queue {
    head: *mut ThreadInner,
    tail: *mut ThreadInner,
}

struct RunQueues {
    queues: [Queue; PRIORITIES],
    /// Bit n: queue n is not empty.
    occupied: u32,
}

// SAFETY: the pointers are `Arc`s given up to the queue; only the lock's holder follows them.
unsafe impl Send for RunQueues {}

impl RunQueues {
    /// Appends (or, for a preempted thread, prepends) a thread, taking a reference over.
    fn push(&mut self, thread: *mut ThreadInner, front: bool) {
        // SAFETY: the queue owns a reference to every thread in it.
        let priority = usize::from(unsafe { (*thread).priority });
        let queue = &mut self.queues[priority];
        // SAFETY: as above, and the lock is held.
        unsafe {
            if front {
                (*thread).next.store(queue.head, Ordering::Relaxed);
                queue.head = thread;
                if queue.tail.is_null() {
                    queue.tail = thread;
                }
            } else {
                (*thread).next.store(null_mut(), Ordering::Relaxed);
                match queue.tail.as_ref() {
                    Some(tail) => tail.next.store(thread, Ordering::Relaxed),
                    None => queue.head = thread,
                }
                queue.tail = thread;
            }
        }
        self.occupied |= 1 << priority;
    }

    /// Takes a thread out, wherever it stands; whether it was there. Its reference is the caller's then.
    fn remove(&mut self, thread: &ThreadInner) -> bool {
        let priority = usize::from(thread.priority);
        let queue = &mut self.queues[priority];
        let (mut before, mut at) = (null_mut::<ThreadInner>(), queue.head);
        // SAFETY: the queue owns a reference to every thread in it, and the lock is held.
        unsafe {
            while !at.is_null() && !core::ptr::eq(at, thread) {
                (before, at) = (at, (*at).next.load(Ordering::Relaxed));
            }
            let Some(found) = at.as_ref() else { return false };
            let behind = found.next.load(Ordering::Relaxed);
            match before.as_ref() {
                Some(before) => before.next.store(behind, Ordering::Relaxed),
                None => queue.head = behind,
            }
            if behind.is_null() {
                queue.tail = before;
            }
        }
        if queue.head.is_null() {
            self.occupied &= !(1 << priority);
        }
        true
    }

    fn top(&self) -> Option<usize> {
        self.occupied.checked_ilog2().map(|priority| priority as usize)
    }

    /// Takes the most important thread, with its reference.
    fn pop(&mut self) -> Option<*mut ThreadInner> {
        let priority = self.top()?;
        let queue = &mut self.queues[priority];
        let thread = queue.head;
        // SAFETY: the queue owns a reference to every thread in it.
        queue.head = unsafe { (*thread).next.load(Ordering::Relaxed) };
        if queue.head.is_null() {
            queue.tail = null_mut();
            self.occupied &= !(1 << priority);
        }
        Some(thread)
    }
}

/// The processor's own scheduling state, found through GS: `data` comes first, so both have one address.
#[repr(C)]
struct Local {
    data: UnsafeCell<percpu::PerCpu>,
    /// Threads that are ready to run here.
    queues: IrqLock<RunQueues>,
    segments: gdt::Segments,
    /// The thread that runs when nobody else can.
    idle: AtomicPtr<ThreadInner>,
    /// The thread that was left by the switch under way.
    left: AtomicPtr<ThreadInner>,
    /// Whose vector state is in the registers.
    vector_owner: AtomicPtr<ThreadInner>,
    /// Whose segment bases are in the registers.
    bases_owner: AtomicPtr<ThreadInner>,
    /// TSC when the running thread was switched to.
    since: AtomicU64,
}

// SAFETY: `data` is touched only by the processor that it belongs to; all else is atomic, locked, or (`segments`)
// `Sync` itself.
unsafe impl Sync for Local {}

/// The boot processor's; the others' are made when they are started.
static BOOT: Local = Local {
    data: UnsafeCell::new(percpu::PerCpu::new()),
    queues: IrqLock::new(RunQueues {
        queues: [const { Queue { head: null_mut(), tail: null_mut() } }; PRIORITIES],
        occupied: 0,
    }),
    segments: gdt::Segments::new(),
    idle: AtomicPtr::new(null_mut()),
    left: AtomicPtr::new(null_mut()),
    vector_owner: AtomicPtr::new(null_mut()),
    bases_owner: AtomicPtr::new(null_mut()),
    since: AtomicU64::new(0),
};

/// The state of the processor that runs this.
#[cfg(target_os = "none")]
fn local() -> &'static Local {
    // SAFETY: `init_processor` installed the `PerCpu` that a `Local` starts with, and it lives for ever. Code that
    // keeps the reference does so with preemption off.
    unsafe { &*(percpu::this() as *const Local) }
}

/// Host builds have one processor.
#[cfg(not(target_os = "none"))]
fn local() -> &'static Local {
    &BOOT
}

/// Sets up the boot processor: its own data and segments.
#[cfg(target_os = "none")]
pub fn init_processor() {
    BOOT.segments.load();
    // SAFETY: static, used by this processor alone.
    unsafe { percpu::install(BOOT.data.get(), BOOT.segments.last_stack()) };
}

/// Makes the running boot code the idle thread of this processor.
pub fn adopt_idle(thread: Arc<ThreadInner>) {
    thread.state.store(state::RUNNING, Ordering::Relaxed);
    thread.on_cpu.store(true, Ordering::Relaxed);
    // One reference for `idle`, one for `current`.
    core::mem::forget(thread.clone());
    let raw = Arc::into_raw(thread).cast_mut();
    local().idle.store(raw, Ordering::Relaxed);
    percpu::set_current(raw as u64);
    local().since.store(cpu::tsc(), Ordering::Relaxed);
}

/// Makes a sleeping thread ready. Nothing happens to one that is not asleep.
pub fn wake(thread: &ThreadInner) {
    if thread.state.compare_exchange(state::BLOCKED, state::READY, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return;
    }
    let raw = core::ptr::from_ref(thread);
    // SAFETY: `ThreadInner`s live in `Arc`s only; the queue gets a reference of its own.
    unsafe { Arc::increment_strong_count(raw) };
    local().queues.lock().push(raw.cast_mut(), false);
    let running = super::thread::current_inner();
    if thread.priority > running.priority || is_idle(running) {
        percpu::set_need_resched(1);
        percpu::set_return_work(1);
    } else if thread.priority == running.priority {
        crate::time::timer::want_quantum(QUANTUM_NS);
    }
}

fn is_idle(thread: &ThreadInner) -> bool {
    core::ptr::eq(thread, local().idle.load(Ordering::Relaxed))
}

/// Called when a quantum is over: another thread of the same priority may run.
pub fn quantum_over() {
    let running = super::thread::current_inner();
    let waiting = local().queues.lock().top().is_some_and(|top| top >= usize::from(running.priority));
    if waiting {
        percpu::set_need_resched(1);
        percpu::set_return_work(1);
    }
}

/// Leaves the processor until woken. The caller has set its state.
pub fn block() {
    switch_away(None);
}

/// Goes behind all ready threads of the same priority.
pub fn yield_now() {
    switch_away(Some(false));
}

/// At the end of a core section with another thread wanted: switches, unless the running thread is cooperative.
pub fn preempt() {
    if percpu::cooperative() != 0 || percpu::current() == 0 {
        return;
    }
    loop {
        percpu::core_enter();
        switch_away(Some(false));
        // Interrupts that were held back during the switch arrive here and may want another one.
        if !percpu::core_leave() || percpu::need_resched() == 0 {
            return;
        }
    }
}

/// Switches now if another thread is wanted; for cooperative threads at points of their choice.
pub fn preempt_now() {
    switch_away(Some(false));
}

/// Ends the running thread.
pub fn exit_current() -> ! {
    super::thread::current_inner().state.store(state::DEAD, Ordering::SeqCst);
    switch_away(None);
    unreachable!("a dead thread was scheduled")
}

/// Keeps a thread from ever running again, once it has left the processor.
pub fn stop(thread: &ThreadInner) {
    let queued = {
        let mut queues = local().queues.lock();
        thread.state.store(state::DEAD, Ordering::SeqCst);
        queues.remove(thread)
    };
    if queued {
        // SAFETY: the reference of the queue; the caller has one of its own.
        unsafe { Arc::decrement_strong_count(core::ptr::from_ref(thread)) };
    }
}

/// Chooses the next thread and switches to it. `requeue`: the running thread stays ready (at the front or not).
fn switch_away(requeue: Option<bool>) {
    let _interrupts = InterruptsOff::enter();
    let old = percpu::current() as *mut ThreadInner;
    let (next, shared) = {
        let mut queues = local().queues.lock();
        percpu::set_need_resched(0);
        if let Some(front) = requeue {
            // SAFETY: the running thread is kept by its processor's reference.
            let running = unsafe { &*old };
            let better = queues.top().is_some_and(|top| top >= usize::from(running.priority));
            if !better && !is_idle(running) {
                return;
            }
            if !is_idle(running)
                && running
                    .state
                    .compare_exchange(state::RUNNING, state::READY, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
            {
                // SAFETY: one more reference for the queue.
                unsafe { Arc::increment_strong_count(old) };
                queues.push(old, front);
            }
        }
        let next = next_live(&mut queues);
        // SAFETY: `next` was taken from the queue with its reference.
        let shared = queues.top() == Some(usize::from(unsafe { (*next).priority }));
        (next, shared)
    };
    if shared {
        crate::time::timer::want_quantum(QUANTUM_NS);
    }
    if core::ptr::eq(next, old) {
        // SAFETY: chosen from the queue or idle; its extra reference from the queue goes.
        unsafe { take_up(next, old) };
        return;
    }
    // SAFETY: `next` is a live thread with a reference owned by us now.
    unsafe { switch_to(next, old) };
}

/// The first ready thread that is not dead, else the idle thread.
fn next_live(queues: &mut RunQueues) -> *mut ThreadInner {
    while let Some(thread) = queues.pop() {
        // SAFETY: the queue's reference is ours now.
        if unsafe { (*thread).state.load(Ordering::SeqCst) } != state::DEAD {
            return thread;
        }
        // SAFETY: as above. If the task was reaped meanwhile, this frees the thread: plain memory of the core.
        unsafe { Arc::decrement_strong_count(thread) };
    }
    let idle = local().idle.load(Ordering::Relaxed);
    // SAFETY: the idle thread lives for ever; one reference per time it is current.
    unsafe { Arc::increment_strong_count(idle) };
    idle
}

/// The running thread was chosen again: it keeps running.
unsafe fn take_up(next: *mut ThreadInner, old: *mut ThreadInner) {
    // SAFETY: by the caller; `current` already holds one reference.
    unsafe {
        (*next).state.store(state::RUNNING, Ordering::SeqCst);
        Arc::decrement_strong_count(old);
    }
    refresh_work();
}

unsafe fn switch_to(next: *mut ThreadInner, old: *mut ThreadInner) {
    // SAFETY: both are live: `old` runs on this stack, `next` was taken from the queue with its reference.
    unsafe {
        while (*next).on_cpu.load(Ordering::Acquire) {
            core::hint::spin_loop();
        }
        account(&*old);
        (*next).on_cpu.store(true, Ordering::Relaxed);
        (*next).state.store(state::RUNNING, Ordering::SeqCst);
        percpu::set_current(next as u64);
        percpu::set_kernel_rsp((*next).stack_top);
        percpu::set_stack_floor((*next).stack_floor);
        percpu::set_cooperative(u32::from(!(*next).task.is_server()));
        local().segments.set_kernel_stack((*next).stack_top);
        load_user_state(&*next);
        local().left.store(old, Ordering::Relaxed);
        context::switch((*old).saved_rsp.get(), *(*next).saved_rsp.get());
    }
    after_switch();
}

/// First thing on the new stack: the thread that was left may now be loaded elsewhere, or freed.
pub fn after_switch() {
    let left = local().left.swap(null_mut(), Ordering::Relaxed);
    if left.is_null() {
        return;
    }
    // SAFETY: the processor's reference to the thread it left is dropped here, after its last use.
    unsafe {
        let dead = (*left).state.load(Ordering::SeqCst) == state::DEAD;
        if dead {
            forget_registers(left);
            if !(*left).task.is_server() {
                (*left).release_stack();
            }
        }
        (*left).on_cpu.store(false, Ordering::Release);
        Arc::decrement_strong_count(left);
    }
    refresh_work();
}

/// Sets the return-work flag for the thread that runs now.
fn refresh_work() {
    let wanted = super::thread::current_inner().attention.load(Ordering::SeqCst) || percpu::need_resched() != 0;
    percpu::set_return_work(u32::from(wanted));
}

fn account(old: &ThreadInner) {
    let now = cpu::tsc();
    let cycles = now.wrapping_sub(local().since.swap(now, Ordering::Relaxed));
    old.cycles.fetch_add(cycles, Ordering::Relaxed);
    old.task.charge(cycles);
}

/// Cycles since the running thread was switched to.
pub fn cycles_of_current() -> u64 {
    cpu::tsc().wrapping_sub(local().since.load(Ordering::Relaxed))
}

/// Puts the user registers of a program thread in place, if they are not there already.
fn load_user_state(next: &ThreadInner) {
    let Some(user) = &next.user else { return };
    let raw = core::ptr::from_ref(next).cast_mut();
    let owner = local().vector_owner.swap(raw, Ordering::Relaxed);
    if owner != raw {
        // SAFETY: an owner is forgotten before it is freed.
        if let Some(old) = unsafe { owner.as_ref() }.and_then(|old| old.user.as_ref()) {
            old.vector.borrow_mut().save();
        }
        user.vector.borrow().restore();
    }
    let owner = local().bases_owner.swap(raw, Ordering::Relaxed);
    if owner != raw {
        // SAFETY: as above.
        if let Some(old) = unsafe { owner.as_ref() }.and_then(|old| old.user.as_ref()) {
            let (fs, gs) = read_bases();
            old.fs_base.set(fs);
            old.gs_base.set(gs);
        }
        write_bases(user.fs_base.get(), user.gs_base.get());
    }
}

/// A dying thread's user registers are nobody's.
fn forget_registers(thread: *mut ThreadInner) {
    let _ = local().vector_owner.compare_exchange(thread, null_mut(), Ordering::Relaxed, Ordering::Relaxed);
    let _ = local().bases_owner.compare_exchange(thread, null_mut(), Ordering::Relaxed, Ordering::Relaxed);
}

/// Stores the running program thread's vector registers into its image.
pub fn save_vector_state() {
    let me = super::thread::current_inner();
    if let Some(user) = &me.user
        && core::ptr::eq(local().vector_owner.load(Ordering::Relaxed), me)
    {
        user.vector.borrow_mut().save();
    }
}

fn read_bases() -> (u64, u64) {
    // SAFETY: both registers exist in long mode.
    unsafe { (cpu::read_msr(MSR_FS_BASE), cpu::read_msr(MSR_KERNEL_GS_BASE)) }
}

fn write_bases(fs: u64, gs: u64) {
    // SAFETY: both registers exist; the addresses are canonical program addresses.
    unsafe {
        cpu::write_msr(MSR_FS_BASE, fs);
        cpu::write_msr(MSR_KERNEL_GS_BASE, gs);
    }
}

/// The running program thread's FS and GS bases.
pub fn segment_bases() -> (u64, u64) {
    read_bases()
}

/// Sets the running program thread's FS base.
pub fn set_fs_base(address: u64) {
    // SAFETY: a canonical program address.
    unsafe { cpu::write_msr(MSR_FS_BASE, address) };
}

/// Sets the running program thread's GS base.
pub fn set_gs_base(address: u64) {
    // SAFETY: a canonical program address; GS is swapped while the kernel runs.
    unsafe { cpu::write_msr(MSR_KERNEL_GS_BASE, address) };
}

/// Runs threads for ever, halting the processor when there are none. Never returns.
pub fn idle_loop() -> ! {
    loop {
        cpu::disable_interrupts();
        let ready = local().queues.lock().occupied != 0;
        if ready {
            switch_away(Some(false));
        } else {
            cpu::halt_until_interrupt();
        }
    }
}
