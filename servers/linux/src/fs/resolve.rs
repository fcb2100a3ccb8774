//! Path resolution: components, `.` and `..`, links, mounts, trailing slashes (path_resolution(7)).
//!
//! On a volume whose names may be kept, each component is looked up in the name cache and asked for once. On a shared
//! one the longest run of plain components goes to the server as one walk, with the intent to open where the path ends there.

use super::names::{Child, Dentry, Place};
use super::node::{Access, Kind, Node, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::PATH_MAX;

/// Longest name of one entry.
const NAME_MAX: usize = 255;
/// Most links followed in one resolution (`MAXSYMLINKS`).
const MOST_LINKS: u32 = 40;
/// Most bytes of components that one walk carries.
const RUN_BYTES: usize = 640;

/// What is wanted of the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// It exists; a link is followed.
    Follow,
    /// It exists; a link is the result.
    Stay,
    /// It need not exist; a link is followed.
    FollowOrMissing,
    /// It need not exist; a link is the result.
    StayOrMissing,
    /// It is not looked at: directory and name are the result.
    Parent,
}

impl Last {
    fn follows(self) -> bool {
        matches!(self, Self::Follow | Self::FollowOrMissing)
    }
    fn may_miss(self) -> bool {
        matches!(self, Self::FollowOrMissing | Self::StayOrMissing)
    }
}

/// The last component of a path whose parent was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// A plain name, and whether slashes follow it.
    Name(Vec<u8>, bool),
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// No component at all: the root.
    Root,
}

/// Result of a resolution.
pub(crate) enum Found {
    /// It exists.
    Place(Place),
    /// The directory where it is, or would be.
    In(Place, Tail),
}

/// Path text: the caller's, or links spliced in front of what was left of it.
struct Text<'a> {
    given: &'a [u8],
    spliced: Option<Vec<u8>>,
    at: usize,
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        self.spliced.as_deref().unwrap_or(self.given)
    }

    /// Start and end of the component at or behind `at`.
    fn component(&self, at: usize) -> Option<(usize, usize)> {
        let bytes = self.bytes();
        let start = at + bytes.get(at..)?.iter().position(|&byte| byte != b'/')?;
        let len = bytes[start..].iter().position(|&byte| byte == b'/').unwrap_or(bytes.len() - start);
        Some((start, start + len))
    }

    fn slice(&self, range: (usize, usize)) -> &[u8] {
        self.bytes().get(range.0..range.1).unwrap_or_default()
    }

    fn is_last(&self, end: usize) -> bool {
        self.component(end).is_none()
    }

    fn slash_at(&self, end: usize) -> bool {
        self.bytes().get(end) == Some(&b'/')
    }

    /// Puts a link's target in place of everything before `end`.
    fn splice(&mut self, target: &[u8], end: usize) -> Result<()> {
        let rest = self.bytes().get(end..).unwrap_or_default();
        if target.len() + rest.len() >= 2 * PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut text = Vec::with_capacity(target.len() + rest.len());
        text.extend_from_slice(target);
        text.extend_from_slice(rest);
        self.spliced = Some(text);
        self.at = 0;
        Ok(())
    }
}

/// One resolution: where absolute paths begin, and what is to be done at the end.
pub(crate) struct Resolver<'a> {
    /// The process's root.
    pub root: &'a Place,
    /// What is wanted of the last component.
    pub last: Last,
    /// How the end will be opened, for a shared volume to do it at once.
    pub intent: Option<Access>,
    /// Devices on whose volumes something is mounted: their walks go one component at a time.
    pub crossed: &'a dyn Fn(u64) -> bool,
}

/// Outcome of one step.
enum Step {
    /// Reached the place; the text is consumed up to `end`.
    To(Place, usize),
    /// The component that ends at `end` does not exist in the directory.
    Missing(Place, (usize, usize)),
}

