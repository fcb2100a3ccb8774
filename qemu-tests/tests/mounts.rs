//! What a program does in a mounted folder is seen on this computer, and the other way round.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use qemu_tests::build::{Link, app, c_program};
use qemu_tests::vm::Run;

/// How long the program may take for its changes.
const LIMIT: Duration = Duration::from_secs(60);

/// What `apps/host-folder` prints before it waits.
const REPORT: &str = "from-host.txt: host
gone: No such file or directory
rmdir: Directory not empty
link: folder/inside.txt
link: deep
created: 100600 17
target.txt: new
large: 3147975
room: yes
entries: 10
ready
";

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// The bytes that `apps/host-folder` writes to `large.bin`, blocks of 12345 up to the first end beyond 3 MiB.
fn large() -> Vec<u8> {
    let len = (3_usize << 20).div_ceil(12345) * 12345;
    (0..len).map(|offset| ((offset * 31) >> 3) as u8).collect()
}

#[test]
fn changes_of_the_guest_are_seen_on_this_computer() {
    let (build, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = folder.path();
    fs::write(here.join("from-host.txt"), "host").unwrap();
    let program = c_program(&app("host-folder/main.c"), Link::GlibcStatic, &[], build.path());
    let vm = Run::new(&program).mount(here, "/data").start().unwrap();
    let ready = vm.words.stdout.wait_for("ready\n", LIMIT);
    assert!(ready, "{}", vm.words.report());
    assert_eq!(vm.words.stdout.text(), REPORT);
    assert_eq!(text(here, "created.txt"), "made in the guest");
    assert_eq!(here.join("created.txt").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(text(here, "from-host.txt"), "host and more");
    assert_eq!(text(here, "shortened.txt"), "0123");
    assert_eq!(text(here, "näme neu.txt"), "renamed");
    assert_eq!(text(here, "folder/inside.txt"), "deep");
    assert_eq!(fs::read_link(here.join("link")).unwrap(), Path::new("folder/inside.txt"));
    assert_eq!(text(here, "target.txt"), "new");
    for gone in ["gone.txt", "old name.txt", "empty", "source.txt"] {
        assert!(!here.join(gone).exists(), "{gone}");
    }
    assert!(fs::read(here.join("large.bin")).unwrap() == large(), "large.bin differs");
    fs::write(here.join(".answer"), "seen").unwrap();
    fs::rename(here.join(".answer"), here.join("answer.txt")).unwrap();
    let end = vm.end().unwrap();
    assert_eq!(end.success(), format!("{REPORT}answer.txt: seen\n"));
}

#[test]
fn several_folders_are_mounted_and_one_of_them_only_for_reading() {
    let build = tempfile::tempdir().unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(first.path().join("a.txt"), "first").unwrap();
    fs::write(second.path().join("a.txt"), "second").unwrap();
    let program = c_program(&app("read-only/main.c"), Link::GlibcStatic, &[], build.path());
    let run = Run::new(&program).mount(first.path(), "/one").mount(second.path(), "/deep/two:ro");
    let expected = "/one/a.txt: first\n/deep/two/a.txt: second\ncreate: Read-only file system\n\
                    write: Read-only file system\nmkdir: Read-only file system\nunlink: Read-only file system\n\
                    rename: Read-only file system\ntruncate: Read-only file system\naccess: Read-only file system\n\
                    beside: ok\nacross: Invalid cross-device link\n";
    assert_eq!(run.to_end().unwrap().success(), expected);
    assert_eq!(fs::read_dir(second.path()).unwrap().count(), 1);
    assert_eq!(text(second.path(), "a.txt"), "second");
    assert_eq!(text(first.path(), "b.txt"), "beside");
}
