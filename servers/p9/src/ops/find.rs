//! Handles of what is there: attach, walk, open, reopen.

use super::{Op, attr};
use crate::convert::open_flags;
use crate::node::Node;
use crate::spare;
use crate::walk::{self, Found, Trail};
use alloc::rc::Rc;
use p9_wire::flags::open::TRUNC;
use protocol::Path;
use protocol::fs::{self, Access, Attached, Coherence, Error, Kind, Result, Walked};

/// The root directory.
pub(super) async fn attach(op: Op<'_>) -> Result<Attached> {
    let found = walk::reach_one(op.host, &op.mount.root, None, None).await?;
    let node = op.give(Node::new(found, None))?;
    Ok(Attached {
        root: node.file,
        attr: node.attr,
        read_only: op.mount.read_only,
        coherence: Coherence::Shared,
        io_bytes: op.mount.session.io_bytes.get(),
    })
}

/// Walks, opens at the end, and hands out what was reached.
pub(super) async fn walk(op: Op<'_>, call: fs::Walk<'_>) -> Result<Walked> {
    let from = op.node(call.from)?;
    let names = walk::components(call.path);
    match call.open {
        None if names.is_empty() => return duplicate(op, from).await,
        _ if !names.is_empty() => from.directory()?,
        _ => {}
    }
    let refusal = call.open.and_then(|access| refusal(op, access, None));
    let flags = call.open.filter(|_| refusal.is_none()).map(open_flags);
    let Trail { count, found, stop } = follow(op, &from, call.path, flags).await?;
    let count = u16::try_from(count).map_err(|_| Error::Io)?;
    let Some(found) = found else {
        return Ok(Walked { count, stop, ..duplicate(op, from).await? });
    };
    if names.is_empty() && found.attr.inode != from.inode {
        return Err(Error::Stale);
    }
    finish(op, found, Ending { count, stop, refusal, asked: call.open })
}

/// Follows a path, through its spare fid if there is one.
async fn follow(op: Op<'_>, from: &Rc<Node>, path: Path<'_>, flags: Option<u32>) -> Result<Trail> {
    // An open that cuts the file must not be tried on a file that may be another by now.
    let again = flags.filter(|flags| flags & TRUNC == 0);
    if let Some(flags) = again
        && let Some(found) = spare::open(op.host, from, path, flags).await?
    {
        return Ok(Trail { count: path.components().count(), found: Some(found), stop: None });
    }
    let trail = walk::follow(op.host, &from.fid, &walk::components(path), flags).await?;
    if let Trail { found: Some(found), stop: None, .. } = &trail
        && again.is_some()
    {
        spare::note(&op.mount.session, from, path, found);
    }
    Ok(trail)
}

/// How a walk ended, beside what it found.
struct Ending {
    count: u16,
    stop: Option<Error>,
    /// Why the mount itself does not allow the opening.
    refusal: Option<Error>,
    asked: Option<Access>,
}

fn finish(op: Op<'_>, found: Found, ending: Ending) -> Result<Walked> {
    let Ending { count, stop, refusal, asked } = ending;
    let whole = stop.is_none();
    let openable = matches!(found.attr.kind, Kind::File | Kind::Directory);
    let stop = match found.opened {
        _ if !whole => stop,
        Some(Err(failure)) => Some(failure.into()),
        _ if openable => refusal,
        _ => None,
    };
    let opened = matches!(found.opened, Some(Ok(())));
    let node = op.give(Node::new(found, asked.filter(|_| opened)))?;
    Ok(Walked { count, node, opened, stop })
}

/// Another handle of the same node.
async fn duplicate(op: Op<'_>, from: Rc<Node>) -> Result<Walked> {
    let attr = attr::current(op, &from).await?;
    let file = op.mount.handles.give(op.cx, from)?;
    Ok(Walked { count: 0, node: fs::Node { file, attr }, opened: false, stop: None })
}

/// Why a node must not be opened like this, as far as the mount and the kind (if known) say.
fn refusal(op: Op<'_>, access: Access, kind: Option<Kind>) -> Option<Error> {
    let changes = access.intersects(Access::WRITE | Access::TRUNCATE);
    match kind {
        Some(Kind::Directory) if changes => Some(Error::IsDirectory),
        Some(kind) if !matches!(kind, Kind::File | Kind::Directory) => Some(Error::Invalid),
        _ if access.contains(Access::TRUNCATE) && !access.contains(Access::WRITE) => Some(Error::Invalid),
        _ if changes => op.writable().err(),
        _ => None,
    }
}

/// Opens a node; the handle given stays as it is.
pub(super) async fn open(op: Op<'_>, call: fs::Open) -> Result<fs::Node> {
    let node = op.node(call.node)?;
    open_node(op, &node, call.access).await
}

async fn open_node(op: Op<'_>, node: &Node, access: Access) -> Result<fs::Node> {
    if let Some(error) = refusal(op, access, Some(node.kind)) {
        return Err(error);
    }
    let found = walk::reach_one(op.host, &node.fid, None, Some(open_flags(access))).await?;
    if found.attr.inode != node.inode {
        return Err(Error::Stale);
    }
    match found.opened {
        Some(Ok(())) => op.give(Node::new(found, Some(access))),
        Some(Err(failure)) => Err(failure.into()),
        None => Err(Error::Stale),
    }
}

/// A handle by inode. 9P finds files by path only: what somebody holds a handle of can be given again, and the
/// root; all else is `Stale`, and the front end walks its path anew.
pub(super) async fn reopen(op: Op<'_>, call: fs::Reopen) -> Result<fs::Node> {
    let known = match op.mount.handles.by_inode(call.inode) {
        Some(node) => node,
        None => Rc::new(Node::new(walk::reach_one(op.host, &op.mount.root, None, None).await?, None)),
    };
    if known.inode != call.inode {
        return Err(Error::Stale);
    }
    match call.open {
        Some(access) => open_node(op, &known, access).await,
        None => duplicate(op, known).await.map(|walked| walked.node),
    }
}
