//! A volume that is open: tree, log and free space, kept in step.
//!
//! Still no I/O. A server changes attributes through [`Volume::change`], allocates data sectors here,
//! writes the plans that [`Volume::plan`] makes and reports them with [`Volume::written`].
//!
//! Two rules live here so that callers cannot forget them: sectors that a change frees stay out of
//! reach until that change is on disk, and two log extensions are always kept in reserve, one to
//! extend the log and one to rewrite it; without them no data is allocated.

use crate::check::{self, Problem, Survey};
use crate::encode::Change;
use crate::log::{Log, NoSpace, Plan};
use crate::replay::Replayed;
use crate::space::{Run, Space};
use crate::symbols::{self, Symbol};
use crate::tree::{Object, ObjectId, Tree, Value};
use crate::{Cause, EXTENSION_SECTORS};
use alloc::vec::Vec;
use hashbrown::HashSet;

/// Log extensions kept in reserve.
const RESERVE: usize = 2;

/// An open volume.
#[derive(Debug)]
pub struct Volume {
    /// The tuples. Changing a tuple that the log knows is [`Volume::change`]'s business alone.
    pub tree: Tree,
    log: Log,
    space: Space,
    reserve: Vec<Run>,
    /// Freed by changes that are not on disk yet.
    held: Vec<Run>,
    uuid: [u8; 16],
    label: Vec<u8>,
}

/// A flush under way; see [`Volume::plan`].
#[derive(Debug)]
pub struct Flush {
    /// What to write.
    pub plan: Plan,
    /// How many of the held runs the plan covers.
    held: usize,
}

impl Volume {
    /// Opens a replayed volume, or says why it must not be used. The survey's other problems are
    /// repaired in memory as far as they can be (link counts).
    pub fn open(mut replayed: Replayed) -> Result<(Volume, Survey), Problem> {
        let survey = check::survey(&replayed);
        if let Some(problem) = survey.fatal() {
            return Err(problem.clone());
        }
        let log = Log::open(&mut replayed);
        let mut volume = Volume {
            log,
            space: survey.space.clone(),
            reserve: Vec::new(),
            held: Vec::new(),
            uuid: replayed.uuid,
            label: replayed.label,
            tree: replayed.tree,
        };
        for found in &survey.nodes {
            let stored = volume.tree.number(found.node, symbols::NLINK).unwrap_or(1);
            if found.kind != crate::Kind::Directory && stored != found.names {
                volume.tree.set(found.node, symbols::NLINK, Some(Value::number(found.names)));
            }
        }
        volume.fill_reserve();
        Ok((volume, survey))
    }

