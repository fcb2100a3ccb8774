//! When code fails: a server task dies alone, anything else ends the VM with a report.

use crate::arch::{cpu, percpu};
use crate::log::uart_line as urgent;
use crate::power;
use crate::task::{self, thread};
use crate::trap::UserContext;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Exit status of a VM that Skiff itself ended.
pub const FAILED: u8 = 125;
/// Most frames of a backtrace.
const DEPTH: usize = 24;

static REPORTING: AtomicBool = AtomicBool::new(false);

/// A symbol lookup: address to name and offset. Injected by whoever has the symbols.
pub type Symbolizer = fn(u64) -> Option<(&'static str, u64)>;

static SYMBOLIZER: spin::Once<Symbolizer> = spin::Once::new();

/// Gives the crash report its symbols.
pub fn set_symbolizer(symbolizer: Symbolizer) {
    SYMBOLIZER.call_once(|| symbolizer);
}

/// Ends the VM with a report.
pub fn fatal(words: fmt::Arguments<'_>) -> ! {
    begin();
    urgent(format_args!("fatal: {words}"));
    report_running();
    backtrace(frame_pointer());
    power::exit(FAILED)
}

/// A CPU exception in the core or the front end.
pub(crate) fn exception(vector: u8, address: u64, context: &UserContext) -> ! {
    begin();
    urgent(format_args!(
        "fatal: exception {vector} ({}) in the kernel, error code {:#x}",
        name(vector),
        context.orig_rax
    ));
    report_running();
    report_registers(address, context);
    trace_line(context.rip);
    backtrace(context.rbp);
    power::exit(FAILED)
}

/// A second failure while reporting ends the VM at once.
fn begin() {
    cpu::disable_interrupts();
    percpu::core_enter();
    if REPORTING.swap(true, Ordering::SeqCst) {
        power::exit(FAILED);
    }
    crate::log::use_uart();
}

fn report_running() {
    if percpu::current() == 0 {
        urgent(format_args!("  during boot"));
        return;
    }
    let running = thread::current_inner();
    urgent(format_args!("  task {} thread {} ({})", running.task.name, running.id, running.name));
}

fn report_registers(address: u64, c: &UserContext) {
    urgent(format_args!("  rip {:016x} rsp {:016x} rflags {:08x} cr2 {address:016x}", c.rip, c.rsp, c.rflags));
    urgent(format_args!("  rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", c.rax, c.rbx, c.rcx, c.rdx));
    urgent(format_args!("  rsi {:016x} rdi {:016x} rbp {:016x} r8  {:016x}", c.rsi, c.rdi, c.rbp, c.r8));
    urgent(format_args!("  r9  {:016x} r10 {:016x} r11 {:016x} r12 {:016x}", c.r9, c.r10, c.r11, c.r12));
    urgent(format_args!("  r13 {:016x} r14 {:016x} r15 {:016x}", c.r13, c.r14, c.r15));
}

fn trace_line(address: u64) {
    match SYMBOLIZER.get().and_then(|look_up| look_up(address)) {
        Some((name, offset)) => urgent(format_args!("  at {address:016x} {name}+{offset:#x}")),
        None => urgent(format_args!("  at {address:016x}")),
    }
}

#[cfg(target_os = "none")]
fn frame_pointer() -> u64 {
    let pointer;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

#[cfg(not(target_os = "none"))]
fn frame_pointer() -> u64 {
    0
}

/// Follows the frame pointers as long as they climb within kernel memory.
fn backtrace(mut frame: u64) {
    let mut last = 0;
    for _ in 0..DEPTH {
        if frame <= last || frame < crate::mm::layout::STACKS || !frame.is_multiple_of(8) {
            return;
        }
        // SAFETY: kernel frame pointers point at a saved frame pointer and a return address. A broken chain can
        // fault; the second report ends the VM.
        let (next, address) = unsafe { (*(frame as *const u64), *((frame + 8) as *const u64)) };
        if address == 0 {
            return;
        }
        trace_line(address);
        last = frame;
        frame = next;
    }
}

fn name(vector: u8) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug",
        2 => "NMI",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack segment",
        13 => "general protection",
        14 => "page fault",
        16 => "x87",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD",
        _ => "unknown",
    }
}

/// The panic of any kernel-side crate; [`entry!`](crate::entry) makes it the panic handler.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    if task::dies_alone() {
        let _section = crate::sync::CoreSection::enter();
        let words = alloc::format!("{info}");
        task::die(task::Death::Panic(words));
    }
    fatal(format_args!("{info}"))
}
