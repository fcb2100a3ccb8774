//! Streams and ends: input with its end, much output, Ctrl-C once and twice.
//!
//! `imagegen/tests/run.rs` does the same with the command itself and real signals.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use imagegen::error::Error;
use qemu_tests::build::{Link, app, c_program};
use qemu_tests::vm::{Run, Vm};
use tempfile::TempDir;

/// How long the program may take to say that it is ready.
const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of much output.
const LARGE_BYTES: usize = 5_000_000;

/// `apps/streams`, which does what its first argument says.
fn streams() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = c_program(&app("streams/main.c"), Link::GlibcStatic, &[], folder.path());
    (folder, program)
}

/// The running program, after it said that it waits.
fn waiting(arguments: &[&str]) -> (TempDir, Vm) {
    let (folder, program) = streams();
    let vm = Run::new(&program).arguments(arguments).start().unwrap();
    vm.expect_stdout("ready\n", LIMIT);
    (folder, vm)
}

#[test]
fn input_arrives_unchanged_and_ends() {
    let (_folder, program) = streams();
    let input: Vec<u8> = (0..200_000_u32).map(|number| (number ^ (number >> 8)) as u8).collect();
    let end = Run::new(&program).arguments(&["cat"]).stdin(&input).to_end().unwrap();
    assert_eq!(end.status(), 0, "{}", end.words.stderr.text());
    assert!(end.words.stdout.bytes() == input, "{} bytes came back", end.words.stdout.bytes().len());
    assert_eq!(end.words.stderr.text(), "200000 bytes, then 0\n");
}

#[test]
fn no_input_is_an_end_at_once() {
    let (_folder, program) = streams();
    let end = Run::new(&program).arguments(&["cat"]).to_end().unwrap();
    assert_eq!(end.success(), "");
    assert_eq!(end.words.stderr.text(), "0 bytes, then 0\n");
}

#[test]
fn much_output_arrives_byte_for_byte() {
    let (_folder, program) = streams();
    let end = Run::new(&program).arguments(&["large", &LARGE_BYTES.to_string()]).to_end().unwrap();
    assert_eq!(end.status(), 0, "{}", end.words.log.text());
    let bytes = end.words.stdout.bytes();
    assert_eq!(bytes.len(), LARGE_BYTES);
    let wrong = bytes.iter().enumerate().position(|(number, byte)| *byte != (number ^ (number >> 8)) as u8);
    assert_eq!(wrong, None, "first wrong byte");
}

#[test]
fn ctrl_c_lets_the_program_tidy_up() {
    let (_folder, vm) = waiting(&["tidy"]);
    let end = vm.stop().unwrap();
    assert_eq!(end.status(), 3, "{}", end.words.report());
    assert_eq!(end.words.stdout.text(), "ready\nsignal 15, tidied up\n");
}

#[test]
fn ctrl_c_ends_a_program_without_a_handler() {
    let (_folder, vm) = waiting(&["wait"]);
    let end = vm.stop().unwrap();
    assert_eq!(end.status(), 128 + 15, "{}", end.words.report());
}

#[test]
fn a_second_ctrl_c_ends_the_machine_at_once() {
    let (_folder, vm) = waiting(&["ignore"]);
    vm.interrupt();
    std::thread::sleep(Duration::from_millis(300));
    let second = Instant::now();
    let end = vm.stop().unwrap();
    assert!(second.elapsed() < Duration::from_secs(2), "{:?}", second.elapsed());
    assert!(matches!(end.outcome.exit_status(), Err(Error::Interrupted)), "{}", end.words.report());
}
