//! The clock that the program reads without entering the kernel: a small ELF shared object and a page of parameters.
//!
//! The image is one page, assembled here with its ELF tables (the Go runtime insists on version `LINUX_2.6`). The
//! clock page must be mapped right behind it, read-only; the functions find it relative to themselves. The page is
//! guarded by a sequence count that is odd while it changes. What these functions do not know goes to the kernel.

use crate::mm::PAGE_SIZE;
use crate::mm::frame::Frame;
use crate::time::ClockParameters;
use core::sync::atomic::{AtomicU32, Ordering, fence};
use spin::Once;

/// Offsets in the clock page: sequence count, then the fields of [`ClockParameters`].
const SEQUENCE_AT: usize = 0;
const BASE_TSC_AT: usize = 8;
const BASE_NS_AT: usize = 16;
const MULTIPLIER_AT: usize = 24;
const WALL_OFFSET_AT: usize = 32;

static CLOCK_PAGE: Once<Frame> = Once::new();
static SEQUENCE: AtomicU32 = AtomicU32::new(0);

/// A frame with the image. `None`: no memory.
pub fn image() -> Option<Frame> {
    let frame = Frame::alloc_zeroed()?;
    frame.write(0, image_bytes()).ok()?;
    Some(frame)
}

/// The frame with the clock's parameters, kept up to date from now on. `None`: no memory.
pub fn clock_page() -> Option<Frame> {
    if CLOCK_PAGE.get().is_none() {
        let fresh = Frame::alloc_zeroed()?;
        CLOCK_PAGE.call_once(|| fresh);
        publish(&crate::time::parameters());
    }
    CLOCK_PAGE.get().cloned()
}

/// Puts changed parameters into the clock page. Calls must not overlap: the clock's own changes are serialized.
pub(crate) fn publish(parameters: &ClockParameters) {
    let Some(page) = CLOCK_PAGE.get() else { return };
    let next = SEQUENCE.load(Ordering::Relaxed).wrapping_add(2);
    let store = |at: usize, bytes: &[u8]| page.write(at, bytes).expect("the offsets lie in the page");
    store(SEQUENCE_AT, &next.wrapping_sub(1).to_le_bytes());
    fence(Ordering::SeqCst);
    store(BASE_TSC_AT, &parameters.base_tsc.to_le_bytes());
    store(BASE_NS_AT, &parameters.base_ns.to_le_bytes());
    store(MULTIPLIER_AT, &parameters.multiplier.to_le_bytes());
    store(WALL_OFFSET_AT, &parameters.wall_offset.to_le_bytes());
    fence(Ordering::SeqCst);
    store(SEQUENCE_AT, &next.to_le_bytes());
    SEQUENCE.store(next, Ordering::Relaxed);
}

fn image_bytes() -> &'static [u8] {
    unsafe extern "C" {
        static skiff_vdso_image: [u8; PAGE_SIZE];
    }
    // SAFETY: the assembler below defines exactly one page of constant bytes under this name.
    unsafe { &*(&raw const skiff_vdso_image) }
}

