//! From the loader to Rust: the PVH entry in 32-bit protected mode, and the first page tables.
//!
//! The entry state is PVH's (Xen `docs/misc/pvh.pandoc`): paging off, flat segments, `ebx` = start info.
//! QEMU, Firecracker and `loader/boot` all enter here. The tables map the first GiB three times: at 0
//! (for the jump), at the physical map and at the kernel's own addresses; `mm` replaces them at once.

core::arch::global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad pvh_entry - {base}

    .section .boot.text, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    cld
    cli
    mov ebp, ebx
    lea esp, [boot_stack_top - {base}]
    // A processor without long mode cannot go on: halt for good.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb 9f
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc 9f
    mov esi, edx
    // 512 pages of 2 MiB: present, writable, large.
    lea edi, [boot_pd - {base}]
    mov eax, 0x83
    mov ecx, 512
2:  mov [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 2b
    lea eax, [boot_pd - {base} + 3]
    mov [boot_pdpt_low - {base}], eax
    mov [boot_pdpt_high - {base} + 510 * 8], eax
    lea eax, [boot_pdpt_low - {base} + 3]
    mov [boot_pml4 - {base}], eax
    mov [boot_pml4 - {base} + 256 * 8], eax
    lea eax, [boot_pdpt_high - {base} + 3]
    mov [boot_pml4 - {base} + 511 * 8], eax
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    lea eax, [boot_pml4 - {base}]
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    // No-execute, where the processor has it.
    bt esi, 20
    jnc 3f
    or eax, 0x800
3:  wrmsr
    mov eax, cr0
    and eax, 0xfffffff3
    or eax, 0x80010002
    mov cr0, eax
    lgdt [boot_gdt_pointer - {base}]
    push 8
    lea eax, [long_mode - {base}]
    push eax
    retf
9:  hlt
    jmp 9b

    .code64
long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    lea rsp, [rip + boot_stack_top]
    movabs rax, offset high
    jmp rax
high:
    movabs rsp, offset boot_stack_top
    mov edi, ebp
    xor ebp, ebp
    call {start}
    ud2

    .section .boot.data, "aw"
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff
boot_gdt_pointer:
    .word 15
    .quad boot_gdt - {base}

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4: .skip 4096
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd: .skip 4096
boot_stack: .skip 16384
    .globl boot_stack_top
boot_stack_top:
    .text
    "#,
    base = const crate::mm::layout::KERNEL_BASE,
    start = sym crate::start::start,
);
