//! Machines that speak through the UART: kernels of one feature each, and plain disk images.
//!
//! A test kernel prints to COM1 and leaves through isa-debug-exit: 0x10 there, which is QEMU's status 33, means that
//! all its checks passed; anything else, or no end, means that they did not.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use imagegen::qemu;

/// QEMU's status when a kernel wrote 0x10 to isa-debug-exit.
pub const PASSED: i32 = 33;

/// How a machine ended.
#[derive(Debug)]
pub struct SerialEnd {
    /// QEMU's exit status; `None` when it was ended because of the time.
    pub status: Option<i32>,
    /// What came out of COM1.
    pub text: String,
    /// QEMU's own words.
    pub qemu_words: String,
}

impl SerialEnd {
    /// Fails the test unless the kernel reported success.
    ///
    /// # Panics
    /// When it did not; the message shows what it printed.
    pub fn expect_passed(&self) {
        let text = &self.text;
        assert_eq!(
            self.status,
            Some(PASSED),
            "the kernel did not pass\n--- COM1\n{text}\n--- QEMU\n{}",
            self.qemu_words
        );
    }
}

/// Boots a kernel directly on microvm, with `words` as its command line and `extra` QEMU arguments.
pub fn run_kernel(kernel: &Path, words: &str, extra: &[&str], limit: Duration) -> SerialEnd {
    let mut arguments: Vec<OsString> = ["-machine", "microvm,acpi=off,rtc=on", "-cpu", "max"].map(Into::into).into();
    arguments.extend(["-global", "virtio-mmio.force-legacy=false", "-m", "128M"].map(OsString::from));
    arguments.extend(["-append".into(), words.into(), "-kernel".into(), kernel.as_os_str().to_owned()]);
    arguments.extend(extra.iter().map(OsString::from));
    run(&arguments, limit)
}

/// Boots a disk image through the BIOS of a plain PC; a second `-cpu` or `-m` in `extra` wins.
pub fn run_disk(image: &Path, extra: &[&str], limit: Duration) -> SerialEnd {
    let mut drive = OsString::from("format=raw,if=virtio,file=");
    drive.push(image);
    let mut arguments = vec![OsString::from("-drive"), drive];
    arguments.extend(extra.iter().map(OsString::from));
    run(&arguments, limit)
}

/// Runs QEMU with these arguments and a UART, debug exit and no display; ends it after `limit`.
///
/// # Panics
/// When QEMU is missing or cannot be started.
pub fn run(arguments: &[OsString], limit: Duration) -> SerialEnd {
    let program = qemu::find().unwrap_or_else(|why| panic!("{why}"));
    let mut child = Command::new(program)
        .args(["-accel", &crate::accel(), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0x501,iosize=2"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("QEMU did not start: {why}"));
    let (sender, ended) = mpsc::channel();
    let stdout = child.stdout.take().map(|pipe| collect(pipe, Some(sender)));
    let stderr = child.stderr.take().map(|pipe| collect(pipe, None));
    // The end of its output is the end of QEMU; a timeout is the only other way out of this wait.
    let in_time = ended.recv_timeout(limit) != Err(mpsc::RecvTimeoutError::Timeout);
    if !in_time {
        // It fails only when QEMU ended just now.
        let _ = child.kill();
    }
    let status = child.wait().ok().and_then(|status| status.code());
    let text = |thread: Option<thread::JoinHandle<Vec<u8>>>| {
        let bytes = thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    SerialEnd { status: status.filter(|_| in_time), text: text(stdout), qemu_words: text(stderr) }
}

/// Reads to the end in a thread; dropping `ended` tells that the end was reached.
fn collect(mut pipe: impl Read + Send + 'static, ended: Option<mpsc::Sender<()>>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        drop(ended);
        bytes
    })
}
