//! All that the program's threads share, reached by [`process`].

use crate::events::Events;
use crate::fs;
use crate::futex::Futexes;
use crate::identity::Identity;
use crate::mm::Mm;
use crate::remote::Remote;
use crate::report::Report;
use crate::signal::SharedSignals;
use crate::thread::Threads;
use crate::time::Times;
use alloc::vec::Vec;
use protocol::control::Control;
use spin::Once;

/// The one process of the VM.
pub struct Process {
    /// Address space and mappings.
    pub(crate) mm: Mm,
    /// Mounts, descriptors, page cache.
    pub(crate) fs: fs::Files,
    /// Every thread of the program.
    pub(crate) threads: Threads,
    /// Signal actions and signals for the whole process.
    pub(crate) signals: SharedSignals,
    /// Futex queues.
    pub(crate) futexes: Futexes,
    /// Timers and CPU time.
    pub(crate) times: Times,
    /// Ids, names, limits.
    pub(crate) identity: Identity,
    /// What wakes the program from outside.
    pub(crate) events: Events,
    /// What was already reported as lacking.
    pub(crate) report: Report,
    /// The host's window: commands and the exit status.
    pub(crate) control: Remote<Control>,
    /// How the program was started, for `/proc/self`.
    pub(crate) started: Started,
}

/// The command line that root gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Started {
    /// Path of the program in the guest.
    pub program: Vec<u8>,
    /// `argv`.
    pub arguments: Vec<Vec<u8>>,
    /// `envp`, each `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Vec<u8>,
}

static PROCESS: Once<Process> = Once::new();

/// The process. Only code that runs for the program calls this, after [`install`].
pub fn process() -> &'static Process {
    PROCESS.get().expect("the process is installed before any handler can run")
}

/// The process, if it is installed: for files that may change before the program exists.
pub(crate) fn installed() -> Option<&'static Process> {
    PROCESS.get()
}

/// Makes `process` the process; later calls keep the first.
pub(crate) fn install(process: Process) -> &'static Process {
    PROCESS.call_once(|| process)
}
