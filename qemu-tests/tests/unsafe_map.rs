//! Where `unsafe` may be: in three crates, and nowhere else. And servers keep no state outside their tasks.
//!
//! The compiler enforces `forbid(unsafe_code)`; this test sees to it that the line is there in every library, program
//! and build script. It reads the sources as text and knows just enough of the language for that.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{MetadataCommand, Package, Target};

/// Folders whose crates may contain `unsafe`; each audits it in its own documentation.
const UNSAFE: [&str; 3] = ["microkernel", "servers/virtio", "loader/boot"];

/// Test kernels that stand in for the microkernel, or fault on purpose, and hence contain machine code of their own.
const BARE_KERNELS: [&str; 4] = [
    "qemu-tests/kernels/bios-hello",
    "qemu-tests/kernels/crash",
    "qemu-tests/kernels/tasks",
    "qemu-tests/kernels/traps",
];

/// The line that keeps `unsafe` out.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// Crates below here run as tasks; their state lives in their arenas.
const SERVERS: &str = "servers/";

/// Server-side folders whose state need not die with a task: the one that owns device memory, the composition of the
/// kernel, and the front end, with which the VM ends.
const NEVER_RESTARTED: [&str; 3] = ["servers/virtio", "servers/root", "servers/linux"];

/// Types that make a `static` mutable although it is not called so.
const INTERIOR: [&str; 11] = [
    "Cell<",
    "RefCell<",
    "UnsafeCell<",
    "OnceCell<",
    "OnceLock<",
    "LazyLock<",
    "LazyCell<",
    "Mutex<",
    "RwLock<",
    "Once<",
    "Atomic",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is above this crate")
}

fn packages() -> Vec<(String, Package)> {
    let root = workspace();
    let metadata = MetadataCommand::new().no_deps().manifest_path(root.join("Cargo.toml")).exec();
    let packages = metadata.expect("cargo metadata works in a workspace").packages;
    let with_folder = packages.into_iter().map(|package| {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        let folder = folder.strip_prefix(&root).expect("members lie in the workspace");
        (folder.to_string_lossy().into_owned(), package)
    });
    with_folder.collect()
}

/// Every Rust file below a folder, crates in subfolders left out.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("source folders can be read");
    for path in entries.map(|entry| entry.expect("source folders can be read").path()) {
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a file without comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines =
        text.lines().enumerate().map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()));
    lines.filter(|(_, line)| !line.trim().is_empty())
}

/// The statics with a changeable value in a file, as `line: text`.
///
/// A declaration may span lines up to its `=`; statics in test modules at the end of a file count as well.
fn mutable_statics(text: &str) -> Vec<String> {
    let lines: Vec<(usize, &str)> = code_lines(text).collect();
    let mut found = Vec::new();
    for (index, (number, line)) in lines.iter().enumerate() {
        let words = line.trim_start();
        let words = words.strip_prefix("pub").map_or(words, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
        if !words.starts_with("static ") && !words.starts_with("thread_local!") {
            continue;
        }
        let rest = lines.get(index..).unwrap_or_default().iter().map(|(_, line)| *line);
        let mut declaration = String::new();
        for line in rest {
            declaration += line;
            if line.contains('=') || line.contains(';') {
                break;
            }
        }
        let kind = declaration.split(" = ").next().unwrap_or_default();
        let changeable = words.starts_with("static mut ") || INTERIOR.iter().any(|name| kind.contains(name));
        if changeable || words.starts_with("thread_local!") {
            found.push(format!("{number}: {}", line.trim()));
        }
    }
    found
}

/// Libraries, programs and build scripts of a package; tests are left to their authors.
fn root_files(package: &Package) -> impl Iterator<Item = &Target> {
    package.targets.iter().filter(|target| !target.is_test() && !target.is_bench() && !target.is_example())
}

fn may_be_unsafe(folder: &str) -> bool {
    UNSAFE.contains(&folder) || BARE_KERNELS.contains(&folder)
}

#[test]
fn every_crate_root_but_those_of_three_crates_forbids_unsafe_code() {
    let mut without = Vec::new();
    for (folder, package) in packages().iter().filter(|(folder, _)| !may_be_unsafe(folder)) {
        for target in root_files(package) {
            let text = fs::read_to_string(&target.src_path).expect("crate roots can be read");
            if !text.contains(FORBID) {
                without.push(format!("{folder}: {}", target.src_path));
            }
        }
    }
    assert!(without.is_empty(), "crate roots without {FORBID}: {without:#?}");
}

#[test]
fn the_three_crates_say_why_at_each_unsafe_block() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the manifest can be read");
    assert!(manifest.contains("undocumented_unsafe_blocks = \"deny\""));
    assert!(manifest.contains("unsafe_op_in_unsafe_fn = \"deny\""));
    for (folder, package) in packages() {
        let text = fs::read_to_string(&package.manifest_path).expect("manifests can be read");
        assert!(text.contains("[lints]\nworkspace = true"), "{folder} does not take the workspace's lints");
    }
}

#[test]
fn servers_have_no_mutable_statics() {
    let mut found = Vec::new();
    let is_task = |folder: &str| folder.starts_with(SERVERS) && !NEVER_RESTARTED.contains(&folder);
    for (folder, _) in packages().iter().filter(|(folder, _)| is_task(folder)) {
        let mut files = Vec::new();
        sources(&workspace().join(folder), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("sources can be read");
            let name = file.strip_prefix(workspace()).unwrap_or(&file).display().to_string();
            found.extend(mutable_statics(&text).into_iter().map(|line| format!("{name}:{line}")));
        }
    }
    assert!(found.is_empty(), "state outside a task's arena: {found:#?}");
}

#[test]
fn changeable_statics_are_recognised_and_constant_ones_are_not() {
    let changeable =
        ["static mut A: u8 = 0;", "pub(crate) static B: Mutex<u8> = Mutex::new(0);", "static C:\n  AtomicU8 = x;"];
    for text in changeable {
        assert_eq!(mutable_statics(text).len(), 1, "{text}");
    }
    for text in ["static A: &str = \"Mutex<\";", "// static mut A: u8", "fn f(a: &'static Mutex<u8>) {}"] {
        assert!(mutable_statics(text).is_empty(), "{text}");
    }
}
