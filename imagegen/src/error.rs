//! Everything that can go wrong before the program runs, as one sentence with its fix.
//!
//! A [`Error`] is shown to a person on stderr and nowhere else, so each variant carries the words that person needs:
//! the name of the thing and what to do about it. [`Error::status`] is the exit status that goes with it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Exit status of Skiff's own failures; the program's statuses pass through unchanged.
pub const OWN_FAILURE: u8 = 125;

/// Exit status after Ctrl-C while no program was running yet (128 + SIGINT).
const INTERRUPTED: u8 = 130;

/// Result of every step of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why no image was written or no machine was booted.
#[derive(Debug)]
pub enum Error {
    /// The program is not a file that Skiff can run; `fix` says what would be.
    Program {
        /// The file as the user named it.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        fix: String,
    },
    /// A shared library or program interpreter that is not on this computer.
    MissingLibrary {
        /// Library name or interpreter path, as the needing file spells it.
        name: String,
        /// The file that asks for it.
        needed_by: PathBuf,
        /// Folders that were searched, in order.
        searched: Vec<PathBuf>,
    },
    /// An option that cannot be honoured although it could be read.
    Option {
        /// The option with its value.
        option: String,
        /// What is wrong.
        why: String,
        /// What to do.
        fix: String,
    },
    /// Two different files are to stand at one path of the guest.
    GuestPathTaken {
        /// The contested path.
        guest: String,
        /// What stood there first and what came second.
        contenders: (String, String),
    },
    /// A host port that another program listens on.
    PortInUse {
        /// `address:port/protocol`.
        port: String,
        /// The system's words.
        why: io::Error,
    },
    /// QEMU is not installed, or not where `PATH` leads.
    NoQemu,
    /// `--accel kvm` on a computer where KVM cannot run the kernel.
    NoKvm {
        /// What the probe saw.
        why: String,
    },
    /// The disk is full.
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
    },
    /// A file or folder of the host could not be used.
    Host {
        /// What was being done, e.g. "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
    /// The file system or the boot part of the image could not be built.
    Volume {
        /// The builder's words.
        why: String,
        /// What to do.
        fix: String,
    },
    /// The machine ended without having said how the program ended.
    Machine {
        /// What was seen.
        why: String,
        /// What to do.
        fix: String,
    },
    /// A signal ended the work.
    Interrupted,
}

impl Error {
    /// The exit status of a process that fails with this error.
    pub fn status(&self) -> u8 {
        match self {
            Error::Interrupted => INTERRUPTED,
            _ => OWN_FAILURE,
        }
    }

    /// Wraps an I/O error on `path`; `action` is a verb such as "read" or "write".
    ///
    /// A full disk becomes [`Error::DiskFull`], whatever was being done.
    pub fn host(action: &'static str, path: &Path, why: io::Error) -> Error {
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path: path.to_owned() },
            _ => Error::Host { action, path: path.to_owned(), why },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Program { path, why, fix } => write!(f, "{}: {why}; {fix}", path.display()),
            Error::MissingLibrary { name, needed_by, searched } => {
                write!(f, "{} needs {name}, which is not on this computer", needed_by.display())?;
                write_searched(f, searched)?;
                write!(f, "; install the package that has it, or link the program statically")
            }
            Error::Option { option, why, fix } => write!(f, "{option}: {why}; {fix}"),
            Error::GuestPathTaken { guest, contenders: (first, second) } => {
                write!(f, "both {first} and {second} are to be {guest} in the image; give one of them another path")
            }
            Error::PortInUse { port, why } => {
                write!(
                    f,
                    "cannot listen on {port} ({why}); stop the program that uses it, or give another port with -p"
                )
            }
            Error::NoQemu => {
                write!(f, "qemu-system-x86_64 was not found; install it: sudo apt-get install qemu-system-x86")
            }
            Error::NoKvm { why } => {
                write!(f, "KVM cannot run the kernel here ({why}); use --accel tcg or --accel auto")
            }
            Error::DiskFull { path } => {
                write!(
                    f,
                    "the disk is full while writing {}; free some space or use -o with another disk",
                    path.display()
                )
            }
            Error::Host { action, path, why } => {
                write!(f, "cannot {action} {} ({why}); check the path and its permissions", path.display())
            }
            Error::Volume { why, fix } => write!(f, "the image could not be built: {why}; {fix}"),
            Error::Machine { why, fix } => write!(f, "{why}; {fix}"),
            Error::Interrupted => write!(f, "interrupted; nothing was left behind"),
        }
    }
}

impl std::error::Error for Error {}

/// Lists the searched folders in brackets, when there are any.
fn write_searched(f: &mut fmt::Formatter<'_>, searched: &[PathBuf]) -> fmt::Result {
    if searched.is_empty() {
        return Ok(());
    }
    let folders: Vec<String> = searched.iter().map(|folder| folder.display().to_string()).collect();
    write!(f, " (searched {})", folders.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_names_who_needs_it_and_where_it_was_sought() {
        let error = Error::MissingLibrary {
            name: "libnot.so.1".into(),
            needed_by: "app".into(),
            searched: vec!["/lib".into(), "/usr/lib".into()],
        };
        let text = error.to_string();
        assert!(text.starts_with("app needs libnot.so.1"), "{text}");
        assert!(text.contains("(searched /lib, /usr/lib)"), "{text}");
        assert_eq!(error.status(), 125);
    }

    #[test]
    fn a_full_disk_is_named_whatever_was_being_done() {
        let error = Error::host("copy", Path::new("app.img"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(error, Error::DiskFull { .. }));
    }

    #[test]
    fn ctrl_c_has_the_status_that_a_shell_expects() {
        assert_eq!(Error::Interrupted.status(), 130);
    }
}
