//! Finding files: walk, open and getattr as one batch.
//!
//! The batch goes out in one notification, its later requests naming the fid that the first one makes. A host
//! that carries requests out in order answers all of them: one round trip. QEMU does not: it starts the later
//! ones while the walk is still with its worker thread, and refuses them because the fid is unknown. That is
//! harmless, and seen: the refused ones are sent again behind the walk, and from then on the session sends the
//! walk alone and the rest as a second batch, so that an open costs two round trips; [`spare`](crate::spare)
//! makes it one again for files that are opened often.

use crate::convert::{Failure, Outcome, errno};
use crate::fid::Fid;
use crate::session::{Host, Pending};
use alloc::vec::Vec;
use p9_wire::{MAX_WALK, Names, Qid, Reply, Request, flags};
use protocol::fs::{Attr, Error, Kind};

/// How often a file may be replaced under our feet before the call gives up.
const TRIES: u32 = 4;

/// A file that was found.
pub(crate) struct Found {
    pub(crate) fid: Fid,
    pub(crate) attr: Attr,
    /// Whether it was opened as asked; `None` if opening was not asked for, or is not for this kind.
    pub(crate) opened: Option<Outcome<()>>,
}

/// Where a walk ended.
pub(crate) enum Reached {
    /// At the end of the path.
    End(Found),
    /// After this many names; the reason is in the qid (no directory) or in the error of the next name.
    Part(usize),
}

/// Whether a refusal may mean that the host did not know the fid yet.
pub(crate) fn too_early(failure: Failure) -> bool {
    matches!(failure, Failure::Host(errno::ENOENT | errno::EINVAL | errno::EBADF))
}

/// Walks at most [`MAX_WALK`] `names` from `from`, opens the end with `open` flags, and asks for its attributes.
pub(crate) async fn reach(host: Host<'_>, from: &Fid, names: &[&[u8]], open: Option<u32>) -> Outcome<Reached> {
    for _ in 0..TRIES {
        let fid = host.reserve()?;
        let walk = send_walk(host, from, &fid, names).await?;
        let early = if host.session.ordered.get() { Some(look(host, &fid, open).await) } else { None };
        let walked = walk.await_qids(names.len()).await;
        let early = match early {
            Some(looking) => Some(looking.finish().await),
            None => None,
        };
        if let Ok((count, _)) = walked
            && count < names.len()
        {
            return Ok(Reached::Part(count));
        }
        let (_, last) = fid.bound_by(walked)?;
        let open = open.filter(|_| last.is_none_or(|qid| qid.kind & flags::qid::SYMLINK == 0));
        if let Some(found) = settle(host, fid, open, early).await? {
            return Ok(Reached::End(found));
        }
    }
    Err(Failure::Here(Error::Stale))
}

/// [`reach`] for one name or none, where anything but the end is an error.
pub(crate) async fn reach_one(host: Host<'_>, from: &Fid, name: Option<&[u8]>, open: Option<u32>) -> Outcome<Found> {
    match reach(host, from, name.as_slice(), open).await? {
        Reached::End(found) => Ok(found),
        Reached::Part(_) => Err(Failure::Host(errno::ENOENT)),
    }
}

/// Makes `fid` stand for the same file as `from`, without asking for anything.
pub(crate) async fn clone_fid(host: Host<'_>, from: &Fid, fid: &Fid) -> Outcome<()> {
    fid.bound_by(send_walk(host, from, fid, &[]).await?.await_qids(0).await).map(drop)
}

/// A Twalk under way.
pub(crate) struct Walking<'s>(Pending<'s>);

/// Queues a walk.
pub(crate) async fn send_walk<'s>(host: Host<'s>, from: &Fid, to: &Fid, names: &[&[u8]]) -> Outcome<Walking<'s>> {
    debug_assert!(names.len() <= MAX_WALK);
    let request = Request::Walk { fid: from.number(), newfid: to.number(), names: Names::new(names) };
    host.send(&request).await.map(Walking)
}

impl Walking<'_> {
    /// How many of the `asked` names were found, and the last of them.
    pub(crate) async fn await_qids(self, asked: usize) -> Outcome<(usize, Option<Qid>)> {
        self.0
            .reply(|reply| match reply {
                // No qid for some names is an error reply by the protocol; an empty list is nonsense.
                Reply::Walk { qids } if qids.len() <= asked && (asked == 0 || !qids.is_empty()) => {
                    Some((qids.len(), qids.iter().last()))
                }
                _ => None,
            })
            .await
    }
}

/// Open and getattr under way.
pub(crate) struct Looking<'s> {
    open: Option<Outcome<Pending<'s>>>,
    attr: Outcome<Pending<'s>>,
}

/// What they gave.
pub(crate) struct Looked {
    pub(crate) open: Option<Outcome<Qid>>,
    pub(crate) attr: Outcome<Attr>,
}

