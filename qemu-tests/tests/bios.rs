//! Disk images on plain PCs: the way from the BIOS over boot sector and second stage into the kernel, and what is said
//! when something on that way is broken.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boot_info::BootRecord;
use imagegen::boot_code::BootCode;
use imagegen::cli::Options;
use imagegen::interrupt::Interrupts;
use imagegen::{commands, embedded, qemu};
use qemu_tests::build::{self, Link, app, kernel};
use qemu_tests::serial::{self, SerialEnd, run_disk};
use tempfile::TempDir;

/// Longest time for a machine that comes to its end.
const LIMIT: Duration = Duration::from_secs(60);
/// Time for a machine that prints why it does not boot, and stops.
const STOP_LIMIT: Duration = Duration::from_secs(6);
const SECTOR: usize = 512;
/// First sector of the kernel on the disks of these tests. SeaBIOS does not boot a virtio disk of less than a cylinder
/// (1008 sectors), so a cut one must be longer.
const KERNEL_LBA: usize = 2100;
/// QEMU's status when a PC was switched off.
const SWITCHED_OFF: i32 = 0;

/// A disk with nothing but boot code, record and kernel.
struct Disk {
    bytes: Vec<u8>,
    kernel_bytes: u64,
}

impl Disk {
    fn new(kernel: &Path, words: &str) -> Disk {
        let kernel = fs::read(kernel).unwrap();
        let code = BootCode::from_elf(embedded::BOOT).unwrap();
        let mut bytes = code.finish(KERNEL_LBA as u64, kernel.len() as u64).unwrap();
        bytes.resize(KERNEL_LBA * SECTOR, 0xaa);
        bytes.extend_from_slice(&kernel);
        bytes.resize((bytes.len() + 4096).next_multiple_of(SECTOR), 0);
        let mut disk = Disk { bytes, kernel_bytes: kernel.len() as u64 };
        disk.change_record(|record| BootRecord { command_line: words, ..record });
        disk
    }

    /// Rewrites the boot record, checksum included.
    fn change_record<'a>(&mut self, change: impl Fn(BootRecord<'a>) -> BootRecord<'a>) {
        let place = BootRecord::DISK_OFFSET..BootRecord::DISK_OFFSET + BootRecord::SIZE;
        let kernel_max_bytes = BootRecord::parse_template(&self.bytes[place.clone()]).unwrap().kernel_max_bytes;
        let (kernel_lba, kernel_bytes) = (KERNEL_LBA as u64, self.kernel_bytes);
        let record = change(BootRecord { kernel_lba, kernel_bytes, kernel_max_bytes, command_line: "" });
        self.bytes[place].copy_from_slice(&record.emit().unwrap());
    }

    fn put(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        fs::write(&path, &self.bytes).unwrap();
        (folder, path)
    }

    fn boot(&self, extra: &[&str], limit: Duration) -> SerialEnd {
        let (_folder, path) = self.put();
        run_disk(&path, extra, limit)
    }
}

/// Expects the line of the kernel that checks what it was handed.
fn expect_hello(end: &SerialEnd, words: &str) {
    end.expect_passed();
    let line = end.text.lines().find(|line| line.starts_with("OK "));
    let line = line.unwrap_or_else(|| panic!("no line in\n{}", end.text));
    let (entries, rest) = line[3..].split_once(' ').expect("two words");
    assert!(entries.parse::<u32>().is_ok_and(|entries| entries >= 3), "{line}");
    assert_eq!(rest, words);
}

#[test]
fn the_disk_loader_brings_a_kernel_its_memory_map_and_its_command_line() {
    let hello = kernel("bios-hello");
    expect_hello(&Disk::new(&hello, "hello=world and more").boot(&[], LIMIT), "hello=world and more");
    expect_hello(&Disk::new(&hello, "").boot(&["-m", "16M", "-cpu", "qemu64"], LIMIT), "");
    expect_hello(
        &Disk::new(&hello, &"x".repeat(BootRecord::COMMAND_LINE_MAX)).boot(&["-m", "6G"], LIMIT),
        &"x".repeat(448),
    );
}

#[test]
fn it_reads_disks_of_every_kind_that_the_firmware_can_read() {
    let (_folder, path) = Disk::new(&kernel("bios-hello"), "a=b").put();
    let machines: [(&str, &str); 4] = [
        ("pc", "if=ide,format=raw,file="),
        ("pc", "if=virtio,format=raw,file="),
        ("q35", "if=ide,format=raw,file="),
        ("q35", "if=virtio,format=raw,file="),
    ];
    for (machine, drive) in machines {
        let mut drive = OsString::from(drive);
        drive.push(&path);
        expect_hello(&serial::run(&["-machine".into(), machine.into(), "-drive".into(), drive], LIMIT), "a=b");
    }
}

#[test]
fn it_starts_the_core() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let disk = Disk::new(&kernel("kernel-boot"), &format!("boot 120 128 {now}"));
    let end = disk.boot(&[], LIMIT);
    end.expect_passed();
    assert!(end.text.contains("ok: the wall clock is the host's"), "{}", end.text);
}

#[test]
fn broken_disks_say_what_is_broken() {
    let hello = kernel("bios-hello");
    let whole = || Disk::new(&hello, "");
    let changed = |change: fn(&mut Disk)| {
        let mut disk = whole();
        change(&mut disk);
        disk
    };
    let no_elf = changed(|disk| disk.bytes[KERNEL_LBA * SECTOR] = b'X');
    let damaged = changed(|disk| disk.bytes[BootRecord::DISK_OFFSET + 70] ^= 1);
    let nameless = changed(|disk| disk.bytes[BootRecord::DISK_OFFSET] = 0);
    let far = changed(|disk| disk.change_record(|record| BootRecord { kernel_lba: 1 << 30, ..record }));
    let cut = changed(|disk| disk.bytes.truncate((KERNEL_LBA + 64) * SECTOR));
    let cases = [
        (no_elf, "kernel: "),
        (damaged, "boot record"),
        (nameless, "boot record"),
        (far, "disk read error"),
        (cut, "disk read error"),
    ];
    std::thread::scope(|scope| {
        for (disk, words) in &cases {
            scope.spawn(move || {
                let end = disk.boot(&[], STOP_LIMIT);
                assert!(end.text.contains("skiff boot: ") && end.text.contains(words), "{words}: {end:?}");
            });
        }
    });
}

/// Writes the image of a program as `imagegen program -o image` does.
fn image_of(program: &Path, words: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.img");
    let all = [program.as_os_str().to_owned()].into_iter().chain(words.iter().map(OsString::from));
    let options = Options::from_words(all).unwrap();
    commands::prepare(&options).unwrap().disk.write(&path, &Interrupts::default()).unwrap();
    (folder, path)
}

/// The words of a C program that prints what it was given, and the image of it.
fn hello_image() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = build::c_program(&app("hello-c/hello.c"), Link::GlibcStatic, &[], folder.path());
    image_of(&program, &["-e", "GREETING=good day", "--", "exit", "3", "two words"])
}

const HELLO: &str =
    "hello, world\nargument 1: exit\nargument 2: 3\nargument 3: two words\nGREETING=good day\nthreads: 10 1\n";

fn plain_lines(text: &str) -> String {
    text.replace('\r', "")
}

#[test]
fn an_image_boots_by_the_short_command_and_the_machine_ends_with_the_program() {
    let (_folder, image) = hello_image();
    let mut drive = OsString::from("format=raw,if=virtio,file=");
    drive.push(&image);
    let mut qemu = Command::new(qemu::find().unwrap());
    qemu.args(["-nographic", "-drive"]).arg(drive).stdin(Stdio::null());
    let output = timed(qemu, LIMIT);
    let text = plain_lines(&String::from_utf8_lossy(&output.stdout));
    assert!(text.contains(HELLO), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(SWITCHED_OFF), "{text}");
}

/// Runs a command that must end within a time.
fn timed(mut command: Command, limit: Duration) -> std::process::Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (sender, ended) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(limit).is_err() {
            // Its end is noticed by the caller, who has its output.
            let _ = Command::new("kill").arg(id).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    sender.send(()).unwrap();
    watch.join().unwrap();
    output
}

#[test]
fn an_image_boots_on_other_machines_too() {
    let (_folder, image) = hello_image();
    for extra in [&["-m", "64M", "-cpu", "qemu64"][..], &["-machine", "q35", "-m", "1G", "-cpu", "max"]] {
        let end = run_disk(&image, extra, LIMIT);
        let text = plain_lines(&end.text);
        assert!(text.contains(HELLO), "{extra:?}: {end:?}");
        assert!(end.status.is_some_and(|status| status != serial::PASSED), "{extra:?}: {end:?}");
    }
}
