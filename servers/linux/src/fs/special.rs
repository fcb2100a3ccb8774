//! Files without contents of their own: `O_PATH` descriptors, device nodes, named pipes, and nodes of objects without a name.

use super::description::{File, OpenFile};
use super::inode::next_identity;
use super::names::{Dentry, Place};
use super::node::{Access, Attr, Kind, Node, Result, Volume, VolumeInfo, now, plain_attr};
use crate::pipe;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use linux_abi::Errno;
use linux_abi::file::OpenFlags;
use spin::{LazyLock, Mutex};

/// What an `O_PATH` descriptor refers to: nothing but its place.
struct PathOnly {
    node: Option<Arc<dyn Node>>,
}

impl File for PathOnly {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn node(&self) -> Option<Arc<dyn Node>> {
        self.node.clone()
    }
}

/// The file of an `O_PATH` descriptor.
pub(super) fn path_only(place: &Place) -> Arc<dyn File> {
    Arc::new(PathOnly { node: place.node().ok() })
}

/// Opens a device node: those of `/dev` open themselves, one on a disk goes by its number.
pub(super) fn open_device(place: &Place, access: Access) -> Result<Arc<dyn File>> {
    let node = place.node()?;
    if node.kind() == Kind::CharDevice && !place.volume().caches_names() && !is_served(&node) {
        return node.open(access);
    }
    crate::dev::open_number(node.attr()?.rdev)
}

fn is_served(node: &Arc<dyn Node>) -> bool {
    node.as_any().is::<super::served::ServedNode>()
}

/// Pipes behind the names of named pipes, by device and inode.
static FIFOS: LazyLock<Mutex<alloc::vec::Vec<(u64, u64, Weak<pipe::Pipe>)>>> = LazyLock::new(Mutex::default);

/// Opens a named pipe without waiting for the other side; who reads or writes waits instead.
pub(super) fn open_fifo(place: &Place, flags: OpenFlags) -> Result<Arc<dyn File>> {
    let node = place.node()?;
    if let Some(anonymous) = node.as_any().downcast_ref::<AnonymousNode>() {
        return anonymous.reopen();
    }
    let key = (place.volume().device(), node.inode());
    let mut fifos = FIFOS.lock();
    fifos.retain(|(_, _, pipe)| pipe.strong_count() > 0);
    let known = fifos.iter().find(|(device, inode, _)| (*device, *inode) == key);
    let pipe = match known.and_then(|(_, _, pipe)| pipe.upgrade()) {
        Some(pipe) => pipe,
        None => {
            let pipe = pipe::Pipe::new();
            fifos.push((key.0, key.1, Arc::downgrade(&pipe)));
            pipe
        }
    };
    drop(fifos);
    pipe::open_named(pipe, flags, node)
}

/// The volume of all objects without a name (pipes, sockets, eventfds).
struct AnonymousVolume;

impl Volume for AnonymousVolume {
    fn device(&self) -> u64 {
        0x0d
    }
    fn type_name(&self) -> &'static str {
        "anon_inodefs"
    }
    fn caches_names(&self) -> bool {
        false
    }
    fn stat_fs(&self) -> Result<VolumeInfo> {
        const ANON_INODE_FS_MAGIC: u32 = 0x0904_1934;
        Ok(VolumeInfo {
            magic: ANON_INODE_FS_MAGIC,
            block_bytes: 4096,
            blocks: 0,
            free: 0,
            available: 0,
            files: 0,
            files_free: 0,
            id: 0x0d,
            name_max: 255,
        })
    }
}

static ANONYMOUS: LazyLock<Arc<dyn Volume>> = LazyLock::new(|| Arc::new(AnonymousVolume));

/// The node of an object without a name, for fstat(2) and `/proc/self/fd`.
pub(crate) struct AnonymousNode {
    attr: Attr,
    file: Mutex<Weak<dyn File>>,
}

impl AnonymousNode {
    fn reopen(&self) -> Result<Arc<dyn File>> {
        self.file.lock().upgrade().ok_or(Errno::ENXIO)
    }
}

impl Node for AnonymousNode {
    fn volume(&self) -> &Arc<dyn Volume> {
        &ANONYMOUS
    }
    fn kind(&self) -> Kind {
        self.attr.kind
    }
    fn inode(&self) -> u64 {
        self.attr.inode
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn attr(&self) -> Result<Attr> {
        Ok(self.attr)
    }
    fn open(self: Arc<Self>, _access: Access) -> Result<Arc<dyn File>> {
        self.reopen()
    }
    fn open_directory(self: Arc<Self>) -> Result<Arc<dyn Node>> {
        Err(Errno::ENOTDIR)
    }
}

/// A description of an object without a name. `label` is `pipe`, `socket`, or the full text for an anonymous inode.
pub(crate) fn anonymous(file: Arc<dyn File>, kind: Kind, label: &str, flags: OpenFlags) -> Arc<OpenFile> {
    let inode = next_identity();
    let attr = plain_attr(inode, kind, 0o600, now());
    let node = Arc::new(AnonymousNode { attr, file: Mutex::new(Arc::downgrade(&file)) });
    let name = match kind {
        Kind::Fifo | Kind::Socket => alloc::format!("{label}:[{inode}]"),
        _ => alloc::format!("anon_inode:{label}"),
    };
    let place = Dentry::anonymous(node, name.as_bytes());
    OpenFile::new(file, flags, Some(place))
}
