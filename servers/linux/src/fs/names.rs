//! The tree of names: [`Dentry`], its children, mounts on it, and the way back to the root.
//!
//! On a volume that only this VM changes, a directory keeps its children (present ones and known-absent ones), so that
//! resolving a path again sends no message. On a shared volume nothing is kept: a dentry there records only how it was
//! reached, so that `..` and getcwd(2) work; its node is walked to when it is first needed.
//! Resolution itself is [`resolve`](super::resolve).
//!
//! Locks: `link`, `node`, `children`, `mounted` are leaves and held for a few instructions. [`Dentry::gate`] orders changes of one directory.

use super::node::{Kind, Node, Result, Volume};
use crate::wait::Gate;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use hashbrown::HashMap;
use linux_abi::Errno;
use spin::Mutex;

/// A place in the tree.
pub(crate) type Place = Arc<Dentry>;

struct Link {
    parent: Option<Place>,
    name: Box<[u8]>,
}

/// What a directory remembers of one name.
#[derive(Clone)]
pub(crate) enum Child {
    /// It is there.
    Present(Place),
    /// It was asked for and is not there.
    Absent,
}

#[derive(Default)]
struct Children {
    known: HashMap<Box<[u8]>, Child>,
    /// Names that exist only because something is mounted there.
    pinned: Vec<Box<[u8]>>,
    /// Grows with every change; an answer that was asked for before a change is not kept.
    changes: u64,
}

/// One name in the tree and the node it leads to.
pub(crate) struct Dentry {
    volume: Arc<dyn Volume>,
    kind: Kind,
    link: Mutex<Link>,
    node: Mutex<Option<Arc<dyn Node>>>,
    children: Mutex<Children>,
    is_mount_point: AtomicBool,
    mounted: Mutex<Option<Place>>,
    /// The mount point, for the root of a mounted volume.
    covers: Option<Place>,
    removed: AtomicBool,
    /// Held by who creates, removes or renames in this directory.
    pub(crate) gate: Gate,
}

/// Names kept over all volumes; the bound that starts pruning.
static KEPT: AtomicUsize = AtomicUsize::new(0);
const MOST_KEPT: usize = 32_768;

impl Dentry {
    fn build(
        volume: Arc<dyn Volume>,
        kind: Kind,
        link: Link,
        node: Option<Arc<dyn Node>>,
        covers: Option<Place>,
    ) -> Place {
        Arc::new(Self {
            volume,
            kind,
            link: Mutex::new(link),
            node: Mutex::new(node),
            children: Mutex::new(Children::default()),
            is_mount_point: AtomicBool::new(false),
            mounted: Mutex::new(None),
            covers,
            removed: AtomicBool::new(false),
            gate: Gate::new(),
        })
    }

    /// The root of the tree.
    pub(crate) fn root(node: Arc<dyn Node>) -> Place {
        Self::build(node.volume().clone(), node.kind(), Link { parent: None, name: Box::default() }, Some(node), None)
    }

    /// A node without any place in the tree (pipe, socket, memfd); `name` is what `/proc/self/fd` shows.
    pub(crate) fn anonymous(node: Arc<dyn Node>, name: &[u8]) -> Place {
        Self::build(node.volume().clone(), node.kind(), Link { parent: None, name: name.into() }, Some(node), None)
    }

    /// A name in `parent`, not kept by it.
    pub(crate) fn under(parent: &Place, name: &[u8], kind: Kind, node: Option<Arc<dyn Node>>) -> Place {
        let link = Link { parent: Some(parent.clone()), name: name.into() };
        Self::build(parent.volume.clone(), kind, link, node, None)
    }

    /// The volume that the node is on.
    pub(crate) fn volume(&self) -> &Arc<dyn Volume> {
        &self.volume
    }

