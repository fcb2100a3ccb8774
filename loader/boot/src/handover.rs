//! The PVH start info that the kernel gets: memory map, command line, ACPI root pointer.

use boot_info::{RSDP_ALIGN, StartInfo, find_rsdp};

use crate::error::Error;
use crate::firmware;

/// Where the BIOS keeps the segment of its extended data area.
const EBDA_SEGMENT_AT: usize = 0x40e;
/// Part of the extended data area that may hold the root pointer, in bytes (ACPI 6.5 §5.2.5.1).
const EBDA_SEARCHED: usize = 1024;

/// Writes everything to its place below 1 MiB and returns the physical address of the start info.
///
/// The kernel must have read it before it uses memory below 1 MiB for anything else. Errors: `HandOver`.
pub fn write(command_line: &str) -> Result<u32, Error> {
    let places = firmware::hand_over_places();
    let info = StartInfo {
        version: 1,
        flags: 0,
        module_count: 0,
        modules_at: 0,
        command_line_at: places.command_line,
        rsdp_at: rsdp().and_then(|at| u64::try_from(at).ok()).unwrap_or(0),
        memmap_at: places.memory_map,
        memmap_entries: places.memory_map_entries,
    };
    firmware::write_hand_over(&info.emit(), command_line)?;
    u32::try_from(places.start_info).map_err(|_| Error::HandOver)
}

/// Physical address of the ACPI root pointer, if there is one.
fn rsdp() -> Option<usize> {
    let search = |start: usize, len: usize| {
        let start = start.next_multiple_of(RSDP_ALIGN);
        let area = firmware::firmware_bytes(start..start.checked_add(len)?)?;
        start.checked_add(find_rsdp(area)?)
    };
    ebda().and_then(|ebda| search(ebda, EBDA_SEARCHED)).or_else(|| search(0xe_0000, 0x2_0000))
}

/// Physical address of the extended BIOS data area.
fn ebda() -> Option<usize> {
    let bytes = firmware::firmware_bytes(EBDA_SEGMENT_AT..EBDA_SEGMENT_AT + 2)?;
    let segment = u16::from_le_bytes(bytes.try_into().ok()?);
    (segment != 0).then_some(usize::from(segment) << 4)
}
