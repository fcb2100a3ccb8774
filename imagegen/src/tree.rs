//! The files of the image, as they will stand in the guest: a tree in memory, before anything is written.
//!
//! Contents stay on the host until [`crate::image`] copies them. Paths that lead through a symbolic link of the tree
//! are followed, so that a library finds its place below a user's `/lib -> usr/lib`. [`crate::rootfs`] fills the tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tfs_format::build::FileInfo;

use crate::error::{Error, Result};
use crate::options::GuestPath;

/// Most symbolic links followed on the way to one path, as in Linux.
const LINKS_MAX: usize = 40;

/// Where a file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file of this computer.
    Host {
        /// Its path, links resolved.
        path: PathBuf,
        /// Its length in bytes when it was looked at; the image holds exactly so many.
        len: u64,
    },
    /// Made by imagegen.
    Bytes(Vec<u8>),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Host { len, .. } => *len,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For error messages.
    fn origin(&self) -> String {
        match self {
            Content::Host { path, .. } => path.display().to_string(),
            Content::Bytes(_) => "a file made by imagegen".to_owned(),
        }
    }
}

/// Entries of a directory; names are bytes, as in Linux.
pub type Directory = BTreeMap<Vec<u8>, Node>;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory(Directory),
    /// A regular file with its permissions and times.
    File(Content, FileInfo),
    /// A symbolic link and its target.
    Link(Vec<u8>),
}

impl Node {
    fn origin(&self) -> String {
        match self {
            Node::Directory(_) => "a folder".to_owned(),
            Node::File(content, _) => content.origin(),
            Node::Link(target) => format!("a link to {}", String::from_utf8_lossy(target)),
        }
    }
}

/// The root directory and everything below it.
#[derive(Debug, Default)]
pub struct Tree {
    root: Directory,
}

impl Tree {
    /// The entries of the root directory.
    pub fn root(&self) -> &Directory {
        &self.root
    }

    /// Whether something stands at `path`; links on the way are followed, one at its end is not.
    pub fn contains(&self, path: &GuestPath) -> bool {
        self.resolve(&components(path)).is_ok_and(|names| self.at(&names).is_some())
    }

    /// Makes a directory and those above it; one that exists is kept. Errors: [`Error::GuestPathTaken`].
    pub fn add_directory(&mut self, path: &GuestPath) -> Result<()> {
        let mut names = components(path);
        // The empty name makes the last real component count as a directory, so that a link to one is followed.
        names.push(Vec::new());
        let mut names = self.resolve(&names)?;
        names.pop();
        self.directory(&names).map(|_| ())
    }

    /// Puts `node` at `path`, making the directories above. The same file twice is fine, and folders are merged.
    ///
    /// Errors: [`Error::GuestPathTaken`] if something else stands there.
    pub fn add(&mut self, path: &GuestPath, node: Node) -> Result<()> {
        if *path == GuestPath::root() {
            return match node {
                Node::Directory(entries) => merge(&mut self.root, entries, ""),
                node => Err(taken("/", "the root folder".to_owned(), node.origin())),
            };
        }
        let mut names = self.resolve(&components(path))?;
        let Some(name) = names.pop() else { return Ok(()) };
        let folder = display(&names);
        let directory = self.directory(&names)?;
        merge(directory, BTreeMap::from([(name, node)]), folder.trim_end_matches('/'))
    }

    /// Number of files, directories and links, and bytes of all files.
    pub fn totals(&self) -> (u64, u64) {
        fn count(directory: &Directory) -> (u64, u64) {
            directory.values().fold((0, 0), |(nodes, bytes), node| {
                let (more_nodes, more_bytes) = match node {
                    Node::Directory(entries) => count(entries),
                    Node::File(content, _) => (0, content.len()),
                    Node::Link(_) => (0, 0),
                };
                (nodes + 1 + more_nodes, bytes.saturating_add(more_bytes))
            })
        }
        count(&self.root)
    }

    fn at(&self, names: &[Vec<u8>]) -> Option<&Node> {
        let (name, folders) = names.split_last()?;
        let mut directory = &self.root;
        for folder in folders {
            match directory.get(folder)? {
                Node::Directory(entries) => directory = entries,
                _ => return None,
            }
        }
        directory.get(name)
    }

