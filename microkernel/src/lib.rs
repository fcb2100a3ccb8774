//! The minimal core of Skiff: mechanism, and nothing that knows a message, a file, a packet or a Linux number.
//!
//! It gives frames and page tables ([`mm`]), tasks and threads ([`task`]), interrupts as notifications ([`irq`]),
//! ports, leases and rings ([`channel`]), time ([`time`]), and the way between user mode and an injected front end
//! ([`trap`]). Together with `servers/virtio` and `loader/boot` it holds all of the system's `unsafe` code.
//!
//! Soundness rests on these facts, kept by the modules named: every mapped or lent frame is counted ([`mm::frame`]);
//! user memory is touched only by copies that may fault ([`mm::user`]); core state is locked inside core sections, in
//! which nothing is preempted or killed ([`sync`]); a task's core objects stand in its table and die with it
//! ([`task::handle`]).
#![no_std]
// On the host only the pure parts are used, by tests; what drives the machine is merely type-checked there.
#![cfg_attr(not(target_os = "none"), allow(dead_code, unused_imports))]

extern crate alloc;

mod arch;
pub mod channel;
pub mod device;
pub mod irq;
pub mod log;
pub mod mm;
pub mod panic;
pub mod power;
pub mod random;
mod start;
pub mod sync;
pub mod task;
pub mod time;
pub mod trace;
pub mod trap;
pub mod vdso;

pub use arch::fpu::BadState;
pub use task::thread;

/// CPU facts for the front end.
pub mod cpu {
    pub use crate::arch::cpu::{Features, features};
    pub use crate::arch::describe::{Description, Flags, describe};
}

/// Makes `$main` (a `fn()`) the first task of a kernel binary, and installs the panic handler.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "Rust" fn skiff_kernel_main() {
                $main()
            }

            #[panic_handler]
            fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
                $crate::panic::panicked(info)
            }
        };
    };
}
