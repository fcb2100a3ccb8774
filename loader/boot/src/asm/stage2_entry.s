# Second stage, 16-bit start: checks the CPU, opens the A20 gate, asks for the memory map, builds
# page tables, and goes on in 64-bit mode at `boot_main` (Rust).
#
# In: dl = BIOS drive, ds = es = ss = 0, sp = 7c00h, interrupts on.

.section .stage2.entry, "awx"
.code16
.global stage2_entry
stage2_entry:
    movb %dl, bios_drive
    call clear_data
    call check_cpu
    call open_a20
    call read_memory_map
    call build_page_tables
    cli
    movl $start_rust, long_target
    jmp enter_long_mode

# Zeroes the data behind the second stage.
clear_data:
    movl $zeroed_start, %eax
    shrl $4, %eax
    movw %ax, %es
    xorw %di, %di
    movl $zeroed_bytes, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    movw %ax, %es
    ret

# Stops unless the CPU has 64-bit mode (CPUID 8000_0001h, edx bit 29).
check_cpu:
    movw $text_no_long_mode, %si
    pushfl                              # CPUID exists if the ID flag can be changed
    popl %eax
    movl %eax, %ecx
    xorl $0x200000, %eax
    pushl %eax
    popfl
    pushfl
    popl %eax
    xorl %ecx, %eax
    testl $0x200000, %eax
    jz fail
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb fail
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc fail
    ret

# Opens the A20 gate: by the BIOS, else by port 92h.
open_a20:
    call a20_is_open
    jne 1f
    movw $0x2401, %ax
    int $0x15
    call a20_is_open
    jne 1f
    inb $0x92, %al
    orb $2, %al
    andb $0xfe, %al                     # bit 0 would reset the machine
    outb %al, $0x92
    call a20_is_open
    jne 1f
    movw $text_a20, %si
    jmp fail
1:  ret

# Zero flag clear if 0000:0500 and ffff:0510 are different memory.
a20_is_open:
    movw $0xffff, %ax
    movw %ax, %fs
    movw $0x55aa, 0x500
    movw $0xaa55, %fs:0x510
    cmpw $0xaa55, 0x500
    ret

# Fills `memory_map` from INT 15h E820. An E820 entry has the form of a PVH memory map entry, but
# for the last word, which ACPI 3.0 uses to say "ignore me" (bit 0 clear).
read_memory_map:
    xorl %ebx, %ebx
    xorw %di, %di
1:  movl $memory_map, %eax
    shrl $4, %eax
    movw %ax, %es
    movl $1, %es:20(%di)
    movl $0xe820, %eax
    movl $24, %ecx
    movl $0x534d4150, %edx              # "SMAP"
    int $0x15
    jc 3f
    cmpl $0x534d4150, %eax
    jne 3f
    movl %es:8(%di), %eax               # empty, or to be ignored?
    orl %es:12(%di), %eax
    jz 2f
    testb $1, %es:20(%di)
    jz 2f
    movl $0, %es:20(%di)
    movw $text_long_map, %si
    cmpw $(128 * 24), %di
    jae fail
    addw $24, %di
    incl memory_map_entries
2:  testl %ebx, %ebx
    jnz 1b
3:  xorw %ax, %ax
    movw %ax, %es
    movw $text_no_map, %si
    cmpl $0, memory_map_entries
    je fail
    ret

# Identity map of the first 4 GiB with 2 MiB pages; the tables are six pages, already zero.
build_page_tables:
    movl $page_tables, %eax
    movl %eax, %ebx
    shrl $4, %eax
    movw %ax, %es
    leal 0x1003(%ebx), %eax             # present, writable
    movl %eax, %es:0
    xorw %di, %di
1:  addl $0x1000, %eax                  # four page directories
    movl %eax, %es:0x1000(%di)
    addw $8, %di
    cmpw $32, %di
    jb 1b
    xorw %di, %di
    movl $0x83, %eax                    # present, writable, large
2:  movl %eax, %es:0x2000(%di)
    addl $0x200000, %eax
    addw $8, %di
    cmpw $0x4000, %di
    jb 2b
    xorw %ax, %ax
    movw %ax, %es
    ret

.section .bss.page_tables, "aw", @nobits
.balign 4096
page_tables:
    .skip 6 * 4096

.section .bss.hand_over, "aw", @nobits
.balign 16
.global memory_map
memory_map:
    .skip 129 * 24                      # one more than used, for the entry that is one too many
.balign 8
.global start_info
start_info:
    .skip 56
.global command_line
command_line:
    .skip 512
