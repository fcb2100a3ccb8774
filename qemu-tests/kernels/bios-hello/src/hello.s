# 32-bit code that runs at physical addresses: every symbol is used minus UPPER.

.set UPPER, 0xffffffff80000000
.set PATTERN_WORDS, 153600
.set BSS_BYTES, 300000

.section .note.hello, "a", @note
.balign 4
    .long 4, 8, 18                      # name length, body length, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad hello - UPPER

.section .hello.text, "ax"
.code32
.global hello
hello:
    movl $(stack_top - UPPER), %esp
    movl %cr0, %eax                     # protected mode, no paging
    movl $(text_cr0 - UPPER), %esi
    andl $0x80000001, %eax
    cmpl $1, %eax
    jne bad
    movl %cr4, %eax
    movl $(text_cr4 - UPPER), %esi
    testl %eax, %eax
    jnz bad
    pushfl                              # interrupts off
    popl %eax
    movl $(text_flags - UPPER), %esi
    testl $0x200, %eax
    jnz bad

    movl $(text_pattern - UPPER), %esi
    movl $(pattern - UPPER), %edi
    xorl %ecx, %ecx
1:  cmpl %ecx, (%edi,%ecx,4)
    jne bad
    incl %ecx
    cmpl $PATTERN_WORDS, %ecx
    jb 1b

    movl $(text_bss - UPPER), %esi
    movl $(zeros - UPPER), %edi
    movl $(BSS_BYTES / 4), %ecx
    xorl %eax, %eax
    repe scasl
    jne bad

    movl $(text_magic - UPPER), %esi
    cmpl $0x336ec578, (%ebx)
    jne bad
    movl $(text_rsdp - UPPER), %esi     # the start info names an ACPI root pointer
    movl 32(%ebx), %edi
    testl %edi, %edi
    jz bad
    cmpl $0x20445352, (%edi)            # "RSD "
    jne bad
    movl $(text_map - UPPER), %esi      # the first entry is memory from 0 on
    movl 40(%ebx), %edi
    cmpl $0, (%edi)
    jne bad
    cmpl $1, 16(%edi)
    jne bad

    movl $(text_ok - UPPER), %esi
    call print
    movl 48(%ebx), %eax
    call print_number
    movl $(text_space - UPPER), %esi
    call print
    movl 24(%ebx), %esi
    call print
    movl $(text_end - UPPER), %esi
    call print
    movb $16, %al
    jmp exit

bad:
    pushl %esi
    movl $(text_bad - UPPER), %esi
    call print
    popl %esi
    call print
    movl $(text_end - UPPER), %esi
    call print
    movb $17, %al
exit:
    outb %al, $0xf4
    movw $0x501, %dx
    outb %al, %dx
1:  cli
    hlt
    jmp 1b

# Prints the NUL-terminated text at esi on COM1.
print:
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    lodsb
    testb %al, %al
    jz 2f
    movw $0x3f8, %dx
    outb %al, %dx
    jmp print
2:  ret

# Prints eax in decimal.
print_number:
    movl $(number_end - UPPER), %esi
    movl $10, %ecx
1:  xorl %edx, %edx
    divl %ecx
    addb $0x30, %dl
    decl %esi
    movb %dl, (%esi)
    testl %eax, %eax
    jnz 1b
    jmp print
.code64

.section .hello.data, "aw"
    .zero 10
number_end:   .byte 0
text_ok:      .asciz "OK "
text_bad:     .asciz "BAD "
text_space:   .asciz " "
text_end:     .asciz "\r\n"
text_cr0:     .asciz "cr0"
text_cr4:     .asciz "cr4"
text_flags:   .asciz "eflags"
text_pattern: .asciz "pattern"
text_bss:     .asciz "bss"
text_magic:   .asciz "start info magic"
text_rsdp:    .asciz "root pointer"
text_map:     .asciz "memory map"

.section .hello.pattern, "a"
.balign 4
pattern:
    .set word, 0
    .rept PATTERN_WORDS
    .long word
    .set word, word + 1
    .endr

.section .hello.bss, "aw", @nobits
.balign 16
zeros:
    .skip BSS_BYTES
    .skip 4096
stack_top:
