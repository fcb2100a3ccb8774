//! Between the host's words and the protocol's: error numbers, attributes, open flags, device numbers.

use p9_wire::flags;
use protocol::fs::{self, Access, Attr, Error, Kind, SetTime, Time};

/// Linux error numbers that mean something to this server (errno(3)).
pub(crate) mod errno {
    pub(crate) const ENOENT: u32 = 2;
    pub(crate) const EBADF: u32 = 9;
    pub(crate) const EINVAL: u32 = 22;
}

/// Why a request did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The host refused with this Linux error number.
    Host(u32),
    /// Nothing usable came from the host, or the request never got there.
    Here(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Host(number) => from_errno(number),
            Failure::Here(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// Result of a request to the host.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// The protocol's word for a Linux error number. What has none is `Io`; EBADF too, for the host then
/// has forgotten a fid that is ours.
fn from_errno(number: u32) -> Error {
    match number {
        1 => Error::NotPermitted,
        errno::ENOENT => Error::NotFound,
        4 | 11 => Error::Again,
        12 => Error::NoMemory,
        13 => Error::Access,
        16 => Error::Busy,
        17 => Error::Exists,
        18 => Error::CrossDevice,
        20 => Error::NotDirectory,
        21 => Error::IsDirectory,
        errno::EINVAL => Error::Invalid,
        23 | 24 => Error::TooManyFiles,
        26 => Error::TextBusy,
        27 => Error::FileTooLarge,
        28 => Error::NoSpace,
        30 => Error::ReadOnly,
        31 => Error::TooManyLinks,
        34 => Error::Range,
        36 => Error::NameTooLong,
        38 | 95 => Error::NotSupported,
        39 => Error::NotEmpty,
        40 => Error::Loop,
        61 => Error::NoAttribute,
        116 => Error::Stale,
        122 => Error::Quota,
        _ => Error::Io,
    }
}

/// Type bits of Linux `st_mode` (inode(7)).
mod mode {
    pub(super) const TYPE: u32 = 0o170_000;
    pub(super) const PERMISSIONS: u32 = 0o7777;
}

const MODES: [(u32, Kind); 7] = [
    (0o100_000, Kind::File),
    (0o040_000, Kind::Directory),
    (0o120_000, Kind::Link),
    (0o140_000, Kind::Socket),
    (0o010_000, Kind::Fifo),
    (0o020_000, Kind::CharDevice),
    (0o060_000, Kind::BlockDevice),
];

/// The `st_mode` type bits of a kind.
pub(crate) fn type_bits(kind: Kind) -> u32 {
    MODES.iter().find(|(_, known)| *known == kind).map_or(0, |(bits, _)| *bits)
}

fn kind_of_mode(mode: u32) -> Option<Kind> {
    MODES.iter().find(|(bits, _)| mode & mode::TYPE == *bits).map(|(_, kind)| *kind)
}

/// What a directory entry is: its `d_type` is the type bits of the mode, shifted (readdir(3)). Where the
/// host's filesystem does not tell (`DT_UNKNOWN`), the qid says directory, link or other.
pub(crate) fn kind_of_entry(entry: &p9_wire::DirEntry<'_>) -> Kind {
    let by_type = kind_of_mode(u32::from(entry.kind) << 12);
    by_type.unwrap_or(match entry.qid.kind {
        kind if kind & flags::qid::DIR != 0 => Kind::Directory,
        kind if kind & flags::qid::SYMLINK != 0 => Kind::Link,
        _ => Kind::File,
    })
}

/// Checks and translates attributes; `None` if the host left out or contradicts what we need.
pub(crate) fn attr(from: &p9_wire::Attr) -> Option<Attr> {
    let kind = kind_of_mode(from.mode)?;
    let said_directory = from.qid.kind & flags::qid::DIR != 0;
    if from.valid & flags::getattr::BASIC != flags::getattr::BASIC || said_directory != (kind == Kind::Directory) {
        return None;
    }
    Some(Attr {
        inode: from.qid.path,
        kind,
        mode: u16::try_from(from.mode & mode::PERMISSIONS).ok()?,
        links: u32::try_from(from.nlink).unwrap_or(u32::MAX),
        uid: from.uid,
        gid: from.gid,
        size: from.size,
        blocks: from.blocks,
        rdev: from.rdev,
        atime: time(from.atime)?,
        mtime: time(from.mtime)?,
        ctime: time(from.ctime)?,
    })
}

fn time(from: p9_wire::Time) -> Option<Time> {
    let nanoseconds = u32::try_from(from.nanoseconds).ok().filter(|&part| part < 1_000_000_000)?;
    Some(Time { seconds: from.seconds.cast_signed(), nanoseconds })
}

/// A point of the wall clock, for what we change ourselves.
pub(crate) fn wall_time(wall_ns: u64) -> Time {
    let nanoseconds = u32::try_from(wall_ns % 1_000_000_000).unwrap_or(0);
    Time { seconds: (wall_ns / 1_000_000_000).cast_signed(), nanoseconds }
}

/// Flags of Tlopen. A FIFO that turns up unexpectedly must not hold up the host, hence `NONBLOCK`; a link that
/// does must not be followed out of the tree, hence `NOFOLLOW`.
pub(crate) fn open_flags(access: Access) -> u32 {
    let mode = match (access.contains(Access::READ), access.contains(Access::WRITE)) {
        (_, false) => flags::open::RDONLY,
        (false, true) => flags::open::WRONLY,
        (true, true) => flags::open::RDWR,
    };
    let cut = if access.contains(Access::TRUNCATE) { flags::open::TRUNC } else { 0 };
    mode | cut | flags::open::NONBLOCK | flags::open::NOFOLLOW
}

/// What Tsetattr says for a change; `None` if a time is out of range.
pub(crate) fn set_attr(change: &fs::AttrChange) -> Option<p9_wire::SetAttr> {
    let mut to = p9_wire::SetAttr::default();
    if let Some(mode) = change.mode {
        to.valid |= flags::setattr::MODE;
        to.mode = u32::from(mode) & mode::PERMISSIONS;
    }
    if let Some(uid) = change.uid {
        to.valid |= flags::setattr::UID;
        to.uid = uid;
    }
    if let Some(gid) = change.gid {
        to.valid |= flags::setattr::GID;
        to.gid = gid;
    }
    if let Some(size) = change.size {
        to.valid |= flags::setattr::SIZE;
        to.size = size;
    }
    to.atime = set_time(change.atime, &mut to.valid, flags::setattr::ATIME, flags::setattr::ATIME_SET)?;
    to.mtime = set_time(change.mtime, &mut to.valid, flags::setattr::MTIME, flags::setattr::MTIME_SET)?;
    Some(to)
}

fn set_time(change: Option<SetTime>, valid: &mut u32, touched: u32, given: u32) -> Option<p9_wire::Time> {
    match change {
        None => Some(p9_wire::Time::default()),
        Some(SetTime::Now) => {
            *valid |= touched;
            Some(p9_wire::Time::default())
        }
        Some(SetTime::To(time)) if time.nanoseconds < 1_000_000_000 => {
            *valid |= touched | given;
            Some(p9_wire::Time { seconds: time.seconds.cast_unsigned(), nanoseconds: u64::from(time.nanoseconds) })
        }
        Some(SetTime::To(_)) => None,
    }
}

/// Major and minor number of a Linux device number (makedev(3): 32 and 32 bits, interleaved).
pub(crate) fn split_device(rdev: u64) -> (u32, u32) {
    let major = (rdev >> 8 & 0xfff) | (rdev >> 32 & !0xfff);
    let minor = (rdev & 0xff) | (rdev >> 12 & !0xff);
    (low_half(major), low_half(minor))
}

fn low_half(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> p9_wire::Attr {
        p9_wire::Attr { valid: flags::getattr::BASIC, mode: 0o100_644, nlink: 1, ..p9_wire::Attr::default() }
    }

    #[test]
    fn an_attr_with_type_permissions_and_times_is_translated() {
        let mtime = p9_wire::Time { seconds: (-5i64).cast_unsigned(), nanoseconds: 7 };
        let attr = attr(&p9_wire::Attr { mtime, size: 9, ..plain() }).unwrap();
        assert_eq!((attr.kind, attr.mode, attr.size), (Kind::File, 0o644, 9));
        assert_eq!(attr.mtime, Time { seconds: -5, nanoseconds: 7 });
    }

    #[test]
    fn an_attr_without_known_type_or_with_missing_fields_is_refused() {
        assert_eq!(attr(&p9_wire::Attr { mode: 0o644, ..plain() }), None);
        assert_eq!(attr(&p9_wire::Attr { valid: 1, ..plain() }), None);
        assert_eq!(attr(&p9_wire::Attr { mode: 0o040_755, ..plain() }), None, "the qid says file");
        let mtime = p9_wire::Time { seconds: 0, nanoseconds: 1_000_000_000 };
        assert_eq!(attr(&p9_wire::Attr { mtime, ..plain() }), None);
    }

    #[test]
    fn a_device_number_splits_as_makedev_joined_it() {
        assert_eq!(split_device(0x0803), (8, 3));
        assert_eq!(split_device(0x1234_5000_0060_0701), (0x1234_5007, 0x601));
    }

    #[test]
    fn only_a_time_that_is_given_travels() {
        let change = fs::AttrChange { atime: Some(SetTime::Now), ..fs::AttrChange::default() };
        assert_eq!(set_attr(&change).unwrap().valid, flags::setattr::ATIME);
        let bad = SetTime::To(Time { seconds: 0, nanoseconds: 1_000_000_000 });
        assert_eq!(set_attr(&fs::AttrChange { mtime: Some(bad), ..fs::AttrChange::default() }), None);
    }

    #[test]
    fn an_unknown_entry_type_is_taken_from_the_qid() {
        let qid = p9_wire::Qid { kind: flags::qid::SYMLINK, ..p9_wire::Qid::default() };
        assert_eq!(kind_of_entry(&p9_wire::DirEntry { qid, offset: 1, kind: 0, name: b"x" }), Kind::Link);
        assert_eq!(kind_of_entry(&p9_wire::DirEntry { qid, offset: 1, kind: 1, name: b"x" }), Kind::Fifo);
    }
}
