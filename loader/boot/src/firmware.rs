//! The machine below the Rust code: BIOS calls, physical memory, and the way into the kernel.
//!
//! All `unsafe` of this crate is here. The rest of the loader sees safe functions whose checks keep physical writes
//! inside memory that the loader does not use itself.

use core::arch::global_asm;
use core::ops::Range;
use core::ptr;
use core::slice;

use boot_info::{BootRecord, MEMMAP_ENTRIES_MAX, MemmapEntry, MemoryMap, StartInfo};

use crate::error::{Error, Line};

global_asm!(include_str!("asm/boot_sector.s"), options(att_syntax, raw));
global_asm!(include_str!("asm/stage2_entry.s"), options(att_syntax, raw));
global_asm!(include_str!("asm/modes.s"), options(att_syntax, raw));

/// Bytes of a disk sector.
pub const SECTOR_BYTES: u64 = 512;
/// Most sectors that one BIOS read may ask for (EDD 3.0: 127).
pub const READ_SECTORS_MAX: u16 = 127;
/// Longest kernel file, in bytes: what fits the 12 MiB boot partition.
const KERNEL_MAX_BYTES: u64 = 12 << 20;
/// Where disk reads land; `disk_packet` says the same.
const BOUNCE: usize = 0x2_0000;
/// Bytes reserved for the command line in the hand-over area.
const COMMAND_LINE_BYTES: usize = 512;
/// Physical memory that the loader may write to for others: above its own, and mapped.
const WRITABLE: Range<u64> = 0x10_0000..0x1_0000_0000;

/// The boot record as built; `imagegen` fills it in on the disk.
#[unsafe(link_section = ".stage2.record")]
#[used]
static BOOT_RECORD: [u8; BootRecord::SIZE] = BootRecord::template(KERNEL_MAX_BYTES);

/// The packet of INT 13h AH=42h, in `asm/modes.s`.
#[repr(C, packed)]
struct DiskPacket {
    size: u8,
    reserved: u8,
    sectors: u16,
    buffer_offset: u16,
    buffer_segment: u16,
    lba: u64,
}

unsafe extern "C" {
    static mut disk_packet: DiskPacket;
    #[link_name = "memory_map"]
    static memory_map_bytes: [u8; MEMMAP_ENTRIES_MAX * MemmapEntry::SIZE];
    static memory_map_entries: u32;
    static mut start_info: [u8; StartInfo::SIZE];
    static mut command_line: [u8; COMMAND_LINE_BYTES];
    #[link_name = "read_disk"]
    fn asm_read_disk() -> u32;
    #[link_name = "stop"]
    fn asm_stop(text: u32) -> !;
    #[link_name = "enter_kernel"]
    fn asm_enter_kernel(entry: u32, start_info: u32) -> !;
}

/// A copy of the boot record sector as it came from the disk.
pub fn boot_record() -> [u8; BootRecord::SIZE] {
    // SAFETY: the static is valid; volatile, because its contents on the disk differ from those the compiler knows.
    unsafe { ptr::read_volatile(&raw const BOOT_RECORD) }
}

/// The memory map that the BIOS gave.
pub fn memory_map<'a>() -> Result<MemoryMap<'a>, Error> {
    // SAFETY: both were written before Rust code ran, and are not written any more.
    let (bytes, entries) = unsafe { (&memory_map_bytes, memory_map_entries) };
    MemoryMap::parse(bytes, entries).map_err(Error::MemoryMap)
}

/// The buffer for disk reads, with what the last read put there. Only [`crate::disk::KernelFile`] holds one.
pub struct Bounce(());

impl Bounce {
    /// The buffer. Making a second one while the first lives would let a read change the bytes under a slice.
    pub fn claim() -> Self {
        Self(())
    }

    /// Reads `sectors` (at most [`READ_SECTORS_MAX`]) from sector `lba` on.
    pub fn read(&mut self, lba: u64, sectors: u16) -> Result<(), Error> {
        let sectors = sectors.min(READ_SECTORS_MAX);
        let packet = DiskPacket { size: 16, reserved: 0, sectors, buffer_offset: 0, buffer_segment: 0x2000, lba };
        // SAFETY: 1. the packet is ours and single-threaded code writes it; 2. the assembler code keeps every register
        // that the C ABI wants kept; 3. the BIOS writes at most 127 sectors at BOUNCE, which link.ld reserves, and
        // `&mut self` proves that no slice of it is in use.
        let status = unsafe {
            ptr::write_unaligned(&raw mut disk_packet, packet);
            asm_read_disk()
        };
        match u8::try_from(status & 0xff) {
            Ok(0) if status == 0 => Ok(()),
            Ok(status) => Err(Error::Disk { lba, status }),
            Err(_) => Err(Error::Disk { lba, status: 0xff }),
        }
    }

