//! Builds kernel and boot code with a nested cargo and hands them to `src/embedded.rs`.
//!
//! The nested build has its own target folder, an explicit target, the flags of `.cargo/config.toml`, and nothing of
//! the outer build's environment; paths of this computer are mapped away, so that two builds in two folders give the
//! same bytes. `SKIFF_KERNEL=<ELF file>` and `SKIFF_BOOT=<ELF file>` put finished files in the place of a build.
//!
//! What is embedded is cut to what a loader reads; the kernel's symbol table is kept beside it for crash reports. The
//! whole files stay in `OUT_DIR/nested/x86_64-unknown-none/release`.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use skiff_elf::{Elf, SegmentKind};

/// Target of all kernel-side code.
const TARGET: &str = "x86_64-unknown-none";

/// Longest embedded kernel, in bytes; the boot volume and a quick start both depend on it.
const KERNEL_MAX: usize = 2 * 1024 * 1024;

/// Folders and files that the kernel side is made of; watched as a whole while a build fails.
const KERNEL_SIDE: [&str; 7] =
    ["protocol", "microkernel", "loader", "servers", "Cargo.lock", "Cargo.toml", ".cargo/config.toml"];

/// One binary to embed.
struct Part {
    package: &'static str,
    binary: &'static str,
    /// Variable that names a finished file instead.
    override_variable: &'static str,
    /// Variable that tells `src/embedded.rs` where the file is.
    file_variable: &'static str,
}

const PARTS: [Part; 2] = [
    Part {
        package: "root",
        binary: "skiff-kernel",
        override_variable: "SKIFF_KERNEL",
        file_variable: "SKIFF_KERNEL_FILE",
    },
    Part { package: "boot", binary: "boot", override_variable: "SKIFF_BOOT", file_variable: "SKIFF_BOOT_FILE" },
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for part in PARTS {
        if let Err(why) = embed(&part) {
            println!("cargo::error={} cannot be embedded: {why}", part.binary);
        }
    }
}

/// Makes one binary, cuts it and names it to the compiler.
fn embed(part: &Part) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={}", part.override_variable);
    let file = match env::var_os(part.override_variable) {
        Some(file) => watched(PathBuf::from(file)),
        None => build(part)?,
    };
    let bytes = fs::read(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    let cut = loaded_part(&bytes).map_err(|why| format!("{}: {why}", file.display()))?;
    if part.package == "root" && cut.len() > KERNEL_MAX {
        return Err(format!("{} bytes are more than the {KERNEL_MAX} allowed", cut.len()));
    }
    write_embedded(part.binary, part.file_variable, &cut)?;
    if part.package == "root" {
        let (table, names) = symbols(&bytes).unwrap_or_default();
        write_embedded("kernel.symtab", "SKIFF_SYMTAB_FILE", table)?;
        write_embedded("kernel.strtab", "SKIFF_STRTAB_FILE", names)?;
    }
    Ok(())
}

/// Writes a file for `include_bytes!` and names it in an environment variable of the compiler.
fn write_embedded(name: &str, variable_name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = variable("OUT_DIR")?.join(name);
    fs::write(&file, bytes).map_err(|why| format!("{}: {why}", file.display()))?;
    println!("cargo::rustc-env={variable_name}={}", file.display());
    Ok(())
}

/// Runs the nested cargo and returns the binary's path.
fn build(part: &Part) -> Result<PathBuf, String> {
    let root = workspace()?;
    let target_folder = variable("OUT_DIR")?.join("nested");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(&root).args(["build", "--release", "--locked", "--quiet", "--target", TARGET]);
    cargo.args(["--package", part.package, "--bin", part.binary, "--target-dir"]).arg(&target_folder);
    clean_environment(&mut cargo);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&root, &target_folder)?.join("\x1f"));
    let output = cargo.output().map_err(|why| format!("cargo did not start: {why}"))?;
    let binary = target_folder.join(TARGET).join("release").join(part.binary);
    if !output.status.success() {
        KERNEL_SIDE.iter().for_each(|path| drop(watched(root.join(path))));
        let words = String::from_utf8_lossy(&output.stderr).replace('\n', "\ncargo::error=");
        return Err(format!(
            "package '{}' did not build (set {} to a finished file to go on without it):\ncargo::error={words}",
            part.package, part.override_variable
        ));
    }
    watch_sources(&root, &binary)?;
    Ok(binary)
}

