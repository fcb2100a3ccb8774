//! The core, tried by kernels of one feature each (`kernels/`), on machines with and without much in them.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qemu_tests::build::kernel;
use qemu_tests::serial::{self, SerialEnd, run_kernel};

/// Longest time for any of these machines.
const LIMIT: Duration = Duration::from_secs(60);
/// QEMU's status when the core ended the machine with 125 after a report.
const REPORTED: i32 = 2 * 125 + 1;

/// A machine of another kind than microvm: its QEMU arguments.
const Q35: [&str; 6] = ["-machine", "q35", "-cpu", "qemu64", "-m", "128M"];
const I440FX: [&str; 4] = ["-machine", "pc", "-m", "128M"];

fn run_on(machine: &[&str], kernel: &Path, words: &str) -> SerialEnd {
    let mut arguments: Vec<std::ffi::OsString> = machine.iter().map(Into::into).collect();
    arguments.extend(["-append".into(), words.into(), "-kernel".into(), kernel.as_os_str().to_owned()]);
    serial::run(&arguments, LIMIT)
}

/// Fails the test unless the kernel passed and said all of these.
fn expect_sentences(end: &SerialEnd, sentences: &[&str]) {
    end.expect_passed();
    for sentence in sentences {
        assert!(end.text.contains(&format!("ok: {sentence}")), "{sentence:?} is not in\n{}", end.text);
    }
}

/// What the boot kernel wants to know: bounds of memory in MiB, and the time.
fn facts(least_mib: u32, most_mib: u32) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    format!("boot {least_mib} {most_mib} {now} a=\"b c\"")
}

