//! A server on a temporary directory, and calls to it in one line each.

use super::device::{FakeDevice, Order};
use super::host::{Host, Style};
use crate::{ConnectError, Options, Server};
use protocol::fs::{self, Access, FileHandle, Result};
use protocol::{LeaseId, Name, Path};
use rt::Runtime;
use rt::fake::{FakeMachine, HeapMemory, block_on};
use rt::service::Context;
use rt::service::fs::Handler;
use rt::sys::Attachment;
use std::path::PathBuf;
use std::rc::Rc;
use std::string::String;
use std::vec;
use std::vec::Vec;

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub machine: Rc<FakeMachine>,
    pub runtime: Runtime,
    pub device: Rc<FakeDevice>,
    pub server: Rc<Server>,
    pub root: FileHandle,
}

pub fn name(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

pub fn path(bytes: &[u8]) -> Path<'_> {
    Path::new(bytes).unwrap()
}

/// A context with these attachments.
pub fn context(attachments: &[Attachment]) -> Context {
    Context::new(1, 1, 7, attachments)
}

/// Connects to a host of this style; also gives what is needed to look behind.
pub fn connect(
    style: Style,
    options: Options,
    prepare: impl FnOnce(&FakeDevice),
) -> core::result::Result<Bench, ConnectError> {
    let dir = tempfile::tempdir().unwrap();
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let device = FakeDevice::new(Host::new(dir.path(), style), machine.pending());
    prepare(&device);
    let (inner, behind) = (runtime.clone(), device.clone());
    let server = block_on(&runtime, async move { Server::connect(&inner, behind, &options).await })?;
    let mut bench = Bench { dir, machine, runtime, device, server: Rc::new(server), root: FileHandle(0) };
    bench.root = bench.attach().unwrap().root;
    Ok(bench)
}

/// Both kinds of host: one that keeps the order of requests, one that does not.
pub fn both() -> [Bench; 2] {
    [Order::Sent, Order::Reversed]
        .map(|order| connect(Style::default(), Options::default(), |device| device.order.set(order)).ok().unwrap())
}

macro_rules! calls {
    ($($method:ident($request:ident $($lt:lifetime)?) -> $reply:ty;)*) => {
        $(pub fn $method(&self, request: fs::$request $(<$lt>)?, attached: &[Attachment]) -> Result<$reply> {
            let (server, cx) = (self.server.clone(), context(attached));
            block_on(&self.runtime, async move { server.$method(&cx, request).await })
        })*
    };
}

