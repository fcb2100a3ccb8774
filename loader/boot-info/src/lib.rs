//! What a loader tells the kernel, and what `imagegen` tells the loader.
//!
//! Every loader (QEMU and Firecracker directly, or `loader/boot` from a disk) enters the kernel the
//! PVH way: 32-bit protected mode, paging off, `ebx` = physical address of a [`StartInfo`]. That
//! leads to the [`MemoryMap`], the [`command_line`] and the [`ModuleEntry`] list. All of it is
//! bytes in memory that nobody vouches for, so this crate only parses slices; the microkernel
//! decides which physical bytes to look at.
//!
//! [`BootRecord`] is the one sector in which `imagegen` tells `loader/boot` where the kernel lies.
//!
//! Facts: Xen `public/arch-x86/hvm/start_info.h`, Xen `docs/misc/pvh.pandoc`, ACPI 6.5 §5.2.5 and §15.
#![no_std]
#![forbid(unsafe_code)]

mod acpi;
mod boot_record;
mod bytes;
mod error;
mod memmap;
mod start_info;

pub use acpi::{RSDP_ALIGN, RSDP_SIZE, find_rsdp};
pub use boot_record::BootRecord;
pub use error::Error;
pub use memmap::{MEMMAP_ENTRIES_MAX, MemmapEntry, MemmapIter, MemoryKind, MemoryMap};
pub use start_info::{
    COMMAND_LINE_MAX, MODULES_MAX, ModuleEntry, PHYS32_ENTRY_NOTE_NAME, PHYS32_ENTRY_NOTE_TYPE,
    StartInfo, command_line,
};
