//! Locks of the core: held only inside core sections, so that nobody is preempted or killed with one.
//!
//! Order, outermost first: task table, port, ring, handle table, address space, run queue, timers, arena, kernel
//! map, frames, I/O APIC. [`IrqLock`] also keeps interrupts off, for what interrupt handlers touch.

use crate::arch::{cpu, percpu};
use core::ops::{Deref, DerefMut};
use spin::{Mutex, MutexGuard};

/// A core section: no preemption and no death of the running task until it is dropped.
///
/// Allocations inside come from the core's arena.
pub struct CoreSection(());

impl CoreSection {
    /// Enters. A task whose stack is nearly used up dies here, before it holds anything.
    #[inline]
    pub fn enter() -> Self {
        percpu::core_enter();
        #[cfg(target_os = "none")]
        if percpu::core_depth() == 1 {
            crate::task::check_stack();
        }
        Self(())
    }
}

impl Drop for CoreSection {
    #[inline]
    fn drop(&mut self) {
        if percpu::core_leave() && percpu::need_resched() != 0 {
            crate::task::sched::preempt();
        }
    }
}

/// Runs `work` in a core section: the running task is neither preempted nor killed meanwhile.
///
/// For a server that takes a core reference (a thread, an event set) and puts it where the core finds it: killed in
/// between, it would take the reference with it for ever. `work` must be short, and must not fail.
pub fn section<R>(work: impl FnOnce() -> R) -> R {
    let _section = CoreSection::enter();
    work()
}

/// A spin lock for core data that interrupt handlers do not touch.
pub struct Lock<T>(Mutex<T>);

/// What [`Lock::lock`] returns. Fields drop in order: the lock first, then the section.
pub struct Guard<'a, T> {
    inner: MutexGuard<'a, T>,
    _section: CoreSection,
}

impl<T> Lock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        let section = CoreSection::enter();
        Guard { inner: self.0.lock(), _section: section }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// Keeps interrupts off while it lives, and puts them back as they were.
pub struct InterruptsOff {
    were_on: bool,
}

impl InterruptsOff {
    /// Turns interrupts off.
    #[inline]
    pub fn enter() -> Self {
        let were_on = cpu::interrupts_enabled();
        cpu::disable_interrupts();
        Self { were_on }
    }
}

impl Drop for InterruptsOff {
    #[inline]
    fn drop(&mut self) {
        if self.were_on {
            cpu::enable_interrupts();
        }
    }
}

/// A spin lock for data that interrupt handlers touch too.
pub struct IrqLock<T>(Mutex<T>);

/// What [`IrqLock::lock`] returns. Fields drop in order: lock, interrupts, section.
pub struct IrqGuard<'a, T> {
    inner: MutexGuard<'a, T>,
    _interrupts: InterruptsOff,
    _section: CoreSection,
}

impl<T> IrqLock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock with interrupts off.
    #[inline]
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let section = CoreSection::enter();
        let interrupts = InterruptsOff::enter();
        IrqGuard { inner: self.0.lock(), _interrupts: interrupts, _section: section }
    }

    /// Takes the lock if it is free; for reports from a dying kernel.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }
}

impl<T> Deref for IrqGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for IrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
