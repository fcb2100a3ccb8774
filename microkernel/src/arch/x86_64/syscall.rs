//! SYSCALL entry and the three ways into user mode.
//!
//! Interrupts are on while the handler runs. The fast way back is SYSRET; anything that SYSRET could not restore
//! (a changed `rcx` or `r11`, a non-canonical address) leaves through IRET.

use super::{cpu, gdt};

const MSR_EFER: u32 = 0xc000_0080;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
/// Cleared on entry: TF, IF, DF, NT, AC.
const FLAGS_CLEARED: u64 = 0x100 | 0x200 | 0x400 | 0x4000 | 0x4_0000;

/// Lets this processor take SYSCALL.
#[cfg(target_os = "none")]
pub fn enable() {
    let selectors = u64::from(gdt::KERNEL_CODE) << 32 | u64::from(gdt::USER_DATA - 8) << 48;
    // SAFETY: the processor is in long mode, so these exist; the entry below keeps the kernel sound.
    unsafe {
        cpu::write_msr(MSR_STAR, selectors);
        cpu::write_msr(MSR_LSTAR, syscall_entry as *const () as u64);
        cpu::write_msr(MSR_FMASK, FLAGS_CLEARED);
        cpu::write_msr(MSR_EFER, cpu::read_msr(MSR_EFER) | 1);
    }
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    fn syscall_entry();
    /// Leaves to user mode with the context at `context`, which ends at the thread's stack top.
    pub fn enter_user(context: *const crate::trap::UserContext) -> !;
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .globl syscall_entry
    .balign 64
syscall_entry:
    swapgs
    mov gs:[{user_rsp}], rsp
    mov rsp, gs:[{kernel_rsp}]
    push {user_data}
    push qword ptr gs:[{user_rsp}]
    push r11
    push {user_code}
    push rcx
    push rax
    push rdi
    push rsi
    push rdx
    push rcx
    push -38
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    xor ebp, ebp
    // The context is 21 words long: one more, since calls are made with the stack aligned to 16.
    sub rsp, 8
    sti
    call qword ptr [rip + {handler}]
    cli
    add rsp, 8
    cmp dword ptr gs:[{work}], 0
    jne return_to_user
    // SYSRET takes rip from rcx and rflags from r11.
    mov rcx, [rsp + {rip}]
    mov r11, [rsp + {rflags}]
    cmp rcx, [rsp + {rcx}]
    jne return_to_user
    cmp r11, [rsp + {r11}]
    jne return_to_user
    mov rax, rcx
    shr rax, 47
    jnz return_to_user
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    add rsp, 8
    pop r10
    pop r9
    pop r8
    pop rax
    add rsp, 8
    pop rdx
    pop rsi
    pop rdi
    mov rsp, [rsp + 32]
    swapgs
    sysretq

    .globl enter_user
enter_user:
    cli
    mov rsp, rdi
    jmp return_to_user
    "#,
    user_rsp = const super::percpu::USER_RSP,
    kernel_rsp = const super::percpu::KERNEL_RSP,
    work = const super::percpu::RETURN_WORK,
    user_data = const gdt::USER_DATA as i32,
    user_code = const gdt::USER_CODE as i32,
    handler = sym crate::trap::SYSCALL_HANDLER,
    rip = const core::mem::offset_of!(crate::trap::UserContext, rip),
    rflags = const core::mem::offset_of!(crate::trap::UserContext, rflags),
    rcx = const core::mem::offset_of!(crate::trap::UserContext, rcx),
    r11 = const core::mem::offset_of!(crate::trap::UserContext, r11),
);
