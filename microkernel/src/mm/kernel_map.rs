//! The kernel half of the page tables: image, physical map, arenas, stacks, device registers.
//!
//! Writable or executable, never both: text is mapped executable and read-only, everything else no-execute, and the
//! physical map shows text and constants read-only.

use super::frame::Frame;
use super::layout::{DEVICES, KERNEL_BASE, PHYSICAL_MAP};
use super::table::{self, ADDRESS, GLOBAL, LARGE, NO_CACHE, NO_EXECUTE, PRESENT, WRITABLE};
use super::{BLOCK_SIZE, PAGE_SIZE};
use crate::arch::cpu;
use crate::sync::IrqLock;
use core::sync::atomic::{AtomicU64, Ordering};

/// Physical address of the top table; the program's half hangs below the same table.
static ROOT: AtomicU64 = AtomicU64::new(0);
/// Guards the kernel half; holds the next free device address.
static MAP: IrqLock<u64> = IrqLock::new(DEVICES);

/// The top table.
pub fn root() -> u64 {
    ROOT.load(Ordering::Relaxed)
}

/// Physical extent of the image's parts, in bytes, page-aligned.
pub struct Image {
    /// Executable, read-only.
    pub text: (u64, u64),
    /// Read-only.
    pub constants: (u64, u64),
    /// Writable.
    pub data: (u64, u64),
}

/// Gives out zeroed frames for tables before the frame allocator works.
pub struct EarlyFrames {
    /// Next free physical address.
    pub next: u64,
}

impl EarlyFrames {
    fn take(&mut self) -> u64 {
        let frame = self.next;
        self.next += PAGE_SIZE as u64;
        // SAFETY: the boot tables map the first GiB at the physical map; the range was found free there.
        unsafe { core::ptr::write_bytes((PHYSICAL_MAP + frame) as *mut u8, 0, PAGE_SIZE) };
        frame
    }
}

/// Builds the kernel's tables over RAM up to `ram_end` and switches to them.
///
/// # Safety
/// Called once at boot, on the boot tables; `early` must hand out unused RAM below 1 GiB.
pub unsafe fn build(early: &mut EarlyFrames, image: &Image, ram: &[(u64, u64)]) {
    let root = early.take();
    for &(start, end) in ram {
        // SAFETY: the hierarchy is new and nobody else sees it.
        unsafe { map_physical(root, early, image, start, end) };
    }
    let parts = [(image.text, 0), (image.constants, NO_EXECUTE), (image.data, NO_EXECUTE | WRITABLE)];
    for ((start, end), flags) in parts {
        let mut address = start;
        while address < end {
            // SAFETY: as above.
            unsafe {
                put(root, KERNEL_BASE + address, 0, address | PRESENT | GLOBAL | flags, &mut || Some(early.take()))
            };
            address += PAGE_SIZE as u64;
        }
    }
    ROOT.store(root, Ordering::Relaxed);
    // SAFETY: text, stack and data are mapped as they are now.
    unsafe { cpu::load_page_tables(root) };
}

/// Maps RAM at the physical map: by blocks, by pages where the image must stay read-only.
unsafe fn map_physical(root: u64, early: &mut EarlyFrames, image: &Image, start: u64, end: u64) {
    let block = BLOCK_SIZE as u64;
    let mut address = start & !(block - 1);
    while address < end {
        let holds_image = address < image.constants.1 && address + block > image.text.0;
        if holds_image {
            for page in (address..address + block).step_by(PAGE_SIZE) {
                let fixed = page >= image.text.0 && page < image.constants.1;
                let flags = PRESENT | GLOBAL | NO_EXECUTE | if fixed { 0 } else { WRITABLE };
                // SAFETY: by the caller.
                unsafe { put(root, PHYSICAL_MAP + page, 0, page | flags, &mut || Some(early.take())) };
            }
        } else {
            let flags = PRESENT | WRITABLE | GLOBAL | NO_EXECUTE | LARGE;
            // SAFETY: by the caller.
            unsafe { put(root, PHYSICAL_MAP + address, 1, address | flags, &mut || Some(early.take())) };
        }
        address += block;
    }
}

unsafe fn put(root: u64, address: u64, level: u32, value: u64, make: table::TableSource<'_>) -> Option<()> {
    // SAFETY: by the caller.
    unsafe {
        let slot = table::walk(root, address, level, Some(make))?;
        slot.write_volatile(table::supported(value));
    }
    Some(())
}

/// Maps one frame, writable and no-execute. The map owns the frame until [`unmap`]. False: no memory for a table.
pub fn map(address: u64, frame: Frame) -> bool {
    let _guard = MAP.lock();
    let physical = frame.into_address();
    let value = physical | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE;
    // SAFETY: the lock guards the kernel half; the address lies in an area that the caller owns.
    let done = unsafe { put(root(), address, 0, value, &mut table::kernel_table) };
    if done.is_none() {
        // SAFETY: given away just above.
        drop(unsafe { Frame::from_address(physical) });
    }
    done.is_some()
}

/// Takes the frame at `address` out of the map.
pub fn unmap(address: u64) -> Option<Frame> {
    let _guard = MAP.lock();
    // SAFETY: the lock guards the kernel half.
    let (slot, _) = unsafe { table::find(root(), address)? };
    // SAFETY: as above; only `map` puts page entries here, each with a frame of its own.
    let frame = unsafe {
        let value = slot.read_volatile();
        slot.write_volatile(0);
        Frame::from_address(value & ADDRESS)
    };
    cpu::flush_page(address);
    Some(frame)
}

/// Maps device registers, uncached, for good. Returns the virtual address of `physical`.
pub fn map_device(physical: u64, len: usize) -> Option<u64> {
    let mut next = MAP.lock();
    let offset = physical % PAGE_SIZE as u64;
    let pages = (offset as usize + len).div_ceil(PAGE_SIZE);
    let base = *next;
    for page in 0..pages as u64 {
        let at = page * PAGE_SIZE as u64;
        let value = (physical - offset + at) | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE | NO_CACHE;
        // SAFETY: the lock guards the kernel half; device addresses are given out once.
        unsafe { put(root(), base + at, 0, value, &mut table::kernel_table)? };
    }
    *next += pages as u64 * PAGE_SIZE as u64;
    Some(base + offset)
}