core::arch::global_asm!(
    r#"
    .pushsection .rodata.skiff_vdso, "a", @progbits
    .balign 64
    .globl skiff_vdso_image
skiff_vdso_image:
    // ELF header
    .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0
    .zero 8
    .short 3, 62
    .long 1
    .quad 0, 64, 0
    .long 0
    .short 64, 56, 2, 64, 0, 0
    // PT_LOAD: the page, readable and executable
    .long 1, 5
    .quad 0, 0, 0, 4096, 4096, 4096
    // PT_DYNAMIC
    .long 2, 4
    .quad skiff_vdso_dynamic - skiff_vdso_image
    .quad skiff_vdso_dynamic - skiff_vdso_image
    .quad skiff_vdso_dynamic - skiff_vdso_image
    .quad skiff_vdso_dynamic_end - skiff_vdso_dynamic
    .quad skiff_vdso_dynamic_end - skiff_vdso_dynamic
    .quad 8

    .balign 8
skiff_vdso_dynamic:
    // SONAME, HASH, STRTAB, SYMTAB, STRSZ, SYMENT
    .quad 14, skiff_vdso_soname - skiff_vdso_strings
    .quad 4, skiff_vdso_hash - skiff_vdso_image
    .quad 5, skiff_vdso_strings - skiff_vdso_image
    .quad 6, skiff_vdso_symbols - skiff_vdso_image
    .quad 10, skiff_vdso_strings_end - skiff_vdso_strings
    .quad 11, 24
    // VERSYM, VERDEF, VERDEFNUM
    .quad 0x6ffffff0, skiff_vdso_versions - skiff_vdso_image
    .quad 0x6ffffffc, skiff_vdso_definitions - skiff_vdso_image
    .quad 0x6ffffffd, 2
    .quad 0, 0
skiff_vdso_dynamic_end:

skiff_vdso_symbols:
    .zero 24
    // name, global function, defined, value, size
    .macro vdso_symbol name, function
    .long skiff_vdso_name_\name - skiff_vdso_strings
    .byte 0x12, 0
    .short 1
    .quad skiff_vdso_\function - skiff_vdso_image
    .quad skiff_vdso_\function\()_end - skiff_vdso_\function
    .endm
    vdso_symbol clock_gettime, clock_gettime
    vdso_symbol gettimeofday, gettimeofday
    vdso_symbol time, time
    vdso_symbol clock_getres, clock_getres
    vdso_symbol getcpu, getcpu

    // One bucket with all symbols in a chain
skiff_vdso_hash:
    .long 1, 6, 1
    .long 0, 2, 3, 4, 5, 0

    // Version of each symbol: the second definition
skiff_vdso_versions:
    .short 0, 2, 2, 2, 2, 2
    .balign 4
    // Elf64_Verdef and Elf64_Verdaux: the object itself, then the version that libraries look for
skiff_vdso_definitions:
    .short 1, 1, 1, 1
    .long 0xdeebfa1, 20, 28
    .long skiff_vdso_soname - skiff_vdso_strings, 0
    .short 1, 0, 2, 1
    .long 0x3ae75f6, 20, 0
    .long skiff_vdso_version - skiff_vdso_strings, 0

skiff_vdso_strings:
    .byte 0
skiff_vdso_version: .asciz "LINUX_2.6"
skiff_vdso_soname: .asciz "linux-vdso.so.1"
skiff_vdso_name_clock_gettime: .asciz "__vdso_clock_gettime"
skiff_vdso_name_gettimeofday: .asciz "__vdso_gettimeofday"
skiff_vdso_name_time: .asciz "__vdso_time"
skiff_vdso_name_clock_getres: .asciz "__vdso_clock_getres"
skiff_vdso_name_getcpu: .asciz "__vdso_getcpu"
skiff_vdso_strings_end:

    // Nanoseconds since boot to rax, since 1970 to rdx; changes rcx, r8.
    .macro vdso_read_clock
77: mov r8d, dword ptr [rip + skiff_vdso_image + 4096 + {sequence}]
    test r8d, 1
    jnz 77b
    lfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    xor edx, edx
    sub rax, qword ptr [rip + skiff_vdso_image + 4096 + {base_tsc}]
    cmovb rax, rdx
    mul qword ptr [rip + skiff_vdso_image + 4096 + {multiplier}]
    shrd rax, rdx, 32
    add rax, qword ptr [rip + skiff_vdso_image + 4096 + {base_ns}]
    mov rdx, qword ptr [rip + skiff_vdso_image + 4096 + {wall_offset}]
    add rdx, rax
    cmp r8d, dword ptr [rip + skiff_vdso_image + 4096 + {sequence}]
    jne 77b
    .endm

    // Divides rax by 1,000,000,000: seconds to rax, nanoseconds to rdx.
    .macro vdso_split
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    .endm

    .balign 16
skiff_vdso_clock_gettime:
    // Bits: REALTIME 0, MONOTONIC 1, RAW 4, REALTIME_COARSE 5, MONOTONIC_COARSE 6, BOOTTIME 7, TAI 11.
    cmp edi, 11
    ja 2f
    mov ecx, 0x8f3
    bt ecx, edi
    jnc 2f
    vdso_read_clock
    // REALTIME, REALTIME_COARSE, TAI: the wall clock
    mov ecx, 0x821
    bt ecx, edi
    cmovc rax, rdx
    vdso_split
    mov qword ptr [rsi], rax
    mov qword ptr [rsi + 8], rdx
    xor eax, eax
    ret
2:  mov eax, 228
    syscall
    ret
skiff_vdso_clock_gettime_end:

    .balign 16
skiff_vdso_gettimeofday:
    test rdi, rdi
    jz 3f
    vdso_read_clock
    mov rax, rdx
    vdso_split
    mov qword ptr [rdi], rax
    mov eax, edx
    xor edx, edx
    mov ecx, 1000
    div ecx
    mov qword ptr [rdi + 8], rax
3:  test rsi, rsi
    jz 4f
    mov qword ptr [rsi], 0
4:  xor eax, eax
    ret
skiff_vdso_gettimeofday_end:

    .balign 16
skiff_vdso_time:
    vdso_read_clock
    mov rax, rdx
    vdso_split
    test rdi, rdi
    jz 5f
    mov qword ptr [rdi], rax
5:  ret
skiff_vdso_time_end:

    .balign 16
skiff_vdso_clock_getres:
    mov eax, 229
    syscall
    ret
skiff_vdso_clock_getres_end:

    .balign 16
skiff_vdso_getcpu:
    mov eax, 309
    syscall
    ret
skiff_vdso_getcpu_end:

    .org skiff_vdso_image + 4096
    .popsection
    "#,
    sequence = const SEQUENCE_AT,
    base_tsc = const BASE_TSC_AT,
    base_ns = const BASE_NS_AT,
    multiplier = const MULTIPLIER_AT,
    wall_offset = const WALL_OFFSET_AT,
);

#[cfg(test)]
mod tests {
    use super::image_bytes;

    fn word(at: usize) -> u64 {
        u64::from_le_bytes(image_bytes()[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn the_image_is_an_elf_shared_object_with_one_page_to_load() {
        let image = image_bytes();
        assert_eq!(image[..7], *b"\x7fELF\x02\x01\x01");
        assert_eq!(u16::from_le_bytes([image[16], image[17]]), 3);
        assert_eq!(image[64..72], [1, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(word(64 + 32), 4096);
    }

    #[test]
    fn every_symbol_has_a_name_and_lies_in_the_page() {
        // Dynamic entries in the order above: STRTAB third, SYMTAB fourth.
        let dynamic = word(64 + 56 + 8) as usize;
        let strings = word(dynamic + 2 * 16 + 8) as usize;
        let symbols = word(dynamic + 3 * 16 + 8) as usize;
        for index in 1..=5 {
            let at = symbols + index * 24;
            let name = strings + u32::from_le_bytes(image_bytes()[at..at + 4].try_into().unwrap()) as usize;
            assert!(image_bytes()[name..].starts_with(b"__vdso_"));
            let value = word(at + 8);
            assert!(value > symbols as u64 && value + word(at + 16) <= 4096 && word(at + 16) > 0);
        }
    }
}
