//! Whole images, read back by an independent reader where it lies beside this repository.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs imagegen in `folder`; it must succeed.
fn imagegen(folder: &Path, words: &[&str]) -> String {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_imagegen"))
        .current_dir(folder)
        .args(["-o", "out.img"])
        .args(words)
        .arg(program)
        .args(["--", "first", "second word"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The reader's answer; `None` where there is no reader.
fn reader(image: &Path, words: &[&str]) -> Option<Vec<u8>> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/tfs/tfs.py");
    if !script.is_file() {
        return None;
    }
    let (command, rest) = words.split_last().unwrap();
    let mut reader = Command::new("python3");
    reader.arg(script).args(rest);
    match command.split_once(' ') {
        Some((command, path)) => reader.arg(command).arg(image).arg(path),
        None => reader.arg(command).arg(image),
    };
    let output = reader.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn an_image_is_sound_and_holds_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("site/sub folder")).unwrap();
    fs::write(here.join("site/sub folder/ä.txt"), vec![b'x'; 100_000]).unwrap();
    fs::write(here.join("site/empty"), "").unwrap();
    imagegen(
        here,
        &["--dir", "site:/www", "--mount", "site:/live:ro", "-e", "LEVEL=3", "--file", "site/empty:/etc/hosts"],
    );
    let image = here.join("out.img");
    let Some(_) = reader(&image, &["check"]) else { return };
    reader(&image, &["--boot", "check"]);
    assert_eq!(reader(&image, &["cat /www/sub folder/ä.txt"]).unwrap(), vec![b'x'; 100_000]);
    let manifest = String::from_utf8(reader(&image, &["manifest"]).unwrap()).unwrap();
    for part in ["\"second word\"", "\"LEVEL\": \"3\"", "\"%0\": \"/live:ro\"", "\"cwd\": \"/\""] {
        assert!(manifest.contains(part), "{part} is missing in {manifest}");
    }
    assert_eq!(reader(&image, &["cat /etc/hosts"]).unwrap(), b"");
    let kernel = reader(&image, &["--boot", "cat /kernel"]).unwrap();
    assert_eq!(kernel, imagegen::embedded::KERNEL);
}

#[test]
fn the_boot_record_leads_to_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    imagegen(folder.path(), &[]);
    let disk = fs::read(folder.path().join("out.img")).unwrap();
    let record = boot_info::BootRecord::parse(&disk[boot_info::BootRecord::DISK_OFFSET..]).unwrap();
    let start = record.kernel_lba as usize * 512;
    assert_eq!(&disk[start..start + record.kernel_bytes as usize], imagegen::embedded::KERNEL);
    assert_eq!(disk[510..512], [0x55, 0xaa]);
}

#[test]
fn an_image_is_sparse_and_quickly_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), vec![7; 5_000_000]).unwrap();
    let started = Instant::now();
    imagegen(folder.path(), &["--file", "large:/large", "--size", "2G"]);
    let took = started.elapsed();
    let about = fs::metadata(folder.path().join("out.img")).unwrap();
    assert!(about.len() > 2 << 30);
    let program = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    assert!(about.blocks() * 512 < program.len() + 16_000_000, "{} blocks", about.blocks());
    // The aim is 0.1 s; a busy computer gets more, a file written in full would not be done by then.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn the_command_that_starts_the_image_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let text = imagegen(folder.path(), &["-p", "8080:80"]);
    assert!(text.contains("-drive file=out.img,format=raw,if=virtio"), "{text}");
    assert!(text.contains("hostfwd=tcp:127.0.0.1:8080-:80"), "{text}");
    let line = imagegen(folder.path(), &["--print-qemu"]);
    assert!(line.starts_with("qemu-system-x86_64 ") && line.lines().count() == 1, "{line}");
}
