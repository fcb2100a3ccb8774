//! What the core calls for the programs, and how the programs are started.

use crate::programs::{self, ANSWER, ANSWER_SLOWLY, EXIT, Program, SET_BASES};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use microkernel::mm::space::{Access, AddressSpace};
use microkernel::sync::Lock;
use microkernel::thread::{self, Thread};
use microkernel::trap::{Handlers, UserContext, UserFault};
use microkernel::{time, trap};

/// Where the programs lie.
const CODE: u64 = 0x40_0000;
/// First of the stacks, two pages apart.
const STACKS: u64 = 0x80_0000;
/// A page that can be read only.
pub const READ_ONLY: u64 = 0x70_0000;
/// A page that is not there.
pub const MISSING: u64 = 0x71_0000;
/// A page for data of the tests.
pub const DATA: u64 = 0x72_0000;
const PAGE: u64 = PAGE_SIZE as u64;
const PATIENCE_NS: u64 = 20_000_000_000;

static SPACE: AddressSpace = AddressSpace::new();
static STARTED: AtomicUsize = AtomicUsize::new(0);
static FAULTS: Lock<Vec<UserFault>> = Lock::new(Vec::new());
static ATTENTIONS: AtomicUsize = AtomicUsize::new(0);

fn page(at: u64, bytes: &[u8], write: bool, execute: bool) {
    let frame = Frame::alloc_zeroed().expect("there is memory");
    frame.write(0, bytes).expect("it fits");
    assert!(SPACE.map(at, frame, Access { write, execute }).is_ok());
}

/// Injects the front end and lays out the programs' memory.
pub fn install() {
    trap::set_handlers(Handlers { syscall, fault, attention });
    page(CODE, programs::bytes(), false, true);
    page(READ_ONLY, &[], false, false);
    page(DATA, &[], true, false);
}

/// Starts a program with these values in `rdi` and `rsi`.
pub fn start(program: Program, rdi: u64, rsi: u64) -> Thread {
    let stack = STACKS + 2 * PAGE * STARTED.fetch_add(1, Ordering::SeqCst) as u64;
    page(stack, &[], true, false);
    let context = UserContext::new(CODE + programs::offset(program) as u64, stack + PAGE - 64);
    let context = UserContext { rdi, rsi, ..context };
    thread::spawn_user("program", context, 0, false, Box::new(program as u32)).expect("there is memory")
}

/// Waits until `done`, in small steps.
pub fn until(done: impl Fn() -> bool) {
    let limit = time::now_ns() + PATIENCE_NS;
    while !done() {
        assert!(time::now_ns() < limit, "it does not come");
        thread::wait_for(1, Some(time::now_ns() + 1_000_000));
    }
}

/// Waits until programs have ended by themselves.
pub fn expect_end(programs: &[Thread]) {
    until(|| programs.iter().all(Thread::has_ended));
}

/// Takes the faults so far.
pub fn faults() -> Vec<UserFault> {
    core::mem::take(&mut *FAULTS.lock())
}

/// How often the attention handler ran.
pub fn attentions() -> usize {
    ATTENTIONS.load(Ordering::SeqCst)
}

#[repr(align(16))]
struct Aligned([u8; 16]);

/// Every way into the front end must keep the stack aligned as the compiler expects it.
fn check_alignment() {
    let local = black_box(Aligned([0; 16]));
    assert_eq!(black_box(&raw const local.0) as usize % 16, 0, "the stack is not aligned");
}

extern "C" fn syscall(context: &mut UserContext) {
    check_alignment();
    context.rax = 42;
    match context.orig_rax {
        EXIT => thread::exit(),
        ANSWER => {}
        ANSWER_SLOWLY => context.rcx = 7,
        SET_BASES => {
            // Both lie in the data page, where the value is that `rdi` had.
            thread::set_fs_base(DATA + 8 * (context.rdi % 64));
            thread::set_gs_base(DATA + 8 * (context.rdi % 64));
            assert_eq!(thread::fs_base(), DATA + 8 * (context.rdi % 64));
        }
        number => panic!("system call {number}"),
    }
}

fn fault(context: &mut UserContext, fault: UserFault) {
    check_alignment();
    FAULTS.lock().push(fault);
    assert!(context.r15 != 0, "a program found something wrong at {:#x}: {fault:?}", context.rip - CODE);
    context.rip = context.r15;
    context.rflags &= !0x100;
}

fn attention(context: &mut UserContext) {
    check_alignment();
    ATTENTIONS.fetch_add(1, Ordering::SeqCst);
    assert!(thread::with_current_data(|data: &u32| *data) == Some(Program::Loop as u32));
    assert_eq!(context.cs & 3, 3);
    thread::exit()
}
