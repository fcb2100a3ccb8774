//! What the processor has, found once with CPUID, and control registers set accordingly.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use spin::Once;

/// Features that the core uses where they are there and does without where not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Pages can be kept from being executed.
    pub nx: bool,
    /// The kernel cannot execute user pages.
    pub smep: bool,
    /// The kernel touches user pages only between STAC and CLAC.
    pub smap: bool,
    /// User code cannot read descriptor table addresses.
    pub umip: bool,
    /// RDFSBASE and its siblings.
    pub fsgsbase: bool,
    /// XSAVE with XCR0.
    pub xsave: bool,
    /// XSAVEOPT.
    pub xsaveopt: bool,
    /// RDRAND.
    pub rdrand: bool,
    /// RDSEED.
    pub rdseed: bool,
    /// SYSCALL in long mode.
    pub syscall: bool,
    /// Pages of 1 GiB.
    pub pages_1g: bool,
    /// The TSC runs at one rate in all states.
    pub invariant_tsc: bool,
    /// The local APIC timer can be set by TSC deadline.
    pub tsc_deadline: bool,
    /// RDTSCP.
    pub rdtscp: bool,
    /// Under a hypervisor.
    pub hypervisor: bool,
    /// PCIDs.
    pub pcid: bool,
}

static FEATURES: Once<Features> = Once::new();

/// The features of the boot processor.
pub fn features() -> &'static Features {
    FEATURES.call_once(detect)
}

fn detect() -> Features {
    let bit = |register: u32, bit: u32| register & 1 << bit != 0;
    let basic_max = __cpuid(0).eax;
    let leaf1 = __cpuid(1);
    let leaf7 = if basic_max >= 7 { __cpuid_count(7, 0) } else { __cpuid(0x4fff_ffff) };
    let leaf7_valid = basic_max >= 7;
    let extended_max = __cpuid(0x8000_0000).eax;
    let ext1 = __cpuid(0x8000_0001);
    let invariant_tsc = extended_max >= 0x8000_0007 && bit(__cpuid(0x8000_0007).edx, 8);
    let xsave = bit(leaf1.ecx, 26);
    Features {
        nx: bit(ext1.edx, 20),
        smep: leaf7_valid && bit(leaf7.ebx, 7),
        smap: leaf7_valid && bit(leaf7.ebx, 20),
        umip: leaf7_valid && bit(leaf7.ecx, 2),
        fsgsbase: leaf7_valid && bit(leaf7.ebx, 0),
        xsave,
        xsaveopt: xsave && basic_max >= 0xd && bit(__cpuid_count(0xd, 1).eax, 0),
        rdrand: bit(leaf1.ecx, 30),
        rdseed: leaf7_valid && bit(leaf7.ebx, 18),
        syscall: bit(ext1.edx, 11),
        pages_1g: bit(ext1.edx, 26),
        invariant_tsc,
        tsc_deadline: bit(leaf1.ecx, 24),
        rdtscp: bit(ext1.edx, 27),
        hypervisor: bit(leaf1.ecx, 31),
        pcid: bit(leaf1.ecx, 17),
    }
}

/// The hypervisor's signature (CPUID 4000_0000h), if there is one.
pub fn hypervisor_signature() -> Option<[u8; 12]> {
    if !features().hypervisor {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let mut signature = [0; 12];
    signature[0..4].copy_from_slice(&leaf.ebx.to_le_bytes());
    signature[4..8].copy_from_slice(&leaf.ecx.to_le_bytes());
    signature[8..12].copy_from_slice(&leaf.edx.to_le_bytes());
    Some(signature)
}

const CR4_PGE: u64 = 1 << 7;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_UMIP: u64 = 1 << 11;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

/// Turns on what [`features`] found, on the processor that runs this.
#[cfg(target_os = "none")]
pub fn configure() {
    let found = features();
    let mut cr4 = CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (there, bit) in [
        (found.umip, CR4_UMIP),
        (found.fsgsbase, CR4_FSGSBASE),
        (found.xsave, CR4_OSXSAVE),
        (found.smep, CR4_SMEP),
        (found.smap, CR4_SMAP),
    ] {
        if there {
            cr4 |= bit;
        }
    }
    // SAFETY: each bit stands for a feature that CPUID reported; none changes the meaning of the page
    // tables in use. CR0.EM and TS were cleared at entry, MP is set there.
    unsafe {
        let old: u64;
        asm!("mov {}, cr4", out(reg) old, options(nomem, nostack));
        asm!("mov cr4, {}", in(reg) old | cr4, options(nostack));
        asm!("clts", options(nomem, nostack));
    }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller knows that the register exists.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist and the value must keep the kernel's state sound.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller answers for register and value.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

/// The time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: RDTSC exists on every x86_64 processor and CR4.TSD is clear.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether interrupts are on.
pub fn interrupts_enabled() -> bool {
    let flags: u64;
    // SAFETY: reads the flags through the stack.
    unsafe { asm!("pushfq; pop {}", out(reg) flags, options(nomem, preserves_flags)) };
    flags & 0x200 != 0
}

/// Turns interrupts off. Host builds have none.
#[inline(always)]
pub fn disable_interrupts() {
    #[cfg(target_os = "none")]
    // SAFETY: only delays interrupts.
    unsafe {
        asm!("cli", options(nostack));
    }
}

/// Turns interrupts on.
#[inline(always)]
pub fn enable_interrupts() {
    #[cfg(target_os = "none")]
    // SAFETY: callers are in core code that holds no interrupt-safe lock.
    unsafe {
        asm!("sti", options(nostack));
    }
}

/// Waits for an interrupt with interrupts on, and turns them off again.
pub fn halt_until_interrupt() {
    // SAFETY: STI takes effect after HLT has begun, so no wake-up is lost between them.
    unsafe { asm!("sti; hlt; cli", options(nomem, nostack)) };
}

/// Stops this processor for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: nothing is to run on this processor any more.
        unsafe { asm!("cli; hlt", options(nomem, nostack)) };
    }
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reads CR2.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Drops the TLB entries of one page.
pub fn flush_page(address: u64) {
    #[cfg(target_os = "none")]
    // SAFETY: dropping cached translations is always sound.
    unsafe {
        asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags));
    }
    #[cfg(not(target_os = "none"))]
    let _ = address;
}

/// Drops all TLB entries that are not global.
pub fn flush_all() {
    #[cfg(target_os = "none")]
    // SAFETY: reloads CR3 with its own value.
    unsafe {
        let cr3: u64;
        asm!("mov {}, cr3", out(reg) cr3, options(nomem, nostack, preserves_flags));
        asm!("mov cr3, {}", in(reg) cr3, options(nostack, preserves_flags));
    }
}

/// Loads the root of the page tables.
///
/// # Safety
/// The tables must map the running code, stack and all kernel data as they are now.
pub unsafe fn load_page_tables(root: u64) {
    // SAFETY: by the caller.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}
