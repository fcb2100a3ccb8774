//! x86_64: boot, descriptor tables, interrupts, system calls, context switch, user copies.
//!
//! Assembler lives only here. Everything that the rest of the core needs is re-exported below.

pub(crate) mod apic;
#[cfg(target_os = "none")]
mod boot;
pub(crate) mod context;
pub(crate) mod cpu;
pub(crate) mod describe;
pub(crate) mod fpu;
pub(crate) mod gdt;
pub(crate) mod idt;
pub(crate) mod ioapic;
pub(crate) mod percpu;
pub(crate) mod pic;
pub(crate) mod port;
pub(crate) mod rtc;
pub(crate) mod serial;
pub(crate) mod syscall;
pub(crate) mod usercopy;
