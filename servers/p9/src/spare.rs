//! Spare fids: an open in one round trip also where the host does not keep the order of requests.
//!
//! There, nothing can be asked of a fid in the batch that makes it (see [`walk`](crate::walk)). So a file that
//! is opened again and again has a fid walked ahead: the next open sends Tlopen and Tgetattr for that spare
//! together with a Twalk from the directory, whose new fid is the spare for the time after. The walk is the
//! proof that the path still leads to the spare's file: it is asked of the host on every open, as ever. Where
//! the three answers do not name one inode, the spare is dropped and the open goes the long way.
//!
//! Spares belong to the directory's node and go with it. A path gets one when it is opened for the second time.

use crate::convert::Outcome;
use crate::fid::Fid;
use crate::node::Node;
use crate::session::{Host, Session};
use crate::walk::{self, Found};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use p9_wire::MAX_WALK;
use protocol::Path;
use protocol::fs::Kind;

/// Paths remembered per directory; the oldest is forgotten.
const MOST: usize = 32;

struct Remembered {
    path: Box<[u8]>,
    /// `None` after the first open.
    spare: Option<Fid>,
}

/// The paths of one directory that were opened, and their spares.
#[derive(Default)]
pub(crate) struct Spares(RefCell<VecDeque<Remembered>>);

impl Spares {
    fn take(&self, path: &[u8]) -> Option<Fid> {
        let mut all = self.0.borrow_mut();
        all.iter_mut().find(|known| *known.path == *path)?.spare.take()
    }

    /// Notes an open; whether there was one before.
    fn note(&self, path: &[u8]) -> bool {
        let known = self.0.borrow().iter().any(|known| *known.path == *path);
        if !known {
            self.put(path, None);
        }
        known
    }

    fn put(&self, path: &[u8], spare: Option<Fid>) {
        let mut all = self.0.borrow_mut();
        match all.iter().position(|known| *known.path == *path) {
            Some(at) => drop(all.remove(at)),
            None if all.len() >= MOST => drop(all.pop_front()),
            None => {}
        }
        all.push_back(Remembered { path: path.into(), spare });
    }
}

/// Whether spares are of use: not where a walk, an open and a getattr make one round trip anyway.
fn useful(host: Host<'_>, names: &[&[u8]]) -> bool {
    !host.session.ordered.get() && (1..=MAX_WALK).contains(&names.len())
}

/// Opens `path` through its spare. `None`: there is none, or it does not fit any more.
pub(crate) async fn open(host: Host<'_>, from: &Node, path: Path<'_>, flags: u32) -> Outcome<Option<Found>> {
    let names = walk::components(path);
    let Some(spare) = from.spares.take(path.get()).filter(|_| useful(host, &names)) else { return Ok(None) };
    let next = host.reserve()?;
    let looking = walk::look(host, &spare, Some(flags)).await;
    let walking = walk::send_walk(host, &from.fid, &next, &names).await;
    let looked = looking.finish().await;
    let walked = walking?.await_qids(names.len()).await;
    if walked.is_ok_and(|(count, _)| count < names.len()) {
        return Ok(None);
    }
    let Ok((_, Some(last))) = next.bound_by(walked) else { return Ok(None) };
    match (looked.open, looked.attr) {
        (Some(Ok(opened)), Ok(attr)) if opened.path == last.path && attr.inode == last.path => {
            from.spares.put(path.get(), Some(next));
            Ok(Some(Found { fid: spare, attr, opened: Some(Ok(())) }))
        }
        _ => Ok(None),
    }
}

/// Notes that `path` was opened the long way. From the second time on, a spare is walked while the caller goes on.
pub(crate) fn note(session: &Rc<Session>, from: &Rc<Node>, path: Path<'_>, found: &Found) {
    let openable = matches!(found.attr.kind, Kind::File | Kind::Directory);
    if openable && useful(session.host(0), &walk::components(path)) && from.spares.note(path.get()) {
        session.runtime.spawn(stock(session.clone(), from.clone(), path.get().to_vec()));
    }
}

async fn stock(session: Rc<Session>, from: Rc<Node>, path: Vec<u8>) {
    let host = session.host(0);
    let Ok(checked) = Path::new(&path) else { return };
    let names = walk::components(checked);
    let Ok(spare) = host.reserve() else { return };
    let Ok(walking) = walk::send_walk(host, &from.fid, &spare, &names).await else { return };
    let walked = walking.await_qids(names.len()).await;
    if walked.is_ok_and(|(count, _)| count < names.len()) {
        return;
    }
    if spare.bound_by(walked).is_ok() {
        from.spares.put(&path, Some(spare));
    }
}
