//! What the processor calls itself (CPUID): for whoever shows it to a person or a program.

use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};
use core::fmt;

/// Names and numbers of the processor.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    vendor: [u8; 12],
    brand: [u8; 48],
    /// Family, extended one included.
    pub family: u32,
    /// Model, extended one included.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Rate of the time stamp counter, in kHz.
    pub khz: u64,
}

/// Register of a CPUID leaf that holds feature bits.
#[derive(Clone, Copy)]
enum Word {
    Leaf1Edx,
    Leaf1Ecx,
    Leaf7Ebx,
    Leaf7Ecx,
    Extended1Edx,
    Extended1Ecx,
}

/// Feature bits with the names that Linux gives them (`arch/x86/include/asm/cpufeatures.h`).
const FLAGS: [(Word, u32, &str); 71] = [
    (Word::Leaf1Edx, 0, "fpu"),
    (Word::Leaf1Edx, 1, "vme"),
    (Word::Leaf1Edx, 2, "de"),
    (Word::Leaf1Edx, 3, "pse"),
    (Word::Leaf1Edx, 4, "tsc"),
    (Word::Leaf1Edx, 5, "msr"),
    (Word::Leaf1Edx, 6, "pae"),
    (Word::Leaf1Edx, 7, "mce"),
    (Word::Leaf1Edx, 8, "cx8"),
    (Word::Leaf1Edx, 9, "apic"),
    (Word::Leaf1Edx, 11, "sep"),
    (Word::Leaf1Edx, 12, "mtrr"),
    (Word::Leaf1Edx, 13, "pge"),
    (Word::Leaf1Edx, 14, "mca"),
    (Word::Leaf1Edx, 15, "cmov"),
    (Word::Leaf1Edx, 16, "pat"),
    (Word::Leaf1Edx, 17, "pse36"),
    (Word::Leaf1Edx, 19, "clflush"),
    (Word::Leaf1Edx, 23, "mmx"),
    (Word::Leaf1Edx, 24, "fxsr"),
    (Word::Leaf1Edx, 25, "sse"),
    (Word::Leaf1Edx, 26, "sse2"),
    (Word::Leaf1Edx, 28, "ht"),
    (Word::Extended1Edx, 11, "syscall"),
    (Word::Extended1Edx, 20, "nx"),
    (Word::Extended1Edx, 26, "pdpe1gb"),
    (Word::Extended1Edx, 27, "rdtscp"),
    (Word::Extended1Edx, 29, "lm"),
    (Word::Leaf1Ecx, 0, "pni"),
    (Word::Leaf1Ecx, 1, "pclmulqdq"),
    (Word::Leaf1Ecx, 9, "ssse3"),
    (Word::Leaf1Ecx, 12, "fma"),
    (Word::Leaf1Ecx, 13, "cx16"),
    (Word::Leaf1Ecx, 17, "pcid"),
    (Word::Leaf1Ecx, 19, "sse4_1"),
    (Word::Leaf1Ecx, 20, "sse4_2"),
    (Word::Leaf1Ecx, 21, "x2apic"),
    (Word::Leaf1Ecx, 22, "movbe"),
    (Word::Leaf1Ecx, 23, "popcnt"),
    (Word::Leaf1Ecx, 25, "aes"),
    (Word::Leaf1Ecx, 26, "xsave"),
    (Word::Leaf1Ecx, 28, "avx"),
    (Word::Leaf1Ecx, 29, "f16c"),
    (Word::Leaf1Ecx, 30, "rdrand"),
    (Word::Leaf1Ecx, 31, "hypervisor"),
    (Word::Extended1Ecx, 0, "lahf_lm"),
    (Word::Extended1Ecx, 5, "abm"),
    (Word::Extended1Ecx, 6, "sse4a"),
    (Word::Extended1Ecx, 8, "3dnowprefetch"),
    (Word::Leaf7Ebx, 0, "fsgsbase"),
    (Word::Leaf7Ebx, 3, "bmi1"),
    (Word::Leaf7Ebx, 5, "avx2"),
    (Word::Leaf7Ebx, 7, "smep"),
    (Word::Leaf7Ebx, 8, "bmi2"),
    (Word::Leaf7Ebx, 9, "erms"),
    (Word::Leaf7Ebx, 16, "avx512f"),
    (Word::Leaf7Ebx, 17, "avx512dq"),
    (Word::Leaf7Ebx, 18, "rdseed"),
    (Word::Leaf7Ebx, 19, "adx"),
    (Word::Leaf7Ebx, 20, "smap"),
    (Word::Leaf7Ebx, 23, "clflushopt"),
    (Word::Leaf7Ebx, 24, "clwb"),
    (Word::Leaf7Ebx, 28, "avx512cd"),
    (Word::Leaf7Ebx, 29, "sha_ni"),
    (Word::Leaf7Ebx, 30, "avx512bw"),
    (Word::Leaf7Ebx, 31, "avx512vl"),
    (Word::Leaf7Ecx, 2, "umip"),
    (Word::Leaf7Ecx, 3, "pku"),
    (Word::Leaf7Ecx, 8, "gfni"),
    (Word::Leaf7Ecx, 9, "vaes"),
    (Word::Leaf7Ecx, 22, "rdpid"),
];

