//! KVM or TCG? KVM only after it was seen to run our kernel.
//!
//! `/dev/kvm` may be there and still be of no use: forbidden, without 64-bit guests, or nested in a machine that
//! cannot run ring 0. So the probe boots the real kernel with the word [`PROBE_WORD`], upon which it leaves at once
//! through the debug port. The answer is not kept anywhere.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Accel;
use crate::error::{Error, Result};

/// Kernel command-line word that makes the kernel leave at once with [`PROBE_STATUS`].
pub const PROBE_WORD: &str = "skiff.probe";

/// QEMU's exit status when the kernel wrote 0x10 to isa-debug-exit.
const PROBE_STATUS: i32 = 33;

/// How long the probe may take; a working KVM needs some tens of milliseconds.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// How often a probe is looked at.
const PROBE_STEP: Duration = Duration::from_millis(5);

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// QEMU's name of the accelerator.
    pub accel: &'static str,
    /// One phrase for `-v`.
    pub why: String,
}

/// Decides for `wanted`; `kernel` is a file with the embedded kernel. Errors: [`Error::NoKvm`] when KVM was demanded.
pub fn decide(wanted: Accel, qemu: &Path, kernel: &Path) -> Result<Decision> {
    if wanted == Accel::Tcg {
        return Ok(Decision { accel: "tcg", why: "as asked for".to_owned() });
    }
    match (probe(qemu, kernel), wanted) {
        (Ok(()), _) => Ok(Decision { accel: "kvm", why: "the kernel ran under it".to_owned() }),
        (Err(why), Accel::Kvm) => Err(Error::NoKvm { why }),
        (Err(why), _) => Ok(Decision { accel: "tcg", why: format!("no KVM: {why}") }),
    }
}

/// Boots the kernel under KVM; the error says what went wrong.
fn probe(qemu: &Path, kernel: &Path) -> std::result::Result<(), String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    device.map_err(|why| format!("/dev/kvm cannot be opened: {why}"))?;
    let child = Command::new(qemu)
        .args(probe_arguments(kernel))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|why| format!("QEMU did not start: {why}"))?;
    match wait(child, PROBE_LIMIT)? {
        Some(PROBE_STATUS) => Ok(()),
        Some(status) => Err(format!("a test boot ended with status {status}")),
        None => Err("a test boot did not end".to_owned()),
    }
}

fn probe_arguments(kernel: &Path) -> Vec<OsString> {
    let words = "-nodefaults -no-user-config -no-reboot -display none -machine microvm,acpi=off -accel kvm -cpu max \
                 -m 64M -device isa-debug-exit,iobase=0x501,iosize=2 -append";
    let mut arguments: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
    arguments.extend([OsString::from(PROBE_WORD), OsString::from("-kernel"), kernel.as_os_str().to_owned()]);
    arguments
}

/// Waits for the child to end and returns its status; one that takes longer is ended and gives `None`.
fn wait(mut child: Child, limit: Duration) -> std::result::Result<Option<i32>, String> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait().map_err(|why| why.to_string())? {
            return Ok(Some(status.code().unwrap_or(-1)));
        }
        thread::sleep(PROBE_STEP);
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn tcg_is_taken_without_a_probe() {
        let decision = decide(Accel::Tcg, Path::new("/no/qemu"), Path::new("/no/kernel")).unwrap();
        assert_eq!(decision.accel, "tcg");
    }

    #[test]
    fn a_probe_that_cannot_start_leads_to_tcg_or_to_an_error_when_kvm_was_demanded() {
        let (qemu, kernel) = (Path::new("/no/qemu"), Path::new("/no/kernel"));
        assert_eq!(decide(Accel::Auto, qemu, kernel).unwrap().accel, "tcg");
        assert!(matches!(decide(Accel::Kvm, qemu, kernel), Err(Error::NoKvm { .. })));
    }

    #[test]
    fn a_probe_that_hangs_is_ended() {
        assert_eq!(wait(shell("exit 33"), PROBE_LIMIT), Ok(Some(33)));
        assert_eq!(wait(shell("exec sleep 60"), Duration::from_millis(50)), Ok(None));
    }
}
