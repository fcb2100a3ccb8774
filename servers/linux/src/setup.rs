//! What root hands over, and the start of the program.

use crate::events::Events;
use crate::process::{Process, Started, install};
use crate::remote::{Client, Remote};
use crate::{exec, fs, identity, mm, syscall, thread, time};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use microkernel::channel::Port;

/// A filesystem to mount besides the root.
pub struct MountPoint {
    /// Absolute path in the guest.
    pub path: Vec<u8>,
    /// The server.
    pub port: Port,
    /// Refuse changes.
    pub read_only: bool,
}

/// Everything that the front end gets from root.
pub struct Setup {
    /// Server of `/`.
    pub root: Port,
    /// Further mounts, in order.
    pub mounts: Vec<MountPoint>,
    /// The network, if there is one.
    pub net: Option<Port>,
    /// Standard streams.
    pub console: Port,
    /// The host's window.
    pub control: Port,
    /// Path of the program in the guest.
    pub program: Vec<u8>,
    /// `argv`, the program's name included; empty means the path alone.
    pub arguments: Vec<Vec<u8>>,
    /// `envp`, each `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Working directory; empty means `/`.
    pub cwd: Vec<u8>,
    /// Name that uname(2) gives; empty means `skiff`.
    pub hostname: Vec<u8>,
    /// CPUs that run the program's threads.
    pub cpus: u32,
}

/// Starts the program; runs in the first thread of task `linux`, which ends once the program runs.
///
/// Errors: a sentence that says why the program cannot be started.
pub fn start(setup: Setup) -> Result<Infallible, String> {
    prepare(setup).map_err(|reason| reason.to_string())?;
    microkernel::task::thread::exit()
}

fn prepare(setup: Setup) -> Result<(), exec::StartError> {
    let started = Started {
        arguments: if setup.arguments.is_empty() { [setup.program.clone()].into() } else { setup.arguments },
        program: setup.program,
        environment: setup.environment,
        cwd: if setup.cwd.is_empty() { b"/".to_vec() } else { setup.cwd },
    };
    let events = Events::start().map_err(|_| exec::StartError::NoMemory)?;
    let connect = |port: &Port| Client::new(port, &events);
    let mounts = setup.mounts.iter().map(|mount| Mount {
        path: mount.path.clone(),
        client: connect(&mount.port),
        read_only: mount.read_only,
    });
    let files = fs::Files::new(
        connect(&setup.root),
        mounts.collect(),
        setup.net.as_ref().map(connect),
        connect(&setup.console),
    );
    let control = Remote::new(connect(&setup.control));
    let process = install(Process {
        mm: mm::Mm::new(),
        fs: files.map_err(exec::StartError::Files)?,
        threads: thread::Threads::default(),
        signals: Default::default(),
        futexes: Default::default(),
        times: time::Times::default(),
        identity: identity::Identity::new(&setup.hostname, setup.cpus),
        events,
        report: Default::default(),
        control,
        started,
    });
    process.events.poke();
    process.fs.begin(&process.started.cwd).map_err(exec::StartError::Files)?;
    crate::signal::listen_for_stop(process);
    syscall::install_handlers();
    exec::run(process)
}

/// A mount with its connection.
pub(crate) struct Mount {
    /// Absolute path in the guest.
    pub path: Vec<u8>,
    /// The server.
    pub client: Client,
    /// Refuse changes.
    pub read_only: bool,
}