    /// The directory at `names`, made if missing; `names` leads through no link.
    fn directory(&mut self, names: &[Vec<u8>]) -> Result<&mut Directory> {
        let mut directory = &mut self.root;
        for (depth, name) in names.iter().enumerate() {
            let node = directory.entry(name.clone()).or_insert_with(|| Node::Directory(Directory::new()));
            match node {
                Node::Directory(entries) => directory = entries,
                other => {
                    let path = display(names.get(..=depth).unwrap_or_default());
                    return Err(taken(&path, other.origin(), "a folder".to_owned()));
                }
            }
        }
        Ok(directory)
    }

    /// Follows links in all components but the last.
    fn resolve(&self, names: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let mut resolved: Vec<Vec<u8>> = Vec::new();
        let mut pending: Vec<Vec<u8>> = names.iter().rev().cloned().collect();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    resolved.pop();
                    continue;
                }
                _ => resolved.push(name),
            }
            if pending.is_empty() {
                break;
            }
            let Some(Node::Link(target)) = self.at(&resolved) else { continue };
            links += 1;
            if links > LINKS_MAX {
                return Err(taken(&display(names), "a circle of links".to_owned(), "a file".to_owned()));
            }
            resolved.pop();
            if target.starts_with(b"/") {
                resolved.clear();
            }
            let steps = target.split(|byte| *byte == b'/').filter(|step| !step.is_empty());
            let steps: Vec<Vec<u8>> = steps.map(<[u8]>::to_vec).collect();
            pending.extend(steps.into_iter().rev());
        }
        Ok(resolved)
    }
}

/// Adds `entries` to `directory`, folder by folder; `path` is the directory's own, for messages.
fn merge(directory: &mut Directory, entries: Directory, path: &str) -> Result<()> {
    for (name, node) in entries {
        let path = format!("{path}/{}", String::from_utf8_lossy(&name));
        match (directory.get_mut(&name), node) {
            (None, node) => {
                directory.insert(name, node);
            }
            (Some(Node::Directory(present)), Node::Directory(entries)) => merge(present, entries, &path)?,
            (Some(present), node) if *present == node => {}
            (Some(present), node) => return Err(taken(&path, present.origin(), node.origin())),
        }
    }
    Ok(())
}

fn taken(guest: &str, first: String, second: String) -> Error {
    Error::GuestPathTaken { guest: guest.to_owned(), contenders: (first, second) }
}

fn components(path: &GuestPath) -> Vec<Vec<u8>> {
    path.components().map(|name| name.as_bytes().to_vec()).collect()
}

fn display(names: &[Vec<u8>]) -> String {
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        text.parse().unwrap()
    }

    fn file(text: &str) -> Node {
        Node::File(Content::Bytes(text.as_bytes().to_vec()), FileInfo::default())
    }

    #[test]
    fn folders_above_a_file_are_made() {
        let mut tree = Tree::default();
        tree.add(&path("/a/b/c"), file("x")).unwrap();
        assert!(tree.contains(&path("/a/b")) && tree.contains(&path("/a/b/c")));
        assert_eq!(tree.totals(), (3, 1));
    }

    #[test]
    fn the_same_file_may_be_given_twice_but_not_two_files() {
        let mut tree = Tree::default();
        tree.add(&path("/a"), file("x")).unwrap();
        tree.add(&path("/a"), file("x")).unwrap();
        assert!(matches!(tree.add(&path("/a"), file("y")), Err(Error::GuestPathTaken { guest, .. }) if guest == "/a"));
        assert!(matches!(tree.add(&path("/a/b"), file("y")), Err(Error::GuestPathTaken { .. })));
    }

    #[test]
    fn links_on_the_way_are_followed() {
        let mut tree = Tree::default();
        tree.add(&path("/lib"), Node::Link(b"usr/lib".to_vec())).unwrap();
        tree.add(&path("/lib/x/libc.so.6"), file("c")).unwrap();
        assert!(tree.contains(&path("/usr/lib/x/libc.so.6")));
        tree.add_directory(&path("/lib")).unwrap();
        assert!(matches!(tree.root().get(b"lib".as_slice()), Some(Node::Link(_))));
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        let mut tree = Tree::default();
        tree.add(&path("/a"), Node::Link(b"/b".to_vec())).unwrap();
        tree.add(&path("/b"), Node::Link(b"/a".to_vec())).unwrap();
        assert!(tree.add(&path("/a/x"), file("x")).is_err());
    }
}
