//! The documentation as a test: what can be derived is derived, and the rest is checked where a program can.
//!
//! [`generated`] compares the derived parts of the pages with their sources, or writes them when `SKIFF_WRITE_DOCS=1`
//! is set: the system call list from the front end's own table ([`syscalls`]), the task table from `servers/root`
//! ([`tasks`]). The tests below look at links, folder map, and the first lines of manifests and sources.

#![forbid(unsafe_code)]

mod generated;
mod syscalls;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use qemu_tests::workspace;

/// Pages that people read, relative to the workspace.
const PAGES: [&str; 3] = ["README.md", "docs/ARCHITECTURE.md", "docs/SYSCALLS.md"];

/// Folders with sources that are not ours to describe: build output.
const NOT_SOURCES: [&str; 2] = ["target", ".git"];

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Every file below `folder` with this ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("source folders can be read") {
        let path = entry.expect("source folders can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !NOT_SOURCES.contains(&&*name) {
                files(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// All files of the workspace with this ending, with their paths from its root.
fn all_files(ending: &str) -> Vec<(String, String)> {
    let root = workspace();
    let mut found = Vec::new();
    files(&root, ending, &mut found);
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    found.iter().map(|path| (name(path), read(path))).collect()
}

/// Targets of Markdown links in `text` that lead to files, without their `#part`.
fn linked_files(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    files.map(|target| target.split('#').next().unwrap_or(target)).collect()
}

#[test]
fn every_source_file_says_first_what_it_is() {
    let silent = all_files(".rs").into_iter().filter(|(_, text)| !text.starts_with("//!"));
    let silent: Vec<_> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "files without a `//!` line at their start: {silent:#?}");
}

#[test]
fn every_crate_has_a_description() {
    let described = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("description = \""));
        line.is_some_and(|words| words.len() > 10)
    };
    let silent = all_files("Cargo.toml").into_iter().filter(|(_, text)| text.contains("[package]") && !described(text));
    let silent: Vec<_> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "crates without a description: {silent:#?}");
}

#[test]
fn the_folder_map_names_every_crate() {
    let root = workspace();
    let metadata = MetadataCommand::new().no_deps().manifest_path(root.join("Cargo.toml")).exec();
    let readme = read("README.md");
    let mut missing = Vec::new();
    for package in metadata.expect("cargo metadata works in a workspace").packages {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        let folder = folder.strip_prefix(&root).unwrap_or(folder).display().to_string();
        let named = if folder.starts_with("qemu-tests/kernels/") { "qemu-tests/kernels" } else { &folder };
        if !readme.contains(&format!("`{named}`")) {
            missing.push(folder);
        }
    }
    assert!(missing.is_empty(), "crates without a line in the README's folder map: {missing:#?}");
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in PAGES {
        let folder = workspace().join(page).parent().expect("a page lies in a folder").to_owned();
        for target in linked_files(&read(page)) {
            assert!(folder.join(target).exists(), "{page} links to {target}, which is not there");
        }
    }
}

#[test]
fn links_to_files_are_told_from_others() {
    let text = "[a](x.md#part) [b](https://example.org/y) [c](#z) [d](../w)";
    assert_eq!(linked_files(text), ["x.md", "../w"]);
}
