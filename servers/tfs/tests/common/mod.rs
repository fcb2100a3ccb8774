//! A TFS server on a disk in memory, and a client that speaks to it through messages as in the kernel.
#![allow(dead_code)] // each test binary uses its own part

use protocol::block::{self, DiskInfo};
use protocol::fs::*;
use protocol::{LeaseId, Name, Path};
use rt::fake::{FakeMachine, HeapMemory, block_on, loopback};
use rt::sys::Attachment;
use rt::{Context, Link, Memory, Runtime, service};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use tfs::{MountError, Options, Server};
use tfs_format::build::{Builder, FileInfo, Size};
use tfs_format::replay::{Replay, Replayed};
use tfs_format::{SECTOR, Volume};

/// What reached the disk, in order.
#[derive(Clone)]
pub enum Event {
    Write { sector: u64, bytes: Vec<u8> },
    Flush,
}

/// A disk that remembers every write and answers late, in an order that depends on the sector.
pub struct RamDisk {
    pub bytes: RefCell<Vec<u8>>,
    pub events: RefCell<Vec<Event>>,
    pub read_only: Cell<bool>,
    pub broken: Cell<bool>,
    /// Answers this many more calls as a server that dies with them in hand.
    pub dying: Cell<u32>,
    runtime: RefCell<Option<Runtime>>,
}

impl RamDisk {
    pub fn new(bytes: Vec<u8>) -> Rc<Self> {
        Rc::new(RamDisk {
            bytes: RefCell::new(bytes),
            events: RefCell::default(),
            read_only: Cell::default(),
            broken: Cell::default(),
            dying: Cell::default(),
            runtime: RefCell::default(),
        })
    }

    async fn delay(&self, sector: u64) {
        let runtime = self.runtime.borrow().clone().unwrap();
        runtime.sleep(1000 + sector * 7919 % 5000).await;
    }

    fn check(&self) -> block::Result<()> {
        if self.dying.get() > 0 {
            self.dying.set(self.dying.get() - 1);
            return Err(block::Error::PeerGone);
        }
        if self.broken.get() { Err(block::Error::Io) } else { Ok(()) }
    }
}

pub struct Disk(pub Rc<RamDisk>);

impl service::block::Handler for Disk {
    async fn info(&self, _: &Context, _: block::Info) -> block::Result<DiskInfo> {
        let sectors = (self.0.bytes.borrow().len() / SECTOR) as u64;
        Ok(DiskInfo { sectors, read_only: self.0.read_only.get(), max_sectors: 64, has_cache: true })
    }
    async fn read(&self, cx: &Context, call: block::Read) -> block::Result<()> {
        self.0.delay(call.sector).await;
        self.0.check()?;
        let len = call.count as usize * SECTOR;
        let dest = cx.writable(call.dest, call.at as usize + len).map_err(|_| block::Error::BadLease)?;
        let start = call.sector as usize * SECTOR;
        let bytes = self.0.bytes.borrow();
        let range = bytes.get(start..start + len).ok_or(block::Error::OutOfRange)?;
        dest.write(call.at as usize, range).map_err(|_| block::Error::BadLease)
    }
    async fn write(&self, cx: &Context, call: block::Write) -> block::Result<()> {
        self.0.delay(call.sector).await;
        self.0.check()?;
        let len = call.count as usize * SECTOR;
        let src = cx.readable(call.src, call.at as usize + len).map_err(|_| block::Error::BadLease)?;
        let mut taken = vec![0; len];
        src.read(call.at as usize, &mut taken).map_err(|_| block::Error::BadLease)?;
        let start = call.sector as usize * SECTOR;
        let mut bytes = self.0.bytes.borrow_mut();
        bytes.get_mut(start..start + len).ok_or(block::Error::OutOfRange)?.copy_from_slice(&taken);
        self.0.events.borrow_mut().push(Event::Write { sector: call.sector, bytes: taken });
        Ok(())
    }
    async fn flush(&self, _: &Context, _: block::Flush) -> block::Result<()> {
        self.0.check()?;
        self.0.events.borrow_mut().push(Event::Flush);
        Ok(())
    }
}

