//! The files side of the process: [`Files`] holds descriptors, the tree of names, mounts, servers, and the page cache.
//!
//! Modules, from outside in: [`table`] and [`description`] (descriptors), [`open`] (open(2) itself), [`resolve`] and [`names`] (paths), [`node`]
//! (what names lead to), then the kinds of nodes: [`served`] with [`server`], [`inode`], [`pages`], [`paging`], [`writing`] (tfs, p9, mem),
//! [`ram`] (tmpfs, memfd), [`synthetic`] (`/proc`, `/dev`, `/sys`). [`transfer`] carries data between them and the program.
//! System calls stand in `file`, `read_write`, `stat`, `dir` and their like beside this folder.

pub(crate) mod description;
pub(crate) mod inode;
pub(crate) mod listing;
pub(crate) mod mapping;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod open;
pub(crate) mod pages;
pub(crate) mod paging;
pub(crate) mod ram;
pub(crate) mod ram_file;
pub(crate) mod resolve;
pub(crate) mod served;
pub(crate) mod served_file;
pub(crate) mod server;
pub(crate) mod special;
pub(crate) mod synthetic;
pub(crate) mod table;
pub(crate) mod transfer;
pub(crate) mod writing;

use crate::net::Sockets;
use crate::remote::{Client, Remote};
use crate::setup::Mount;
use crate::wait::{READABLE, WaitQueue};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use description::OpenFile;
use linux_abi::Errno;
use linux_abi::file::{OpenFlags, at};
use mounts::Mounts;
use names::{Dentry, Place};
use node::{Access, Node, Result};
use protocol::console::Console;
use resolve::{Found, Last, Resolver, Tail};
use server::Server;
use spin::Mutex;
use table::Table;

/// Everything about files that the program's threads share.
pub(crate) struct Files {
    /// Descriptors.
    pub(crate) table: Table,
    /// What is mounted where.
    pub(crate) mounts: Mounts,
    /// Sockets that have names, and the network.
    pub(crate) sockets: Sockets,
    /// Those who wait for signals to read (signalfd).
    pub(crate) signal_queue: WaitQueue,
    /// The standard streams.
    pub(crate) console: Arc<Remote<Console>>,
    servers: Vec<Arc<Server>>,
    tree: Place,
    root: Mutex<Place>,
    cwd: Mutex<Place>,
    umask: AtomicU32,
}

/// Device number of the root volume: `/dev/vda1`.
const ROOT_DEVICE: u64 = (254 << 8) | 1;
/// Device number of the first further volume.
const FIRST_DEVICE: u64 = 0x30;

impl Files {
    /// Attaches to the servers and builds the tree. Errors: `EIO` (a volume cannot be mounted).
    pub(crate) fn new(root: Client, mounts: Vec<Mount>, net: Option<Client>, console: Client) -> Result<Self> {
        let server = Server::attach(root, ROOT_DEVICE, false)?;
        let tree = Dentry::root(served::ServedNode::root(&server));
        let files = Self {
            table: Table::default(),
            mounts: Mounts::default(),
            sockets: Sockets::new(net),
            signal_queue: WaitQueue::new(),
            console: Arc::new(Remote::new(console)),
            servers: Vec::new(),
            root: Mutex::new(tree.clone()),
            cwd: Mutex::new(tree.clone()),
            umask: AtomicU32::new(0o022),
            tree,
        };
        files.mounts.record(b"/dev/root", b"/", &**files.tree.volume());
        files.mount_synthetic()?;
        let mut servers = alloc::vec![server];
        for (index, mount) in mounts.into_iter().enumerate() {
            let server = Server::attach(mount.client, FIRST_DEVICE + index as u64, mount.read_only)?;
            files.mount(b"host", &mount.path, served::ServedNode::root(&server))?;
            servers.push(server);
        }
        Ok(Self { servers, ..files })
    }

    /// Opens the standard streams, starts write-back, enters `cwd`. Errors: as chdir(2); `ENOMEM`.
    pub(crate) fn begin(&self, cwd: &[u8]) -> Result<()> {
        crate::dev::open_standard_streams(self)?;
        mounts::start_write_back()?;
        let place = self.find(&self.root(), cwd, Last::Follow)?;
        self.enter(place)
    }

    /// A signal became pending: somebody may read it.
    pub(crate) fn signal_arrived(&self) {
        self.signal_queue.wake(READABLE);
    }

    /// The process's root directory.
    pub(crate) fn root(&self) -> Place {
        self.root.lock().clone()
    }

    /// The working directory.
    pub(crate) fn cwd(&self) -> Place {
        self.cwd.lock().clone()
    }

    /// chdir(2). Errors: `ENOTDIR`.
    pub(crate) fn enter(&self, place: Place) -> Result<()> {
        if place.kind() != node::Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let before = core::mem::replace(&mut *self.cwd.lock(), place);
        drop(before);
        Ok(())
    }

    /// chroot(2). Errors: `ENOTDIR`.
    pub(crate) fn change_root(&self, place: Place) -> Result<()> {
        if place.kind() != node::Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let before = core::mem::replace(&mut *self.root.lock(), place);
        drop(before);
        Ok(())
    }

