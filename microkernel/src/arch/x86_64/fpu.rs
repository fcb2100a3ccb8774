//! The program's vector state: XSAVE where there is one, FXSAVE otherwise, sized by CPUID.
//!
//! The kernel is soft-float, so the state stays in the registers across system calls and is switched only
//! between program threads.

use super::cpu::features;
use alloc::boxed::Box;
use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use spin::Once;

/// Components that are saved: x87, SSE, AVX, AVX-512, AMX. MPX is left out, and PKRU: protection keys are not on
/// (CR4.PKE), and without its 8 bytes at offset 2688 the image is a third as long on most machines.
const WANTED: u64 = 0b111 | 0b1110_0000 | 0b11 << 17;
const FXSAVE_BYTES: usize = 512;
/// Value of MXCSR after reset; its reserved bits must be 0 in an image.
const MXCSR_DEFAULT: u32 = 0x1f80;
const MXCSR_AT: usize = 24;
const MXCSR_MASK_AT: usize = 28;
const HEADER_AT: usize = 512;

/// Form of the state image on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes of an image in the standard format.
    pub len: usize,
    /// XCR0, or 0 with FXSAVE.
    pub components: u64,
    /// Bits of MXCSR that may be set.
    mxcsr_mask: u32,
}

static LAYOUT: Once<Layout> = Once::new();

/// Form of the state image.
pub fn layout() -> Layout {
    *LAYOUT.call_once(|| {
        let mut probe = Image([0; FXSAVE_BYTES]);
        // SAFETY: the image is aligned and large enough; FXSAVE exists on every x86_64 processor.
        unsafe { asm!("fxsave64 [{}]", in(reg) probe.0.as_mut_ptr(), options(nostack)) };
        let mask = u32::from_le_bytes([probe.0[28], probe.0[29], probe.0[30], probe.0[31]]);
        let mxcsr_mask = if mask == 0 { 0xffbf } else { mask };
        if !features().xsave {
            return Layout { len: FXSAVE_BYTES, components: 0, mxcsr_mask };
        }
        let leaf = __cpuid_count(0xd, 0);
        let components = WANTED & (u64::from(leaf.edx) << 32 | u64::from(leaf.eax));
        set_components(components);
        // EBX: size for the components that are enabled now.
        Layout { len: __cpuid_count(0xd, 0).ebx as usize, components, mxcsr_mask }
    })
}

#[repr(C, align(64))]
struct Image([u8; FXSAVE_BYTES]);

/// Enables the components on this processor.
fn set_components(components: u64) {
    #[cfg(target_os = "none")]
    // SAFETY: CR4.OSXSAVE is set and the processor reported the components.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") (components >> 32) as u32, options(nomem, nostack));
    }
    #[cfg(not(target_os = "none"))]
    let _ = components;
}

/// The saved vector state of one program thread.
pub struct VectorState {
    image: Box<[u64]>,
    /// First aligned word of `image`.
    start: usize,
    len: usize,
}

impl VectorState {
    /// The state of a fresh program: everything at its initial value.
    pub fn new() -> Self {
        let layout = layout();
        // Alignment to 64 bytes costs up to 7 words more.
        let words = layout.len.div_ceil(8) + 7;
        let image = alloc::vec![0u64; words].into_boxed_slice();
        let start = (image.as_ptr() as usize).wrapping_neg() % 64 / 8;
        let mut state = Self { image, start, len: layout.len };
        let bytes = state.bytes_mut();
        bytes[0..2].copy_from_slice(&0x37fu16.to_le_bytes());
        bytes[MXCSR_AT..MXCSR_AT + 4].copy_from_slice(&MXCSR_DEFAULT.to_le_bytes());
        state
    }

    /// A copy, for a new thread.
    pub fn duplicate(&self) -> Self {
        let mut copy = Self::new();
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }

    /// The image, in the standard format.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the words from `start` hold at least `len` bytes; any byte is a valid u8.
        unsafe { core::slice::from_raw_parts(self.image.as_ptr().add(self.start).cast(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as `bytes`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.image.as_mut_ptr().add(self.start).cast(), self.len) }
    }

    /// Replaces the state with an image from outside, made harmless: unknown components and reserved MXCSR bits
    /// would fault when loaded.
    ///
    /// Errors: the image is too short or its header is illegal.
    pub fn replace(&mut self, image: &[u8]) -> Result<(), BadState> {
        let layout = layout();
        if image.len() < FXSAVE_BYTES {
            return Err(BadState);
        }
        let mxcsr = u32::from_le_bytes(image[MXCSR_AT..MXCSR_AT + 4].try_into().map_err(|_| BadState)?);
        if mxcsr & !layout.mxcsr_mask != 0 {
            return Err(BadState);
        }
        let mut present = 0b11;
        if layout.components != 0 && image.len() >= HEADER_AT + 64 {
            let word = |at: usize| -> Result<u64, BadState> {
                Ok(u64::from_le_bytes(image.get(at..at + 8).ok_or(BadState)?.try_into().map_err(|_| BadState)?))
            };
            present = word(HEADER_AT)?;
            let compact = word(HEADER_AT + 8)?;
            let reserved = image[HEADER_AT + 16..HEADER_AT + 64].iter().any(|&byte| byte != 0);
            if present & !layout.components != 0 || compact != 0 || reserved || image.len() < layout.len {
                return Err(BadState);
            }
        }
        let bytes = self.bytes_mut();
        let count = bytes.len().min(image.len());
        bytes[..count].copy_from_slice(&image[..count]);
        if layout.components != 0 {
            bytes[HEADER_AT..HEADER_AT + 64].fill(0);
            bytes[HEADER_AT..HEADER_AT + 8].copy_from_slice(&present.to_le_bytes());
        }
        bytes[MXCSR_MASK_AT..MXCSR_MASK_AT + 4].copy_from_slice(&layout.mxcsr_mask.to_le_bytes());
        Ok(())
    }

    /// Stores the registers into the image.
    #[cfg(target_os = "none")]
    pub fn save(&mut self) {
        let at = self.bytes_mut().as_mut_ptr();
        // SAFETY: the image is aligned to 64 and as large as the enabled components need.
        unsafe {
            if layout().components != 0 {
                asm!("xsave64 [{}]", in(reg) at, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) at, options(nostack));
            }
        }
    }

    /// Loads the registers from the image.
    #[cfg(target_os = "none")]
    pub fn restore(&self) {
        let at = self.bytes().as_ptr();
        // SAFETY: images are made by `save`, `new` or the checked `replace`, so loading them does not fault.
        unsafe {
            if layout().components != 0 {
                asm!("xrstor64 [{}]", in(reg) at, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack, readonly));
            } else {
                asm!("fxrstor64 [{}]", in(reg) at, options(nostack, readonly));
            }
        }
    }

    /// Host builds have no program threads.
    #[cfg(not(target_os = "none"))]
    pub fn save(&mut self) {}

    /// Host builds have no program threads.
    #[cfg(not(target_os = "none"))]
    pub fn restore(&self) {}
}

impl Default for VectorState {
    fn default() -> Self {
        Self::new()
    }
}

/// A vector state image cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadState;