/// A running server and its client.
pub struct World {
    pub machine: Rc<FakeMachine>,
    pub runtime: Runtime,
    pub disk: Rc<RamDisk>,
    pub client: Client,
}

/// Starts a server on `disk`.
pub fn start(disk: &Rc<RamDisk>, options: Options) -> std::result::Result<World, MountError> {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    *disk.runtime.borrow_mut() = Some(runtime.clone());
    let block = Rc::new(service::block::Server(Disk(disk.clone())));
    let link = loopback(&runtime, machine.pending(), 4, 4, block);
    let mounting = runtime.clone();
    let server = block_on(&runtime, async move { Server::mount(&mounting, link, options).await })?;
    let service = Rc::new(service::fs::Server(server));
    let link = loopback(&runtime, machine.pending(), 2, 8, service);
    let client = Client { link, root: FileHandle(0) };
    let mut world = World { machine, runtime, disk: disk.clone(), client };
    let attached = world.run(|client| async move { client.call(Attach {}, &[]).await.unwrap() });
    world.client.root = attached.root;
    Ok(world)
}

impl World {
    /// Runs one conversation with the server to its end.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(&self, talk: impl FnOnce(Client) -> F) -> T {
        block_on(&self.runtime, talk(self.client.clone()))
    }
}

/// A volume of `sectors` with nothing in it.
pub fn empty(sectors: u64) -> Rc<RamDisk> {
    disk_of(Builder::new([5; 16], b"test").unwrap(), sectors)
}

/// A volume from a builder; file n holds bytes of value n.
pub fn disk_of(builder: Builder, sectors: u64) -> Rc<RamDisk> {
    let built = builder.finish(Size::AtLeast(sectors)).unwrap();
    let mut bytes = vec![0; built.sectors as usize * SECTOR];
    for write in built.writes {
        let start = write.sector as usize * SECTOR;
        bytes[start..start + write.bytes.len()].copy_from_slice(&write.bytes);
    }
    for copy in built.copies {
        let start = copy.sector as usize * SECTOR;
        bytes[start..start + copy.bytes as usize].fill(copy.source as u8);
    }
    RamDisk::new(bytes)
}

pub fn info(mode: u16) -> FileInfo {
    FileInfo { mode, ..FileInfo::default() }
}

/// The `fs` protocol in a handier form.
#[derive(Clone)]
pub struct Client {
    pub link: Link<Fs>,
    pub root: FileHandle,
}

pub const BOTH: Access = Access::READ.union(Access::WRITE);

pub fn name(text: &str) -> Name<'_> {
    Name::new(text.as_bytes()).unwrap()
}

impl Client {
    pub async fn call<'a, C: protocol::Call<'a, Protocol = Fs>>(&self, call: C, leases: &[Attachment]) -> C::Reply {
        self.link.call(1, call, leases).await
    }

    pub async fn create(&self, path: &str) -> Result<FileHandle> {
        let call = Create { dir: self.root, name: name(path), mode: 0o644, access: BOTH };
        self.call(call, &[]).await.map(|node| node.file)
    }

    pub async fn mkdir(&self, dir: FileHandle, path: &str) -> Result<FileHandle> {
        self.call(Mkdir { dir, name: name(path), mode: 0o755 }, &[]).await.map(|node| node.file)
    }

    pub async fn open(&self, path: &str, access: Access) -> Result<FileHandle> {
        let call = Walk { from: self.root, path: Path::new(path.as_bytes()).unwrap(), open: Some(access) };
        let walked = self.call(call, &[]).await?;
        match walked.stop {
            None if walked.opened => Ok(walked.node.file),
            stop => {
                self.close(walked.node.file).await;
                Err(stop.unwrap_or(Error::Io))
            }
        }
    }

    pub async fn find(&self, path: &str) -> Result<Node> {
        let call = Walk { from: self.root, path: Path::new(path.as_bytes()).unwrap(), open: None };
        let walked = self.call(call, &[]).await?;
        walked.stop.map_or(Ok(walked.node), Err)
    }

    pub async fn close(&self, file: FileHandle) {
        self.call(Close { file }, &[]).await.unwrap();
    }