/// Queues an open, if asked for, and a getattr.
pub(crate) async fn look<'s>(host: Host<'s>, fid: &Fid, open: Option<u32>) -> Looking<'s> {
    let open = match open {
        Some(flags) => Some(host.send(&Request::Lopen { fid: fid.number(), flags }).await),
        None => None,
    };
    Looking { open, attr: host.getattr(fid.number()).await }
}

impl Looking<'_> {
    pub(crate) async fn finish(self) -> Looked {
        let open = match self.open {
            Some(Ok(pending)) => Some(await_open(pending).await),
            Some(Err(failure)) => Some(Err(failure)),
            None => None,
        };
        let attr = match self.attr {
            Ok(pending) => pending.attr().await,
            Err(failure) => Err(failure),
        };
        Looked { open, attr }
    }
}

async fn await_open(pending: Pending<'_>) -> Outcome<Qid> {
    pending.reply(|reply| if let Reply::Lopen { qid, .. } = reply { Some(*qid) } else { None }).await
}

/// Completes what came too early, now that `fid` stands. `None`: another file took the place between open and
/// getattr, so that the two do not fit.
async fn settle(host: Host<'_>, fid: Fid, open: Option<u32>, early: Option<Looked>) -> Outcome<Option<Found>> {
    let Looked { open: opened, attr } = match early {
        Some(looked) => complete(host, &fid, open, looked).await,
        None => look_now(host, &fid, open).await?,
    };
    let attr = attr?;
    match opened {
        Some(Ok(qid)) if qid.path != attr.inode => Ok(None),
        Some(_) if !matches!(attr.kind, Kind::File | Kind::Directory) => Ok(Some(Found { fid, attr, opened: None })),
        opened => Ok(Some(Found { fid, attr, opened: opened.map(|opened| opened.map(drop)) })),
    }
}

/// Opens and asks, `fid` being known to the host. An open that cuts the file goes first, for the attributes to
/// be those after it.
async fn look_now(host: Host<'_>, fid: &Fid, open: Option<u32>) -> Outcome<Looked> {
    match open {
        Some(flags) if flags & flags::open::TRUNC != 0 => {
            let open = await_open(host.send(&Request::Lopen { fid: fid.number(), flags }).await?).await;
            Ok(Looked { open: Some(open), attr: host.getattr(fid.number()).await?.attr().await })
        }
        _ => Ok(look(host, fid, open).await.finish().await),
    }
}

/// Sends again what was refused as if the fid were unknown.
async fn complete(host: Host<'_>, fid: &Fid, open: Option<u32>, early: Looked) -> Looked {
    let again = |failure: &Failure| too_early(*failure);
    let open_again = open.filter(|_| early.open.as_ref().is_some_and(|open| open.as_ref().is_err_and(again)));
    let attr_again = early.attr.as_ref().is_err_and(again);
    if open_again.is_none() && !attr_again {
        return early;
    }
    let Ok(late) = look_now(host, fid, open_again).await else { return early };
    if late.attr.is_ok() && attr_again || matches!(late.open, Some(Ok(_))) {
        host.session.ordered.set(false);
    }
    Looked { open: if open_again.is_some() { late.open } else { early.open }, attr: late.attr }
}

/// Walks a whole path, however long, and stops where it ends.
pub(crate) struct Trail {
    /// Names that were found.
    pub(crate) count: usize,
    /// What the last of them led to; `None` if not even the first was found.
    pub(crate) found: Option<Found>,
    /// Why the walk stopped before the end.
    pub(crate) stop: Option<Error>,
}

/// Follows `names` from `from`, and opens the end.
///
/// Hosts differ in how they report a name that is missing on the way: most tell how far they got, some only that
/// something is missing. After such a refusal the names are walked one by one.
pub(crate) async fn follow(host: Host<'_>, from: &Fid, names: &[&[u8]], open: Option<u32>) -> Outcome<Trail> {
    let mut trail = Trail { count: 0, found: None, stop: None };
    let mut step = MAX_WALK;
    loop {
        let rest = names.get(trail.count..).unwrap_or_default();
        let part = rest.get(..step).unwrap_or(rest);
        let open = open.filter(|_| part.len() == rest.len());
        let base = trail.found.as_ref().map_or(from, |found| &found.fid);
        match reach(host, base, part, open).await {
            Ok(Reached::End(found)) => {
                trail.count += part.len();
                let directory = found.attr.kind == Kind::Directory;
                // A walk that was cut short means that the next name is missing: ask for it alone, to learn why.
                step = if part.len() < rest.len().min(MAX_WALK) { 1 } else { step };
                trail.found = Some(found);
                if trail.count == names.len() {
                    return Ok(trail);
                }
                if !directory {
                    trail.stop = Some(Error::NotDirectory);
                    return Ok(trail);
                }
            }
            Ok(Reached::Part(count)) => step = count,
            Err(Failure::Host(_)) if part.len() > 1 => step = 1,
            Err(Failure::Host(errno::ENOENT)) => {
                trail.stop = Some(Error::NotFound);
                return Ok(trail);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The components of a path as slices.
pub(crate) fn components(path: protocol::Path<'_>) -> Vec<&[u8]> {
    path.components().map(|name| name.get()).collect()
}
