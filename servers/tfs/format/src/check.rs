//! Is a replayed volume sound? One walk over the tree (FORMAT section 7) that claims all storage.
//!
//! A *fatal* problem means that writing would make things worse or that data cannot be trusted;
//! servers refuse such a volume. The others are reported and lived with.

use crate::node::{Kind, NodeError};
use crate::replay::Replayed;
use crate::space::{ClaimError, Run, Space};
use crate::symbols::{self, Symbol};
use crate::tree::{ObjectId, ROOT, Tree};
use crate::{NAME_MAX, SECTOR_BYTES};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use hashbrown::{HashMap, HashSet};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A name was defined twice: Nanos would misnumber what it appends.
    DuplicateSymbol,
    /// The root has no `children`.
    RootNotDirectory,
    /// A directory, or one of its tuples, is reachable twice.
    Loop,
    /// A directory entry is not a tuple.
    EntryKind,
    /// A name that no directory may hold: empty, `.`, `..`, with a slash or a zero byte.
    IllegalName,
    /// A name above 255 bytes.
    LongName,
    /// A node's attributes are malformed.
    Node(NodeError),
    /// Something other than a file has extents.
    StrayExtents,
    /// A file without an `extents` tuple: the kernel of Nanos cannot open it.
    NoExtents,
    /// An extent reaches past the end of the volume.
    Outside(Run),
    /// Sectors belong to two extents, or to an extent and the log.
    Overlap(Run),
    /// An extent begins behind the end of the file.
    BeyondLength,
    /// `nlink` is not the number of names found.
    LinkCount {
        /// According to the attribute.
        stored: u64,
        /// Names found.
        found: u64,
    },
}

impl ProblemKind {
    /// Whether the volume must not be used.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        !matches!(
            self,
            ProblemKind::LongName
                | ProblemKind::NoExtents
                | ProblemKind::BeyondLength
                | ProblemKind::LinkCount { .. }
        )
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProblemKind::DuplicateSymbol => f.write_str("the name is defined twice in the log"),
            ProblemKind::RootNotDirectory => f.write_str("the root has no children tuple"),
            ProblemKind::Loop => f.write_str("is reachable twice"),
            ProblemKind::EntryKind => f.write_str("the entry is not a tuple"),
            ProblemKind::IllegalName => f.write_str("illegal name"),
            ProblemKind::LongName => f.write_str("the name is longer than 255 bytes"),
            ProblemKind::Node(error) => error.fmt(f),
            ProblemKind::StrayExtents => f.write_str("has extents but is not a file"),
            ProblemKind::NoExtents => f.write_str("has no extents tuple"),
            ProblemKind::Outside(run) => {
                write!(f, "sectors {}+{} lie outside the volume", run.sector, run.count)
            }
            ProblemKind::Overlap(run) => {
                write!(f, "sectors {}+{} are in use elsewhere", run.sector, run.count)
            }
            ProblemKind::BeyondLength => f.write_str("an extent begins behind the file's end"),
            ProblemKind::LinkCount { stored, found } => {
                write!(f, "link count {stored}, but {found} names")
            }
        }
    }
}

/// A problem and the path where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the node, or the name in question.
    pub path: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)
    }
}

/// A node that was found, once however many names it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The node.
    pub node: ObjectId,
    /// What it is.
    pub kind: Kind,
    /// Names that lead to it (the root: 1).
    pub names: u64,
    /// The directory of its first name; the root's is the root.
    pub parent: ObjectId,
}

/// What a walk over a volume found.
#[derive(Debug)]
pub struct Survey {
    /// Everything wrong.
    pub problems: Vec<Problem>,
    /// All nodes, parents before children.
    pub nodes: Vec<Found>,
    /// Sectors that neither the log nor a file uses.
    pub space: Space,
}

impl Survey {
    /// The first problem that forbids the use of the volume.
    #[must_use]
    pub fn fatal(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.kind.is_fatal())
    }
}

/// Where a node was first found, to name it when it has a problem.
struct Place {
    node: ObjectId,
    parent: usize,
    name: Option<Symbol>,
}

struct Walk<'a> {
    tree: &'a Tree,
    survey: Survey,
    places: Vec<Place>,
    index: HashMap<ObjectId, usize>,
    /// `children` and `extents` tuples met so far; each belongs to one node.
    owned: HashSet<ObjectId>,
}

/// Walks the whole tree of a replayed volume.
#[must_use]
pub fn survey(replayed: &Replayed) -> Survey {
    let survey = Survey { problems: Vec::new(), nodes: Vec::new(), space: replayed.space.clone() };
    let mut walk = Walk {
        tree: &replayed.tree,
        survey,
        places: Vec::new(),
        index: HashMap::new(),
        owned: HashSet::new(),
    };
    for symbol in &replayed.duplicates {
        let name = String::from_utf8_lossy(replayed.tree.symbols.name(*symbol)).into_owned();
        walk.survey.problems.push(Problem { path: name, kind: ProblemKind::DuplicateSymbol });
    }
    walk.all();
    walk.survey
}

