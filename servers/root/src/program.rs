//! From the manifest to the running program: starts the shares' servers, then hands everything to the front end.

use crate::instances::{Instance, start, system};
use crate::options::{Options, OptionsError};
use crate::system::{Kind, row};
use crate::tracing;
use crate::watch::watcher;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use microkernel::channel::{Connection, Port};
use microkernel::task::{Task, TaskSpec, Trust};
use microkernel::{log, power, thread};
use protocol::control::SKIFF_FAILED;

/// Why the program cannot be started.
pub enum BootError {
    /// The manifest cannot be read.
    Options(OptionsError),
    /// There is no disk at all.
    NoDisk,
    /// The manifest names no program.
    NoProgram,
    /// A mount names a share that no device offers.
    NoShare(String),
    /// A mount's path is not absolute.
    BadMount(String),
    /// A server could not be started.
    NoMemory,
    /// The front end cannot start the program, for this reason.
    Program(String),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(OptionsError::NoVolume) => {
                f.write_str("the root volume cannot be used; write the image anew with imagegen")
            }
            Self::Options(OptionsError::Gone) => f.write_str("the server of the root volume died"),
            Self::Options(OptionsError::NoMemory) | Self::NoMemory => {
                f.write_str("too little memory; give the VM more with -m")
            }
            Self::Program(reason) => f.write_str(reason),
            Self::NoDisk => f.write_str("no disk was found; attach the image as a virtio disk"),
            Self::NoProgram => f.write_str("the image's manifest names no program; write the image anew with imagegen"),
            Self::NoShare(tag) => write!(
                f,
                "the image mounts share {tag}, but the VM has no 9P device with that tag; start it as imagegen --print-qemu says"
            ),
            Self::BadMount(path) => write!(f, "the manifest's mount path {path:?} is not absolute"),
        }
    }
}

impl From<OptionsError> for BootError {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

/// Entry of the front end's task: everything that it needs stands by, or is started from here.
pub fn enter(_: usize) {
    if let Err(reason) = boot() {
        log!("cannot start the program: {reason}");
        crate::drain::finish();
        power::exit(SKIFF_FAILED);
    }
}

/// Starts the front end's task.
pub fn spawn() {
    let row = row(Kind::Linux);
    let spec = TaskSpec {
        name: row.word,
        priority: row.priority,
        trust: Trust::Essential,
        heap_limit: row.heap_bytes,
        stack_bytes: row.stack_bytes,
        entry: enter,
        argument: 0,
    };
    Task::spawn(&spec, None).expect("memory at boot");
}

/// The port of a server that the front end may call.
fn port(kind: Kind) -> Option<Port> {
    assert!(row(Kind::Linux).calls.contains(&kind), "the task table grants every connection");
    system().first(kind).map(|instance| instance.port.clone())
}

fn boot() -> Result<(), BootError> {
    if system().first(Kind::Block).is_none() {
        return Err(BootError::NoDisk);
    }
    let root = port(Kind::Tfs).expect("there is always a server for /");
    let setup = {
        let server = Connection::new(&root, thread::current(), 0);
        let options = Options::open(&server)?;
        let mounts = start_shares(&options)?;
        tracing::apply(&options.text("skiff_trace")?.unwrap_or_default());
        let program = options.raw("program")?.filter(|path| !path.is_empty()).ok_or(BootError::NoProgram)?;
        linux::Setup {
            root,
            mounts,
            net: port(Kind::Net),
            console: port(Kind::Console).expect("there is always a console"),
            control: port(Kind::Control).expect("there is always a control server"),
            program,
            arguments: options.list("arguments")?,
            environment: options.list("environment")?,
            cwd: options.raw("cwd")?.unwrap_or_default(),
            hostname: options.raw("skiff_hostname")?.unwrap_or_default(),
            cpus: 1,
        }
    };
    match linux::start(setup).map_err(BootError::Program)? {}
}

/// Starts one server per mounted share and connects to it.
fn start_shares(options: &Options<'_>) -> Result<Vec<linux::MountPoint>, BootError> {
    let mut shares = Vec::new();
    for mount in options.list("mounts")? {
        let text = String::from_utf8_lossy(&mount).into_owned();
        let (volume, target) = text.split_once('=').unwrap_or((&text, ""));
        let (path, read_only) = target.split_once(":ro").map_or((target, false), |(path, _)| (path, true));
        if !path.starts_with('/') {
            return Err(BootError::BadMount(path.into()));
        }
        let tag = volume.strip_prefix('%').unwrap_or(volume);
        let devices = &system().inventory.devices;
        let device = devices.iter().position(|found| found.mount_tag() == Some(tag));
        let device = device.ok_or_else(|| BootError::NoShare(format!("{volume} on {path}")))?;
        shares.push((Instance::share(path, device, read_only), String::from(path), read_only));
    }
    let facts: Vec<_> = shares.iter().map(|(_, path, read_only)| (path.clone(), *read_only)).collect();
    system().shares.call_once(|| shares.into_iter().map(|(instance, _, _)| instance).collect());
    let first = system().servers.len();
    let mut mounts = Vec::new();
    for (index, (path, read_only)) in facts.into_iter().enumerate() {
        start(first + index, watcher()).map_err(|_| BootError::NoMemory)?;
        let instance = system().instance(first + index).expect("just made");
        mounts.push(linux::MountPoint { path: path.into_bytes(), port: instance.port.clone(), read_only });
    }
    Ok(mounts)
}
