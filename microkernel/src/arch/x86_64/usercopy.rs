//! Touching user memory with faults off.
//!
//! A page fault at one of the few instructions below that touch user memory does not reach the front end: the trap
//! handler moves `rip` to the fix-up that belongs to it ([`fixup`]), and the operation reports how far it came.

use super::cpu::features;

/// How an access to a word of user memory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The value that was there.
    pub value: u64,
    /// The access faulted; `value` means nothing.
    pub faulted: bool,
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    fn user_copy_raw(to: *mut u8, from: *const u8, len: usize) -> usize;
    fn user_load32_raw(from: *const u32) -> u64;
    fn user_load64_raw(from: *const u64, value: *mut u64) -> u64;
    fn user_store64_raw(to: *mut u64, value: u64) -> u64;
    fn user_store32_raw(to: *mut u32, value: u32) -> u64;
    fn user_cmpxchg32_raw(at: *mut u32, old: u32, new: u32) -> u64;
    static fixup_table: [u64; 2 * FIXUPS];
}

#[cfg(target_os = "none")]
const FIXUPS: usize = 7;

/// Where execution goes on after a page fault at `rip`, if `rip` is one of the instructions here.
#[cfg(target_os = "none")]
pub fn fixup(rip: u64) -> Option<u64> {
    // SAFETY: the table is constant and has FIXUPS pairs.
    let table = unsafe { &fixup_table };
    table.chunks_exact(2).find(|pair| pair[0] == rip).map(|pair| pair[1])
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .text
    // rdi to, rsi from, rdx bytes; returns bytes that were not copied.
    .globl user_copy_raw
user_copy_raw:
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
10: rep movsq
    mov ecx, edx
11: rep movsb
    mov eax, ecx
    ret
    // A word may begin before the missing page: its bytes up to there are copied one by one.
12: lea rcx, [rcx * 8 + rdx]
    jmp 11b
13: mov rax, rcx
    ret

    .globl user_load32_raw
user_load32_raw:
20: mov eax, [rdi]
    ret

    // rdi address, rsi receives the value; returns 1 after a fault.
    .globl user_load64_raw
user_load64_raw:
30: mov rax, [rdi]
    mov [rsi], rax
    xor eax, eax
    ret

    .globl user_store64_raw
user_store64_raw:
40: mov [rdi], rsi
    xor eax, eax
    ret

    .globl user_store32_raw
user_store32_raw:
50: mov [rdi], esi
    xor eax, eax
    ret

    .globl user_cmpxchg32_raw
user_cmpxchg32_raw:
    mov eax, esi
60: lock cmpxchg [rdi], edx
    mov eax, eax
    ret

70: mov eax, 1
    ret
71: movabs rax, 0x100000000
    ret

    .section .rodata
    .balign 8
    .globl fixup_table
fixup_table:
    .quad 10b, 12b
    .quad 11b, 13b
    .quad 20b, 71b
    .quad 30b, 70b
    .quad 40b, 70b
    .quad 50b, 70b
    .quad 60b, 71b
    .text
    "#
);

/// Opens user pages to the kernel while it lives, where the processor guards them (SMAP).
struct Window;

impl Window {
    #[inline(always)]
    fn open() -> Self {
        #[cfg(target_os = "none")]
        if features().smap {
            // SAFETY: the feature is there; `Drop` closes the window again.
            unsafe { core::arch::asm!("stac", options(nomem, nostack)) };
        }
        Self
    }
}

impl Drop for Window {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(target_os = "none")]
        if features().smap {
            // SAFETY: the feature is there.
            unsafe { core::arch::asm!("clac", options(nomem, nostack)) };
        }
    }
}

/// Copies between kernel and user memory (or within user memory); returns how many bytes were not copied.
///
/// # Safety
/// The kernel side must be valid for `len` bytes; the user side must lie wholly in user addresses.
#[inline]
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    #[cfg(target_os = "none")]
    {
        let _window = Window::open();
        // SAFETY: by the caller; faults on the user side end the copy.
        unsafe { user_copy_raw(to, from, len) }
    }
    #[cfg(not(target_os = "none"))]
    {
        let _ = (to, from, features, Window::open());
        len
    }
}

macro_rules! word_access {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) $body:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The address must be a user address, aligned to the word.
        #[inline]
        pub unsafe fn $name($($arg: $kind),*) -> Touched {
            #[cfg(target_os = "none")]
            {
                let _window = Window::open();
                // SAFETY: by the caller; a fault is reported, not taken.
                unsafe { $body }
            }
            #[cfg(not(target_os = "none"))]
            {
                $( let _ = $arg; )*
                Touched { value: 0, faulted: true }
            }
        }
    };
}

#[cfg(target_os = "none")]
fn low_word(raw: u64) -> Touched {
    Touched { value: raw & 0xffff_ffff, faulted: raw >> 32 != 0 }
}

word_access! {
    /// Loads 32 bits.
    load32(address: u64) low_word(user_load32_raw(address as *const u32))
}
word_access! {
    /// Loads 64 bits.
    load64(address: u64) {
        let mut value = 0;
        let faulted = user_load64_raw(address as *const u64, &mut value) != 0;
        Touched { value, faulted }
    }
}
word_access! {
    /// Stores 32 bits.
    store32(address: u64, value: u32) Touched { value: 0, faulted: user_store32_raw(address as *mut u32, value) != 0 }
}
word_access! {
    /// Stores 64 bits.
    store64(address: u64, value: u64) Touched { value: 0, faulted: user_store64_raw(address as *mut u64, value) != 0 }
}
word_access! {
    /// Compares and exchanges 32 bits; the value found is returned.
    compare_exchange32(address: u64, old: u32, new: u32) low_word(user_cmpxchg32_raw(address as *mut u32, old, new))
}
