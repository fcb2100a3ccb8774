//! Servers die in every way, a thousand times, and nothing of them stays.

use crate::faults;
use crate::support::{Level, USUAL, bury, says, sleep_ns, spawn};
use core::hint::black_box;
use microkernel::channel::memory::gather;
use microkernel::channel::port::Gift;
use microkernel::channel::{Attached, Connection, Inbox, Memory, Port};
use microkernel::mm::frame::Frame;
use microkernel::sync::{Lock, section};
use microkernel::task::{Death, Task, handle};
use microkernel::{log, thread, time};

/// Deaths in all.
const ROUNDS: usize = 1000;

struct Way {
    name: &'static str,
    entry: fn(usize),
    /// Whether the task is killed, and after which time to run.
    killed_after_ns: Option<u64>,
    expected: fn(&Death) -> bool,
}

const WAYS: [Way; 13] = [
    Way { name: "by returning", entry: |_| {}, killed_after_ns: None, expected: |death| *death == Death::Returned },
    Way {
        name: "by panic",
        entry: |number| panic!("on purpose {number}"),
        killed_after_ns: None,
        expected: |death| matches!(death, Death::Panic(words) if words.contains("on purpose 1")),
    },
    Way {
        name: "by a null pointer",
        entry: |_| faults::read_near_null(),
        killed_after_ns: None,
        expected: is_near_null,
    },
    Way {
        name: "by a non-canonical address",
        entry: |_| faults::read_non_canonical(),
        killed_after_ns: None,
        expected: |death| is_exception(death, 13),
    },
    Way {
        name: "by an invalid opcode",
        entry: |_| faults::invalid_opcode(),
        killed_after_ns: None,
        expected: |death| is_exception(death, 6),
    },
    Way {
        name: "by a division by zero",
        entry: |_| faults::divide_by_zero(),
        killed_after_ns: None,
        expected: |death| is_exception(death, 0),
    },
    Way {
        name: "by endless recursion",
        entry: |number| {
            black_box(recurse(number));
        },
        killed_after_ns: None,
        expected: |death| *death == Death::StackOverflow,
    },
    Way {
        name: "by endless recursion into the core",
        entry: |_| {
            black_box(recurse_into_core());
        },
        killed_after_ns: None,
        expected: |death| *death == Death::StackOverflow,
    },
    Way {
        name: "by a full heap",
        entry: fill_heap,
        killed_after_ns: None,
        expected: |death| matches!(death, Death::HeapExhausted { wanted: 1024 }),
    },
    Way {
        name: "killed before its first instruction",
        entry: |_| unreachable!("it never runs"),
        killed_after_ns: Some(0),
        expected: |death| *death == Death::Killed,
    },
    Way {
        name: "killed in an endless loop",
        entry: allocate_for_ever,
        killed_after_ns: Some(300_000),
        expected: |death| *death == Death::Killed,
    },
    Way {
        name: "killed while it waits",
        entry: |_| {
            thread::wait(None);
        },
        killed_after_ns: Some(100_000),
        expected: |death| *death == Death::Killed,
    },
    Way {
        name: "killed while it waits for an hour",
        entry: |_| {
            thread::wait(Some(time::now_ns() + 3_600_000_000_000));
        },
        killed_after_ns: Some(100_000),
        expected: |death| *death == Death::Killed,
    },
];

fn is_exception(death: &Death, wanted: u8) -> bool {
    matches!(death, Death::Exception { vector, .. } if *vector == wanted)
}

