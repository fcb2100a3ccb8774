//! Where things stand in the kernel half of the address space.
//!
//! ```text
//! 0xffff_8000_0000_0000   all RAM (the physical map), no-execute; kernel text and constants read-only
//! 0xffff_c000_0000_0000   arenas of the tasks, 4 GiB apart
//! 0xffff_d000_0000_0000   kernel stacks, 128 KiB apart, unmapped below each
//! 0xffff_e000_0000_0000   device registers
//! 0xffff_ffff_8000_0000   the kernel image, physical 0
//! ```

/// First address of the physical map.
pub const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;
/// First arena.
pub const ARENAS: u64 = 0xffff_c000_0000_0000;
/// Distance between two arenas: the most that a task's heap can ever be.
pub const ARENA_STRIDE: u64 = 4 << 30;
/// First kernel stack slot.
pub const STACKS: u64 = 0xffff_d000_0000_0000;
/// Distance between two stacks; the lower part of a slot is never mapped.
pub const STACK_STRIDE: u64 = 128 << 10;
/// First device register mapping.
pub const DEVICES: u64 = 0xffff_e000_0000_0000;
/// Kernel image addresses minus physical addresses.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// First address that is no program address any more: the top page stays free (SYSRET, SDM 3A 6.8.8).
pub const USER_END: u64 = 0x7fff_ffff_f000;

/// The physical map's address of a physical address.
pub const fn physical_to_virtual(physical: u64) -> u64 {
    PHYSICAL_MAP + physical
}
