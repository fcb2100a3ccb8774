//! The kernel context switch, and the first steps of a new thread.

#[cfg(target_os = "none")]
use core::arch::naked_asm;

/// Saves the callee-saved registers on this stack, stores its pointer in `*save`, and continues on `load`.
///
/// # Safety
/// `load` must be a stack pointer stored by an earlier call or built by [`prepare`]; interrupts must be off.
#[cfg(target_os = "none")]
#[unsafe(naked)]
pub unsafe extern "C" fn switch(save: *mut u64, load: u64) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Host builds never switch.
#[cfg(not(target_os = "none"))]
pub unsafe extern "C" fn switch(_save: *mut u64, _load: u64) {
    unreachable!("no context switch on the host")
}

/// Builds the first frame of a new thread on the stack that ends at `top`: it will call `entry(argument)`.
///
/// # Safety
/// The stack must be mapped and unused, and `top` aligned to 16.
pub unsafe fn prepare(top: u64, entry: extern "C" fn(u64) -> !, argument: u64) -> u64 {
    let words = [0, 0, argument, entry as usize as u64, 0, 0, trampoline as *const () as usize as u64, 0];
    let start = top - 8 * words.len() as u64;
    // SAFETY: by the caller, the stack below `top` is ours.
    unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), start as *mut u64, words.len()) };
    start
}

/// Entered by `ret` of [`switch`]: r12 holds the entry, r13 its argument.
#[cfg(target_os = "none")]
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!("and rsp, -16", "xor ebp, ebp", "mov rdi, r13", "call r12", "ud2")
}

#[cfg(not(target_os = "none"))]
extern "C" fn trampoline() {}
