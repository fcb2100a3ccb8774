//! Boot: from the loader's hand-over to the first task.
//!
//! Order: serial words, start info, page tables, frames, core arena, segments and interrupts, time, then the
//! kernel binary's `main` as the first task, while this code becomes the idle thread.

use crate::arch::percpu;
#[cfg(target_os = "none")]
use crate::arch::{apic, cpu, idt, ioapic, pic, syscall};
use crate::mm::arena;
#[cfg(target_os = "none")]
use crate::mm::frame;
#[cfg(target_os = "none")]
use crate::mm::kernel_map::{self, EarlyFrames, Image};
#[cfg(target_os = "none")]
use crate::mm::layout::{KERNEL_BASE, physical_to_virtual};
use crate::task::thread::{self, Start};
use crate::task::{Task, Trust, sched};
use alloc::string::String;
use boot_info::{MemmapEntry, MemoryKind, MemoryMap, StartInfo};
use spin::Once;

static COMMAND_LINE: Once<String> = Once::new();

/// The command line that the loader passed.
pub fn command_line() -> &'static str {
    COMMAND_LINE.get().map_or("", String::as_str)
}

/// RAM that is too low to be used: BIOS data, our boot loader's tables.
const LOW_MEMORY: u64 = 1 << 20;
/// The boot tables reach so far.
const EARLY_LIMIT: u64 = 1 << 30;
const REGIONS: usize = 16;

#[cfg(target_os = "none")]
unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __constants_start: u8;
    static __constants_end: u8;
    static __data_start: u8;
    static __image_end: u8;
}

/// Called by the entry code with the physical address of the start info.
#[cfg(target_os = "none")]
pub(crate) unsafe extern "C" fn start(start_info: u64) -> ! {
    sched::init_processor();
    cpu::configure();
    idt::load();
    let mut regions = [(0, 0); REGIONS];
    let mut line = [0; boot_info::COMMAND_LINE_MAX];
    let (count, line_len) = match read_hand_over(start_info, &mut regions, &mut line) {
        Ok(found) => found,
        Err(error) => crate::panic::fatal(format_args!("the loader's start info is unusable: {error}")),
    };
    init_memory(&mut regions[..count]);
    let words = core::str::from_utf8(&line[..line_len]).unwrap_or("");
    COMMAND_LINE.call_once(|| String::from(words));
    init_interrupts();
    crate::time::init();
    syscall::enable();
    run_main()
}

#[cfg(not(target_os = "none"))]
pub(crate) unsafe extern "C" fn start(_: u64) -> ! {
    run_main()
}

/// Physical memory as bytes, through the boot tables.
#[cfg(target_os = "none")]
fn physical_bytes(address: u64, len: u64) -> Result<&'static [u8], boot_info::Error> {
    if address.checked_add(len).is_none_or(|end| end > EARLY_LIMIT) {
        return Err(boot_info::Error::Truncated {
            need: (address.saturating_add(len)) as usize,
            have: EARLY_LIMIT as usize,
        });
    }
    // SAFETY: the boot tables map the first GiB; the loader's data stays untouched until `init_memory`.
    Ok(unsafe { core::slice::from_raw_parts(physical_to_virtual(address) as *const u8, len as usize) })
}

