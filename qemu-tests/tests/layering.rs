//! The architecture as a test: which crate may depend on which, and who may use which crate of others.
//!
//! The tables say what is allowed; anything else fails. They change together with `docs/ARCHITECTURE.md`.
//! Dependencies of tests alone (`dev-dependencies`) are excused, build dependencies are not.

#![forbid(unsafe_code)]

use std::path::Path;

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

/// Folder of a crate -> folders of our crates that it may depend on.
///
/// `KERNEL_SIDE` stands for every crate that runs in the kernel. Folders below a `/*` share a line.
const OURS: [(&str, &[&str]); 20] = [
    ("protocol", &[]),
    ("loader/boot-info", &[]),
    ("loader/elf", &[]),
    ("servers/tfs/format", &[]),
    ("servers/p9/wire", &[]),
    ("servers/linux/abi", &[]),
    ("microkernel", &["loader/boot-info"]),
    ("loader/boot", &["loader/boot-info", "loader/elf"]),
    ("servers/rt", &["protocol"]),
    ("servers/block", &SERVER),
    ("servers/nic", &SERVER),
    ("servers/net", &SERVER),
    ("servers/console", &SERVER),
    ("servers/mem", &SERVER),
    ("servers/supervisor", &SERVER),
    ("servers/control", &SERVER),
    ("servers/tfs", &["protocol", "servers/rt", "servers/tfs/format"]),
    ("servers/p9", &["protocol", "servers/rt", "servers/p9/wire"]),
    ("servers/virtio", &["microkernel", "servers/rt", "protocol"]),
    ("servers/linux", &["protocol", "servers/rt", "microkernel", "loader/elf", "servers/linux/abi"]),
];

/// What a plain server may use.
const SERVER: [&str; 2] = ["protocol", "servers/rt"];

/// Host tools. imagegen writes the record that the disk loader reads, hence boot-info.
const HOST: [(&str, &[&str]); 2] = [
    (
        "imagegen",
        &["servers/tfs", "servers/tfs/format", "loader/elf", "loader/boot-info", "protocol", "servers/linux/abi"],
    ),
    ("qemu-tests", &["imagegen", "protocol"]),
];

/// Crates that put the kernel together and may use any kernel-side crate.
const COMPOSERS: [&str; 2] = ["servers/root", "qemu-tests/kernels/"];

/// Crate of others -> folders that may use it.
const THEIRS: [(&str, &[&str]); 18] = [
    ("x86_64", &["microkernel", "loader/boot"]),
    ("virtio-drivers", &["servers/virtio"]),
    ("smoltcp", &["servers/net"]),
    ("talc", &["microkernel"]),
    ("crossbeam-queue", &["microkernel"]),
    ("spin", &["microkernel", "servers/rt", "servers/virtio", "servers/linux", "servers/root"]),
    ("postcard", &["protocol", "servers/rt"]),
    ("serde", &["protocol", "servers/rt"]),
    ("heapless", &["protocol", "servers/rt"]),
    ("bitflags", &["protocol", "microkernel", "servers/linux", "servers/linux/abi", "servers/virtio"]),
    ("elf", &["loader/elf"]),
    ("hashbrown", &["servers/tfs", "servers/tfs/format", "servers/p9", "servers/net", "servers/linux", "servers/root"]),
    ("clap", &["imagegen"]),
    ("signal-hook", &["imagegen"]),
    ("rustc-demangle", &["imagegen"]),
    ("tempfile", &["imagegen", "qemu-tests"]),
    ("cargo_metadata", &["qemu-tests"]),
    ("anyhow", &["qemu-tests"]),
];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new().no_deps().manifest_path(manifest).exec().expect("cargo metadata works in a workspace")
}

/// The folder of a manifest, relative to the workspace.
fn folder(metadata: &Metadata, manifest_or_folder: &Path) -> String {
    let relative = manifest_or_folder.strip_prefix(&metadata.workspace_root).expect("members lie in the workspace");
    let folder = if relative.ends_with("Cargo.toml") { relative.parent().unwrap_or(relative) } else { relative };
    folder.to_string_lossy().into_owned()
}

/// Calls `check` with each package's folder and each dependency that counts.
fn each_edge(metadata: &Metadata, mut check: impl FnMut(&str, &Dependency)) {
    for package in &metadata.packages {
        let from = folder(metadata, package.manifest_path.as_std_path());
        for dependency in package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development) {
            check(&from, dependency);
        }
    }
}

fn is_composer(folder: &str) -> bool {
    COMPOSERS.iter().any(|composer| folder == *composer || (composer.ends_with('/') && folder.starts_with(composer)))
}

fn may_use(from: &str, to: &str) -> bool {
    if is_composer(from) {
        return !is_composer(to) && OURS.iter().any(|(known, _)| *known == to);
    }
    OURS.iter().chain(&HOST).any(|(known, allowed)| *known == from && allowed.contains(&to))
}

#[test]
fn crates_depend_only_on_what_lies_below_them() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    each_edge(&metadata, |from, dependency| {
        let Some(path) = &dependency.path else { return };
        let to = folder(&metadata, path.as_std_path());
        if !may_use(from, &to) {
            wrong.push(format!("{from} -> {to}"));
        }
    });
    assert!(wrong.is_empty(), "edges that the architecture does not have: {wrong:#?}");
}

#[test]
fn every_member_has_its_place_in_the_tables() {
    let metadata = metadata();
    let place = |package: &&Package| {
        let folder = folder(&metadata, package.manifest_path.as_std_path());
        !is_composer(&folder) && !OURS.iter().chain(&HOST).any(|(known, _)| *known == folder)
    };
    let unknown: Vec<_> = metadata.packages.iter().filter(place).map(|package| package.name.to_string()).collect();
    assert!(unknown.is_empty(), "crates without a line in the tables: {unknown:?}");
}

#[test]
fn crates_of_others_are_used_where_the_table_says() {
    let mut wrong = Vec::new();
    each_edge(&metadata(), |from, dependency| {
        let allowed = THEIRS.iter().any(|(name, users)| *name == dependency.name && users.contains(&from));
        if dependency.path.is_none() && !allowed {
            wrong.push(format!("{from} -> {}", dependency.name));
        }
    });
    assert!(wrong.is_empty(), "uses that are not in the table: {wrong:#?}");
}

#[test]
fn crates_of_others_are_pinned_and_come_from_the_workspaces_list() {
    let mut loose = Vec::new();
    each_edge(&metadata(), |from, dependency| {
        if dependency.path.is_none() && !dependency.req.to_string().starts_with('=') {
            loose.push(format!("{from} -> {} {}", dependency.name, dependency.req));
        }
    });
    assert!(loose.is_empty(), "versions that are not pinned: {loose:#?}");
}
