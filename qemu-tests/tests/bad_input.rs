//! Bad input that a machine or a build is needed for: a clear sentence with the fix, status 125, nothing left running.
//!
//! What imagegen refuses by itself (files that are no programs, malformed options, ports in use, no QEMU, a full disk)
//! is tested beside it, in `imagegen/tests/cli.rs`.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use qemu_tests::build::{Link, app, c_program};
use qemu_tests::vm::Run;
use tempfile::TempDir;

/// One test at a time, so that a machine that was left running is seen by the test that left it.
static ALONE: Mutex<()> = Mutex::new(());

/// Status of a program that SIGKILL ended.
const BY_SIGKILL: u8 = 128 + 9;

/// A program, its folder, and the look at what is left running when the test ends.
struct Attempt {
    folder: TempDir,
    program: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Attempt {
    fn new(link: Link, flags: &[&str]) -> Attempt {
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = tempfile::tempdir().unwrap();
        let program = c_program(&app("hello-c/hello.c"), link, flags, folder.path());
        Attempt { folder, program, _alone: alone }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("app.img")
    }

    /// A run that writes the image to [`Self::image`].
    fn run(&self) -> Run {
        Run::new(&self.program).options(&["-o", &self.image().to_string_lossy()])
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(machines(), 0, "a machine was left running");
        }
    }
}

/// Children of this process that are machines.
fn machines() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let names = children.collect::<String>();
    let names = names.split_whitespace().filter_map(|id| fs::read_to_string(format!("/proc/{id}/comm")).ok());
    names.filter(|name| name.starts_with("qemu")).count()
}

/// The sentence of a run that imagegen refuses.
fn refused(run: Run) -> String {
    match run.to_end() {
        Ok(end) => panic!("it ran\n{}", end.words.report()),
        Err(why) => {
            assert_eq!(why.status(), 125, "{why}");
            why.to_string()
        }
    }
}

/// Expects all these words in a sentence.
fn expect(sentence: &str, words: &[&str]) {
    for word in words {
        assert!(sentence.contains(word), "'{word}' is missing in: {sentence}");
    }
}

#[test]
fn a_missing_interpreter_is_named() {
    let attempt = Attempt::new(Link::GlibcDynamic, &["-Wl,--dynamic-linker=/lib/no-such-loader.so"]);
    expect(&refused(attempt.run()), &["/lib/no-such-loader.so", "install the package"]);
    assert!(!attempt.image().exists());
}

#[test]
fn a_missing_library_is_named() {
    let build = tempfile::tempdir().unwrap();
    let library = build.path().join("libnowhere.so");
    let source = build.path().join("nowhere.c");
    fs::write(&source, "int nowhere(void) { return 1; }\n").unwrap();
    let built = Command::new("gcc").args(["-shared", "-o"]).args([&library, &source]).status().unwrap();
    assert!(built.success());
    let folder = format!("-L{}", build.path().display());
    let attempt = Attempt::new(Link::GlibcDynamic, &[&folder, "-Wl,--no-as-needed", "-lnowhere"]);
    expect(&refused(attempt.run()), &["libnowhere.so", "searched", "link the program statically"]);
    assert!(!attempt.image().exists());
}

#[test]
fn a_32_bit_program_is_refused() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    let mut bytes = fs::read(&attempt.program).unwrap();
    bytes[4] = 1;
    fs::write(&attempt.program, bytes).unwrap();
    expect(&refused(attempt.run()), &["64-bit"]);
}

/// Compiles a program whose `main` does this.
fn hungry(attempt: &Attempt, work: &str) -> PathBuf {
    let source = attempt.folder.path().join("hungry.c");
    let text = format!("#include <stdlib.h>\n#include <string.h>\nint main(void) {{ {work} return 0; }}\n");
    fs::write(&source, text).unwrap();
    c_program(&source, Link::GlibcStatic, &[], attempt.folder.path())
}

#[test]
fn a_program_that_is_larger_than_the_memory_is_told() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    let program = hungry(&attempt, "static volatile char much[64 << 20]; much[9999] = 1;");
    let end = Run::new(&program).options(&["-m", "32M"]).to_end().unwrap();
    expect(&end.refusal(), &["not enough memory", "-m"]);
}

#[test]
fn a_program_that_takes_more_and_more_memory_is_ended_and_told_why() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    let program = hungry(&attempt, "for (int i = 0; i < 64; i++) memset(malloc(1 << 20), 1, 1 << 20);");
    let end = Run::new(&program).options(&["-m", "32M"]).to_end().unwrap();
    assert_eq!(end.status(), BY_SIGKILL, "{}", end.words.report());
    expect(&end.words.log.text(), &["out of memory", "-m"]);
}

#[test]
fn a_mount_without_its_device_is_named() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    let share = tempfile::tempdir().unwrap();
    attempt.run().mount(share.path(), "/data").to_end().unwrap().success();
    let end = Run::new(&attempt.program).existing_image(&attempt.image()).to_end().unwrap();
    expect(&end.refusal(), &["/data", "9P device", "imagegen --print-qemu"]);
}

#[test]
fn a_damaged_root_volume_is_told() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    attempt.run().to_end().unwrap().success();
    let (image, mut bytes) = (attempt.image(), fs::read(attempt.image()).unwrap());
    let start = root_start(&bytes);
    // The magic, then the end of the label with the first record of the log.
    for damage in [start..start + 6, start + 24..start + 32] {
        let sound = bytes[damage.clone()].to_vec();
        bytes[damage.clone()].fill(0xa5);
        fs::write(&image, &bytes).unwrap();
        let end = Run::new(&attempt.program).existing_image(&image).to_end().unwrap();
        expect(&end.refusal(), &["root volume", "write the image anew with imagegen"]);
        bytes[damage].copy_from_slice(&sound);
    }
}

#[test]
fn an_image_without_its_end_is_told() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    attempt.run().to_end().unwrap().success();
    let disk = fs::File::options().write(true).open(attempt.image()).unwrap();
    disk.set_len(root_start(&fs::read(attempt.image()).unwrap()) as u64 + 4096).unwrap();
    let end = Run::new(&attempt.program).existing_image(&attempt.image()).to_end().unwrap();
    expect(&end.refusal(), &["root volume", "write the image anew with imagegen"]);
}

#[test]
fn a_missing_host_folder_is_named() {
    let attempt = Attempt::new(Link::GlibcStatic, &[]);
    let sentence = refused(attempt.run().mount(Path::new("/no/such/folder"), "/data"));
    expect(&sentence, &["/no/such/folder", "create it, or check the path"]);
}

/// Where the root volume starts on a disk, in bytes: the partition that lies last (FORMAT.md section 2).
fn root_start(disk: &[u8]) -> usize {
    const TABLE: usize = 446;
    let sectors = (0..4).map(|entry| TABLE + entry * 16 + 8);
    let sectors = sectors.map(|at| u32::from_le_bytes(disk[at..at + 4].try_into().unwrap()) as usize);
    sectors.max().unwrap() * 512
}
