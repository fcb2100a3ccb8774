//! Trees that exist only here: `/proc`, `/sys`, `/dev`.
//!
//! A tree is constant data: [`Item`]s name what stands where. An item that exists many times (a thread's folder, a descriptor's link)
//! is reached through a [`Dynamic`] directory and gets a key, which its functions receive.

use super::description::File;
use super::names::Place;
use super::node::{
    Access, Attr, AttrChange, Coherence, Entry, Kind, Node, Result, Volume, VolumeInfo, now, plain_attr,
};
use super::transfer::{Sink, Source};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;

/// Contents at the moment of opening.
pub(crate) type Text = fn(u64) -> Result<Vec<u8>>;

/// One kind of node.
pub(crate) enum Item {
    /// A fixed directory.
    Directory(&'static [(&'static str, Item)]),
    /// A directory whose names come and go.
    Dynamic(&'static Dynamic),
    /// A file to read.
    Text(Text),
    /// A file to read and write.
    Setting(Text, fn(u64, &[u8]) -> Result<()>),
    /// A symbolic link with this text.
    Link(Text),
    /// A link that leads straight to a place.
    Magic(fn(u64) -> Result<Place>),
    /// A character device: number and how it opens.
    Device(u64, fn() -> Result<Arc<dyn File>>),
}

/// A directory of keyed items, besides fixed ones.
pub(crate) struct Dynamic {
    /// Names that are always there.
    pub fixed: &'static [(&'static str, Item)],
    /// Finds a name.
    pub find: fn(u64, &[u8]) -> Option<(&'static Item, u64)>,
    /// All names that `find` knows, with a cookie that only grows.
    pub names: fn(u64) -> Vec<(u64, Vec<u8>)>,
    /// Kind of what stands behind those names.
    pub kind: Kind,
}

/// A volume of such a tree.
pub(crate) struct Synthetic {
    device: u64,
    type_name: &'static str,
    magic: u32,
}

impl Volume for Synthetic {
    fn device(&self) -> u64 {
        self.device
    }
    fn type_name(&self) -> &'static str {
        self.type_name
    }
    fn coherence(&self) -> Coherence {
        Coherence::Shared
    }
    fn stat_fs(&self) -> Result<VolumeInfo> {
        Ok(VolumeInfo {
            magic: self.magic,
            block_bytes: 4096,
            blocks: 0,
            free: 0,
            available: 0,
            files: 0,
            files_free: 0,
            id: self.device,
            name_max: 255,
        })
    }
}

/// The root of a tree.
pub(crate) fn root(device: u64, type_name: &'static str, magic: u32, item: &'static Item) -> Arc<dyn Node> {
    let volume: Arc<dyn Volume> = Arc::new(Synthetic { device, type_name, magic });
    Arc::new(SyntheticNode { volume, item, key: 0, inode: 1 })
}

/// One node of a tree.
pub(crate) struct SyntheticNode {
    volume: Arc<dyn Volume>,
    item: &'static Item,
    key: u64,
    inode: u64,
}

impl SyntheticNode {
    fn child(&self, name: &[u8], item: &'static Item, key: u64) -> Arc<dyn Node> {
        // FNV-1a over the way down: the same name has the same number each time.
        let hash = name.iter().fold(self.inode ^ 0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Arc::new(Self { volume: self.volume.clone(), item, key, inode: hash & 0xffff_ffff | 1 << 32 })
    }

    fn fixed(&self) -> &'static [(&'static str, Item)] {
        match self.item {
            Item::Directory(entries) => entries,
            Item::Dynamic(dynamic) => dynamic.fixed,
            _ => &[],
        }
    }
}

fn kind_of(item: &Item) -> Kind {
    match item {
        Item::Directory(_) | Item::Dynamic(_) => Kind::Directory,
        Item::Text(_) | Item::Setting(..) => Kind::File,
        Item::Link(_) | Item::Magic(_) => Kind::Link,
        Item::Device(..) => Kind::CharDevice,
    }
}