    /// Identity of the volume, bytes in disk order.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Label of the volume.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// Sectors in all.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.space.sectors()
    }

    /// Sectors that are free, or will be when the pending changes are on disk.
    #[must_use]
    pub fn free_sectors(&self) -> u64 {
        let held: u64 = self.held.iter().map(|run| run.count).sum();
        self.space.free().saturating_add(held)
    }

    /// Whether sectors wait for a flush to become free.
    #[must_use]
    pub fn holds_freed(&self) -> bool {
        !self.held.is_empty()
    }

    /// A tuple with these attributes that nothing refers to yet.
    pub fn new_tuple(&mut self, attributes: &[(Symbol, Value)]) -> Result<ObjectId, Cause> {
        let id = self.tree.add_tuple()?;
        for (name, value) in attributes {
            self.tree.set(id, *name, Some(value.clone()));
        }
        Ok(id)
    }

    /// Sets and removes attributes of one tuple, in the tree and as one record of the log.
    ///
    /// On `NoSpace` nothing has changed.
    pub fn change(&mut self, target: ObjectId, changes: &[Change]) -> Result<(), NoSpace> {
        let Volume { tree, log, space, reserve, .. } = self;
        log.append(tree, target, changes, &mut |count| take_extensions(space, reserve, count))?;
        for (name, value) in changes {
            tree.set(target, *name, value.clone());
        }
        self.fill_reserve();
        Ok(())
    }

    /// Takes data sectors: `count` in one run, else the longest run of at least `least`.
    pub fn allocate(&mut self, least: u64, count: u64) -> Option<Run> {
        self.fill_reserve();
        if self.reserve.len() < RESERVE {
            return None;
        }
        self.space.allocate_between(least, count)
    }

    /// Takes up to `count` data sectors that begin exactly at `sector`; the number taken.
    pub fn extend_at(&mut self, sector: u64, count: u64) -> u64 {
        self.fill_reserve();
        if self.reserve.len() < RESERVE { 0 } else { self.space.extend_at(sector, count) }
    }

    /// Gives back sectors that no record ever named.
    pub fn release(&mut self, run: Run) {
        self.space.release(run);
    }

    /// Gives back sectors that a logged change has freed, as soon as that change is on disk.
    pub fn release_when_written(&mut self, run: Run) {
        if self.log.is_dirty() {
            self.held.push(run);
        } else {
            self.space.release(run);
        }
    }

    /// Drops a node that has no name and no user, with its own tuples. Its sectors are given back.
    pub fn discard(&mut self, node: ObjectId) {
        for extent in self.tree.extents(node).unwrap_or_default() {
            self.release_when_written(extent.storage());
            self.discard_object(extent.object);
        }
        let table = self.tree.extent_table(node);
        let children = self.tree.children(node);
        for id in [table, children, Some(node)].into_iter().flatten() {
            self.discard_object(id);
        }
    }

    /// Drops one tuple. The caller vouches that nothing refers to it.
    pub fn discard_object(&mut self, id: ObjectId) {
        self.log.forget(id);
        self.tree.discard(id);
    }

    /// Whether changes wait to be written.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.log.is_dirty()
    }

    /// Bytes of log that wait to be written, roughly.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    /// What to write so that all changes so far become durable; `None` if there are none.
    ///
    /// File data must be on disk before the first stage is written. Changes may go on meanwhile.
    /// Only one flush may be under way.
    #[must_use]
    pub fn plan(&self) -> Option<Flush> {
        self.log.plan().map(|plan| Flush { plan, held: self.held.len() })
    }

    /// Notes that a flush is on disk: what it freed can be used again.
    pub fn written(&mut self, flush: &Flush) {
        let retired = self.log.written(&flush.plan);
        // Without further changes, what was freed during the flush waits for nothing either.
        let covered = if self.log.is_dirty() { flush.held.min(self.held.len()) } else { self.held.len() };
        let held = self.held.drain(..covered);
        for run in retired.into_iter().chain(held) {
            self.space.release(run);
        }
        self.fill_reserve();
    }

    /// Whether records of `bytes` bytes in all surely find room in the log.
    #[must_use]
    pub fn has_log_room(&self, bytes: u64) -> bool {
        !self.reserve.is_empty() || self.log.room() > bytes
    }

    /// Whether the log has collected enough obsolete records to be worth a rewrite.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.log.wants_rewrite()
    }

    /// Replaces the log by one without history. The next flush writes and switches to it. No flush
    /// may be under way. `NoSpace` leaves everything as it was.
    pub fn compact(&mut self) -> Result<(), NoSpace> {
        self.forget_unused_names();
        let Volume { tree, log, space, reserve, .. } = self;
        let mut taken = Vec::new();
        let result = log.rewrite(tree, &mut |count| {
            let runs = take_extensions(space, reserve, count)?;
            taken.extend_from_slice(&runs);
            Some(runs)
        });
        if result.is_err() {
            taken.into_iter().for_each(|run| self.space.release(run));
        }
        self.fill_reserve();
        result
    }

    /// Names of deleted files would otherwise stay in memory for good.
    fn forget_unused_names(&mut self) {
        let mut used = HashSet::new();
        for id in self.tree.ids() {
            if let Some(Object::Tuple(attributes)) = self.tree.get(id) {
                used.extend(attributes.iter().map(|(name, _)| name));
            }
        }
        self.tree.symbols.retain(|symbol| used.contains(&symbol));
    }

    fn fill_reserve(&mut self) {
        while self.reserve.len() < RESERVE {
            match self.space.allocate(EXTENSION_SECTORS) {
                Some(run) => self.reserve.push(run),
                None => return,
            }
        }
    }
}

/// Log extensions from the reserve and then from the free sectors; all or none.
fn take_extensions(space: &mut Space, reserve: &mut Vec<Run>, count: usize) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = reserve.drain(..count.min(reserve.len())).collect();
    while runs.len() < count {
        match space.allocate(EXTENSION_SECTORS) {
            Some(run) => runs.push(run),
            None => {
                reserve.append(&mut runs);
                return None;
            }
        }
    }
    Some(runs)
}