/// Takes away what the outer cargo sets for its own build; what is needed to find cargo and rustc stays.
fn clean_environment(cargo: &mut Command) {
    const KEPT: [&str; 2] = ["CARGO_HOME", "CARGO_NET_OFFLINE"];
    const TAKEN: [&str; 12] = [
        "RUSTFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTDOCFLAGS",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let cargos = text.starts_with("CARGO") || text.starts_with("DEP_");
        if (cargos && !KEPT.contains(&text.as_ref())) || TAKEN.contains(&text.as_ref()) {
            cargo.env_remove(&name);
        }
    }
}

/// The flags that `.cargo/config.toml` gives for the target, and the mapping of this computer's paths.
fn flags(root: &Path, target_folder: &Path) -> Result<Vec<String>, String> {
    let file = watched(root.join(".cargo/config.toml"));
    let text = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    let section = text.split_once(&format!("[target.{TARGET}]")).map(|(_, section)| section);
    let list =
        section.and_then(|section| section.split_once("rustflags = [")).and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.ok_or_else(|| format!("{} has no rustflags for {TARGET}", file.display()))?;
    let mut flags: Vec<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    // Later mappings win, and the target folder may lie inside the workspace.
    let mapped = [(home, "/cargo"), (Some(root.to_owned()), "/skiff"), (Some(target_folder.to_owned()), "/target")];
    for (from, to) in mapped {
        let from = from.ok_or("neither CARGO_HOME nor HOME is set")?;
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    Ok(flags)
}

/// Watches exactly what went into the binary: the sources that rustc lists, and the manifests beside them.
fn watch_sources(root: &Path, binary: &Path) -> Result<(), String> {
    let list = binary.with_extension("d");
    let text = fs::read_to_string(&list).map_err(|why| format!("{}: {why}", list.display()))?;
    let mut files: BTreeSet<PathBuf> = ["Cargo.toml", "Cargo.lock"].map(|name| root.join(name)).into();
    // Blanks inside a path are written with a backslash.
    let text = text.replace("\\ ", "\0");
    for source in text.split_whitespace().skip(1).map(|path| PathBuf::from(path.replace('\0', " "))) {
        let manifest = source.ancestors().skip(1).map(|folder| folder.join("Cargo.toml")).find(|path| path.is_file());
        files.extend(manifest);
        files.insert(source);
    }
    files.into_iter().for_each(|file| drop(watched(file)));
    Ok(())
}

/// The file up to the end of its last segment, without section headers: symbols and debug lines stand behind that.
fn loaded_part(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let elf = Elf::parse(bytes).map_err(|why| why.to_string())?;
    let headers = elf.headers();
    let kept = |kind| matches!(kind, SegmentKind::Load | SegmentKind::Note);
    let segments = headers.segments().filter(|segment| kept(segment.kind));
    let end = segments.map(|segment| segment.file_range().end).chain([headers.table_range().end]).max();
    let end = usize::try_from(end.unwrap_or(0)).map_err(|why| why.to_string())?;
    let mut cut = bytes.get(..end).ok_or("a segment lies outside the file")?.to_vec();
    // ELF64 header: e_shoff at 40; e_shnum and e_shstrndx at 60.
    for range in [40..48, 60..64] {
        cut.get_mut(range).ok_or("the file ends within its header")?.fill(0);
    }
    Ok(cut)
}

/// The symbol table of an ELF64 file and its names; `None` if it was stripped (System V gABI, "Sections").
fn symbols(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const SHT_SYMTAB: u64 = 2;
    const HEADER_BYTES: u64 = 64;
    let number = |at: u64, len: u64| {
        let field = bytes.get(usize::try_from(at).ok()?..usize::try_from(at + len).ok()?)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (start, count) = (number(40, 8)?, number(60, 2)?);
    let contents = |header: u64| {
        let (offset, len) = (number(header + 24, 8)?, number(header + 32, 8)?);
        bytes.get(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(len)?).ok()?)
    };
    let mut headers = (0..count).map(|index| start + index * HEADER_BYTES);
    let table = headers.find(|header| number(header + 4, 4) == Some(SHT_SYMTAB))?;
    let names = start + number(table + 40, 4)? * HEADER_BYTES;
    Some((contents(table)?, contents(names)?))
}

fn watched(path: PathBuf) -> PathBuf {
    println!("cargo::rerun-if-changed={}", path.display());
    path
}

fn workspace() -> Result<PathBuf, String> {
    let folder = variable("CARGO_MANIFEST_DIR")?;
    folder.parent().map(Path::to_owned).ok_or_else(|| "imagegen lies outside its workspace".to_owned())
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {name}"))
}
