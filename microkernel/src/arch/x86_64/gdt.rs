//! Segments and the task state segment: ring 3 selectors, ring 0 stack, exception stacks.
//!
//! Double fault, NMI and machine check run on stacks of their own (IST), so that they can be reported when the
//! running stack is the problem.

use core::arch::asm;
use core::cell::UnsafeCell;

/// Kernel code selector.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data selector.
pub const KERNEL_DATA: u16 = 0x10;
/// User data selector; SYSRET wants data before code.
pub const USER_DATA: u16 = 0x1b;
/// User code selector.
pub const USER_CODE: u16 = 0x23;
const TSS: u16 = 0x28;

/// IST number of the double fault.
pub const IST_DOUBLE_FAULT: u8 = 1;
/// IST number of NMI.
pub const IST_NMI: u8 = 2;
/// IST number of the machine check.
pub const IST_MACHINE_CHECK: u8 = 3;

const IST_BYTES: usize = 8192;

#[repr(C, packed)]
struct TaskState {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; 7],
    tss: TaskState,
    /// Those of the TSS, and the one of [`Segments::last_stack`].
    stacks: [[u8; IST_BYTES]; 4],
}

/// Segment tables of one processor.
#[repr(transparent)]
pub struct Segments(UnsafeCell<Tables>);

// SAFETY: written only by `load` on the owning processor before it takes interrupts, and by
// `set_kernel_stack` on that processor with interrupts off.
unsafe impl Sync for Segments {}

impl Segments {
    /// Empty tables.
    pub const fn new() -> Self {
        let tss = TaskState {
            reserved0: 0,
            rsp: [0; 3],
            reserved1: 0,
            ist: [0; 7],
            reserved2: 0,
            reserved3: 0,
            io_map: size_of::<TaskState>() as u16,
        };
        let gdt = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff, 0, 0];
        Self(UnsafeCell::new(Tables { gdt, tss, stacks: [[0; IST_BYTES]; 4] }))
    }

    /// Fills in the addresses and loads the tables on this processor.
    pub fn load(&'static self) {
        let tables = self.0.get();
        // SAFETY: 1. called once per processor on its own tables, before interrupts are on;
        // 2. the descriptors are the flat 64-bit ones, and the TSS lives for ever.
        unsafe {
            for index in 0..3 {
                let top = (&raw const (*tables).stacks[index]) as u64 + IST_BYTES as u64;
                (&raw mut (*tables).tss.ist).cast::<u64>().add(index).write_unaligned(top);
            }
            let base = (&raw const (*tables).tss) as u64;
            let limit = size_of::<TaskState>() as u64 - 1;
            (*tables).gdt[5] = limit & 0xffff | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
            (*tables).gdt[6] = base >> 32;
            let pointer = Pointer { limit: (7 * 8 - 1) as u16, base: (&raw const (*tables).gdt) as u64 };
            asm!(
                "lgdt [{pointer}]",
                "push {code}", "lea {scratch}, [rip + 2f]", "push {scratch}", "retfq", "2:",
                "mov ss, {data:x}",
                "ltr {tss:x}",
                pointer = in(reg) &pointer, code = const KERNEL_CODE as u64, scratch = out(reg) _,
                data = in(reg) KERNEL_DATA, tss = in(reg) TSS,
            );
        }
    }

    /// Top of the stack on which a thread is ended whose own is used up.
    pub fn last_stack(&'static self) -> u64 {
        // SAFETY: only the address is taken.
        unsafe { (&raw const (*self.0.get()).stacks[3]) as u64 + IST_BYTES as u64 }
    }

    /// Sets the stack that interrupts from user mode start on.
    pub fn set_kernel_stack(&self, top: u64) {
        // SAFETY: the owning processor writes its own TSS; the field is only read by interrupt delivery
        // from user mode.
        unsafe { (&raw mut (*self.0.get()).tss.rsp).cast::<u64>().write_unaligned(top) };
    }
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}
