# Ways between the CPU's modes, and the two things that only 16-bit code can do: ask the BIOS to
# read the disk, and to print.
#
# 64-bit code runs with interrupts off on the 16-bit code's stack (below 7c00h), so a stack pointer
# is valid in every mode.

.section .stage2.real, "awx"

.set CODE32, 0x08
.set DATA32, 0x10
.set CODE64, 0x18
.set CODE16, 0x20
.set DATA16, 0x28
.set TASK,   0x30
.set EFER,   0xc0000080

.balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            # CODE32: flat
    .quad 0x00cf93000000ffff            # DATA32: flat
    .quad 0x00af9b000000ffff            # CODE64
    .quad 0x00009b000000ffff            # CODE16: base 0, 64 KiB
    .quad 0x000093000000ffff            # DATA16
    .quad 0x0000890000000067            # TASK: base 0, limit 67h, as PVH wants it
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
real_mode_idt_pointer:
    .word 0x3ff
    .long 0
.balign 4
long_target:        .long 0             # where the next change of mode goes on
saved_stack:        .long 0
.global memory_map_entries
memory_map_entries: .long 0
.global bios_drive
bios_drive:         .byte 0

# Disk address packet of INT 13h AH=42h; the buffer is 2000:0000.
.balign 4
.global disk_packet
disk_packet:
    .byte 16, 0
    .word 0
    .word 0, 0x2000
    .quad 0

# From real mode with interrupts off to `long_target` in 64-bit mode.
.code16
enter_long_mode:
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $1f
.code32
1:  movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $page_tables, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax                     # physical address extension
    movl %eax, %cr4
    movl $EFER, %ecx
    rdmsr
    orl $0x100, %eax                    # long mode
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $CODE64, $2f
.code64
2:  movl long_target, %eax
    jmpq *%rax

start_rust:
    movl $0x7c00, %esp
    lidt exception_table_pointer
    xorl %ebp, %ebp
    call boot_main
    ud2

# From 64-bit mode to `long_target` in real mode; clobbers eax, ecx, edx.
leave_long_mode:
    pushq $CODE32
    pushq $1f
    lretq
.code32
1:  movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $EFER, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    ljmpl $CODE16, $2f
.code16
2:  movw $DATA16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    lidtl real_mode_idt_pointer
    movl %cr0, %eax
    andl $~1, %eax
    movl %eax, %cr0
    ljmp $0, $3f
3:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    jmpw *long_target

# extern "C" fn read_disk() -> u32: does what disk_packet says; 0, or 100h + the BIOS's status.
.code64
.global read_disk
read_disk:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movl %esp, saved_stack
    movl $1f, long_target
    jmp leave_long_mode
.code16
1:  sti
    movw $3, %bp                        # attempts
2:  movb $0x42, %ah
    movb bios_drive, %dl
    movw $disk_packet, %si
    pushw disk_packet + 2               # a failed read may change the count
    pushw %bp
    int $0x13
    popw %bp
    popw disk_packet + 2
    jnc 3f
    movzbl %ah, %ebx
    orl $0x100, %ebx
    decw %bp
    jz 4f
    xorw %ax, %ax                       # reset the drive and try again
    movb bios_drive, %dl
    pushl %ebx
    pushw %bp
    int $0x13
    popw %bp
    popl %ebx
    jmp 2b
3:  xorl %ebx, %ebx
4:  cli
    cld
    movl $5f, long_target
    jmp enter_long_mode
.code64
5:  movl saved_stack, %esp
    lidt exception_table_pointer
    movl %ebx, %eax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    retq

# extern "C" fn stop(text: u32) -> !: prints the NUL-terminated text at that address below 1 MiB.
.global stop
stop:
    movl %edi, %ebx
    movl $0x7c00, %esp
    movl $1f, long_target
    jmp leave_long_mode
.code16
1:  sti
    call set_up_serial
    movw $text_prefix, %si
    pushl %ebx
    call print
    popl %ebx
    movw %bx, %si
    andw $15, %si
    shrl $4, %ebx
    movw %bx, %ds
    call print
    jmp halt

# Prints "skiff boot: " and the text at si (16-bit code's own failures), and stops.
fail:
    pushw %si
    call set_up_serial
    movw $text_prefix, %si
    call print
    popw %si
    call print
halt:
    xorw %ax, %ax
    movw %ax, %ds
    movw $text_end, %si
    call print
1:  cli
    hlt
    jmp 1b

# COM1: 115200 baud, 8 data bits, no parity, no interrupts.
set_up_serial:
    movw $0x3f9, %dx
    xorb %al, %al
    outb %al, %dx
    movw $0x3fb, %dx
    movb $0x80, %al
    outb %al, %dx
    movw $0x3f8, %dx
    movb $1, %al
    outb %al, %dx
    movw $0x3f9, %dx
    xorb %al, %al
    outb %al, %dx
    movw $0x3fb, %dx
    movb $3, %al
    outb %al, %dx
    ret

# Prints the text at ds:si on the BIOS screen and on COM1.
print:
    lodsb
    testb %al, %al
    jz 2f
    movb %al, %bl
    movw $0x3fd, %dx                    # line status; give up waiting after a while
    movw $0xffff, %cx
1:  inb %dx, %al
    testb $0x20, %al
    loopz 1b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    jmp print
2:  ret

# extern "C" fn enter_kernel(entry: u32, start_info: u32) -> !: the PVH entry state.
.code64
.global enter_kernel
enter_kernel:
    movl %edi, %ebp
    movl %esi, %ebx
    pushq $CODE32
    pushq $1f
    lretq
.code32
1:  movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x11, %eax                    # protected mode, no paging
    movl %eax, %cr0
    movl $EFER, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    xorl %eax, %eax
    movl %eax, %cr4
    movw $TASK, %ax
    ltr %ax
    pushl $2
    popfl
    jmpl *%ebp

# Exceptions in 64-bit code are bugs of this loader: say so instead of resetting the machine.
.code64
on_exception:
    movl $text_exception, %edi
    jmp stop
.balign 16
exception_table:
    .rept 32
    .word on_exception, CODE64          # all handlers lie in the first 64 KiB
    .word 0x8e00, 0
    .quad 0
    .endr
exception_table_pointer:
    .word 32 * 16 - 1
    .quad exception_table

text_prefix:        .asciz "skiff boot: "
text_end:           .asciz "\r\n"
text_no_long_mode:  .asciz "this CPU has no 64-bit mode; Skiff needs an x86-64 CPU"
text_a20:           .asciz "the A20 gate cannot be opened"
text_no_map:        .asciz "the BIOS gives no memory map (INT 15h E820)"
text_long_map:      .asciz "the BIOS memory map has more than 128 entries"
text_exception:     .asciz "CPU exception in the boot loader (a bug)"

.global real_mode_end
real_mode_end:
