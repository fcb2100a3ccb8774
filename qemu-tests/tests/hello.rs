//! Hello world in every link form: both outputs, arguments, environment, threads, and how the program ended.
//!
//! The programs are in `apps/`; each also runs unchanged on Linux.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use qemu_tests::build::{self, Link, app, available};
use qemu_tests::vm::{End, Run};
use tempfile::TempDir;

/// Status of a program that signal `n` ended.
const BY_SIGNAL: u8 = 128;
const SIGABRT: u8 = 6;
const SIGSEGV: u8 = 11;

/// Runs `program` with these arguments and one variable.
fn run(program: &Path, arguments: &[&str]) -> End {
    Run::new(program).options(&["-e", "GREETING=good day"]).arguments(arguments).to_end().unwrap()
}

/// Compiles the C program in one form; the folder lives as long as the test wants it.
fn hello_c(link: Link) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = build::c_program(&app("hello-c/hello.c"), link, &[], folder.path());
    (folder, program)
}

/// Expects exactly these outputs and this status.
fn expect(end: &End, stdout: &str, status: u8) {
    assert_eq!(end.status(), status, "{}", end.words.report());
    assert_eq!(end.words.stdout.text(), stdout, "{}", end.words.report());
    assert_eq!(end.words.stderr.text(), "a word on stderr\n", "{}", end.words.report());
}

/// Says hello with status 7 after it got arguments with blanks and letters beyond ASCII.
fn c_says_hello(link: Link) {
    let (_folder, program) = hello_c(link);
    let stdout = "hello, world\nargument 1: exit\nargument 2: 7\nargument 3: two words\nargument 4: ä\n\
                  GREETING=good day\nthreads: 10 1\n";
    expect(&run(&program, &["exit", "7", "two words", "ä"]), stdout, 7);
}

#[test]
fn c_against_static_glibc_says_hello() {
    c_says_hello(Link::GlibcStatic);
}

#[test]
fn c_against_static_glibc_at_any_address_says_hello() {
    c_says_hello(Link::GlibcStaticPie);
}

#[test]
fn c_against_shared_glibc_says_hello() {
    c_says_hello(Link::GlibcDynamic);
}

#[test]
fn c_against_static_musl_says_hello() {
    if available("musl-gcc") {
        c_says_hello(Link::MuslStatic);
    }
}

#[test]
fn c_against_shared_musl_says_hello() {
    if available("musl-gcc") {
        c_says_hello(Link::MuslDynamic);
    }
}

#[test]
fn every_exit_status_passes_through() {
    let (_folder, program) = hello_c(Link::GlibcStatic);
    for (argument, status) in [("0", 0), ("7", 7), ("255", 255), ("256", 0)] {
        assert_eq!(run(&program, &["exit", argument]).status(), status, "exit({argument})");
    }
}

#[test]
fn death_by_signal_is_told_as_a_shell_tells_it() {
    let (_folder, program) = hello_c(Link::GlibcDynamic);
    for (argument, signal) in [("abort", SIGABRT), ("segv", SIGSEGV)] {
        let end = run(&program, &[argument]);
        let stdout = format!("hello, world\nargument 1: {argument}\nGREETING=good day\nthreads: 10 1\n");
        expect(&end, &stdout, BY_SIGNAL + signal);
    }
}

/// Rust's standard library: threads, channels, timed waits.
fn rust_says_hello(target: &str) {
    let program = build::rust_program(&app("hello-rust"), target);
    let stdout = "hello, world\nargument 1: exit\nargument 2: 9\nGREETING=good day\nthreads: 14014000\n\
                  timed wait: true\n";
    expect(&run(&program, &["exit", "9"]), stdout, 9);
    let end = run(&program, &["panic"]);
    assert_eq!(end.status(), 101, "{}", end.words.report());
    assert!(end.words.stderr.text().contains("as asked"), "{}", end.words.report());
}

#[test]
fn rust_against_static_musl_says_hello() {
    rust_says_hello("x86_64-unknown-linux-musl");
}

#[test]
fn rust_against_shared_glibc_says_hello() {
    rust_says_hello("x86_64-unknown-linux-gnu");
}

/// tokio: four worker threads, timers, a thousand tasks, sixteen connections at once.
fn tokio_says_hello(target: &str) {
    let program = build::rust_program(&app("hello-tokio"), target);
    let stdout = "hello, world\ntimers: [30, 60, 90]\ntasks: 499500\necho: 160000\nblocking: 3628800\ntimeout: true\n";
    expect(&run(&program, &[]), stdout, 0);
}

#[test]
fn tokio_against_static_musl_says_hello() {
    tokio_says_hello("x86_64-unknown-linux-musl");
}

#[test]
fn tokio_against_shared_glibc_says_hello() {
    tokio_says_hello("x86_64-unknown-linux-gnu");
}

#[test]
fn go_says_hello() {
    if !available("go") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = build::go_program(&app("hello-go"), folder.path());
    let stdout = "hello, world\nargument 1: exit\nargument 2: 5\nGREETING=good day\ngoroutines: 5050\ntimer: true\n\
                  echo: there and back <nil>\n";
    expect(&run(&program, &["exit", "5"]), stdout, 5);
}
