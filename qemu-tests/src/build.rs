//! Makes what the machines run: programs from C, Go and Rust, and test kernels.
//!
//! Everything is an ordinary compiler on this computer; `make setup` installs those that are missing. Sources may be
//! a file or, for Go, a folder. The results lie in the folder that the test gives, or in `target/` for cargo's.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace;

/// Forms in which a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Against glibc, with interpreter and shared libraries.
    GlibcDynamic,
    /// Against glibc, everything inside, at a fixed address.
    GlibcStatic,
    /// Against glibc, everything inside, at any address.
    GlibcStaticPie,
    /// Against musl, with its interpreter.
    MuslDynamic,
    /// Against musl, everything inside.
    MuslStatic,
}

impl Link {
    /// All of them.
    pub const ALL: [Link; 5] =
        [Link::GlibcDynamic, Link::GlibcStatic, Link::GlibcStaticPie, Link::MuslDynamic, Link::MuslStatic];

    fn compiler(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Link::GlibcDynamic => ("gcc", &[]),
            Link::GlibcStatic => ("gcc", &["-static"]),
            Link::GlibcStaticPie => ("gcc", &["-static-pie", "-fPIE"]),
            Link::MuslDynamic => ("musl-gcc", &[]),
            Link::MuslStatic => ("musl-gcc", &["-static"]),
        }
    }
}

/// Says that something is not tested here. It goes past the test harness, which keeps the words of tests that pass.
pub fn skipped(why: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// Whether a compiler or another command is there; a test that needs it says so and ends when it is not.
pub fn available(command: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).any(|folder| folder.join(command).is_file());
    if !found {
        skipped(&format!("'{command}' is not installed; 'make setup' installs it"));
    }
    found
}

/// Compiles a C file into `folder`; the program is named after the source and the form. `flags` come last.
///
/// # Panics
/// When the compiler is missing or refuses the source; the message has its words.
pub fn c_program(source: &Path, link: Link, flags: &[&str], folder: &Path) -> PathBuf {
    let (compiler, form) = link.compiler();
    let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let program = folder.join(format!("{stem}-{link:?}").to_lowercase());
    let mut command = Command::new(compiler);
    command.args(["-O2", "-pthread"]).args(form).arg("-o").arg(&program).arg(source).args(flags);
    run(command, "make setup");
    program
}

/// Builds the Go package in `source` into `folder`, without cgo.
///
/// # Panics
/// As [`c_program`].
pub fn go_program(source: &Path, folder: &Path) -> PathBuf {
    let program = folder.join(source.file_name().unwrap_or_default());
    let mut command = Command::new("go");
    command.current_dir(source).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod").args(["build", "-o"]).arg(&program);
    command.arg(".");
    run(command, "make setup");
    program
}

/// The source of a program below `qemu-tests/apps`.
pub fn app(name: &str) -> PathBuf {
    workspace().join("qemu-tests/apps").join(name)
}

/// Builds a Rust package with a manifest of its own for `target`, and returns the program that it is named for.
///
/// # Panics
/// As [`c_program`].
pub fn rust_program(package_folder: &Path, target: &str) -> PathBuf {
    // As in the Makefile, so that neither builds what the other has built.
    let target_folder = workspace().join("target/examples");
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--quiet", "--target", target, "--manifest-path"]);
    command.arg(package_folder.join("Cargo.toml")).arg("--target-dir").arg(&target_folder);
    run(command, "make setup");
    target_folder.join(target).join("release").join(package_folder.file_name().unwrap_or_default())
}

/// Builds the test kernel of a package below `qemu-tests/kernels` and returns its ELF file, which has the same name.
///
/// The flags are those of `.cargo/config.toml`.
///
/// # Panics
/// As [`c_program`].
pub fn kernel(package: &str) -> PathBuf {
    const TARGET: &str = "x86_64-unknown-none";
    let target_folder = workspace().join("target/kernels");
    let mut command = cargo();
    command.current_dir(workspace()).args(["build", "--release", "--quiet", "--target", TARGET, "--package", package]);
    command.arg("--target-dir").arg(&target_folder);
    run(command, "rustup target add x86_64-unknown-none");
    target_folder.join(TARGET).join("release").join(package)
}

/// Cargo without what an outer cargo sets for this test.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO") && text != "CARGO_HOME") || text == "RUSTFLAGS" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command that must succeed; `fix` says how to get a missing one.
fn run(mut command: Command, fix: &str) {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|why| panic!("{name} did not start ({why}); try: {fix}"));
    assert!(output.status.success(), "{name} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
