//! The example web servers in Rust and in Go, unmodified, with a folder of this computer that is edited meanwhile.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use qemu_tests::build::{available, go_program, rust_program};
use qemu_tests::http::{self, Session, percent_encode};
use qemu_tests::vm::{Run, Vm};
use qemu_tests::{free_port, workspace};
use tempfile::TempDir;

/// How long a server may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Bytes of the large file.
const LARGE_BYTES: usize = 20 * 1024 * 1024;

/// Status of a program that SIGTERM ended: 128 + 15.
const TERMINATED: u8 = 143;

/// A server in a machine, and the folder that it serves under `/static/`.
struct Served {
    vm: Vm,
    port: u16,
    folder: TempDir,
    _program: Option<TempDir>,
}

impl Served {
    /// The Rust server; it serves `/static` by itself.
    fn rust() -> Served {
        let program = rust_program(&workspace().join("examples/web-rust"), "x86_64-unknown-linux-musl");
        Served::start(&program, None)
    }

    /// The Go server; it serves `static` in its working directory, which is `/`. `None` where there is no Go.
    fn go() -> Option<Served> {
        if !available("go") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = go_program(&workspace().join("examples/web-go"), folder.path());
        Some(Served::start(&program, Some(folder)))
    }

    fn start(program: &Path, program_folder: Option<TempDir>) -> Served {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::write(folder.path().join("first.txt"), "first").unwrap();
        let run = Run::new(program).mount(folder.path(), "/static").port(port, 8080).limit(Duration::from_secs(240));
        let vm = run.start().unwrap();
        let served = Served { vm, port, folder, _program: program_folder };
        if let Err(why) = http::get_when_up(port, "/static/", START_LIMIT) {
            panic!("no answer: {why}\n{}", served.vm.words.report());
        }
        served
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Status and body of a file.
    fn get(&self, name: &str) -> (u16, Vec<u8>) {
        match http::get(self.port, &percent_encode(&format!("/static/{name}"))) {
            Ok(answer) => (answer.status, answer.body),
            Err(why) => panic!("{name}: {why}\n{}", self.vm.words.report()),
        }
    }

    /// Expects a file to have exactly this text.
    fn expect(&self, name: &str, text: &str) {
        let (status, body) = self.get(name);
        assert_eq!((status, String::from_utf8_lossy(&body).as_ref()), (200, text), "{name}");
    }

    fn expect_gone(&self, name: &str) {
        assert_eq!(self.get(name).0, 404, "{name}");
    }

    /// Expects a folder to list these names and not the others.
    fn expect_listed(&self, folder: &str, present: &[&str], absent: &[&str]) {
        let (status, body) = self.get(folder);
        let page = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{page}");
        for name in present {
            assert!(page.contains(&format!(">{name}</a>")), "{name} is missing in {page}");
        }
        for name in absent {
            assert!(!page.contains(&format!(">{name}</a>")), "{name} is still in {page}");
        }
    }

    /// Ctrl-C ends it as it ends on Linux.
    fn stop(self) {
        let end = self.vm.stop().unwrap();
        assert_eq!(end.status(), TERMINATED, "{}", end.words.report());
    }
}

/// Edits of single files, each seen by the next request.
fn edits_of_files_are_seen(served: &Served) {
    served.expect("first.txt", "first");
    served.write("first.txt", "FIRST");
    served.expect("first.txt", "FIRST");
    for turn in 0..20 {
        // Same length, and mostly within the same second.
        served.write("first.txt", format!("turn {turn:02}"));
        served.expect("first.txt", &format!("turn {turn:02}"));
    }
    served.write("first.txt", "a good deal longer than before");
    served.expect("first.txt", "a good deal longer than before");
    served.write("first.txt", "short");
    served.expect("first.txt", "short");
    fs::File::options().write(true).open(served.path("first.txt")).unwrap().set_len(2).unwrap();
    served.expect("first.txt", "sh");
    served.write("first.txt", "");
    served.expect("first.txt", "");
}

/// Files and folders that come, move and go.
fn edits_of_folders_are_seen(served: &Served) {
    served.expect_listed("", &["first.txt"], &["second.txt"]);
    served.expect_gone("second.txt");
    served.write("second.txt", "second");
    served.expect("second.txt", "second");
    served.expect_listed("", &["first.txt", "second.txt"], &[]);
    fs::rename(served.path("second.txt"), served.path("third.txt")).unwrap();
    served.expect_gone("second.txt");
    served.expect("third.txt", "second");
    served.expect_listed("", &["third.txt"], &["second.txt"]);
    // What most editors do: write beside, then rename over.
    served.write(".new", "third");
    fs::rename(served.path(".new"), served.path("third.txt")).unwrap();
    served.expect("third.txt", "third");
    fs::remove_file(served.path("third.txt")).unwrap();
    served.expect_gone("third.txt");
    served.expect_listed("", &[], &["third.txt"]);
    fs::create_dir_all(served.path("new folder/deeper")).unwrap();
    served.write("new folder/deeper/größe 你好.txt", "names");
    served.write("new folder/a name with blanks.txt", "blanks");
    served.expect_listed("", &["new folder/"], &[]);
    served.expect_listed("new folder/", &["deeper/", "a name with blanks.txt"], &[]);
    served.expect_listed("new folder/deeper/", &["größe 你好.txt"], &[]);
    served.expect("new folder/deeper/größe 你好.txt", "names");
    served.expect("new folder/a name with blanks.txt", "blanks");
    fs::remove_dir_all(served.path("new folder")).unwrap();
    served.expect_gone("new folder/a name with blanks.txt");
    served.expect_listed("", &[], &["new folder/"]);
}

/// Bytes without a pattern that a lost or doubled page would keep (xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}

/// A large file, and the same with one byte changed.
fn a_large_file_arrives_byte_for_byte(served: &Served) {
    let mut bytes = noise(LARGE_BYTES);
    for turn in 0..2 {
        bytes[LARGE_BYTES / 2 + turn] ^= 1;
        served.write("large.bin", &bytes);
        let (status, body) = served.get("large.bin");
        assert_eq!((status, body.len()), (200, bytes.len()));
        let wrong = body.iter().zip(&bytes).position(|(found, expected)| found != expected);
        assert_eq!(wrong, None, "first wrong byte, turn {turn}");
    }
}

/// Many connections one after the other, many requests on one, and many at once.
fn many_requests_are_answered(served: &Served) {
    let text = "x".repeat(10_000);
    served.write("page.txt", &text);
    for _ in 0..200 {
        served.expect("page.txt", &text);
    }
    let mut session = Session::open(served.port).unwrap();
    for turn in 0..100 {
        let answer = session.get("/static/page.txt").unwrap_or_else(|why| panic!("request {turn}: {why}"));
        assert_eq!((answer.status, answer.text() == text), (200, true), "request {turn}");
    }
    // QEMU's listening socket holds one connection that it has not taken yet, and Linux drops the SYNs of more: so they
    // open one after the other, and ask all at once.
    let sessions: Vec<Session> = (0..64)
        .map(|_| {
            thread::sleep(Duration::from_millis(10));
            Session::open(served.port).unwrap()
        })
        .collect();
    let (failures, start) = (Mutex::new(Vec::new()), Barrier::new(sessions.len()));
    thread::scope(|scope| {
        for (number, mut session) in sessions.into_iter().enumerate() {
            let (failures, text, start) = (&failures, &text, &start);
            scope.spawn(move || {
                start.wait();
                match session.get("/static/page.txt") {
                    Ok(answer) if answer.status == 200 && answer.text() == *text => {}
                    Ok(answer) => failures.lock().unwrap().push(format!("{number}: status {}", answer.status)),
                    Err(why) => failures.lock().unwrap().push(format!("{number}: {why}")),
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures:?}\n{}", served.vm.words.report());
}

#[test]
fn the_rust_server_shows_edits_at_once() {
    let served = Served::rust();
    edits_of_files_are_seen(&served);
    edits_of_folders_are_seen(&served);
    served.stop();
}

#[test]
fn the_rust_server_serves_a_large_file_and_many_requests() {
    let served = Served::rust();
    a_large_file_arrives_byte_for_byte(&served);
    many_requests_are_answered(&served);
    served.stop();
}

#[test]
fn the_go_server_shows_edits_at_once() {
    let Some(served) = Served::go() else { return };
    edits_of_files_are_seen(&served);
    edits_of_folders_are_seen(&served);
    fs::create_dir(served.path("home")).unwrap();
    served.write("home/index.html", "<h1>index</h1>");
    served.expect("home/", "<h1>index</h1>");
    served.stop();
}

#[test]
fn the_go_server_serves_a_large_file_and_many_requests() {
    let Some(served) = Served::go() else { return };
    a_large_file_arrives_byte_for_byte(&served);
    many_requests_are_answered(&served);
    served.stop();
}
