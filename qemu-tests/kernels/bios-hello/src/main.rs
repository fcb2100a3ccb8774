//! The smallest kernel that shows that a loader did its work.
//!
//! Entered the PVH way. It checks the CPU state, that a 600 KiB pattern and the zeroed data arrived where the ELF file
//! says, reads the start info, prints `OK <memory map entries> <command line>` (or `BAD <what>`) on COM1, and ends QEMU
//! through `isa-debug-exit` at port 0xf4 or 0x501: exit status 33 when all is well, 35 when not.
#![no_std]
#![no_main]

core::arch::global_asm!(include_str!("hello.s"), options(att_syntax, raw));

/// There is no Rust code that could panic; the compiler wants a handler all the same.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
