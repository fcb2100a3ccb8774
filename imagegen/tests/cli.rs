//! The program itself: bad input gives one sentence with the fix, status 125, and leaves nothing behind.

#![forbid(unsafe_code)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A program that passes every check, because it is one: this test.
fn this_program() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

/// Runs imagegen in `folder`.
fn imagegen(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_imagegen")).current_dir(folder).args(words).output().unwrap()
}

/// Runs imagegen, expects it to fail with 125 and one sentence, and returns that.
fn refused(words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = imagegen(folder.path(), words);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    text
}

/// Like [`refused`], and the sentence stands on one line.
fn sentence(words: &[&str]) -> String {
    let text = refused(words);
    assert!(text.starts_with("imagegen: ") && text.trim_end().lines().count() == 1, "{text}");
    text
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn files_that_are_no_programs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(sentence(&[&file(&folder, "text", b"hello")]).contains("not an ELF file; give"));
    assert!(sentence(&["run", &file(&folder, "script", b"#!/bin/sh")]).contains("a script"));
    assert!(sentence(&["no-such-file"]).contains("no such file"));
    let mut foreign = fs::read(this_program()).unwrap();
    foreign[18] = 183;
    assert!(sentence(&[&file(&folder, "arm", &foreign)]).contains("AArch64"));
    foreign[4] = 1;
    assert!(sentence(&[&file(&folder, "small", &foreign)]).contains("64-bit"));
}

#[test]
fn malformed_options_are_refused_with_the_right_form() {
    let program = this_program();
    assert!(refused(&[&program, "--mount", "here"]).contains("host:/guest:ro"));
    assert!(refused(&[&program, "-p", "80:http"]).contains("1 to 65535"));
    assert!(refused(&[&program, "-e", "NAME"]).contains("NAME=value"));
    assert!(refused(&[]).contains("Usage"));
}

#[test]
fn what_is_not_there_is_named() {
    let program = this_program();
    let text = sentence(&[&program, "--mount", "no/folder:/data"]);
    assert!(text.contains("no/folder cannot be opened") && text.contains("--mount no/folder:/data"), "{text}");
    assert!(sentence(&[&program, "--file", "no/file:/data"]).contains("no/file"));
    assert!(sentence(&[&program, "-o", "no/folder/x.img"]).contains("its folder does not exist"));
}

#[test]
fn too_little_memory_or_disk_is_refused() {
    let program = this_program();
    assert!(sentence(&[&program, "-m", "1M"]).contains("at least 16M"));
    assert!(sentence(&[&program, "--size", "64k"]).contains("the contents need"));
}

#[test]
fn a_port_in_use_is_named_before_anything_boots() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    // A QEMU that would leave a trace if it were started.
    let fake = file(&folder, "qemu-system-x86_64", b"#!/bin/sh\ntouch \"$0.started\"\n");
    Command::new("chmod").args(["755", &fake]).status().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_imagegen"))
        .args(["run", &this_program(), "-p", &port.to_string()])
        .env("PATH", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text.contains(&format!("127.0.0.1:{port}/tcp")), "{text}");
    assert!(!folder.path().join("qemu-system-x86_64.started").exists());
}

#[test]
fn without_qemu_the_command_that_installs_it_is_shown() {
    let output = Command::new(env!("CARGO_BIN_EXE_imagegen"))
        .args(["run", &this_program()])
        .env("PATH", "/no/folder")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text.contains("sudo apt-get install qemu-system-x86"), "{text}");
}

#[test]
fn a_full_disk_leaves_no_half_image() {
    let folder = tempfile::tempdir().unwrap();
    // A limit on the size of written files stands in for a full disk: SIGXFSZ ignored, writes fail.
    let script =
        format!("trap '' XFSZ; ulimit -f 8; exec {} {} -o out.img", env!("CARGO_BIN_EXE_imagegen"), this_program());
    let output = Command::new("sh").current_dir(folder.path()).args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
}

#[test]
fn help_shows_examples() {
    let output = imagegen(Path::new("."), &["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("imagegen run ./server -p 8080"));
}
