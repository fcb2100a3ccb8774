//! From the processor to whoever is responsible: system calls and user faults to the front end, interrupts to their
//! threads, faults of servers to their task's end, faults of the core to the crash report.
//!
//! The core knows no Linux: the front end injects its handlers once with [`set_handlers`].

use crate::arch::{apic, cpu, percpu};
use crate::mm::layout::USER_END;
use crate::task::{self, Death, sched, thread};
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Once;

/// All registers of the program, as saved at kernel entry and loaded on return. Changeable.
///
/// The order is that of the entry code's pushes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the names are the registers'
pub struct UserContext {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// `rax` at system call entry: the number. `u64::MAX` after an exception or interrupt.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Flags that the program may set: CF PF AF ZF SF TF DF OF NT RF AC ID.
const USER_FLAGS: u64 = 0x25_4dd5;
/// Always set: reserved bit 1, IF.
const FIXED_FLAGS: u64 = 0x202;

impl UserContext {
    /// A context that starts at `rip` with stack pointer `rsp` and zeros elsewhere.
    pub fn new(rip: u64, rsp: u64) -> Self {
        let mut context = Self { rip, rsp, ..Self::default() };
        context.sanitize();
        context
    }

    /// Makes a context from outside safe to return to: user segments, harmless flags. An address outside the
    /// program's half will fault in user mode.
    pub fn sanitize(&mut self) {
        self.cs = u64::from(crate::arch::gdt::USER_CODE);
        self.ss = u64::from(crate::arch::gdt::USER_DATA);
        self.rflags = self.rflags & USER_FLAGS | FIXED_FLAGS;
        if self.rip >= USER_END {
            // IRET to a non-canonical address would fault in the kernel; this one faults in the program.
            self.rip = USER_END;
        }
    }
}

/// An exception that the program raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserFault {
    /// Page fault.
    Page {
        /// Address that was touched.
        address: u64,
        /// It was a write.
        write: bool,
        /// It was an instruction fetch.
        execute: bool,
        /// The page is there, but not for this access.
        present: bool,
    },
    /// Any other exception.
    Other {
        /// Vector (SDM 3A 6.15).
        vector: u8,
        /// Error code, 0 where there is none.
        code: u64,
    },
}

/// What the front end does at each entry to the kernel.
#[derive(Clone, Copy)]
pub struct Handlers {
    /// A system call: number in `orig_rax`, result to `rax`.
    pub syscall: extern "C" fn(&mut UserContext),
    /// An exception in user mode.
    pub fault: fn(&mut UserContext, UserFault),
    /// Before the return to user mode of a thread that is wanted ([`thread::Thread::attention`]).
    pub attention: fn(&mut UserContext),
}

static HANDLERS: Once<Handlers> = Once::new();

/// Called by the system call entry code.
pub(crate) static SYSCALL_HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Injects the front end. The first call counts.
pub fn set_handlers(handlers: Handlers) {
    HANDLERS.call_once(|| handlers);
    SYSCALL_HANDLER.store(handlers.syscall as usize, Ordering::Release);
}

const PAGE_FAULT: u8 = 14;
const DOUBLE_FAULT: u8 = 8;
const NMI: u8 = 2;
const FIRST_INTERRUPT: u8 = 32;

/// Every interrupt and exception arrives here.
pub(crate) extern "C" fn trap_entry(vector: u32, context: &mut UserContext) {
    let vector = vector as u8;
    if vector >= FIRST_INTERRUPT {
        interrupt(vector, context);
    } else if context.cs & 3 != 0 {
        user_exception(vector, context);
    } else {
        kernel_exception(vector, context);
    }
}

/// An interrupt or exception arrived while a server had less stack left than the core needs. This runs on a stack of
/// the processor's own.
#[cfg(target_os = "none")]
pub(crate) extern "C" fn out_of_stack(vector: u32, context: &mut UserContext) -> ! {
    if (vector as u8) < FIRST_INTERRUPT {
        kernel_exception(vector as u8, context);
    }
    die_of_overflow()
}

/// Ends the running server, whose stack is used up.
///
/// An interrupt that found no stack was accepted all the same: it is served here, or no other one would ever come.
fn die_of_overflow() -> ! {
    percpu::core_enter();
    if let Some(vector) = apic::in_service() {
        serve(vector);
    }
    task::die(Death::StackOverflow)
}

fn serve(vector: u8) {
    match vector {
        apic::TIMER => {
            apic::end_of_interrupt();
            crate::time::timer::fired();
        }
        apic::SPURIOUS_VECTOR => {}
        _ => crate::irq::dispatch(vector),
    }
}

fn interrupt(vector: u8, context: &mut UserContext) {
    percpu::core_enter();
    serve(vector);
    let outermost = percpu::core_leave();
    if context.cs & 3 != 0 {
        context.orig_rax = u64::MAX;
    } else if outermost && percpu::need_resched() != 0 {
        sched::preempt();
    }
}

fn user_exception(vector: u8, context: &mut UserContext) {
    let code = context.orig_rax;
    context.orig_rax = u64::MAX;
    let fault = match vector {
        PAGE_FAULT => UserFault::Page {
            address: cpu::fault_address(),
            write: code & 2 != 0,
            execute: code & 16 != 0,
            present: code & 1 != 0,
        },
        NMI => return,
        _ => UserFault::Other { vector, code },
    };
    let handlers = HANDLERS.get().expect("user mode is entered after the handlers are set");
    cpu::enable_interrupts();
    (handlers.fault)(context, fault);
    cpu::disable_interrupts();
}

#[cfg(target_os = "none")]
fn repaired(vector: u8, context: &mut UserContext) -> bool {
    let fixup = if vector == PAGE_FAULT { crate::arch::usercopy::fixup(context.rip) } else { None };
    if let Some(address) = fixup {
        context.rip = address;
    }
    fixup.is_some()
}

#[cfg(not(target_os = "none"))]
fn repaired(_: u8, _: &mut UserContext) -> bool {
    false
}

fn kernel_exception(vector: u8, context: &mut UserContext) {
    if repaired(vector, context) {
        return;
    }
    let address = if vector == PAGE_FAULT || vector == DOUBLE_FAULT { cpu::fault_address() } else { 0 };
    if task::dies_alone() {
        // A double fault here is a page fault that found no stack.
        if (vector == DOUBLE_FAULT || vector == PAGE_FAULT) && thread::current_inner().guards(address) {
            die_of_overflow();
        }
        task::die(Death::Exception { vector, rip: context.rip, address });
    }
    crate::panic::exception(vector, address, context)
}

/// Runs until nothing is to be done any more before the return to user mode. Interrupts are off here and on return.
pub(crate) extern "C" fn return_work(context: &mut UserContext) {
    percpu::set_return_work(0);
    if percpu::need_resched() != 0 {
        percpu::core_enter();
        sched::preempt_now();
        percpu::core_leave();
    }
    let me = thread::current_inner();
    if me.attention.swap(false, Ordering::SeqCst)
        && let Some(handlers) = HANDLERS.get()
    {
        cpu::enable_interrupts();
        (handlers.attention)(context);
        cpu::disable_interrupts();
    }
}
