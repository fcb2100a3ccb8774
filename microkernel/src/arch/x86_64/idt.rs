//! Interrupt and exception entry: 256 stubs, one common path, one Rust function.
//!
//! Every entry builds a [`UserContext`](crate::trap::UserContext) on the stack, from user mode and from kernel mode alike; the error code
//! of an exception stands in its `orig_rax`. Return to user mode goes through the same work check as a system call.

use super::gdt;
use super::percpu::{COOPERATIVE, CORE_DEPTH, LAST_RSP, RETURN_WORK, STACK_FLOOR};
use core::cell::UnsafeCell;

#[repr(C, align(16))]
struct Gate {
    low: u64,
    high: u64,
}

struct Table(UnsafeCell<[Gate; 256]>);

// SAFETY: filled once by the boot processor before interrupts are on, then only read by the hardware.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([const { Gate { low: 0, high: 0 } }; 256]));

#[cfg(target_os = "none")]
unsafe extern "C" {
    static interrupt_stubs: u8;
}

/// Bytes between two stubs.
#[cfg(target_os = "none")]
const STUB_BYTES: u64 = 16;

/// Fills the table and loads it on this processor.
#[cfg(target_os = "none")]
pub fn load() {
    let first = (&raw const interrupt_stubs) as u64;
    for vector in 0..256 {
        let ist = match vector {
            2 => gdt::IST_NMI,
            8 => gdt::IST_DOUBLE_FAULT,
            18 => gdt::IST_MACHINE_CHECK,
            _ => 0,
        };
        // Breakpoint and overflow may be raised by the program.
        let privilege: u64 = if vector == 3 || vector == 4 { 3 } else { 0 };
        let target = first + vector as u64 * STUB_BYTES;
        let low = target & 0xffff
            | u64::from(gdt::KERNEL_CODE) << 16
            | u64::from(ist) << 32
            | (0x8e | privilege << 5) << 40
            | (target >> 16 & 0xffff) << 48;
        // SAFETY: single writer at boot, see `Table`.
        unsafe { (*TABLE.0.get())[vector] = Gate { low, high: target >> 32 } };
    }
    load_on_this_processor();
}

/// Loads the table on this processor.
#[cfg(target_os = "none")]
pub fn load_on_this_processor() {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: 256 * 16 - 1, base: TABLE.0.get() as u64 };
    // SAFETY: the table lives for ever and its gates point at the stubs.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &pointer, options(readonly, nostack)) };
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .macro stub vector
    .balign 16
    .if (\vector == 8) || (\vector == 10) || (\vector == 11) || (\vector == 12) || (\vector == 13) || (\vector == 14) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
    .else
    push 0
    .endif
    push rdi
    mov edi, \vector
    .if (\vector == 2) || (\vector == 8) || (\vector == 18)
    jmp interrupt_paranoid
    .else
    jmp interrupt_common
    .endif
    .endm

    .balign 16
    .globl interrupt_stubs
interrupt_stubs:
    .altmacro
    .set vector, 0
    .rept 256
    stub %vector
    .set vector, vector + 1
    .endr
    .noaltmacro

    .macro save_registers
    push rsi
    push rdx
    push rcx
    push rax
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
    .endm

    .macro restore_registers
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 8
    .endm

interrupt_common:
    save_registers
    cld
    mov rsi, rsp
    test byte ptr [rsp + {cs}], 3
    jz 1f
    swapgs
    xor ebp, ebp
    // The context is 21 words long: one more, since calls are made with the stack aligned to 16.
    sub rsp, 8
    call {trap}
    add rsp, 8
    jmp return_to_user
1:  // A server that has begun to use up the core's reserve ends here, on another stack.
    cmp rsp, gs:[{floor}]
    jae 5f
    cmp dword ptr gs:[{depth}], 0
    jne 5f
    cmp dword ptr gs:[{cooperative}], 0
    jne 5f
    mov rsp, gs:[{last_rsp}]
    call {out_of_stack}
    ud2
5:  // rbp stays: the frame pointer chain goes on into the interrupted kernel code.
    and rsp, -16
    push rsi
    push rsi
    call {trap}
    pop rsp
    restore_registers
    iretq

    // NMI, double fault, machine check: GS may be either side's.
interrupt_paranoid:
    save_registers
    cld
    mov r12d, edi
    mov ecx, 0xc0000101
    rdmsr
    xor ebx, ebx
    test edx, edx
    js 2f
    swapgs
    inc ebx
2:  mov edi, r12d
    mov rsi, rsp
    mov rbp, rsp
    and rsp, -16
    call {trap}
    mov rsp, rbp
    test ebx, ebx
    jz 3f
    swapgs
3:  restore_registers
    iretq

    .globl return_to_user
return_to_user:
    cli
    cmp dword ptr gs:[{work}], 0
    jne 4f
    restore_registers
    swapgs
    iretq
4:  mov rdi, rsp
    sub rsp, 8
    call {work_function}
    add rsp, 8
    jmp return_to_user
    "#,
    cs = const core::mem::offset_of!(crate::trap::UserContext, cs),
    trap = sym crate::trap::trap_entry,
    floor = const STACK_FLOOR,
    depth = const CORE_DEPTH,
    cooperative = const COOPERATIVE,
    last_rsp = const LAST_RSP,
    out_of_stack = sym crate::trap::out_of_stack,
    work = const RETURN_WORK,
    work_function = sym crate::trap::return_work,
);