impl Resolver<'_> {
    /// Resolves `path` from `start`.
    ///
    /// Errors: `ENOENT`, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG`, `EACCES`, `EIO`.
    pub(crate) fn run(&self, start: &Place, path: &[u8]) -> Result<Found> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut text = Text { given: path, spliced: None, at: 0 };
        let mut here = if path[0] == b'/' { self.root.clone() } else { start.clone() };
        let mut links = 0;
        loop {
            let Some(range) = text.component(text.at) else {
                return Ok(if self.last == Last::Parent { Found::In(here, Tail::Root) } else { Found::Place(here) });
            };
            if here.kind() != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            let (last, name) = (text.is_last(range.1), text.slice(range));
            if let Some(tail) = self.tail(&text, range, last) {
                return tail.map(|tail| Found::In(here, tail));
            }
            if name == b"." || name == b".." {
                if name == b".." && !Arc::ptr_eq(&here, self.root) {
                    here = here.parent();
                }
                text.at = range.1;
                continue;
            }
            match self.step(&here, &text, range)? {
                Step::To(next, end) => {
                    let (last, slash) = (text.is_last(end), text.slash_at(end));
                    if next.kind() == Kind::Link && (!last || slash || self.last.follows()) {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(Errno::ELOOP);
                        }
                        here = self.follow(&next, &mut text, end)?;
                        continue;
                    }
                    if last {
                        let wrong = slash && next.kind() != Kind::Directory;
                        return if wrong { Err(Errno::ENOTDIR) } else { Ok(Found::Place(next)) };
                    }
                    here = next;
                    text.at = end;
                }
                Step::Missing(dir, range) if text.is_last(range.1) && self.last.may_miss() => {
                    let name = Tail::Name(text.slice(range).into(), text.slash_at(range.1));
                    return Ok(Found::In(dir, name));
                }
                Step::Missing(..) => return Err(Errno::ENOENT),
            }
        }
    }

    /// The result, if only the parent is wanted and this is the last component; also refuses names that are too long.
    fn tail(&self, text: &Text, range: (usize, usize), last: bool) -> Option<Result<Tail>> {
        let name = text.slice(range);
        if name.len() > NAME_MAX {
            return Some(Err(Errno::ENAMETOOLONG));
        }
        (last && self.last == Last::Parent).then(|| {
            Ok(match name {
                b"." => Tail::Dot,
                b".." => Tail::DotDot,
                _ => Tail::Name(name.into(), text.slash_at(range.1)),
            })
        })
    }

    /// Where a link leads: the directory to go on from; its target is spliced into the text.
    fn follow(&self, link: &Place, text: &mut Text, end: usize) -> Result<Place> {
        let node = link.node()?;
        if let Some(place) = node.magic_link() {
            text.splice(b"", end)?;
            return Ok(place);
        }
        let target = node.read_link()?;
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        text.splice(&target, end)?;
        Ok(if target[0] == b'/' { self.root.clone() } else { link.parent() })
    }

    /// Goes down from `here` by one component, or on a shared volume by as many as one walk can take.
    fn step(&self, here: &Place, text: &Text, range: (usize, usize)) -> Result<Step> {
        let name = text.slice(range);
        let (known, changes) = here.known(name);
        match known {
            Some(Child::Present(place)) => return Ok(Step::To(place.topmost(), range.1)),
            Some(Child::Absent) => return Ok(Step::Missing(here.clone(), range)),
            None => {}
        }
        if !here.volume().caches_names() {
            return self.walk(here, text, range);
        }
        let node = match here.node()?.lookup(name) {
            Ok(node) => Some(node),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        };
        Ok(match here.keep(name, node, changes) {
            Some(place) => Step::To(place.topmost(), range.1),
            None => Step::Missing(here.clone(), range),
        })
    }

    /// The plain components from `range` on that one walk can take.
    fn run_of(&self, here: &Place, text: &Text, range: (usize, usize)) -> Vec<(usize, usize)> {
        let mut ranges = alloc::vec![range];
        let mut bytes = range.1 - range.0;
        if (self.crossed)(here.volume().device()) {
            return ranges;
        }
        let mut at = range.1;
        while let Some(next) = text.component(at) {
            let name = text.slice(next);
            bytes += name.len() + 1;
            let parent_only = self.last == Last::Parent && text.is_last(next.1);
            if name == b"." || name == b".." || name.len() > NAME_MAX || bytes > RUN_BYTES || parent_only {
                break;
            }
            ranges.push(next);
            at = next.1;
        }
        ranges
    }

    fn walk(&self, here: &Place, text: &Text, range: (usize, usize)) -> Result<Step> {
        let ranges = self.run_of(here, text, range);
        let names: Vec<&[u8]> = ranges.iter().map(|&range| text.slice(range)).collect();
        let end = ranges.last().map_or(range.1, |last| last.1);
        let intent = self.intent.filter(|_| text.is_last(end) && !text.slash_at(end));
        let walked = here.node()?.walk(&names, intent)?;
        let count = walked.count.min(names.len());
        let mut place = here.clone();
        for (index, name) in names.iter().take(count).enumerate() {
            let node = if index + 1 == count { walked.node.clone() } else { None };
            let kind = node.as_ref().map_or(Kind::Directory, |node: &Arc<dyn Node>| node.kind());
            place = Dentry::under(&place, name, kind, node);
        }
        if count == names.len() {
            if let Some(errno) = walked.refused.filter(|_| place.kind() != Kind::Link) {
                return Err(errno);
            }
            return Ok(Step::To(place.topmost(), end));
        }
        let next = ranges.get(count).copied().unwrap_or(range);
        if walked.missing {
            return Ok(Step::Missing(place, next));
        }
        match place.kind() {
            // The walk stopped for no stated reason at a directory: the server takes only a part at a time.
            Kind::Directory if count > 0 => Ok(Step::To(place, ranges[count - 1].1)),
            Kind::Link if count > 0 => Ok(Step::To(place, ranges[count - 1].1)),
            _ => Err(Errno::ENOTDIR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Last, Resolver, Tail};
    use crate::fs::names::{Dentry, Place};
    use crate::fs::node::{Access, Kind};
    use crate::fs::ram::RamVolume;
    use alloc::vec::Vec;
    use linux_abi::Errno;

    /// `/a/b/file`, and links: `/short` -> `a/b`, `/a/b/up` -> `../..`, `/loop` -> `loop`, `/abs` -> `/a`, `/dangling` -> `a/none`.
    fn tree() -> Place {
        let root = RamVolume::create(1, 0o755);
        let a = root.mkdir(b"a", 0o755).unwrap();
        let b = a.mkdir(b"b", 0o755).unwrap();
        b.create(b"file", 0o644, Access::READ).unwrap();
        b.symlink(b"up", b"../..").unwrap();
        for (name, target) in [("short", "a/b"), ("loop", "loop"), ("abs", "/a"), ("dangling", "a/none")] {
            root.symlink(name.as_bytes(), target.as_bytes()).unwrap();
        }
        Dentry::root(root)
    }

    fn find(root: &Place, path: &str, last: Last) -> Result<Found, Errno> {
        Resolver { root, last, intent: None, crossed: &|_| false }.run(root, path.as_bytes())
    }

    fn path(root: &Place, path: &str, last: Last) -> Result<Vec<u8>, Errno> {
        match find(root, path, last)? {
            Found::Place(place) => Ok(place.path_from(root)),
            Found::In(..) => Err(Errno::ENOENT),
        }
    }

    #[test]
    fn dots_slashes_and_links_lead_where_linux_goes() {
        let root = tree();
        for (given, wanted) in [
            ("/", "/"),
            ("..", "/"),
            ("a//b/./file", "/a/b/file"),
            ("short/file", "/a/b/file"),
            ("short/..", "/a"),
            ("abs/b/up/a/b/file", "/a/b/file"),
            ("a/b/up/up", ""),
        ] {
            match path(&root, given, Last::Follow) {
                Ok(found) => assert_eq!(found, wanted.as_bytes(), "{given}"),
                Err(errno) => assert_eq!((errno, wanted), (Errno::ENOENT, ""), "{given}"),
            }
        }
    }

    #[test]
    fn errors_come_in_the_order_of_linux() {
        let root = tree();
        for (given, wanted) in [
            ("", Errno::ENOENT),
            ("none/x", Errno::ENOENT),
            ("a/b/file/x", Errno::ENOTDIR),
            ("a/b/file/", Errno::ENOTDIR),
            ("a/b/file/..", Errno::ENOTDIR),
            ("loop", Errno::ELOOP),
            ("loop/x", Errno::ELOOP),
            ("dangling", Errno::ENOENT),
        ] {
            assert_eq!(path(&root, given, Last::Follow), Err(wanted), "{given}");
        }
        let long = "n".repeat(256);
        assert_eq!(path(&root, &long, Last::Follow), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn a_last_link_is_the_result_only_without_a_slash() {
        let root = tree();
        let kind = |given: &str| match find(&root, given, Last::Stay) {
            Ok(Found::Place(place)) => Some(place.kind()),
            _ => None,
        };
        assert_eq!(kind("short"), Some(Kind::Link));
        assert_eq!(kind("short/"), Some(Kind::Directory));
    }

    #[test]
    fn a_missing_name_is_found_behind_a_dangling_link() {
        let root = tree();
        let Ok(Found::In(dir, tail)) = find(&root, "dangling", Last::FollowOrMissing) else { panic!("no place") };
        assert_eq!(dir.path_from(&root), b"/a");
        assert_eq!(tail, Tail::Name(b"none".to_vec(), false));
        let Ok(Found::In(_, tail)) = find(&root, "new/", Last::FollowOrMissing) else { panic!("no place") };
        assert_eq!(tail, Tail::Name(b"new".to_vec(), true));
    }

    #[test]
    fn a_mount_covers_its_point_and_dot_dot_leads_out() {
        let root = tree();
        let Ok(Found::Place(point)) = find(&root, "a/b", Last::Follow) else { panic!("no place") };
        let other = RamVolume::create(2, 0o755);
        other.mkdir(b"inside", 0o755).unwrap();
        point.mount(other);
        assert_eq!(path(&root, "a/b/inside", Last::Follow).unwrap(), b"/a/b/inside");
        assert_eq!(path(&root, "a/b/inside/../..", Last::Follow).unwrap(), b"/a");
        assert_eq!(path(&root, "a/b/file", Last::Follow), Err(Errno::ENOENT));
    }

    #[test]
    fn a_parent_is_found_without_looking_at_the_last_name() {
        let root = tree();
        for (given, wanted) in [("a/..", Tail::DotDot), ("a/.", Tail::Dot), ("/", Tail::Root)] {
            let Ok(Found::In(_, tail)) = find(&root, given, Last::Parent) else { panic!("no place") };
            assert_eq!(tail, wanted);
        }
    }
}