    /// The bytes of the buffer.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: link.ld reserves the 64 KiB at BOUNCE, they are identity-mapped, and only `read` changes them.
        unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(BOUNCE), 0x1_0000) }
    }
}

/// Copies `bytes` to physical memory at `to`, then zeroes `zeros` bytes after them.
///
/// Errors: `SegmentOutside` if that is not all between 1 MiB and 4 GiB. The caller has checked that it is memory.
pub fn write_physical(to: u64, bytes: &[u8], zeros: u64) -> Result<(), Error> {
    let outside = Error::SegmentOutside(to);
    let len = u64::try_from(bytes.len()).map_err(|_| outside)?;
    let zero_at = to.checked_add(len).ok_or(outside)?;
    let end = zero_at.checked_add(zeros).ok_or(outside)?;
    if to < WRITABLE.start || end > WRITABLE.end {
        return Err(outside);
    }
    let address = |at: u64| usize::try_from(at).map(ptr::with_exposed_provenance_mut::<u8>).map_err(|_| outside);
    let (to, zero_to) = (address(to)?, address(zero_at)?);
    let zeros = usize::try_from(zeros).map_err(|_| outside)?;
    // SAFETY: 1. the range is identity-mapped (4 GiB are); 2. no Rust object lies above 1 MiB (link.ld), so `bytes`
    // cannot overlap it and nothing is changed behind the compiler's back.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        ptr::write_bytes(zero_to, 0, zeros);
    }
    Ok(())
}

/// Firmware's memory below 1 MiB, for searching tables in it.
///
/// `None` unless the range lies in the BIOS areas: 0x400..0x500, or from 0x80000 to 1 MiB.
pub fn firmware_bytes(range: Range<usize>) -> Option<&'static [u8]> {
    let known = [0x400..0x500, 0x8_0000..0x10_0000];
    let len = range.end.checked_sub(range.start)?;
    if !known.iter().any(|area| area.start <= range.start && range.end <= area.end) {
        return None;
    }
    // SAFETY: the areas are identity-mapped, outside all Rust objects (link.ld ends below 0x30000), and while 64-bit code
    // runs nothing writes there.
    Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(range.start), len) })
}

/// Physical addresses of the hand-over structures, in memory below 1 MiB.
pub struct HandOverPlaces {
    /// Of the start info.
    pub start_info: u64,
    /// Of the command line.
    pub command_line: u64,
    /// Of the memory map.
    pub memory_map: u64,
    /// Entries of the memory map.
    pub memory_map_entries: u32,
}

/// Where the hand-over structures are to be.
pub fn hand_over_places() -> HandOverPlaces {
    let address = |pointer: usize| u64::try_from(pointer).unwrap_or(0);
    HandOverPlaces {
        start_info: address((&raw const start_info).expose_provenance()),
        command_line: address((&raw const command_line).expose_provenance()),
        memory_map: address((&raw const memory_map_bytes).expose_provenance()),
        // SAFETY: written before Rust code ran.
        memory_map_entries: unsafe { memory_map_entries },
    }
}

/// Writes the start info and the command line (a NUL is added) to their places.
///
/// Errors: `HandOver` if the command line is too long.
pub fn write_hand_over(info: &[u8; StartInfo::SIZE], text: &str) -> Result<(), Error> {
    let mut line = [0; COMMAND_LINE_BYTES];
    let place = line.get_mut(..text.len()).filter(|place| place.len() < COMMAND_LINE_BYTES);
    place.ok_or(Error::HandOver)?.copy_from_slice(text.as_bytes());
    // SAFETY: both places are ours, of that size, and no reference to them is ever made.
    unsafe {
        ptr::write(&raw mut start_info, *info);
        ptr::write(&raw mut command_line, line);
    }
    Ok(())
}

/// Enters the kernel the PVH way.
pub fn enter_kernel(entry: u32, start_info_at: u32) -> ! {
    // SAFETY: the caller placed a kernel at `entry`; nothing of this loader is needed any more.
    unsafe { asm_enter_kernel(entry, start_info_at) }
}

/// Prints the line on the BIOS screen and on COM1, and stops the machine.
pub fn stop(line: &Line) -> ! {
    let text = line.with_nul().as_ptr().expose_provenance();
    // SAFETY: the line lies on the stack or in the loader's data, both below 1 MiB, and ends in a NUL.
    unsafe { asm_stop(u32::try_from(text).unwrap_or(0)) }
}
