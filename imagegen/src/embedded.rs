//! Kernel and boot code, carried inside this program; `build.rs` makes them.

/// The kernel: an ELF file with a PVH entry, stripped to what is loaded.
pub const KERNEL: &[u8] = include_bytes!(env!("SKIFF_KERNEL_FILE"));

/// The BIOS boot code: an ELF file whose physical addresses are offsets on the disk.
pub const BOOT: &[u8] = include_bytes!(env!("SKIFF_BOOT_FILE"));

/// The kernel's ELF symbol table; empty when a stripped kernel was put in its place.
pub const SYMTAB: &[u8] = include_bytes!(env!("SKIFF_SYMTAB_FILE"));

/// The names that go with it.
pub const STRTAB: &[u8] = include_bytes!(env!("SKIFF_STRTAB_FILE"));