fn is_near_null(death: &Death) -> bool {
    matches!(death, Death::Exception { vector: 14, address: 8, .. })
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn recurse(depth: usize) -> usize {
    let room = black_box([depth; 16]);
    recurse(depth + 1) + room[depth % 16]
}

#[expect(unconditional_recursion, reason = "as above, noticed at the entry to the core")]
fn recurse_into_core() -> u64 {
    let id = u64::from(thread::current().id());
    id + black_box(recurse_into_core())
}

fn fill_heap(_: usize) {
    loop {
        black_box(alloc::vec![0_u8; 1024]).leak();
    }
}

/// Is killed with handles, threads and heap in use.
fn allocate_for_ever(_: usize) {
    let _kept = section(|| handle::keep(thread::current()));
    loop {
        let pages = Memory::alloc(8192);
        drop(black_box(alloc::vec![0_u8; 300]));
        drop(pages);
    }
}

/// Runs a task to its end.
fn die(way: &Way) {
    let task = spawn(USUAL, way.entry, 1);
    if let Some(time_to_run) = way.killed_after_ns {
        if time_to_run > 0 {
            sleep_ns(time_to_run);
        }
        task.kill();
    }
    let death = bury(&task);
    assert!((way.expected)(&death), "a task that died {} says {death:?}", way.name);
}

pub fn check() {
    // The first rounds leave page tables, cached stacks and the like behind, which the others use again.
    for way in WAYS.iter().cycle().take(3 * WAYS.len()) {
        die(way);
    }
    let before = Level::now();
    for way in &WAYS {
        die(way);
        assert_eq!(Level::now(), before, "a task that died {} left something (left: now)", way.name);
    }
    for way in WAYS.iter().cycle().take(ROUNDS) {
        die(way);
    }
    before.expect_unchanged();
    for way in &WAYS {
        log!("ok: a server dies {}, its watcher is told, and nothing of it stays", way.name);
    }
    says("a thousand deaths cost no memory");
    ends_of_stacks_are_no_danger();
    borrowers_die();
}

/// Size of a stack slot: its end is the stack's.
const STACK_SLOT: usize = 128 << 10;
const STACK_BYTES: usize = 32 << 10;

/// Goes down until `left` bytes of stack are left, and stays there while interrupts come.
#[inline(never)]
fn linger(left: usize) -> u64 {
    let room = black_box([left as u64; 4]);
    let here = room.as_ptr() as usize;
    let bottom = here.next_multiple_of(STACK_SLOT) - STACK_BYTES;
    if here > bottom + left {
        return linger(left) + room[left % 4];
    }
    (0..400_000).fold(0, |sum, step| black_box(sum + step))
}

fn linger_near_the_end(left: usize) {
    black_box(linger(left));
}

fn ends_of_stacks_are_no_danger() {
    let mut overflows = 0;
    for left in (160..12 << 10).step_by(96) {
        let task = spawn(USUAL, linger_near_the_end, left);
        // Interrupts, one after the other.
        while task.death().is_none() {
            sleep_ns(20_000);
        }
        match bury(&task) {
            Death::StackOverflow => overflows += 1,
            Death::Returned => {}
            death => panic!("with {left} bytes of stack left: {death:?}"),
        }
    }
    assert!(overflows > 20, "only {overflows} tasks were interrupted at the end of their stacks");
    says("a server that is interrupted at the end of its stack dies alone");
}

static PORT: Lock<Option<Port>> = Lock::new(None);

fn port() -> Port {
    PORT.lock().clone().expect("made before the server")
}

/// Takes one call in hand, pins what was lent, and dies of it.
fn borrow_and_die(_: usize) {
    let inbox: Inbox = port().open(1);
    thread::wait(None);
    let received = inbox.receive(&mut [0; 64]).expect("a call was announced");
    for gift in received.gifts.into_iter().flatten() {
        let Gift::Memory(memory) = gift else { continue };
        memory.write(0, b"mine").expect("lent for writing");
        let pin = memory.pin(0, 4096, true, &mut |_, _| {}).expect("lent for writing");
        // Kept as a driver keeps it for its device.
        let _kept = handle::keep(pin);
        faults::invalid_opcode();
    }
}

fn lend_to_one_who_dies(frames: &[Frame]) {
    let task: Task = spawn(USUAL, borrow_and_die, 0);
    let port = port();
    crate::support::until("the server", || port.is_open());
    let connection = Connection::new(&port, thread::current(), 2);
    let lent = Attached::Frames { frames: gather(frames.to_vec()), at: 0, len: 4096, write: true };
    let token = connection.start(b"here", alloc::vec![lent]).map_err(|(why, _)| why).expect("the port is open");
    assert!(is_exception(&bury(&task), 6));
    assert_eq!(connection.next_done(), Some(token));
    assert_eq!(connection.finish(token, &mut [0; 8]), Some(None), "the call has ended without a reply");
}

fn borrowers_die() {
    *PORT.lock() = Some(Port::new("subject", 4));
    let frames = alloc::vec![Frame::alloc_zeroed().expect("there is memory")];
    // Each slot of the port makes its buffer at first use.
    (0..4).for_each(|_| lend_to_one_who_dies(&frames));
    let before = Level::now();
    (0..100).for_each(|_| lend_to_one_who_dies(&frames));
    before.expect_unchanged();
    assert_eq!(frames[0].references(), 1, "a dead borrower holds the frame");
    let mut bytes = [0; 4];
    frames[0].read(0, &mut bytes).expect("inside");
    assert_eq!(&bytes, b"mine");
    says("a server dies with memory that was lent to it and pinned, and the lender has it back");
}
