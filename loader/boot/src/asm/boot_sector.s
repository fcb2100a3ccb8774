# The boot sector: loads the second stage from the sectors behind it and jumps to it.
#
# In: dl = BIOS drive, at 0000:7c00 or 07c0:0000.  Out: dl = BIOS drive, at 0000:8000.
# Its tail is data for tools: the region record (byte 426) gives the length of the second stage,
# the partition table (byte 446) is filled in by imagegen.

.section .boot_sector, "awx"
.code16
.global boot_sector
boot_sector:
    cli
    cld
    ljmp $0, $1f
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    movb %dl, sector_drive

    # INT 13h extensions (EDD 3.0), for reads by sector number.
    movb $0x41, %ah
    movw $0x55aa, %bx
    int $0x13
    movw $text_no_edd, %si
    jc sector_fail
    cmpw $0xaa55, %bx
    jne sector_fail

    movl region_bytes, %ebp
    shrl $9, %ebp                       # sectors still to be read
sector_next:
    movl $64, %eax                      # 32 KiB: from 8000h on, no piece crosses a 64 KiB boundary
    cmpl %eax, %ebp
    jae 1f
    movl %ebp, %eax
1:  movw %ax, sector_packet_count
    movw $3, %di                        # attempts
2:  movb $0x42, %ah
    movb sector_drive, %dl
    movw $sector_packet, %si
    int $0x13
    jnc 3f
    xorw %ax, %ax                       # reset the drive and try again
    movb sector_drive, %dl
    int $0x13
    movw $64, sector_packet_count       # a failed read may have changed the count
    cmpl $64, %ebp
    jae 4f
    movw %bp, sector_packet_count
4:  decw %di
    jnz 2b
    movw $text_unreadable, %si
    jmp sector_fail

3:  movzwl sector_packet_count, %eax
    addl %eax, sector_packet_lba
    subl %eax, %ebp
    shlw $5, %ax                        # sectors to paragraphs
    addw %ax, sector_packet_segment
    testl %ebp, %ebp
    jnz sector_next

    movb sector_drive, %dl
    ljmp $0, $stage2_entry

# Prints the text at si on the screen and on COM1, and stops.
sector_fail:
    lodsb
    testb %al, %al
    jz 3f
    movw $0x3fd, %dx                    # line status; give up waiting after a while
    movw $0xffff, %cx
    movb %al, %bl
1:  inb %dx, %al
    testb $0x20, %al
    loopz 1b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    jmp sector_fail
3:  cli
    hlt
    jmp 3b

text_no_edd:     .asciz "skiff boot: the BIOS cannot read this drive by sector number (INT 13h extensions)\r\n"
text_unreadable: .asciz "skiff boot: disk read error in the second stage\r\n"

sector_drive:    .byte 0
.balign 4
sector_packet:
    .byte 16, 0
sector_packet_count:
    .word 0, 0
sector_packet_segment:
    .word 0x800
sector_packet_lba:
    .quad 1

    .org 426
    .quad 0x8000                        # region record: load address,
region_bytes:
    .quad stage2_bytes                  # length,
    .long 12                            # type "file system follows"
    .zero 64                            # partition table
    .byte 0x55, 0xaa
