//! BIOS boot of a disk image: from the first sector to the kernel's PVH entry point.
//!
//! `asm/boot_sector.s` loads the second stage, `asm/stage2_entry.s` checks the machine and enters 64-bit mode, and
//! from there on it is Rust: [`kernel`] finds the kernel through the boot record and places it, [`handover`] writes the
//! PVH start info, and the kernel is entered in 32-bit mode. `asm/modes.s` changes modes for every disk read.
//! Whatever goes wrong ends in one line on the screen and on COM1.
//!
//! Neighbours: `boot-info` (boot record, start info), `skiff-elf` (kernel file). `imagegen` flattens the finished ELF by
//! physical address (`skiff_elf::FlatImage`) and patches the boot record. `link.ld` draws the memory map.
#![no_std]
#![no_main]

mod disk;
mod error;
mod firmware;
mod handover;
mod kernel;

use core::fmt::Write;

use boot_info::BootRecord;

use crate::disk::KernelFile;
use crate::error::{Error, Line};

/// Called by `start_rust` in 64-bit mode, interrupts off, the first 4 GiB mapped to themselves.
#[unsafe(no_mangle)]
extern "C" fn boot_main() -> ! {
    let Err(error) = boot();
    let mut line = Line::new();
    let _ = write!(line, "{error}");
    firmware::stop(&line)
}

/// Loads the kernel and enters it.
fn boot() -> Result<core::convert::Infallible, Error> {
    let sector = firmware::boot_record();
    let record = BootRecord::parse(&sector).map_err(Error::Record)?;
    let memory = firmware::memory_map()?;
    let mut file = KernelFile::new(record.kernel_lba, record.kernel_bytes);
    let entry = kernel::load(&mut file, &memory)?;
    let start_info = handover::write(record.command_line)?;
    firmware::enter_kernel(entry, start_info)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    let _ = write!(line, "{info}");
    firmware::stop(&line)
}
