//! From a device to a served mount: agree on a session, attach to the root, serve.

use crate::channel::Channel;
use crate::convert::Failure;
use crate::ops::Mount;
use crate::session::{Host, Session};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::fmt;
use p9_wire::{NO_FID, Reply, Request, VERSION, flags};
use rt::device::p9::P9Device;
use rt::sys::Ports;
use rt::{Runtime, service};

/// Bytes of a message beside its payload, as hosts reckon (Linux and QEMU: P9_IOHDRSZ).
const IO_OVERHEAD: u32 = 24;
/// Most payload of one message that is asked for.
const MOST_IO: u32 = 1024 * 1024;
/// Least message size that the longest request without payload, and a listing, fit in.
const LEAST_MSIZE: u32 = 8192;
/// Memory pieces of a read beside the payload's pages: request, head of the reply, and one for payload that
/// starts inside a page.
const EXTRA_PIECES: u32 = 3;
const PAGE: u32 = 4096;

/// How a mount is served; from the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// No call changes anything.
    pub read_only: bool,
    /// Which tree of the host; empty for its only one.
    pub tree: Box<str>,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The device takes messages of this many memory pieces at most.
    TooFewPieces(u32),
    /// The host does not speak 9P2000.L.
    Version,
    /// The host's message limit is out of range.
    MessageSize(u32),
    /// The host refused the attach with this Linux error number.
    Refused(u32),
    /// The exported thing is no directory.
    RootNotDirectory,
    /// The device failed, memory ran out, or the host's reply was malformed.
    NoReply,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewPieces(count) => write!(f, "the device takes only {count} memory pieces per message"),
            Self::Version => {
                f.write_str("the host does not offer 9P2000.L; use a server that does (QEMU: -fsdev local)")
            }
            Self::MessageSize(size) => write!(
                f,
                "the host's message limit of {size} bytes is not between {LEAST_MSIZE} and what was asked for"
            ),
            Self::Refused(number) => write!(
                f,
                "the host refuses to attach (error {number}); check that the shared folder exists and is readable"
            ),
            Self::RootNotDirectory => f.write_str("what the host shares is no directory"),
            Self::NoReply => f.write_str("no usable reply from the host or its device"),
        }
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Host(number) => Self::Refused(number),
            Failure::Here(_) => Self::NoReply,
        }
    }
}

/// Serves `fs` from one mount, or `Io` for every call if there is no session.
pub struct Server {
    mount: Option<Mount>,
}

impl Server {
    /// Agrees on a session with the host behind `device`.
    pub async fn connect(runtime: &Runtime, device: Rc<dyn P9Device>, options: &Options) -> Result<Self, ConnectError> {
        let channel = Channel::start(runtime, device);
        let session = Rc::new(Session::new(runtime, channel));
        let host = session.host(0);
        agree(host).await?;
        let root = attach(host, options).await?;
        runtime.spawn(session.clone().clunk_dropped());
        let mount = Mount { session, root, handles: Default::default(), read_only: options.read_only };
        Ok(Self { mount: Some(mount) })
    }

    /// A server whose calls all fail with `Io`, for a mount that could not be connected.
    pub fn without_session() -> Self {
        Self { mount: None }
    }

    pub(crate) fn mount(&self) -> Option<&Mount> {
        self.mount.as_ref()
    }
}

/// Largest payload that the device can take in one message, in whole pages.
fn payload_limit(max_pieces: u32) -> Result<u32, ConnectError> {
    let pages = max_pieces.checked_sub(EXTRA_PIECES).filter(|&pages| pages >= LEAST_MSIZE / PAGE);
    let pages = pages.ok_or(ConnectError::TooFewPieces(max_pieces))?;
    Ok(pages.saturating_mul(PAGE).min(MOST_IO))
}

/// Tversion: fixes the message size; ends all that an earlier session left at the host.
async fn agree(host: Host<'_>) -> Result<(), ConnectError> {
    let limit = payload_limit(host.session.max_pieces())?;
    let asked = limit + IO_OVERHEAD;
    let request = Request::Version { msize: asked, version: VERSION };
    let reply = host.send_version(&request).await?;
    let answer = reply.reply(|reply| match reply {
        Reply::Version { msize, version } => Some((*msize, *version == VERSION)),
        _ => None,
    });
    let (msize, same_version) = answer.await?;
    if !same_version {
        return Err(ConnectError::Version);
    }
    if !(LEAST_MSIZE..=asked).contains(&msize) {
        return Err(ConnectError::MessageSize(msize));
    }
    let payload = msize - IO_OVERHEAD;
    host.session.io_bytes.set(payload - payload % PAGE);
    Ok(())
}

/// Tattach: binds the root fid. We come as root, for the program inside is; what that may do is the host's decision.
async fn attach(host: Host<'_>, options: &Options) -> Result<crate::fid::Fid, ConnectError> {
    let root = host.reserve()?;
    let request = Request::Attach {
        fid: root.number(),
        afid: NO_FID,
        uname: b"root",
        aname: options.tree.as_bytes(),
        n_uname: 0,
    };
    let attached = host.call(&request, |reply| if let Reply::Attach { qid } = reply { Some(*qid) } else { None });
    let qid = root.bound_by(attached.await)?;
    if qid.kind & flags::qid::DIR == 0 { Err(ConnectError::RootNotDirectory) } else { Ok(root) }
}

/// Entry of the task: connects, says why if that fails, and serves for ever.
pub fn run(ports: Ports, device: Rc<dyn P9Device>, options: Options) -> ! {
    let runtime = Runtime::new(ports.machine.clone());
    let serving = runtime.clone();
    runtime.spawn(async move {
        let server = Server::connect(&serving, device.clone(), &options).await.unwrap_or_else(|why| {
            let tag = device.mount_tag();
            ports.machine.log(format_args!("{}: cannot use the host's folder \"{tag}\": {why}", ports.name));
            Server::without_session()
        });
        let service = Rc::new(service::fs::Server(server));
        service::serve(&serving, ports.inbox.clone(), ports.generation, service);
    });
    runtime.run()
}