/// Asks the processor.
pub fn describe() -> Description {
    let (first, signature) = (__cpuid(0), __cpuid(1));
    let mut vendor = [0; 12];
    for (part, register) in vendor.chunks_exact_mut(4).zip([first.ebx, first.edx, first.ecx]) {
        part.copy_from_slice(&register.to_le_bytes());
    }
    let (base, model) = (signature.eax >> 8 & 15, signature.eax >> 4 & 15);
    Description {
        vendor,
        brand: brand(),
        family: if base == 15 { base + (signature.eax >> 20 & 0xff) } else { base },
        model: if matches!(base, 6 | 15) { model | (signature.eax >> 16 & 15) << 4 } else { model },
        stepping: signature.eax & 15,
        khz: crate::time::tsc_khz(),
    }
}

fn brand() -> [u8; 48] {
    let mut brand = [0; 48];
    if __cpuid(0x8000_0000).eax >= 0x8000_0004 {
        for (leaf, part) in (0x8000_0002..).zip(brand.chunks_exact_mut(16)) {
            let CpuidResult { eax, ebx, ecx, edx } = __cpuid(leaf);
            for (bytes, register) in part.chunks_exact_mut(4).zip([eax, ebx, ecx, edx]) {
                bytes.copy_from_slice(&register.to_le_bytes());
            }
        }
    }
    brand
}

/// The text before the first NUL.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("").trim()
}

impl Description {
    /// Who made it.
    pub fn vendor(&self) -> &str {
        text(&self.vendor)
    }

    /// What it is sold as; empty if it does not say.
    pub fn brand(&self) -> &str {
        text(&self.brand)
    }

    /// The names of its features, with blanks between them.
    pub fn flags(&self) -> Flags {
        Flags(())
    }
}

/// Prints the features of the processor that runs this.
pub struct Flags(());

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (leaf1, extended1) = (__cpuid(1), __cpuid(0x8000_0001));
        let leaf7 = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
        let mut blank = "";
        for (word, bit, name) in FLAGS {
            let register = match word {
                Word::Leaf1Edx => leaf1.edx,
                Word::Leaf1Ecx => leaf1.ecx,
                Word::Leaf7Ebx => leaf7.map_or(0, |leaf| leaf.ebx),
                Word::Leaf7Ecx => leaf7.map_or(0, |leaf| leaf.ecx),
                Word::Extended1Edx => extended1.edx,
                Word::Extended1Ecx => extended1.ecx,
            };
            if register & 1 << bit != 0 {
                write!(f, "{blank}{name}")?;
                blank = " ";
            }
        }
        Ok(())
    }
}
