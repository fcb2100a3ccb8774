//! The programs: position-independent machine code, copied to a page that the program may execute.
//!
//! A program ends with system call [`EXIT`]; one that finds something wrong runs into `ud2`.

#![allow(unsafe_code)]

use core::arch::global_asm;

/// Ends the thread.
pub const EXIT: u64 = 1000;
/// Answered with 42, by the fast way back.
pub const ANSWER: u64 = 1001;
/// Answered with 42, by the slow way back: the front end has changed `rcx`.
pub const ANSWER_SLOWLY: u64 = 1002;
/// Sets FS and GS base to `rdi` and `rsi`.
pub const SET_BASES: u64 = 1003;

unsafe extern "C" {
    static programs_start: u8;
    static program_registers: u8;
    static program_faults: u8;
    static program_loop: u8;
    static program_vector: u8;
    static programs_end: u8;
}

/// A program.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Fills all registers, makes both calls that are answered, and looks whether they are as before.
    Registers,
    /// Faults in every way; each fault must go on at `r15`. The addresses are in `rdi` (missing), `rsi` (read-only).
    Faults,
    /// Loops for ever.
    Loop,
    /// Sets bases and xmm registers to a pattern made of `rdi` and looks `rsi` times whether they are as before.
    Vector,
}

/// All of them, as they are copied.
pub fn bytes() -> &'static [u8] {
    // SAFETY: the assembler puts both marks around constant bytes.
    unsafe {
        let start = &raw const programs_start;
        core::slice::from_raw_parts(start, (&raw const programs_end).offset_from_unsigned(start))
    }
}

/// Where a program begins among them.
pub fn offset(program: Program) -> usize {
    let at = match program {
        Program::Registers => &raw const program_registers,
        Program::Faults => &raw const program_faults,
        Program::Loop => &raw const program_loop,
        Program::Vector => &raw const program_vector,
    };
    // SAFETY: both lie in the same bytes.
    unsafe { at.offset_from_unsigned(&raw const programs_start) }
}

global_asm!(
    r#"
    .section .rodata
    .balign 16
programs_start:

program_registers:
    mov r8d, {answer}
1:  mov rbx, 0x1111111111111111
    mov rbp, 0x2222222222222222
    mov rdi, 0x3333333333333333
    mov rsi, 0x4444444444444444
    mov rdx, 0x5555555555555555
    mov r9,  0x6666666666666666
    mov r10, 0x7777777777777777
    mov r12, 0x8888888888888888
    mov r13, 0x9999999999999999
    mov r14, 0xaaaaaaaaaaaaaaaa
    mov r15, rsp
    mov rax, r8
    std
    stc
    syscall
    jnc 9f
    cld
    cmp rax, 42
    jne 9f
    mov rax, 0x1111111111111111
    cmp rbx, rax
    jne 9f
    add rax, rax
    cmp rbp, rax
    jne 9f
    mov rax, 0x3333333333333333
    cmp rdi, rax
    jne 9f
    mov rax, 0x4444444444444444
    cmp rsi, rax
    jne 9f
    mov rax, 0x5555555555555555
    cmp rdx, rax
    jne 9f
    mov rax, 0x6666666666666666
    cmp r9, rax
    jne 9f
    mov rax, 0x7777777777777777
    cmp r10, rax
    jne 9f
    mov rax, 0x8888888888888888
    cmp r12, rax
    jne 9f
    mov rax, 0x9999999999999999
    cmp r13, rax
    jne 9f
    mov rax, 0xaaaaaaaaaaaaaaaa
    cmp r14, rax
    jne 9f
    cmp r15, rsp
    jne 9f
    inc r8d
    cmp r8d, {answer_slowly}
    je 1b
    mov eax, {exit}
    syscall
9:  ud2

program_faults:
    lea r15, [rip + 1f]
    mov rax, [rdi]
1:  lea r15, [rip + 1f]
    mov [rdi + 8], rax
1:  lea r15, [rip + 1f]
    mov [rsi], rax
1:  lea r15, [rip + 1f]
    jmp rsi
1:  lea r15, [rip + 1f]
    jmp rdi
1:  lea r15, [rip + 1f]
    ud2
1:  lea r15, [rip + 1f]
    xor eax, eax
    xor edx, edx
    div eax
1:  lea r15, [rip + 1f]
    int3
1:  lea r15, [rip + 1f]
    cli
1:  lea r15, [rip + 1f]
    mov rax, 0x8000000000000000
    mov rax, [rax]
1:  lea r15, [rip + 1f]
    mov rax, 0xffffffff80100000
    mov rax, [rax]
1:  lea r15, [rip + 1f]
    int 0x80
1:  lea r15, [rip + 1f]
    in al, 0x64
1:  lea r15, [rip + 1f]
    pushfq
    or dword ptr [rsp], 0x100
    popfq
    nop
1:  mov eax, {exit}
    syscall
    ud2

program_loop:
    jmp program_loop

program_vector:
    mov r12, rdi
    mov r13, rsi
    movq xmm0, r12
    movq xmm15, r12
    psllq xmm15, 1
    mov rsi, rdi
    add rsi, 8
    mov eax, {set_bases}
    syscall
    mov r14, r12
    add r14, r14
2:  movq rax, xmm0
    cmp rax, r12
    jne 9f
    movq rax, xmm15
    cmp rax, r14
    jne 9f
    cmp fs:[0], r12
    jne 9f
    cmp gs:[0], r12
    jne 9f
    dec r13
    jnz 2b
    mov eax, {exit}
    syscall
9:  ud2
programs_end:
    .text
    "#,
    exit = const EXIT,
    answer = const ANSWER,
    answer_slowly = const ANSWER_SLOWLY,
    set_bases = const SET_BASES,
);