#[test]
fn the_core_boots_with_command_line_memory_map_and_clocks() {
    let boot = kernel("kernel-boot");
    let end = run_kernel(&boot, &facts(120, 128), &[], LIMIT);
    expect_sentences(&end, &["up with the command line", "a sleep of 20 ms", "the wall clock is the host's"]);
    assert!(end.text.contains(r#"a=\"b c\"""#), "{}", end.text);
}

#[test]
fn the_core_boots_on_other_machines_with_old_processors_and_little_or_much_memory() {
    let boot = kernel("kernel-boot");
    run_kernel(&boot, &facts(12, 16), &["-cpu", "qemu64", "-m", "16M"], LIMIT).expect_passed();
    run_on(&Q35, &boot, &facts(120, 128)).expect_passed();
    run_on(&I440FX, &boot, &facts(120, 128)).expect_passed();
    run_on(&["-machine", "q35", "-cpu", "max", "-m", "5G"], &boot, &facts(5000, 5120)).expect_passed();
}

#[test]
fn too_little_memory_is_named_as_the_reason() {
    let end = run_kernel(&kernel("kernel-boot"), "boot", &["-m", "4M"], LIMIT);
    assert_eq!(end.status, Some(REPORTED), "{end:?}");
    assert!(end.text.contains("too little memory"), "{}", end.text);
}

#[test]
fn tasks_run_by_priority_and_take_turns_and_a_thousand_deaths_leave_nothing_behind() {
    let sentences = [
        "more important tasks run first, equals in order",
        "notified bits wake who waits for them, and stay for later waits",
        "a wait ends at its deadline, not before and not long after",
        "a server in an endless loop does not stop more important ones, and can be killed",
        "servers of one priority take turns",
        "a server dies by panic",
        "a server dies by a null pointer",
        "a server dies by a non-canonical address",
        "a server dies by an invalid opcode",
        "a server dies by a division by zero",
        "a server dies by endless recursion,",
        "a server dies by endless recursion into the core",
        "a server dies by a full heap",
        "a server dies killed before its first instruction",
        "a server dies killed in an endless loop",
        "a server dies killed while it waits,",
        "a server dies killed while it waits for an hour",
        "a thousand deaths cost no memory",
        "a server that is interrupted at the end of its stack dies alone",
        "a server dies with memory that was lent to it and pinned, and the lender has it back",
    ];
    let tasks = kernel("kernel-tasks");
    expect_sentences(&run_kernel(&tasks, "", &[], LIMIT), &sentences);
    expect_sentences(&run_on(&Q35, &tasks, ""), &sentences);
}

#[test]
fn calls_leases_rings_events_and_keep_pages_survive_callers_and_servers() {
    let sentences = [
        "as many calls as there are slots are in flight, and end in any order",
        "a call can be given up at any stage, and its slot is free again",
        "callers wait while all slots are in use, and go on when there is room",
        "a thread that is wanted gives up a call that may be interrupted",
        "a caller that dies frees its slots, whatever its calls have come to",
        "a borrower may do what it was lent memory for, until it replies",
        "a lease ends when its call is given up",
        "a lease ends with its lender's death",
        "what was lent on ends with what it was lent from",
        "pinned frames stay until the pin goes",
        "bytes come out of a ring as they went in, around its end as well",
        "a ring tells when the task at its other end has died",
        "a tag that is signalled a thousand times is taken once",
        "calls queued and taken are gone when the server dies",
        "callers that wait for a reply or for room hear of the server's death",
        "keep pages are found again by each successor",
        "a hundred generations of a server cost no memory",
        "three hundred times two busy clients and their server are killed at any moment, and nothing is lost",
    ];
    expect_sentences(&run_kernel(&kernel("kernel-channels"), "", &[], LIMIT), &sentences);
}

#[test]
fn frames_pages_and_user_copies_keep_to_their_bounds() {
    let sentences = [
        "a frame is free again when its last reference goes",
        "runs of frames are aligned to their size and zeroed",
        "memory that was given out in pieces joins to whole blocks again",
        "the program can use up its memory, and is told so while the kernel goes on",
        "accessed and dirty flags follow what the program did",
        "what a page may be used for can be changed",
        "a block is split when part of it changes, and keeps its contents",
        "a copy stops at the first missing page and says how far it came",
        "addresses of the kernel are refused",
    ];
    let memory = kernel("kernel-memory");
    expect_sentences(&run_kernel(&memory, "", &[], LIMIT), &sentences);
    // Without SMAP and SMEP, and hardly any memory.
    expect_sentences(&run_kernel(&memory, "", &["-cpu", "qemu64", "-m", "16M"], LIMIT), &sentences);
}

#[test]
fn programs_keep_their_registers_and_faults_tell_what_happened() {
    let sentences = [
        "system calls keep all registers but those that hold result, address and flags",
        "a context from outside cannot name kernel segments, flags or addresses",
        "page faults tell address and access, other faults vector and code, and the program goes on",
        "programs in endless loops take turns, and are called back when they are wanted",
        "vector registers and segment bases belong to their threads",
    ];
    let traps = kernel("kernel-traps");
    expect_sentences(&run_kernel(&traps, "", &[], LIMIT), &sentences);
    expect_sentences(&run_on(&Q35, &traps, ""), &sentences);
}

/// Runs the kernel that fails in this way, and returns its report.
fn report_of(way: &str) -> String {
    let end = run_kernel(&kernel("kernel-crash"), &format!("fail by {way}"), &[], LIMIT);
    assert_eq!(end.status, Some(REPORTED), "{way}: {end:?}");
    end.text
}

/// Lines of the backtrace.
fn trace(report: &str) -> Vec<&str> {
    report.lines().filter(|line| line.starts_with("skiff:   at ffff")).collect()
}

#[test]
fn a_panic_in_the_core_ends_the_machine_with_its_words_and_a_backtrace() {
    let report = report_of("panic");
    assert!(report.contains("fatal: panicked at") && report.contains("on purpose"), "{report}");
    assert!(report.contains("task root thread"), "{report}");
    assert!(trace(&report).len() >= 6, "{report}");
}

#[test]
fn text_and_constants_cannot_be_written_and_data_cannot_be_executed() {
    for (way, code) in [("text", 0x3), ("constants", 0x3), ("alias", 0x3), ("data", 0x11), ("low", 0x0)] {
        let report = report_of(way);
        let expected = format!("fatal: exception 14 (page fault) in the kernel, error code {code:#x}");
        assert!(report.contains(&expected), "{way}:\n{report}");
        for register in ["rip ffff", "rsp ffff", "cr2 ", "rax ", "rdi ", "r15 "] {
            assert!(report.contains(register), "{way}: no {register}\n{report}");
        }
        assert!(trace(&report).len() >= 3, "{way}:\n{report}");
    }
}

#[test]
fn a_stack_overflow_of_the_core_is_reported() {
    let report = report_of("recursion");
    assert!(report.contains("fatal: exception 8 (double fault)"), "{report}");
    assert!(trace(&report).len() >= 10, "{report}");
}