    pub async fn write(&self, file: FileHandle, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let src = HeapMemory::new(bytes[done..].to_vec());
            let len = src.len() as u32;
            let call = Write { file, offset: offset + done as u64, len, src: LeaseId(0) };
            done += self.call(call, &[Attachment::Read(src)]).await? as usize;
        }
        Ok(())
    }

    pub async fn read(&self, file: FileHandle, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < len {
            let dest = HeapMemory::new(vec![0xee; len - all.len()]);
            let wanted = dest.len() as u32;
            let call = Read { file, offset: offset + all.len() as u64, len: wanted, dest: LeaseId(0) };
            let count = self.call(call, &[Attachment::Write(dest.clone())]).await? as usize;
            all.extend_from_slice(&dest.to_vec()[..count]);
            if count == 0 {
                break;
            }
        }
        Ok(all)
    }

    pub async fn remove(&self, path: &str, kind: RemoveKind) -> Result<()> {
        self.call(Remove { dir: self.root, name: name(path), kind }, &[]).await
    }

    pub async fn rename(&self, from: &str, to: &str, flags: RenameFlags) -> Result<()> {
        let (from_dir, to_dir) = (self.root, self.root);
        self.call(Rename { from_dir, from_name: name(from), to_dir, to_name: name(to), flags }, &[]).await
    }

    pub async fn set_size(&self, node: FileHandle, size: u64) -> Result<Attr> {
        let change = AttrChange { size: Some(size), ..AttrChange::default() };
        self.call(SetAttr { node, change }, &[]).await
    }

    pub async fn attr(&self, node: FileHandle) -> Attr {
        self.call(GetAttr { node }, &[]).await.unwrap()
    }

    pub async fn sync(&self) -> Result<()> {
        self.call(SyncAll {}, &[]).await
    }

    /// The names of a directory, listed in leases of `room` bytes.
    pub async fn list(&self, dir: FileHandle, room: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let dest = HeapMemory::zeroed(room);
            let call = ReadDir { dir, cookie, len: room as u32, dest: LeaseId(0) };
            let len = self.call(call, &[Attachment::Write(dest.clone())]).await.unwrap() as usize;
            let bytes = dest.to_vec();
            let mut rest = &bytes[..len];
            if rest.is_empty() {
                return names;
            }
            while let Some((entry, behind)) = entry::Entry::parse(rest) {
                names.push(String::from_utf8(entry.name.to_vec()).unwrap());
                cookie = entry.cookie;
                rest = behind;
            }
        }
    }
}

/// The folder with `tfs.py` and `golden/`, or a note that it is not there.
pub fn shared() -> Option<PathBuf> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/tfs");
    if !path.is_dir() {
        eprintln!("skipped: no shared TFS material beside the repository ({})", path.display());
        return None;
    }
    Some(path)
}

/// Has `tfs.py check` look at a volume, where it is to be had.
pub fn independent_check(volume: &[u8]) {
    let Some(shared) = shared() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), volume).unwrap();
    match Command::new("python3").arg(shared.join("tfs.py")).arg("check").arg(file.path()).output() {
        Err(_) => eprintln!("skipped: no python3"),
        Ok(output) => assert!(output.status.success(), "{output:?}"),
    }
}

pub fn replay(volume: &[u8]) -> Replayed {
    let mut replay = Replay::new((volume.len() / SECTOR) as u64);
    while let Some(run) = replay.next_wanted() {
        let start = run.sector as usize * SECTOR;
        replay.feed(&volume[start..start + run.count as usize * SECTOR]).unwrap_or_else(|e| panic!("{e}"));
    }
    replay.finish().unwrap_or_else(|e| panic!("{e}"))
}

/// Opens a volume with the format crate's own checks.
pub fn check(volume: &[u8]) -> Volume {
    let (volume, _) = Volume::open(replay(volume)).unwrap_or_else(|problem| panic!("{problem}"));
    volume
}

/// A small seeded generator (splitmix64), so that a failure can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let value = self.next();
        (0..len).map(|n| (value >> (n % 8 * 8)) as u8 ^ n as u8 | 1).collect()
    }
}
