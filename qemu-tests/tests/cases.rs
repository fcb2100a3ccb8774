//! Small Linux programs, one subject each: what they print on Linux they print here.
//!
//! A case is a folder of `cases/` with
//! - `main.c` and `expected.txt`, its exact standard output;
//! - `status.txt`, its exit status, if that is not 0; 128+n for the end by signal n;
//! - `flags`, if it needs some: words for the compiler;
//! - `options`, if it needs some: words for imagegen, one per line;
//! - `guest-only`, if Linux on this computer cannot run it or differs by right: a sentence that says why.
//!
//! Every other case is first run on this computer, so that `expected.txt` is what Linux does and not what we wish.
//! `SKIFF_CASE=word cargo test --test cases` runs the cases with that word in their names.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use qemu_tests::build::{Link, c_program};
use qemu_tests::vm::Run;
use qemu_tests::workspace;

/// Machines at the same time.
const PARALLEL: usize = 2;

/// How long one case may run in a machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder of `cases/`.
struct Case {
    name: String,
    folder: PathBuf,
    expected: String,
    status: i32,
}

impl Case {
    fn open(folder: PathBuf) -> Case {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let expected = folder.join("expected.txt");
        let expected = fs::read_to_string(&expected).unwrap_or_else(|why| panic!("{}: {why}", expected.display()));
        let status = fs::read_to_string(folder.join("status.txt")).unwrap_or_else(|_| "0".to_owned());
        let status = status.trim().parse().unwrap_or_else(|why| panic!("{name}/status.txt: {why}"));
        Case { name, folder, expected, status }
    }

    /// A file of the case that may be missing.
    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Runs it on Linux and in a machine; the words say what went wrong.
    fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
        let flags = self.text("flags").unwrap_or_default();
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let program = c_program(&self.folder.join("main.c"), Link::GlibcStatic, &flags, folder.path());
        if self.text("guest-only").is_none() {
            self.run_here(&program)?;
        }
        self.run_in_machine(&program)
    }

    fn run_here(&self, program: &Path) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
        let mut command = Command::new(program);
        command.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/");
        let output = command.stdin(Stdio::null()).output().map_err(|why| why.to_string())?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let status = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        if status == Some(self.status) && stdout == self.expected {
            return Ok(());
        }
        let (difference, stderr) = (difference(&self.expected, &stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("on this computer: {}\n{difference}--- stderr\n{stderr}", output.status))
    }

    fn run_in_machine(&self, program: &Path) -> Result<(), String> {
        let options = self.text("options").unwrap_or_default();
        let options: Vec<&str> = options.lines().collect();
        let end = Run::new(program).options(&options).limit(LIMIT).to_end().map_err(|why| why.to_string())?;
        let stdout = end.words.stdout.text();
        match end.outcome.exit_status() {
            Ok(status) if i32::from(status) == self.status && stdout == self.expected => Ok(()),
            status => {
                let status = status.map_or_else(|why| why.to_string(), |status| format!("status {status}"));
                let report = end.words.report();
                Err(format!("in the machine: {status}\n{}{report}", difference(&self.expected, &stdout)))
            }
        }
    }
}

/// The first line in which two texts differ.
fn difference(expected: &str, found: &str) -> String {
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (expected, found))| expected != found) {
        Some((line, (expected, found))) => format!("line {}: expected '{expected}', found '{found}'\n", line + 1),
        None if expected.len() == found.len() => String::new(),
        None => format!("{} lines expected, {} found\n", expected.lines().count(), found.lines().count()),
    }
}

#[test]
fn every_case_does_here_what_it_does_on_linux() {
    let wanted = std::env::var("SKIFF_CASE").unwrap_or_default();
    let folders = fs::read_dir(workspace().join("qemu-tests/cases")).expect("the cases are there");
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.expect("a folder of cases").path()).collect();
    folders.retain(|folder| folder.join("main.c").is_file() && folder.to_string_lossy().contains(&wanted));
    folders.sort();
    let count = folders.len();
    let (queue, failures) = (Mutex::new(folders.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                loop {
                    let Some(folder) = queue.lock().unwrap().next() else { return };
                    let case = Case::open(folder);
                    if let Err(why) = case.run() {
                        failures.lock().unwrap().push(format!("==== {}\n{why}", case.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {count} cases failed\n{}", failures.len(), failures.join("\n"));
}
