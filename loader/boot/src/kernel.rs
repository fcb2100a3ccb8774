//! The kernel file: checks it against the machine's memory, places its segments, finds its entry point.

use boot_info::{MemoryMap, PHYS32_ENTRY_NOTE_NAME, PHYS32_ENTRY_NOTE_TYPE};
use skiff_elf::{Headers, Segment, SegmentKind, find_note};

use crate::disk::KernelFile;
use crate::error::Error;
use crate::firmware;

/// Bytes from the start of the file that must hold all headers.
const PREFIX_BYTES: usize = 4096;
/// Longest note segment that is searched, in bytes.
const NOTES_MAX: u64 = 16384;

/// Places the kernel in physical memory and returns its PVH entry point. Nothing is written before all checks passed.
///
/// Errors: `Disk`, `Kernel`, `NoEntryNote`, `EntryOutside`, `SegmentOutside`, `SegmentsOverlap`, `NoMemory`.
pub fn load(file: &mut KernelFile, memory: &MemoryMap<'_>) -> Result<u32, Error> {
    let mut prefix = [0; PREFIX_BYTES];
    let start = file.some(0, u64::MAX)?;
    let len = start.len().min(PREFIX_BYTES);
    prefix[..len].copy_from_slice(&start[..len]);
    let headers = Headers::parse(&prefix[..len], file.len()).map_err(Error::Kernel)?;

    check_places(&headers, memory)?;
    let needed = headers.loads().map(|load| load.file_range().end).max().unwrap_or(0);
    let entry = entry_point(&headers, file)?;
    for load in headers.loads() {
        place(&load, file, needed)?;
    }
    Ok(entry)
}

fn check_places(headers: &Headers<'_>, memory: &MemoryMap<'_>) -> Result<(), Error> {
    for load in headers.loads() {
        let range = load.paddr_range();
        if range.start < 0x10_0000 || range.end > 0x1_0000_0000 {
            return Err(Error::SegmentOutside(range.start));
        }
        let overlaps = |other: Segment| {
            let other_range = other.paddr_range();
            other.index != load.index && other_range.start < range.end && range.start < other_range.end
        };
        if headers.loads().any(overlaps) {
            return Err(Error::SegmentsOverlap(range.start));
        }
        if !memory.is_ram(&range) {
            return Err(Error::NoMemory { start: range.start, end: range.end });
        }
    }
    Ok(())
}

fn entry_point(headers: &Headers<'_>, file: &mut KernelFile) -> Result<u32, Error> {
    for notes in headers.segments().filter(|segment| segment.kind == SegmentKind::Note) {
        if notes.file_bytes == 0 || notes.file_bytes > NOTES_MAX {
            continue;
        }
        let bytes = file.exact(notes.file_range())?;
        let note = find_note(bytes, notes.align, PHYS32_ENTRY_NOTE_NAME, PHYS32_ENTRY_NOTE_TYPE);
        if let Some(entry) = note.and_then(|note| note.address()) {
            let inside = |load: Segment| load.executable && load.paddr_range().contains(&entry);
            let entry32 = u32::try_from(entry).ok().filter(|_| headers.loads().any(inside));
            return entry32.ok_or(Error::EntryOutside(entry));
        }
    }
    Err(Error::NoEntryNote)
}

/// Copies one segment from the disk to its place and zeroes the rest of it.
fn place(load: &Segment, file: &mut KernelFile, needed: u64) -> Result<(), Error> {
    let mut done = 0;
    while done < load.file_bytes {
        let left = usize::try_from(load.file_bytes - done).map_err(|_| Error::OutsideFile)?;
        let bytes = file.some(load.offset.saturating_add(done), needed)?;
        let piece = bytes.get(..left).unwrap_or(bytes);
        firmware::write_physical(load.paddr.saturating_add(done), piece, 0)?;
        done = done.saturating_add(u64::try_from(piece.len()).map_err(|_| Error::OutsideFile)?);
    }
    firmware::write_physical(load.paddr.saturating_add(done), &[], load.mem_bytes.saturating_sub(done))
}
