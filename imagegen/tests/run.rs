//! `imagegen run` as a person uses it: streams, exit status, real signals, and nothing left behind.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Ends as its first argument says: copies its input and ends with 7, waits for SIGTERM and tidies up, or ignores it.
const PROGRAM: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void tidy(int signal) { write(1, "tidied up\n", 10); _exit(3); }
int main(int argc, char **argv) {
    char text[100];
    if (argc < 2) {
        for (ssize_t n; (n = read(0, text, sizeof text)) > 0;) write(1, text, n);
        fputs("on stderr\n", stderr);
        return 7;
    }
    signal(SIGTERM, strcmp(argv[1], "tidy") == 0 ? tidy : SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
"#;

/// A folder with the program; it is also the folder for everything temporary.
struct Attempt {
    folder: TempDir,
    program: PathBuf,
}

impl Attempt {
    fn new() -> Attempt {
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("program.c"), folder.path().join("program"));
        fs::write(&source, PROGRAM).unwrap();
        let built = Command::new("gcc").args(["-static", "-O1", "-w", "-o"]).args([&program, &source]).status();
        assert!(built.expect("gcc is installed by 'make setup'").success());
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Attempt { folder, program }
    }

    fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagegen"));
        command.env("TMPDIR", self.temporary()).args(["run", "--accel", "tcg"]).arg(&self.program);
        command.arg("--").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Expects that the child ends with this status and leaves nothing; returns the rest of its outputs.
    fn end(&self, mut child: Child, status: i32) -> (String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut stdout).unwrap();
        }
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{stdout}{stderr}");
        assert_eq!(fs::read_dir(self.temporary()).unwrap().count(), 0, "a temporary file was left behind");
        assert_eq!(machines(&self.temporary()), 0, "a machine was left running");
        (stdout, stderr)
    }
}

/// Processes that have `folder` in their command line.
fn machines(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    let lines = processes.filter_map(|file| fs::read(file).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
}

/// Waits until the program says that it is ready; the returned rest of its output is for the end.
fn wait_until_ready(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    stdout
}

/// Sends what a terminal sends for Ctrl-C.
fn ctrl_c(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn outputs_stay_apart_and_the_status_passes_through() {
    let attempt = Attempt::new();
    let mut child = attempt.start(&[]);
    child.stdin.take().unwrap().write_all(b"one line\n").unwrap();
    let (stdout, stderr) = attempt.end(child, 7);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("one line\n", "on stderr\n"));
}

#[test]
fn sigint_becomes_sigterm_in_the_guest() {
    let attempt = Attempt::new();
    let mut child = attempt.start(&["tidy"]);
    let mut rest = wait_until_ready(&mut child);
    ctrl_c(&child);
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    attempt.end(child, 3);
    assert_eq!(text, "tidied up\n");
}

#[test]
fn a_second_sigint_ends_everything_at_once() {
    let attempt = Attempt::new();
    let mut child = attempt.start(&["ignore"]);
    let _rest = wait_until_ready(&mut child);
    ctrl_c(&child);
    std::thread::sleep(Duration::from_millis(300));
    let second = Instant::now();
    ctrl_c(&child);
    attempt.end(child, 130);
    assert!(second.elapsed() < Duration::from_secs(3), "{:?}", second.elapsed());
}
