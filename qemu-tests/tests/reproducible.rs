//! Two builds in two folders give the same kernel and the same boot code, byte for byte.
//!
//! One build is the one inside this test's imagegen; the other is made here from a copy of the sources elsewhere.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qemu_tests::workspace;

/// What is no source.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("temporary folders can be made");
    for entry in fs::read_dir(from).expect("sources can be read") {
        let entry = entry.expect("sources can be read");
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("sources can be read");
        if kind.is_dir() && !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            copy_sources(&source, &copy);
        } else if kind.is_file() && source.extension().is_none_or(|end| end != "img") {
            fs::copy(&source, &copy).expect("sources can be copied");
        }
    }
}

/// A file that the build script of imagegen left in its output folder.
fn embedded(target: &Path, name: &str) -> PathBuf {
    let builds = fs::read_dir(target.join("debug/build")).expect("cargo made the folder");
    let mut files = builds.map(|entry| entry.expect("folders can be read").path().join("out").join(name));
    files.find(|file| file.is_file()).unwrap_or_else(|| panic!("the build made no {name}"))
}

#[test]
fn a_build_in_another_folder_gives_the_same_bytes() {
    if std::env::var_os("SKIFF_KERNEL").is_some() || std::env::var_os("SKIFF_BOOT").is_some() {
        eprintln!("finished files are embedded, so there is nothing to compare");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("some where/else");
    copy_sources(&workspace(), &copy);
    let target = folder.path().join("out");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&copy).args(["check", "--quiet", "--locked", "-p", "imagegen", "--target-dir"]).arg(&target);
    let output = cargo.env_remove("CARGO_TARGET_DIR").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let same = |name: &str, ours: &[u8]| {
        assert!(fs::read(embedded(&target, name)).unwrap() == ours, "{name} depends on the folder it is built in");
    };
    same("skiff-kernel", imagegen::embedded::KERNEL);
    same("boot", imagegen::embedded::BOOT);
}