    /// What the node is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it has no name any more.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// The node, walked to now if this place was only passed through. Errors: as walking; `ENOENT`.
    pub(crate) fn node(&self) -> Result<Arc<dyn Node>> {
        if let Some(node) = &*self.node.lock() {
            return Ok(node.clone());
        }
        let (names, ancestor) = self.trail()?;
        let parts: Vec<&[u8]> = names.iter().rev().map(|name| &**name).collect();
        let mut at = ancestor;
        let mut done = 0;
        while done < parts.len() {
            let walked = at.walk(&parts[done..], None)?;
            at = walked.node.filter(|_| walked.count > 0).ok_or(Errno::ENOENT)?;
            done += walked.count;
        }
        *self.node.lock() = Some(at.clone());
        Ok(at)
    }

    /// Names from here up to the nearest ancestor whose node is at hand, and that node.
    fn trail(&self) -> Result<(Vec<Box<[u8]>>, Arc<dyn Node>)> {
        let (mut names, mut up) = {
            let link = self.link.lock();
            (alloc::vec![link.name.clone()], link.parent.clone())
        };
        while let Some(place) = up {
            let found = place.node.lock().clone();
            if let Some(node) = found {
                return Ok((names, node));
            }
            let link = place.link.lock();
            names.push(link.name.clone());
            let parent = link.parent.clone();
            drop(link);
            up = parent;
        }
        Err(Errno::ESTALE)
    }

    /// The directory above, through mount points; a root is its own.
    pub(crate) fn parent(self: &Arc<Self>) -> Place {
        let mut here = self.clone();
        loop {
            let above = here.link.lock().parent.clone();
            match (above, &here.covers) {
                (Some(above), _) => return above,
                (None, Some(point)) => here = point.clone(),
                (None, None) => return here,
            }
        }
    }

    /// What is mounted here, topmost; else the place itself.
    pub(crate) fn topmost(self: &Arc<Self>) -> Place {
        let mut here = self.clone();
        while here.is_mount_point.load(Ordering::Acquire) {
            let Some(next) = here.mounted.lock().clone() else { break };
            here = next;
        }
        here
    }