    /// Replaces the mask of permission bits; answers the one before.
    pub(crate) fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::AcqRel)
    }

    /// Permission bits of a new node.
    pub(crate) fn masked(&self, mode: u32) -> u16 {
        (mode & 0o7777 & !self.umask.load(Ordering::Acquire)) as u16
    }

    /// The mask of permission bits.
    pub(crate) fn umask(&self) -> u32 {
        self.umask.load(Ordering::Acquire)
    }

    /// The path of `place` as the process sees it.
    pub(crate) fn path_of(&self, place: &Place) -> Vec<u8> {
        place.path_from(&self.root())
    }

    /// The directory that relative paths start from. Errors: `EBADF`, `ENOTDIR`.
    pub(crate) fn start(&self, dirfd: i32, path: &[u8]) -> Result<Place> {
        if path.first() == Some(&b'/') {
            return Ok(self.root());
        }
        if dirfd == at::FDCWD {
            return Ok(self.cwd());
        }
        let file = self.table.get(dirfd)?;
        let place = file.place().ok_or(Errno::ENOTDIR)?;
        if place.kind() == node::Kind::Directory { Ok(place.clone()) } else { Err(Errno::ENOTDIR) }
    }

    /// Resolves `path` from `start`.
    pub(crate) fn resolve(&self, start: &Place, path: &[u8], last: Last, intent: Option<Access>) -> Result<Found> {
        let root = self.root();
        let crossed = |device| self.mounts.crosses(device);
        Resolver { root: &root, last, intent, crossed: &crossed }.run(start, path)
    }

    /// The existing place at `path`.
    pub(crate) fn find(&self, start: &Place, path: &[u8], last: Last) -> Result<Place> {
        match self.resolve(start, path, last, None)? {
            Found::Place(place) => Ok(place),
            Found::In(..) => Err(Errno::ENOENT),
        }
    }

    /// The directory of `path` and its last component.
    pub(crate) fn parent(&self, start: &Place, path: &[u8]) -> Result<(Place, Tail)> {
        match self.resolve(start, path, Last::Parent, None)? {
            Found::In(dir, tail) => {
                if dir.kind() != node::Kind::Directory {
                    return Err(Errno::ENOTDIR);
                }
                Ok((dir, tail))
            }
            Found::Place(_) => Err(Errno::ENOENT),
        }
    }

    /// Opens `path` for the front end itself (exec). Errors: as open(2).
    pub(crate) fn open_path(&self, path: &[u8]) -> Result<Arc<OpenFile>> {
        open::open(self, &self.cwd(), path, OpenFlags::from_bits_retain(0), 0)
    }

    /// Gives back the handles of nodes that nobody uses any more.
    pub(crate) fn flush_closes(&self) {
        self.servers.iter().for_each(|server| server.flush_closes());
    }

    /// Writes back all dirty pages; errors come out at the next fsync(2).
    pub(crate) fn write_back(&self) {
        for server in &self.servers {
            // The inode keeps the error for who asks.
            let _ = server.write_back();
            server.flush_closes();
        }
        names::prune(&self.tree);
    }

    /// sync(2), and the last thing before the VM ends.
    pub(crate) fn sync_all(&self) -> Result<()> {
        self.servers.iter().map(|server| node::Volume::sync(&**server)).fold(Ok(()), |sum, one| sum.and(one))
    }

    /// Lets go of about `wanted` cached pages that nobody else uses; dirty ones are written back first if there is no other way.
    ///
    /// May wait. Answers how many.
    pub(crate) fn reclaim(&self, wanted: usize) -> usize {
        let freed = self.evict(wanted);
        if freed > 0 {
            return freed;
        }
        let freed = self.servers.iter().map(|server| server.evict_mapped(wanted)).sum();
        if freed > 0 {
            return freed;
        }
        for server in &self.servers {
            // The inode keeps the error for who asks; its pages stay.
            let _ = server.write_back();
        }
        self.evict(wanted)
    }

    fn evict(&self, wanted: usize) -> usize {
        let mut freed = 0;
        for server in &self.servers {
            if freed < wanted {
                freed += server.evict(wanted - freed);
            }
        }
        freed
    }

    /// Pages in the cache, and the dirty ones among them.
    pub(crate) fn cached_pages(&self) -> (usize, usize) {
        let counts = self.servers.iter().map(|server| server.page_counts());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// A node's description put under the lowest free number. Errors: `EMFILE`.
    pub(crate) fn install(&self, file: Arc<OpenFile>, close_on_exec: bool) -> Result<i32> {
        self.table.insert(file, close_on_exec, 0, self.limit())
    }

    /// The soft limit of open files.
    pub(crate) fn limit(&self) -> usize {
        crate::identity::open_files_limit()
    }

    /// Mounts `node` at `path`, which is made to exist.
    pub(crate) fn mount(&self, source: &[u8], path: &[u8], node: Arc<dyn Node>) -> Result<()> {
        let point = mounts::point(self, &self.tree, path)?;
        let root = point.mount(node);
        self.mounts.record(source, path, &**root.volume());
        Ok(())
    }

    fn mount_synthetic(&self) -> Result<()> {
        self.mount(b"proc", b"/proc", crate::proc::root())?;
        self.mount(b"sysfs", b"/sys", crate::proc::sys_root())?;
        self.mount(b"devtmpfs", b"/dev", crate::dev::root())?;
        self.mount(b"tmpfs", b"/dev/shm", ram::RamVolume::create(FIRST_DEVICE - 1, 0o1777))
    }
}