#[cfg(target_os = "none")]
fn read_hand_over(
    address: u64,
    regions: &mut [(u64, u64); REGIONS],
    line: &mut [u8; boot_info::COMMAND_LINE_MAX],
) -> Result<(usize, usize), boot_info::Error> {
    let info = StartInfo::parse(physical_bytes(address, StartInfo::SIZE as u64)?)?;
    let entries = info.memmap_entries;
    let map_bytes = physical_bytes(info.memmap_at, u64::from(entries) * MemmapEntry::SIZE as u64)?;
    let map = MemoryMap::parse(map_bytes, entries)?;
    let mut count = 0;
    for entry in map.iter().filter(|entry| entry.kind == MemoryKind::Ram) {
        let range = entry.range();
        let (start, end) = (range.start.max(LOW_MEMORY).next_multiple_of(4096), range.end & !4095);
        if start < end && count < REGIONS {
            regions[count] = (start, end);
            count += 1;
        }
    }
    let mut len = 0;
    if info.command_line_at != 0 {
        let room = (EARLY_LIMIT.saturating_sub(info.command_line_at)).min(line.len() as u64);
        let words = boot_info::command_line(physical_bytes(info.command_line_at, room)?)?;
        line[..words.len()].copy_from_slice(words.as_bytes());
        len = words.len();
    }
    Ok((count, len))
}

#[cfg(target_os = "none")]
fn image() -> Image {
    let physical = |symbol: *const u8| symbol as u64 - KERNEL_BASE;
    Image {
        text: (physical(&raw const __text_start), physical(&raw const __text_end)),
        constants: (physical(&raw const __constants_start), physical(&raw const __constants_end)),
        data: (physical(&raw const __data_start), physical(&raw const __image_end)),
    }
}

/// Least RAM behind the kernel for the first page tables.
#[cfg(target_os = "none")]
const LEAST_BYTES: u64 = 4 << 20;

#[cfg(target_os = "none")]
fn init_memory(regions: &mut [(u64, u64)]) {
    let image = image();
    let image_end = image.data.1;
    let Some(home) = regions.iter_mut().find(|region| region.0 <= image.text.0 && image_end < region.1) else {
        crate::panic::fatal(format_args!("the kernel does not lie in RAM"));
    };
    if home.1 - image_end < LEAST_BYTES {
        crate::panic::fatal(format_args!(
            "too little memory: {} KiB behind the kernel; give the VM more with -m",
            (home.1 - image_end) >> 10
        ));
    }
    let mut early = EarlyFrames { next: image_end };
    let everything: [(u64, u64); REGIONS] = core::array::from_fn(|index| regions.get(index).copied().unwrap_or((0, 0)));
    // SAFETY: boot, single-threaded; RAM behind the image is unused.
    unsafe { kernel_map::build(&mut early, &image, &everything) };
    let home = regions.iter_mut().find(|region| region.0 <= image.text.0 && image_end < region.1).expect("found above");
    home.0 = early.next;
    for &(start, end) in regions.iter() {
        // SAFETY: RAM by the loader's word, behind the image and the tables; mapped just now.
        unsafe { frame::add_region(start, end) };
    }
    arena::open_at(arena::CORE, usize::MAX);
}

#[cfg(target_os = "none")]
fn init_interrupts() {
    pic::disable();
    let apic_base = kernel_map::map_device(apic::physical_base(), 4096).expect("memory for one page table");
    apic::enable(apic_base);
    for (address, _) in ioapic::CANDIDATES {
        let base = kernel_map::map_device(address, 4096).expect("memory for one page table");
        ioapic::enable(base);
    }
}

unsafe extern "Rust" {
    /// Exported by [`entry!`](crate::entry) in the kernel binary.
    safe fn skiff_kernel_main();
}

#[cfg(target_os = "none")]
fn run_first(_: usize) {
    skiff_kernel_main();
}

#[cfg(not(target_os = "none"))]
fn run_first(_: usize) {}

const ROOT_HEAP: usize = 1 << 20;

fn run_main() -> ! {
    let idle = Task::create("idle", Trust::Essential, ROOT_HEAP).expect("memory at boot");
    sched::adopt_idle(thread::adopt(&idle, "idle"));
    let root = Task::create("root", Trust::Essential, ROOT_HEAP).expect("memory at boot");
    let first = Start::Kernel { entry: run_first, argument: 0 };
    thread::spawn_in(&root, "root", 7, 64 << 10, first).expect("memory at boot");
    percpu::set_core_depth(1);
    sched::idle_loop()
}