    /// Whether something is mounted here, or this is the root of something mounted.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_mount_point.load(Ordering::Acquire) || self.link.lock().parent.is_none()
    }

    /// Puts the root `node` of a volume over this place.
    pub(crate) fn mount(self: &Arc<Self>, node: Arc<dyn Node>) -> Place {
        let link = Link { parent: None, name: Box::default() };
        let root = Self::build(node.volume().clone(), node.kind(), link, Some(node), Some(self.clone()));
        *self.mounted.lock() = Some(root.clone());
        self.is_mount_point.store(true, Ordering::Release);
        root
    }

    /// Makes `name` exist here for a mount, also if the volume does not have it.
    pub(crate) fn pin(self: &Arc<Self>, name: &[u8], node: Arc<dyn Node>) -> Place {
        let place = Self::under(self, name, Kind::Directory, Some(node));
        let mut children = self.children.lock();
        children.pinned.push(name.into());
        children.known.insert(name.into(), Child::Present(place.clone()));
        children.changes += 1;
        place
    }

    /// The `index`-th pinned name.
    pub(crate) fn pinned(&self, index: usize) -> Option<Box<[u8]>> {
        self.children.lock().pinned.get(index).cloned()
    }

    /// Whether `name` is pinned.
    pub(crate) fn is_pinned(&self, name: &[u8]) -> bool {
        self.children.lock().pinned.iter().any(|pinned| **pinned == *name)
    }

    /// What is remembered of `name`, and the change count to hand to [`Self::keep`].
    pub(crate) fn known(&self, name: &[u8]) -> (Option<Child>, u64) {
        let children = self.children.lock();
        (children.known.get(name).cloned(), children.changes)
    }

    /// Remembers the answer for `name` unless the directory changed since `changes`; yields the place to use.
    pub(crate) fn keep(self: &Arc<Self>, name: &[u8], node: Option<Arc<dyn Node>>, changes: u64) -> Option<Place> {
        let place = node.map(|node| Self::under(self, name, node.kind(), Some(node)));
        let mut children = self.children.lock();
        if children.changes != changes {
            return place;
        }
        if let Some(Child::Present(first)) = children.known.get(name) {
            return Some(first.clone());
        }
        let child = place.clone().map_or(Child::Absent, Child::Present);
        if children.known.insert(name.into(), child).is_none() {
            KEPT.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    /// Records that `name` now leads to `node` (created or linked here).
    pub(crate) fn added(self: &Arc<Self>, name: &[u8], node: Arc<dyn Node>) -> Place {
        let place = Self::under(self, name, node.kind(), Some(node));
        self.change(name, self.volume.caches_names().then(|| Child::Present(place.clone())));
        place
    }

    /// Records that `name` is gone.
    pub(crate) fn dropped(&self, name: &[u8]) {
        let absent = self.volume.caches_names().then_some(Child::Absent);
        if let Some(Child::Present(place)) = self.change(name, absent) {
            place.removed.store(true, Ordering::Release);
        }
    }

    /// Records that what is remembered of `name` may be wrong.
    pub(crate) fn forget(&self, name: &[u8]) {
        self.change(name, None);
    }

    fn change(&self, name: &[u8], child: Option<Child>) -> Option<Child> {
        let mut children = self.children.lock();
        children.changes += 1;
        let before = match child {
            Some(child) => children.known.insert(name.into(), child),
            None => children.known.remove(name),
        };
        drop(children);
        before
    }

    /// Records a rename inside one volume: the place keeps its identity, so that open directories below stay right.
    pub(crate) fn moved(self: &Arc<Self>, from: &[u8], to_dir: &Place, to: &[u8], place: Option<Place>) {
        let before = self.change(from, self.volume.caches_names().then_some(Child::Absent));
        let kept = match before {
            Some(Child::Present(place)) => Some(place),
            _ => place,
        };
        if let Some(place) = &kept {
            *place.link.lock() = Link { parent: Some(to_dir.clone()), name: to.into() };
        }
        let child = kept.filter(|_| self.volume.caches_names()).map(Child::Present);
        if let Some(Child::Present(replaced)) = to_dir.change(to, child) {
            replaced.removed.store(true, Ordering::Release);
        }
    }

    /// Marks a place whose name was removed though no directory remembered it.
    pub(crate) fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Whether `self` is `other` or lies above it.
    pub(crate) fn is_above(self: &Arc<Self>, other: &Place) -> bool {
        let mut at = other.clone();
        loop {
            if Arc::ptr_eq(self, &at) {
                return true;
            }
            let above = at.parent();
            if Arc::ptr_eq(&above, &at) {
                return false;
            }
            at = above;
        }
    }

    /// The path from `root`; what lies outside of it gets its path from the topmost directory.
    pub(crate) fn path_from(self: &Arc<Self>, root: &Place) -> Vec<u8> {
        let mut parts: Vec<Box<[u8]>> = Vec::new();
        let mut at = self.clone();
        while !Arc::ptr_eq(&at, root) {
            let (name, parent) = {
                let link = at.link.lock();
                (link.name.clone(), link.parent.clone())
            };
            match (parent, &at.covers) {
                (Some(parent), _) => {
                    parts.push(name);
                    at = parent;
                }
                (None, Some(point)) => {
                    let point = point.clone();
                    at = point;
                }
                // An object without a place: its name alone.
                (None, None) if parts.is_empty() && !name.is_empty() => return name.into_vec(),
                (None, None) => break,
            }
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path
    }
}

/// Lets go of remembered names that nobody uses, once there are very many.
pub(crate) fn prune(root: &Place) {
    if KEPT.load(Ordering::Relaxed) < MOST_KEPT {
        return;
    }
    let mut pending = alloc::vec![root.clone()];
    let mut kept = 0;
    while let Some(place) = pending.pop() {
        let mut children = place.children.lock();
        let pinned = core::mem::take(&mut children.pinned);
        children.known.retain(|name, child| match child {
            Child::Absent => false,
            Child::Present(child) => {
                let unused = Arc::strong_count(child) == 1 && child.children.lock().known.is_empty();
                let keep = !unused || pinned.iter().any(|pinned| **pinned == **name);
                if keep {
                    kept += 1;
                    pending.push(child.clone());
                }
                keep
            }
        });
        children.pinned = pinned;
    }
    KEPT.store(kept, Ordering::Relaxed);
}