impl Walk<'_> {
    fn all(&mut self) {
        self.found(ROOT, 0, None);
        if self.tree.kind(ROOT) != Kind::Directory {
            self.problem(0, ProblemKind::RootNotDirectory);
        }
        let mut next = 0;
        while let Some(found) = self.survey.nodes.get(next).copied() {
            self.node(next, found);
            next += 1;
        }
        for at in 0..self.survey.nodes.len() {
            self.link_count(at);
        }
    }

    fn found(&mut self, node: ObjectId, parent: usize, name: Option<Symbol>) {
        let kind = self.tree.kind(node);
        let parent_node = self.places.get(parent).map_or(ROOT, |place| place.node);
        self.index.insert(node, self.places.len());
        self.places.push(Place { node, parent, name });
        self.survey.nodes.push(Found { node, kind, names: 1, parent: parent_node });
    }

    fn problem(&mut self, at: usize, kind: ProblemKind) {
        let path = self.path(at, None);
        self.survey.problems.push(Problem { path, kind });
    }

    fn entry_problem(&mut self, at: usize, name: Symbol, kind: ProblemKind) {
        let path = self.path(at, Some(name));
        self.survey.problems.push(Problem { path, kind });
    }

    /// The path of a node, or of an entry in it.
    fn path(&self, mut at: usize, entry: Option<Symbol>) -> String {
        let mut names: Vec<Symbol> = entry.into_iter().collect();
        while let Some(Place { parent, name: Some(name), .. }) = self.places.get(at) {
            names.push(*name);
            at = *parent;
        }
        let mut path = String::new();
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(self.tree.symbols.name(*name)));
        }
        if path.is_empty() { String::from("/") } else { path }
    }

    fn node(&mut self, at: usize, found: Found) {
        match found.kind {
            Kind::Directory => self.directory(at, found.node),
            Kind::File => return self.file(at, found.node),
            Kind::Symlink => {
                if let Err(error) = self.tree.link_target(found.node) {
                    self.problem(at, ProblemKind::Node(error));
                }
            }
            Kind::Socket | Kind::Special => {}
        }
        if self.tree.attribute(found.node, symbols::EXTENTS).is_some() {
            self.problem(at, ProblemKind::StrayExtents);
        }
    }

    fn directory(&mut self, at: usize, node: ObjectId) {
        let tree = self.tree;
        let Some(children) = tree.children(node) else { return };
        if !self.owned.insert(children) {
            return self.problem(at, ProblemKind::Loop);
        }
        let Some(entries) = tree.tuple(children) else { return };
        for (name, value) in entries.iter() {
            self.name(at, name);
            let child = value.as_object().filter(|id| tree.tuple(*id).is_some());
            let Some(child) = child else {
                self.entry_problem(at, name, ProblemKind::EntryKind);
                continue;
            };
            let known = self.index.get(&child).copied();
            match known.and_then(|index| self.survey.nodes.get_mut(index)) {
                None => self.found(child, at, Some(name)),
                Some(found) if found.kind == Kind::Directory => {
                    self.entry_problem(at, name, ProblemKind::Loop);
                }
                Some(found) => found.names += 1,
            }
        }
    }

    fn name(&mut self, at: usize, name: Symbol) {
        let bytes = self.tree.symbols.name(name);
        if !is_legal_name(bytes) {
            self.entry_problem(at, name, ProblemKind::IllegalName);
        } else if bytes.len() > NAME_MAX {
            self.entry_problem(at, name, ProblemKind::LongName);
        }
    }

    fn file(&mut self, at: usize, node: ObjectId) {
        let tree = self.tree;
        match tree.extent_table(node) {
            None => self.problem(at, ProblemKind::NoExtents),
            Some(table) if !self.owned.insert(table) => self.problem(at, ProblemKind::Loop),
            Some(_) => {}
        }
        let (length, extents) = match (tree.file_length(node), tree.extents(node)) {
            (Ok(length), Ok(extents)) => (length, extents),
            (Err(error), _) | (_, Err(error)) => return self.problem(at, ProblemKind::Node(error)),
        };
        for extent in extents {
            let run = extent.storage();
            if !self.owned.insert(extent.object) {
                self.problem(at, ProblemKind::Loop);
            }
            match self.survey.space.claim(run) {
                Ok(()) => {}
                Err(ClaimError::Outside) => self.problem(at, ProblemKind::Outside(run)),
                Err(ClaimError::Overlap) => self.problem(at, ProblemKind::Overlap(run)),
            }
            if extent.block.saturating_mul(SECTOR_BYTES) >= length {
                self.problem(at, ProblemKind::BeyondLength);
            }
        }
    }

    fn link_count(&mut self, at: usize) {
        let Some(found) = self.survey.nodes.get(at).copied() else { return };
        if found.kind == Kind::Directory {
            return;
        }
        let stored = self.tree.number(found.node, symbols::NLINK).unwrap_or(1);
        if stored != found.names {
            self.problem(at, ProblemKind::LinkCount { stored, found: found.names });
        }
    }
}

/// Whether a directory entry may have this name, its length aside.
#[must_use]
pub fn is_legal_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}