impl Node for SyntheticNode {
    fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }
    fn kind(&self) -> Kind {
        kind_of(self.item)
    }
    fn inode(&self) -> u64 {
        self.inode
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn attr(&self) -> Result<Attr> {
        let (mode, rdev) = match self.item {
            Item::Directory(_) | Item::Dynamic(_) => (0o555, 0),
            Item::Text(_) => (0o444, 0),
            Item::Setting(..) => (0o644, 0),
            Item::Link(_) | Item::Magic(_) => (0o777, 0),
            Item::Device(rdev, _) => (0o666, *rdev),
        };
        Ok(Attr { rdev, ..plain_attr(self.inode, self.kind(), mode, now()) })
    }
    fn open(self: Arc<Self>, _access: Access) -> Result<Arc<dyn File>> {
        let (text, write) = match self.item {
            Item::Device(_, open) => return open(),
            Item::Text(text) => (text, None),
            Item::Setting(text, write) => (text, Some(*write)),
            _ => return Err(Errno::ENXIO),
        };
        let text = text(self.key)?;
        Ok(Arc::new(TextFile { node: self, text, write }))
    }
    fn open_directory(self: Arc<Self>) -> Result<Arc<dyn Node>> {
        Ok(self)
    }
    fn set_attr(&self, _change: &AttrChange) -> Result<Attr> {
        Err(Errno::EPERM)
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Node>> {
        if self.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if let Some((_, item)) = self.fixed().iter().find(|(fixed, _)| fixed.as_bytes() == name) {
            return Ok(self.child(name, item, self.key));
        }
        if let Item::Dynamic(dynamic) = self.item
            && let Some((item, key)) = (dynamic.find)(self.key, name)
        {
            return Ok(self.child(name, item, key));
        }
        Err(Errno::ENOENT)
    }
    fn mkdir(&self, _name: &[u8], _mode: u16) -> Result<Arc<dyn Node>> {
        Err(Errno::ENOENT)
    }
    fn read_link(&self) -> Result<Vec<u8>> {
        match self.item {
            Item::Link(text) => text(self.key),
            Item::Magic(place) => {
                let place = place(self.key)?;
                let mut path = crate::process::process().fs.path_of(&place);
                if place.is_removed() {
                    path.extend_from_slice(b" (deleted)");
                }
                Ok(path)
            }
            _ => Err(Errno::EINVAL),
        }
    }
    fn magic_link(&self) -> Option<Place> {
        if let Item::Magic(place) = self.item { place(self.key).ok() } else { None }
    }
    fn list(&self, cookie: u64, take: &mut dyn FnMut(Entry) -> bool) -> Result<bool> {
        let fixed = self.fixed();
        for (index, (name, item)) in (1..).zip(fixed) {
            let entry = Entry { inode: index, cookie: index, kind: kind_of(item), name: name.as_bytes() };
            if index > cookie && !take(entry) {
                return Ok(false);
            }
        }
        let Item::Dynamic(dynamic) = self.item else { return Ok(true) };
        for (own, name) in (dynamic.names)(self.key) {
            let own = own + 1 + fixed.len() as u64;
            if own > cookie && !take(Entry { inode: own, cookie: own, kind: dynamic.kind, name: &name }) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An open text.
struct TextFile {
    node: Arc<SyntheticNode>,
    text: Vec<u8>,
    write: Option<fn(u64, &[u8]) -> Result<()>>,
}

impl File for TextFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn node(&self) -> Option<Arc<dyn Node>> {
        Some(self.node.clone())
    }
    fn seekable(&self) -> bool {
        true
    }
    fn read_at(&self, offset: u64, sink: &mut Sink) -> Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.text.get(at..) {
            Some(rest) if !rest.is_empty() => sink.put(rest),
            _ => Ok(0),
        }
    }
    fn write_at(&self, _offset: u64, source: &mut Source) -> Result<usize> {
        let write = self.write.ok_or(Errno::EINVAL)?;
        let mut bytes = [0; 256];
        let count = source.get(&mut bytes)?;
        write(self.node.key, bytes.get(..count).unwrap_or_default())?;
        Ok(count)
    }
    fn append(&self, source: &mut Source) -> Result<(usize, u64)> {
        self.write_at(0, source).map(|count| (count, 0))
    }
    fn size(&self) -> Result<u64> {
        Ok(0)
    }
    fn truncate(&self, _size: u64) -> Result<()> {
        Ok(())
    }
}