impl Bench {
    calls! {
        open(Open) -> fs::Node;
        read_link(ReadLink) -> u32;
        read_dir(ReadDir) -> u32;
        set_attr(SetAttr) -> fs::Attr;
        sync(Sync) -> ();
        allocate(Allocate) -> ();
        reserve(Reserve) -> ();
        reopen(Reopen) -> fs::Node;
        get_xattr(GetXattr 'static) -> u32;
        set_xattr(SetXattr 'static) -> ();
        list_xattr(ListXattr) -> u32;
        remove_xattr(RemoveXattr 'static) -> ();
        symlink(Symlink 'static) -> fs::Node;
        mknod(Mknod 'static) -> fs::Node;
        rename(Rename 'static) -> ();
        create(Create 'static) -> fs::Node;
        walk(Walk 'static) -> fs::Walked;
        read(Read) -> u32;
        write(Write) -> u32;
    }

    pub fn run<T: 'static>(&self, job: impl AsyncFnOnce(Rc<Server>) -> T + 'static) -> T {
        let server = self.server.clone();
        block_on(&self.runtime, async move { job(server).await })
    }

    pub fn attach(&self) -> Result<fs::Attached> {
        self.run(async |server| server.attach(&context(&[]), fs::Attach {}).await)
    }
    pub fn stat_fs(&self) -> Result<fs::VolumeInfo> {
        self.run(async |server| server.stat_fs(&context(&[]), fs::StatFs {}).await)
    }
    pub fn sync_all(&self) -> Result<()> {
        self.run(async |server| server.sync_all(&context(&[]), fs::SyncAll {}).await)
    }
    pub fn get_attr(&self, node: FileHandle) -> Result<fs::Attr> {
        self.run(async move |server| server.get_attr(&context(&[]), fs::GetAttr { node }).await)
    }
    pub fn close(&self, file: FileHandle) -> Result<()> {
        self.run(async move |server| server.close(&context(&[]), fs::Close { file }).await)
    }
    pub fn find(&self, from: FileHandle, at: &'static [u8], open: Option<Access>) -> Result<fs::Walked> {
        self.walk(fs::Walk { from, path: path(at), open }, &[])
    }
    /// Opens a path below the root that is there.
    pub fn opened(&self, at: &'static [u8], access: Access) -> FileHandle {
        let walked = self.find(self.root, at, Some(access)).unwrap();
        assert!(walked.opened, "{:?}", walked.stop);
        walked.node.file
    }
    /// The root, open for listing.
    pub fn opened_root(&self) -> FileHandle {
        self.open(fs::Open { node: self.root, access: Access::READ }, &[]).unwrap().file
    }
    pub fn make(&self, dir: FileHandle, new: &'static [u8]) -> Result<fs::Node> {
        self.create(fs::Create { dir, name: name(new), mode: 0o640, access: Access::READ | Access::WRITE }, &[])
    }
    pub fn mkdir(&self, dir: FileHandle, new: &'static [u8]) -> Result<fs::Node> {
        self.run(async move |server| server.mkdir(&context(&[]), fs::Mkdir { dir, name: name(new), mode: 0o750 }).await)
    }
    pub fn link(&self, node: FileHandle, dir: FileHandle, new: &'static [u8]) -> Result<fs::Attr> {
        self.run(async move |server| server.link(&context(&[]), fs::Link { node, dir, name: name(new) }).await)
    }
    pub fn remove(&self, dir: FileHandle, old: &'static [u8], kind: fs::RemoveKind) -> Result<()> {
        self.run(async move |server| server.remove(&context(&[]), fs::Remove { dir, name: name(old), kind }).await)
    }

    /// Reads `len` bytes; what came.
    pub fn bytes(&self, file: FileHandle, offset: u64, len: u32) -> Result<Vec<u8>> {
        let memory = HeapMemory::zeroed(len as usize);
        let count =
            self.read(fs::Read { file, offset, len, dest: LeaseId(0) }, &[Attachment::Write(memory.clone())])?;
        Ok(memory.to_vec()[..count as usize].to_vec())
    }
    pub fn put(&self, file: FileHandle, offset: u64, bytes: &[u8]) -> Result<u32> {
        let memory = HeapMemory::new(bytes.to_vec());
        let len = bytes.len() as u32;
        self.write(fs::Write { file, offset, len, src: LeaseId(0) }, &[Attachment::Read(memory)])
    }
    /// One page of a listing: names with kinds, and the last cookie.
    pub fn list(&self, dir: FileHandle, cookie: u64, len: u32) -> Result<(Vec<(String, fs::Kind)>, u64)> {
        let memory = HeapMemory::zeroed(len as usize);
        let call = fs::ReadDir { dir, cookie, len, dest: LeaseId(0) };
        let count = self.read_dir(call, &[Attachment::Write(memory.clone())])?;
        let all = memory.to_vec();
        let (mut rest, mut names, mut last) = (&all[..count as usize], vec![], cookie);
        while !rest.is_empty() {
            let (entry, more) = fs::entry::Entry::parse(rest).unwrap();
            names.push((String::from_utf8_lossy(entry.name).into_owned(), entry.kind));
            last = entry.cookie;
            rest = more;
        }
        Ok((names, last))
    }

    /// A path on the host.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    pub fn put_file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.at(name), bytes).unwrap();
    }
    /// Lets background work end.
    pub fn settle(&self) {
        let runtime = self.runtime.clone();
        block_on(&self.runtime, async move { runtime.sleep(1).await });
    }
    /// Fids that the host knows, after dropped ones were clunked.
    pub fn host_fids(&self) -> usize {
        self.settle();
        self.device.host.borrow().fids()
    }
}
