//! open(2): flags, creation, links at the end, and what kind of file comes out.
//!
//! The order of checks is Linux's: flags, path, then on an existing file `O_EXCL`, links, `O_DIRECTORY`, directories and
//! writing, then the volume, then truncation.

use super::Files;
use super::description::{File, OpenFile};
use super::listing::Directory;
use super::names::Place;
use super::node::{Access, Kind, Result};
use super::resolve::{Found, Last, Tail};
use super::special;
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::file::OpenFlags;

/// `O_PATH` keeps only these beside itself.
const WITH_PATH: OpenFlags =
    OpenFlags::DIRECTORY.union(OpenFlags::NO_FOLLOW).union(OpenFlags::PATH).union(OpenFlags::CLOEXEC);

/// Flags as open(2) understands them. Errors: `EINVAL`.
fn clean(flags: OpenFlags) -> Result<OpenFlags> {
    if flags.contains(OpenFlags::PATH) {
        return Ok(flags.intersection(WITH_PATH));
    }
    if flags.contains(OpenFlags::TMPFILE) {
        let valid =
            flags.contains(OpenFlags::DIRECTORY) && flags.access_mode() != 0 && !flags.contains(OpenFlags::CREATE);
        return if valid { Err(Errno::EOPNOTSUPP) } else { Err(Errno::EINVAL) };
    }
    if flags.contains(OpenFlags::CREATE | OpenFlags::DIRECTORY) {
        return Err(Errno::EINVAL);
    }
    Ok(flags)
}

/// What the flags ask of the data.
fn access_of(flags: OpenFlags) -> Access {
    let mut access = match flags.access_mode() {
        0 => Access::READ,
        1 => Access::WRITE,
        _ => Access::READ | Access::WRITE,
    };
    if flags.contains(OpenFlags::TRUNCATE) {
        access |= Access::TRUNCATE | Access::WRITE;
    }
    access
}

/// Opens `path`, which a relative one starts at `start`. `mode` is that of a created file, not yet masked.
///
/// Errors: those of open(2).
pub(crate) fn open(files: &Files, start: &Place, path: &[u8], flags: OpenFlags, mode: u32) -> Result<Arc<OpenFile>> {
    let flags = clean(flags)?;
    let create = flags.contains(OpenFlags::CREATE);
    let exclusive = create && flags.contains(OpenFlags::EXCLUSIVE);
    let stay = exclusive || flags.contains(OpenFlags::NO_FOLLOW);
    let last = match (create, stay) {
        (false, false) => Last::Follow,
        (false, true) => Last::Stay,
        (true, false) => Last::FollowOrMissing,
        (true, true) => Last::StayOrMissing,
    };
    // Asked to create and to be the first, a server must not open (and cut) what is there already.
    let intent = (!exclusive && !flags.contains(OpenFlags::PATH)).then(|| access_of(flags));
    // Another process of the host may take the name between our walk and our create: then look again.
    for _ in 0..3 {
        match files.resolve(start, path, last, intent)? {
            Found::Place(place) => {
                if exclusive {
                    return Err(Errno::EEXIST);
                }
                return open_place(&place, flags);
            }
            Found::In(dir, Tail::Name(name, false)) => match create_in(files, &dir, &name, flags, mode) {
                Err(Errno::EEXIST) if !exclusive => {}
                outcome => return outcome,
            },
            Found::In(..) => return Err(Errno::EISDIR),
        }
    }
    Err(Errno::EEXIST)
}

fn create_in(files: &Files, dir: &Place, name: &[u8], flags: OpenFlags, mode: u32) -> Result<Arc<OpenFile>> {
    if dir.is_removed() {
        return Err(Errno::ENOENT);
    }
    if dir.volume().read_only() {
        return Err(Errno::EROFS);
    }
    let _inside = dir.gate.pass();
    let access = access_of(flags).difference(Access::TRUNCATE);
    let node = dir.node()?.create(name, files.masked(mode), access);
    let node = match node {
        Err(Errno::EEXIST) => {
            dir.forget(name);
            return Err(Errno::EEXIST);
        }
        other => other?,
    };
    let place = dir.added(name, node.clone());
    Ok(OpenFile::new(node.open(access)?, flags, Some(place)))
}

/// Opens what is at `place`.
pub(crate) fn open_place(place: &Place, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    if flags.contains(OpenFlags::PATH) {
        if flags.contains(OpenFlags::DIRECTORY) && place.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        return Ok(OpenFile::new(special::path_only(place), flags, Some(place.clone())));
    }
    let writes = flags.access_mode() != 0 || flags.contains(OpenFlags::TRUNCATE);
    let kind = place.kind();
    if kind == Kind::Link {
        return Err(if flags.contains(OpenFlags::DIRECTORY) { Errno::ENOTDIR } else { Errno::ELOOP });
    }
    if flags.contains(OpenFlags::DIRECTORY) && kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let file: Arc<dyn File> = match kind {
        Kind::Directory if writes || flags.contains(OpenFlags::CREATE) => return Err(Errno::EISDIR),
        Kind::Directory => Directory::open(place)?,
        Kind::Socket => return Err(Errno::ENXIO),
        Kind::Fifo => special::open_fifo(place, flags)?,
        Kind::CharDevice | Kind::BlockDevice => special::open_device(place, access_of(flags))?,
        Kind::File => {
            if writes && place.volume().read_only() {
                return Err(Errno::EROFS);
            }
            place.node()?.open(access_of(flags))?
        }
        Kind::Link => return Err(Errno::ELOOP),
    };
    Ok(OpenFile::new(file, flags, Some(place.clone())))
}
