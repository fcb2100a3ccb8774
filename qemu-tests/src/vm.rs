//! A Linux program as a virtual machine: started, talked to, and seen to its end.
//!
//! [`Run`] collects what `imagegen run` takes; [`Run::to_end`] waits for the program's end, [`Run::start`] gives a
//! [`Vm`] to talk to meanwhile. Both go through imagegen's library, so the tests see what its users get.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use imagegen::cli::Options;
use imagegen::commands;
use imagegen::error::{Error, OWN_FAILURE, Result};
use imagegen::interrupt::Interrupts;
use imagegen::qemu::process::Outcome;
use imagegen::qemu::streams::{Input, Streams, private_folder};

/// How long a machine may run unless a test says otherwise; generous, because TCG on a busy computer is slow.
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// Bytes that arrive while somebody may be waiting for them; clones share them.
#[derive(Clone, Default)]
pub struct Captured(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Captured {
    /// What has arrived so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().map(|bytes| bytes.clone()).unwrap_or_default()
    }

    /// The same as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `text` has arrived; whether it did within `limit`.
    pub fn wait_for(&self, text: &str, limit: Duration) -> bool {
        let missing = |bytes: &mut Vec<u8>| !bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let Ok(bytes) = self.0.0.lock() else { return false };
        let waited = self.0.1.wait_timeout_while(bytes, limit, missing);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.0.lock().map_err(|_| io::ErrorKind::BrokenPipe)?;
        all.extend_from_slice(bytes);
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The streams of one machine.
#[derive(Clone, Default)]
pub struct Words {
    /// The program's standard output.
    pub stdout: Captured,
    /// The program's standard error.
    pub stderr: Captured,
    /// Skiff's log.
    pub log: Captured,
    /// The UART: boot errors and crash reports.
    pub uart: Captured,
}

impl Words {
    fn streams(&self, stdin: Vec<u8>) -> Streams {
        Streams {
            stdin: Input::Bytes(stdin),
            stdout: Box::new(self.stdout.clone()),
            stderr: Box::new(self.stderr.clone()),
            log: Box::new(self.log.clone()),
            uart: Box::new(self.uart.clone()),
        }
    }

    /// Everything, for the message of a failed test.
    pub fn report(&self) -> String {
        let streams = [("stdout", &self.stdout), ("stderr", &self.stderr), ("log", &self.log), ("uart", &self.uart)];
        streams.map(|(name, captured)| format!("--- {name}\n{}\n", captured.text())).concat()
    }
}

/// What to run, and how.
#[derive(Clone)]
pub struct Run {
    words: Vec<OsString>,
    arguments: Vec<OsString>,
    stdin: Vec<u8>,
    limit: Duration,
    existing: Option<PathBuf>,
}

impl Run {
    /// Runs `program` with the defaults of `imagegen run`, on the tests' accelerator.
    pub fn new(program: &Path) -> Run {
        let words = vec![program.as_os_str().to_owned(), "--accel".into(), crate::accel().into()];
        Run { words, arguments: Vec::new(), stdin: Vec::new(), limit: DEFAULT_LIMIT, existing: None }
    }

    /// Adds options as on the command line: `.options(&["-m", "64M"])`.
    pub fn options(mut self, words: &[&str]) -> Run {
        self.words.extend(words.iter().map(OsString::from));
        self
    }

    /// Mounts a folder: `.mount(folder, "/data:ro")`.
    pub fn mount(mut self, host: &Path, guest: &str) -> Run {
        let mut word = host.as_os_str().to_owned();
        word.push(":");
        word.push(guest);
        self.words.extend(["--mount".into(), word]);
        self
    }

    /// Forwards a port of this computer to one of the guest.
    pub fn port(self, host: u16, guest: u16) -> Run {
        self.options(&["-p", &format!("{host}:{guest}")])
    }

    /// The program's arguments.
    pub fn arguments(mut self, words: &[&str]) -> Run {
        self.arguments.extend(words.iter().map(OsString::from));
        self
    }

    /// The program's standard input, followed by its end.
    pub fn stdin(mut self, bytes: &[u8]) -> Run {
        self.stdin = bytes.to_vec();
        self
    }

    /// How long the machine may run.
    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// Boots this image, made by an earlier run with `-o`, instead of writing one.
    pub fn existing_image(mut self, image: &Path) -> Run {
        self.existing = Some(image.to_owned());
        self
    }

    /// Runs the program to its end. Errors: those of `imagegen run`.
    pub fn to_end(self) -> Result<End> {
        self.start()?.end()
    }

    /// Starts the machine and returns at once. Errors: wrong options.
    pub fn start(self) -> Result<Vm> {
        let separator = (!self.arguments.is_empty()).then(|| OsString::from("--"));
        let words = self.words.into_iter().chain(separator).chain(self.arguments);
        let options = Options::from_words(words).map_err(|why| Error::Option {
            option: "imagegen run".to_owned(),
            why,
            fix: "correct the test".to_owned(),
        })?;
        let words = Words::default();
        let interrupts = Interrupts::default();
        let streams = words.streams(self.stdin);
        let (signals, existing, limit) = (interrupts.clone(), self.existing, Some(self.limit));
        let started = Instant::now();
        let machine = thread::spawn(move || match existing {
            None => commands::boot(&options, streams, &signals, limit),
            Some(image) => commands::boot_image(&options, &image, private_folder()?, streams, &signals, limit),
        });
        Ok(Vm { words, interrupts, started, machine: Some(machine) })
    }
}

/// A running machine; ended when dropped.
pub struct Vm {
    /// Its streams.
    pub words: Words,
    interrupts: Interrupts,
    started: Instant,
    machine: Option<JoinHandle<Result<Outcome>>>,
}

impl Vm {
    /// Waits until the program has printed `text` on its standard output.
    ///
    /// # Panics
    /// When it has not after `limit`; the message shows all streams.
    pub fn expect_stdout(&self, text: &str, limit: Duration) {
        let seen = self.words.stdout.wait_for(text, limit);
        assert!(seen, "'{text}' did not appear on stdout within {limit:?}\n{}", self.words.report());
    }

    /// Sends what Ctrl-C sends: once asks the program to end, twice ends the machine.
    pub fn interrupt(&self) {
        self.interrupts.raise();
    }

    /// Asks the program to end and waits for it. Errors: those of `imagegen run`.
    pub fn stop(self) -> Result<End> {
        self.interrupt();
        self.end()
    }

    /// Waits for the program's end. Errors: those of `imagegen run`.
    pub fn end(mut self) -> Result<End> {
        let machine = self.machine.take();
        let outcome = machine.and_then(|machine| machine.join().ok()).ok_or_else(|| Error::Machine {
            why: "the thread that watched the machine panicked".to_owned(),
            fix: "see its message".to_owned(),
        })??;
        Ok(End { words: self.words.clone(), outcome, took: self.started.elapsed() })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if let Some(machine) = self.machine.take() {
            self.interrupt();
            self.interrupt();
            drop(machine.join());
        }
    }
}

/// How a machine ended.
pub struct End {
    /// Its streams.
    pub words: Words,
    /// Status and circumstances.
    pub outcome: Outcome,
    /// From the start of imagegen to the end of QEMU.
    pub took: Duration,
}

impl End {
    /// The exit status that `imagegen run` would have had.
    ///
    /// # Panics
    /// When the machine ended without one; the message shows all streams.
    pub fn status(&self) -> u8 {
        match self.outcome.exit_status() {
            Ok(status) => status,
            Err(why) => panic!("{why}\n{}", self.words.report()),
        }
    }

    /// What Skiff said about a machine that it could not run: its own words and those of imagegen.
    ///
    /// # Panics
    /// When the machine did not end with status 125; the message shows all streams.
    pub fn refusal(&self) -> String {
        let (status, why) = match self.outcome.exit_status() {
            Ok(status) => (status, String::new()),
            Err(why) => (why.status(), why.to_string()),
        };
        assert_eq!(status, OWN_FAILURE, "status {status} {why}\n{}", self.words.report());
        format!("{}{}{why}", self.words.log.text(), self.words.uart.text())
    }

    /// The program's standard output as text, after a look at its status.
    ///
    /// # Panics
    /// When the program did not end with status 0; the message shows all streams.
    pub fn success(&self) -> String {
        let status = self.status();
        assert_eq!(status, 0, "the program ended with status {status}\n{}", self.words.report());
        self.words.stdout.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_the_text_is_there_even_if_it_came_in_pieces() {
        let mut captured = Captured::default();
        let reader = captured.clone();
        let waiting = thread::spawn(move || reader.wait_for("ready", Duration::from_secs(10)));
        captured.write_all(b"rea").unwrap();
        captured.write_all(b"dy\n").unwrap();
        assert!(waiting.join().unwrap());
        assert!(!captured.wait_for("never", Duration::from_millis(10)));
    }

    #[test]
    fn a_wrong_option_is_an_error_and_starts_nothing() {
        assert!(Run::new(Path::new("app")).options(&["-p", "none"]).start().is_err());
    }
}
