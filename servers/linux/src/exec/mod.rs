//! Starting the program: from a path to the first instruction.
//!
//! [`load`] maps program and interpreter, [`stack`] lays out what the program finds on its stack. As in Linux, text and
//! data are private mappings of the file, so nothing is read before it is touched.

mod error;
mod load;
mod stack;

pub(crate) use error::StartError;

use crate::identity::fill_random;
use crate::mm::{Label, PAGE, Region};
use crate::process::Process;
use crate::user::USER_END;
use crate::{signal, thread, vdso};
use core::arch::x86_64::__cpuid;
use linux_abi::memory::Prot;
use linux_abi::process::{auxv, rlimit};
use load::{Image, Loaded};
use microkernel::cpu;
use microkernel::trap::UserContext;

/// Pages by which the stack's top varies (22 bits, as on Linux).
const STACK_RANDOM_PAGES: u64 = 1 << 22;
/// Pages by which the start of mappings varies (28 bits, as on Linux).
const MAP_RANDOM_PAGES: u64 = 1 << 28;
/// Bytes by which the heap's start varies.
const BRK_RANDOM_BYTES: u64 = 1 << 25;
/// Room between the stack's top and mappings, at least (`MIN_GAP`).
const STACK_GAP_MIN: u64 = 128 << 20;
/// Bytes of stack that are mapped from the start; it grows from there.
const STACK_FIRST_BYTES: u64 = 132 << 10;
/// Where position-independent programs with an interpreter lie (`ELF_ET_DYN_BASE`).
const PIE_BASE: u64 = 0x5555_5555_4000;

/// `HWCAP2_FSGSBASE`: the program may use RDFSBASE and its siblings.
const HWCAP2_FSGSBASE: u64 = 1 << 1;

/// Loads the program and starts its first thread.
pub(crate) fn run(process: &'static Process) -> Result<(), StartError> {
    let started = &process.started;
    let program = load::open(process, &started.program)?;
    let stack_top = USER_END - random_pages(STACK_RANDOM_PAGES);
    place_mappings(process);
    let loaded = load_program(process, &program)?;
    let interpreter = load_interpreter(process, &program)?;
    map_stack(process, stack_top, program.wants_executable_stack)?;
    let vdso = vdso::map(process);
    let rsp = fill_stack(process, stack_top, &program, &loaded, interpreter.as_ref(), vdso)?;
    let entry = interpreter.as_ref().map_or(loaded.entry, |interpreter| interpreter.entry);
    let name = short_name(&started.program);
    thread::start_first(process, UserContext::new(entry, rsp), name).map_err(|_| StartError::NoMemory)
}

/// A multiple of the page size, below `pages` pages.
fn random_pages(pages: u64) -> u64 {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    u64::from_le_bytes(bytes) % pages * PAGE
}

/// Chooses where mappings start: below the room that the stack may need.
fn place_mappings(process: &Process) {
    let limit = process.identity.limit(rlimit::STACK);
    let gap = limit.clamp(STACK_GAP_MIN, USER_END / 6 * 5) + STACK_RANDOM_PAGES * PAGE;
    process.mm.set_map_top(USER_END.saturating_sub(gap).saturating_sub(random_pages(MAP_RANDOM_PAGES)));
}

fn load_program(process: &Process, program: &Image) -> Result<Loaded, StartError> {
    let has_interpreter = program.interpreter.is_some();
    let base = match (program.position_independent, has_interpreter) {
        (false, _) => load::Base::AsLinked,
        (true, true) => load::Base::At(PIE_BASE + random_pages(MAP_RANDOM_PAGES)),
        (true, false) => load::Base::Anywhere,
    };
    let loaded = program.map(process, base)?;
    // A program that relocates itself lies among the mappings; its heap gets the place of programs.
    let heap_after =
        if matches!(base, load::Base::Anywhere) { PIE_BASE + random_pages(MAP_RANDOM_PAGES) } else { loaded.end };
    process.mm.set_brk_start(heap_after + random_pages(BRK_RANDOM_BYTES / PAGE));
    Ok(loaded)
}

fn load_interpreter(process: &Process, program: &Image) -> Result<Option<Loaded>, StartError> {
    let Some(path) = &program.interpreter else { return Ok(None) };
    let image = load::open(process, path).map_err(|error| error.of_interpreter(path))?;
    let base = if image.position_independent { load::Base::Anywhere } else { load::Base::AsLinked };
    image.map(process, base).map(Some)
}

fn map_stack(process: &Process, top: u64, executable: bool) -> Result<(), StartError> {
    let prot = if executable { Prot::READ | Prot::WRITE | Prot::EXEC } else { Prot::READ | Prot::WRITE };
    let mut region = Region::anonymous(top - STACK_FIRST_BYTES, top, prot);
    region.grows_down = true;
    region.label = Label::Stack;
    process.mm.add(region).map_err(|_| StartError::NoMemory)
}

/// Writes arguments, environment and auxiliary vector; returns the stack pointer.
fn fill_stack(
    process: &Process,
    top: u64,
    program: &Image,
    loaded: &Loaded,
    interpreter: Option<&Loaded>,
    vdso: Option<u64>,
) -> Result<u64, StartError> {
    let mut random = [0; 16];
    fill_random(&mut random);
    let ids = process.identity.ids().map(u64::from);
    let features = __cpuid(1).edx;
    let mut vector = alloc::vec![
        (auxv::MINSIGSTKSZ, signal::frame_bytes_max()),
        (auxv::HWCAP, u64::from(features)),
        (auxv::PAGESZ, PAGE),
        (auxv::CLKTCK, 100),
        (auxv::PHDR, loaded.table),
        (auxv::PHENT, u64::from(program.table_entry_bytes)),
        (auxv::PHNUM, u64::from(program.table_count)),
        (auxv::BASE, interpreter.map_or(0, |interpreter| interpreter.bias)),
        (auxv::FLAGS, 0),
        (auxv::ENTRY, loaded.entry),
        (auxv::UID, ids[0]),
        (auxv::EUID, ids[1]),
        (auxv::GID, ids[3]),
        (auxv::EGID, ids[4]),
        (auxv::SECURE, 0),
        (auxv::HWCAP2, if cpu::features().fsgsbase { HWCAP2_FSGSBASE } else { 0 }),
    ];
    if let Some(vdso) = vdso {
        vector.insert(0, (auxv::SYSINFO_EHDR, vdso));
    }
    let started = &process.started;
    let contents = stack::Contents {
        program: &started.program,
        arguments: &started.arguments,
        environment: &started.environment,
        random,
        vector: &vector,
    };
    let limit = process.identity.limit(rlimit::STACK) / 4;
    let image = stack::build(top, limit, &contents).ok_or(StartError::ArgumentsTooLong { limit })?;
    let rsp = top - image.len() as u64;
    let first_mapped = top - STACK_FIRST_BYTES;
    if rsp < first_mapped {
        let mut region = Region::anonymous(rsp & !(PAGE - 1), first_mapped, Prot::READ | Prot::WRITE);
        region.label = Label::Stack;
        region.grows_down = true;
        process.mm.add(region).map_err(|_| StartError::NoMemory)?;
    }
    process.mm.store(rsp, &image).map_err(|_| StartError::NoMemory)?;
    Ok(rsp)
}

/// Last component of the path, cut to what a thread's name holds.
fn short_name(path: &[u8]) -> [u8; 16] {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut name = [0; 16];
    let len = last.len().min(15);
    name[..len].copy_from_slice(&last[..len]);
    name
}
