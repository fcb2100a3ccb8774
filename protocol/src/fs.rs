//! `fs`: files and directories. Served by `tfs`, `p9` and `mem`; called by `linux`.
//!
//! **Names** belong to the front end: mounts, `.` and `..`, symbolic links and the dentry cache are
//! its own. A server walks plain components from a directory it handed out and stops at links.
//!
//! **Handles.** A [`FileHandle`] names one node (file, directory, link), opened or not. `Attach`,
//! `Walk`, `Open`, `Create`, `Mkdir`, `Symlink`, `Mknod`, `Link` and `Reopen` hand one out; it lives until
//! `Close`, also when the last name of its node is removed. Handles are per caller and die with
//! either side; after the death of the server the front end gets them anew with `Reopen`.
//!
//! **Data** moves through leases of page frames, whole pages where it can; `len` says how much counts.
//!
//! **Waiting.** Every call may wait for the disk or the host. Calls are served concurrently and answered
//! in any order; two calls on one file that overlap have an undefined order among each other.
//!
//! **Full queue.** The sender waits; the front end's queue to each server is bounded by the task table.

mod attr;
pub mod entry;

pub use attr::{Attr, Kind, Time};

use crate::{Bytes, Failure, LeaseId, Name, Path};
use bitflags::bitflags;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// One node of the filesystem, as handed out to one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, MaxSize)]
pub struct FileHandle(pub u32);

/// Why a call failed. The front end maps each to one errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// The handle was never given out, is closed, or is not open for this.
    BadHandle,
    /// No such entry (ENOENT).
    NotFound,
    /// The entry exists already (EEXIST).
    Exists,
    /// A component or the node is no directory (ENOTDIR).
    NotDirectory,
    /// The node is a directory (EISDIR).
    IsDirectory,
    /// The directory has entries (ENOTEMPTY).
    NotEmpty,
    /// A name exceeds what the server stores (ENAMETOOLONG).
    NameTooLong,
    /// No free space (ENOSPC).
    NoSpace,
    /// The volume or mount is read-only (EROFS).
    ReadOnly,
    /// The operation is not permitted (EPERM).
    NotPermitted,
    /// Access is denied, by the host for `p9` (EACCES).
    Access,
    /// An argument is outside what the call allows (EINVAL).
    Invalid,
    /// Too many links to the node (EMLINK).
    TooManyLinks,
    /// Source and target are not on the same volume (EXDEV).
    CrossDevice,
    /// The file would exceed the largest size (EFBIG).
    FileTooLarge,
    /// The handle's node is no longer what it was (ESTALE).
    Stale,
    /// The disk or the host failed, or gave nonsense (EIO); the cause is in the server's trace.
    Io,
    /// The node is in use (EBUSY).
    Busy,
    /// The server does not have this call (EOPNOTSUPP).
    NotSupported,
    /// No such extended attribute (ENODATA).
    NoAttribute,
    /// The result does not fit in the lease (ERANGE).
    Range,
    /// Too many links in a row, on the host (ELOOP).
    Loop,
    /// The host asks to try again (EAGAIN).
    Again,
    /// A quota is used up (EDQUOT).
    Quota,
    /// The file is being executed (ETXTBSY).
    TextBusy,
    /// Out of memory in the server (ENOMEM).
    NoMemory,
    /// Too many open files in the server (ENFILE).
    TooManyFiles,
    /// A lease named in the call is missing, too small, or of the wrong direction.
    BadLease,
    /// The server died with this call in hand.
    PeerGone,
    /// The message could not be decoded.
    Malformed,
}

impl Failure for Error {
    const PEER_GONE: Self = Self::PeerGone;
    const MALFORMED: Self = Self::Malformed;
}

/// Shorthand for replies of this protocol.
pub type Result<T> = core::result::Result<T, Error>;

bitflags! {
    /// How a file is opened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Access: u8 {
        /// `Read` and `ReadDir` are allowed.
        const READ = 1;
        /// `Write`, `Reserve`, `Allocate` are allowed.
        const WRITE = 2;
        /// The file is cut to length 0 (needs `WRITE`).
        const TRUNCATE = 4;
    }

    /// How `Rename` treats an existing target (renameat2(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct RenameFlags: u8 {
        /// Fail with `Exists` if the target exists.
        const NO_REPLACE = 1;
        /// Exchange the two nodes; both must exist.
        const EXCHANGE = 2;
    }
}

impl MaxSize for Access {
    const POSTCARD_MAX_SIZE: usize = 1;
}

impl MaxSize for RenameFlags {
    const POSTCARD_MAX_SIZE: usize = 1;
}

/// How long what the server says may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Coherence {
    /// Only this VM changes the tree: names, attributes and pages may be cached for good.
    Exclusive,
    /// Others change it too: ask on every open and path lookup (close-to-open).
    Shared,
}

/// Reply to [`Attach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Attached {
    /// The root directory.
    pub root: FileHandle,
    /// Its attributes.
    pub attr: Attr,
    /// No call changes anything; those that would answer `ReadOnly`.
    pub read_only: bool,
    /// How long answers may be cached.
    pub coherence: Coherence,
    /// Most bytes of one `Read` or `Write`.
    pub io_bytes: u32,
}

/// A node and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Node {
    /// The new handle; the caller closes it.
    pub file: FileHandle,
    /// The attributes now.
    pub attr: Attr,
}

/// Reply to [`Walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Walked {
    /// Components that were walked. Fewer than asked: the next one does not exist (`stop` =
    /// `NotFound`), or what was reached is no directory (`NotDirectory`; look at `node.attr.kind` for a link).
    pub count: u16,
    /// The node reached after `count` components.
    pub node: Node,
    /// Whether the node was opened as asked in [`Walk::open`]; only a regular file or directory
    /// reached by the whole path is.
    pub opened: bool,
    /// Why the walk, or the opening at its end, stopped.
    pub stop: Option<Error>,
}

/// Volume figures (statfs(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct VolumeInfo {
    /// Filesystem type number (statfs(2) `f_type`).
    pub magic: u32,
    /// Unit of the block counts, in bytes.
    pub block_bytes: u32,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Blocks free to unprivileged users.
    pub available: u64,
    /// All inodes; 0 if there is no limit.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Volume id.
    pub id: u64,
    /// Longest name.
    pub name_max: u32,
}

/// Gives a handle back. Reply: nothing. Errors: `BadHandle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Close {
    /// The handle; the server may give its number out again.
    pub file: FileHandle,
}

/// Reads file data into the caller's lease.
///
/// Reply: bytes placed there; 0 means `offset` is at or past the end of the file. Fewer than `len`
/// only at the end of the file, or where the server's `io_bytes` ends.
/// Errors: `BadHandle`, `IsDirectory`, `BadLease`, `Io` (cause in the server's trace).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Read {
    /// A file open for reading.
    pub file: FileHandle,
    /// Position from the start of the file, in bytes.
    pub offset: u64,
    /// Bytes wanted; the lease must hold at least this many.
    pub len: u32,
    /// Buffer to fill; granted for writing until the reply.
    pub dest: LeaseId,
}

/// Writes file data from the caller's lease; the file grows where it must.
///
/// Reply: bytes taken; fewer than `len` only where `io_bytes` ends or space ran out.
/// Errors: `BadHandle`, `IsDirectory`, `BadLease`, `NoSpace`, `FileTooLarge`, `ReadOnly`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Write {
    /// A file open for writing.
    pub file: FileHandle,
    /// Position from the start of the file, in bytes.
    pub offset: u64,
    /// Bytes to write; the lease must hold at least this many.
    pub len: u32,
    /// Buffer to take from; granted for reading until the reply.
    pub src: LeaseId,
}

/// Asks for the root directory; the first call of every caller.
///
/// Errors: `Io` (no volume, or a damaged one: the reason is in the server's log).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Attach {}

/// Walks `path` from a directory and hands out what it reaches, opened if asked.
///
/// Stops without error before a component that does not exist, and at anything that is no
/// directory; see [`Walked`]. An empty path duplicates the handle.
/// Errors: `BadHandle`, `NotDirectory` (`from` itself), `NameTooLong`, `Access`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Walk<'a> {
    /// Where to start.
    pub from: FileHandle,
    /// Components joined by `/`.
    #[serde(borrow)]
    pub path: Path<'a>,
    /// How to open what the whole path leads to; `None` only looks it up.
    pub open: Option<Access>,
}

/// Opens a node for data or listing. Reply: a new handle; the old one stays.
///
/// Errors: `BadHandle`, `IsDirectory` (to write), `ReadOnly`, `Access`, `TextBusy`, `NotFound` (removed on
/// the host), `Invalid` (a link or special node).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Open {
    /// The node.
    pub node: FileHandle,
    /// How.
    pub access: Access,
}

/// Creates a regular file and opens it.
///
/// Errors: `BadHandle`, `NotDirectory`, `Exists`, `NameTooLong`, `NoSpace`, `ReadOnly`, `Access`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Create<'a> {
    /// The directory.
    pub dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// Permission bits.
    pub mode: u16,
    /// How the new file is opened.
    pub access: Access,
}

/// Creates a directory. Errors: as [`Create`], `TooManyLinks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Mkdir<'a> {
    /// The parent directory.
    pub dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// Permission bits.
    pub mode: u16,
}

/// Creates a symbolic link. Errors: as [`Create`], `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Symlink<'a> {
    /// The directory.
    pub dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// Bytes of the target, 1..=4095.
    pub target_len: u16,
    /// Holds the target.
    pub target: LeaseId,
}

/// Creates a socket name, named pipe or device node. Errors: as [`Create`], `NotPermitted`, `NotSupported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Mknod<'a> {
    /// The directory.
    pub dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// What to create.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// Device number of a device node.
    pub rdev: u64,
}

/// Gives a file one more name. Reply: its attributes.
///
/// Errors: `BadHandle`, `Exists`, `NotPermitted` (a directory), `TooManyLinks`, `NotFound` (the node has
/// no name left), `NoSpace`, `ReadOnly`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Link<'a> {
    /// The node that gets the name.
    pub node: FileHandle,
    /// The directory.
    pub dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub name: Name<'a>,
}

/// Which kind of entry [`Remove`] takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum RemoveKind {
    /// Everything but a directory (unlink(2)).
    File,
    /// An empty directory (rmdir(2)).
    Directory,
}

/// Removes an entry. Open handles of the node go on working.
///
/// Errors: `BadHandle`, `NotFound`, `IsDirectory`, `NotDirectory`, `NotEmpty`, `ReadOnly`, `Access`, `Busy`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Remove<'a> {
    /// The directory.
    pub dir: FileHandle,
    /// The name to remove.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// What it must be.
    pub kind: RemoveKind,
}

/// Moves an entry, replacing what has the new name (rename(2)).
///
/// Errors: `BadHandle`, `NotFound`, `NotDirectory`, `IsDirectory`, `NotEmpty`, `Exists` (with `NO_REPLACE`), `Invalid` (a
/// directory into itself, or both flags), `NoSpace`, `ReadOnly`, `Access`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Rename<'a> {
    /// Directory of the old name.
    pub from_dir: FileHandle,
    /// The old name.
    #[serde(borrow)]
    pub from_name: Name<'a>,
    /// Directory of the new name.
    pub to_dir: FileHandle,
    /// The new name.
    #[serde(borrow)]
    pub to_name: Name<'a>,
    /// What to do if the new name exists.
    pub flags: RenameFlags,
}

/// Reads the target of a symbolic link. Reply: its length in bytes.
///
/// Errors: `BadHandle`, `Invalid` (no link), `Range` (does not fit), `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ReadLink {
    /// The link.
    pub node: FileHandle,
    /// Receives the target.
    pub dest: LeaseId,
}

/// Lists a directory into the caller's lease as packed entries (see [`entry`]), without `.` and `..`.
///
/// Reply: bytes placed there; 0 means the end. An entry that was there all the time is listed once;
/// one that comes or goes meanwhile may be or not.
/// Errors: `BadHandle`, `NotDirectory`, `Range` (not even one entry fits), `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ReadDir {
    /// A directory open for reading.
    pub dir: FileHandle,
    /// 0 for the start, else the cookie of the last entry that was seen.
    pub cookie: u64,
    /// Room in the lease, in bytes.
    pub len: u32,
    /// Receives the entries.
    pub dest: LeaseId,
}

/// Asks for the attributes. Errors: `BadHandle`, `Stale`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct GetAttr {
    /// The node.
    pub node: FileHandle,
}

/// A new value for a time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum SetTime {
    /// The server's present time.
    Now,
    /// This time.
    To(Time),
}

/// Changes attributes; `None` leaves one as it is. Reply: the attributes afterwards.
///
/// A smaller `size` frees what lies behind it and a larger one reads as zeros.
/// Errors: `BadHandle`, `IsDirectory` (`size`), `Invalid`, `FileTooLarge`, `NoSpace`, `ReadOnly`, `NotPermitted`, `Access`, `Io`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct AttrChange {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of contents.
    pub mtime: Option<SetTime>,
}

/// Applies an [`AttrChange`]; errors are listed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct SetAttr {
    /// The node.
    pub node: FileHandle,
    /// What changes.
    pub change: AttrChange,
}

/// Makes a file's data and all that leads to it durable (fsync(2)).
///
/// Errors: `BadHandle`, `NoSpace`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Sync {
    /// An open file or directory.
    pub file: FileHandle,
    /// Attributes that are not needed to read the data back may stay behind (fdatasync(2)).
    pub data_only: bool,
}

/// Makes the whole volume durable (sync(2)). Errors: `NoSpace`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct SyncAll {}

/// Asks for the volume's figures. Errors: `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct StatFs {}

/// Reserves space, so that a later `Write` to this range cannot meet `NoSpace`.
///
/// The length of the file and its contents stay. A server without a space limit of its own answers at once.
/// Errors: `BadHandle`, `NoSpace`, `FileTooLarge`, `ReadOnly`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Reserve {
    /// A file open for writing.
    pub file: FileHandle,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// What [`Allocate`] does with the range (fallocate(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum AllocateMode {
    /// Allocate, and grow the file if the range ends behind its end.
    Extend,
    /// Allocate; the length stays.
    KeepSize,
    /// Free whole blocks inside and zero the rest; the length stays.
    PunchHole,
    /// Make the range read as zeros, growing the file if needed.
    ZeroRange,
    /// As `ZeroRange`; the length stays.
    ZeroRangeKeepSize,
}

/// Allocates or frees a range of a file. Errors: as [`Reserve`], `NotSupported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Allocate {
    /// A file open for writing.
    pub file: FileHandle,
    /// First byte.
    pub offset: u64,
    /// Bytes, at least 1.
    pub len: u64,
    /// What to do.
    pub mode: AllocateMode,
}

/// Hands out a handle to a node by its inode number; for recovery after a restart.
///
/// Errors: `Stale` (no such node), `Access`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Reopen {
    /// The inode number from [`Attr`].
    pub inode: u64,
    /// How to open it; `None` only names it.
    pub open: Option<Access>,
}

/// Longest name of an extended attribute (`XATTR_NAME_MAX`, limits.h).
pub const XATTR_NAME_BYTES: usize = 255;

/// Reads an extended attribute. Reply: length of the value. Errors: `BadHandle`, `NoAttribute`, `Range`, `NotSupported`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct GetXattr<'a> {
    /// The node.
    pub node: FileHandle,
    /// Name with its namespace (`user.x`).
    #[serde(borrow)]
    pub name: Bytes<'a, XATTR_NAME_BYTES>,
    /// Receives the value; `None` asks for the length only.
    pub dest: Option<LeaseId>,
}

/// Sets an extended attribute. Errors: `BadHandle`, `Exists`, `NoAttribute`, `NoSpace`, `ReadOnly`, `NotSupported`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct SetXattr<'a> {
    /// The node.
    pub node: FileHandle,
    /// Name with its namespace.
    #[serde(borrow)]
    pub name: Bytes<'a, XATTR_NAME_BYTES>,
    /// Bytes of the value.
    pub len: u32,
    /// Holds the value.
    pub src: LeaseId,
    /// `Some(true)`: must not exist (XATTR_CREATE); `Some(false)`: must exist (XATTR_REPLACE).
    pub create: Option<bool>,
}

/// Lists attribute names, each ended by NUL. Reply: bytes. Errors: `BadHandle`, `Range`, `NotSupported`, `BadLease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ListXattr {
    /// The node.
    pub node: FileHandle,
    /// Receives the names; `None` asks for the length only.
    pub dest: Option<LeaseId>,
}

/// Removes an extended attribute. Errors: `BadHandle`, `NoAttribute`, `ReadOnly`, `NotSupported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct RemoveXattr<'a> {
    /// The node.
    pub node: FileHandle,
    /// Name with its namespace.
    #[serde(borrow)]
    pub name: Bytes<'a, XATTR_NAME_BYTES>,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request<'a> {
    Close(Close),
    Read(Read),
    Write(Write),
    Attach(Attach),
    Walk(#[serde(borrow)] Walk<'a>),
    Open(Open),
    Create(#[serde(borrow)] Create<'a>),
    Mkdir(#[serde(borrow)] Mkdir<'a>),
    Symlink(#[serde(borrow)] Symlink<'a>),
    Mknod(#[serde(borrow)] Mknod<'a>),
    Link(#[serde(borrow)] Link<'a>),
    Remove(#[serde(borrow)] Remove<'a>),
    Rename(#[serde(borrow)] Rename<'a>),
    ReadLink(ReadLink),
    ReadDir(ReadDir),
    GetAttr(GetAttr),
    SetAttr(SetAttr),
    Sync(Sync),
    SyncAll(SyncAll),
    StatFs(StatFs),
    Reserve(Reserve),
    Allocate(Allocate),
    Reopen(Reopen),
    GetXattr(#[serde(borrow)] GetXattr<'a>),
    SetXattr(#[serde(borrow)] SetXattr<'a>),
    ListXattr(ListXattr),
    RemoveXattr(#[serde(borrow)] RemoveXattr<'a>),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! fs_calls {
    ($apply:path) => {
        $apply! { 'a Fs fs "fs" Request<'a> {
            Close(Close) close<> -> Result<()>, Idempotent;
            Read(Read) read<> -> Result<u32>, Idempotent;
            Write(Write) write<> -> Result<u32>, Idempotent;
            Attach(Attach) attach<> -> Result<Attached>, Idempotent;
            Walk(Walk<'a>) walk<'a> -> Result<Walked>, Idempotent;
            Open(Open) open<> -> Result<Node>, Idempotent;
            Create(Create<'a>) create<'a> -> Result<Node>, Deduplicated;
            Mkdir(Mkdir<'a>) mkdir<'a> -> Result<Node>, Deduplicated;
            Symlink(Symlink<'a>) symlink<'a> -> Result<Node>, Deduplicated;
            Mknod(Mknod<'a>) mknod<'a> -> Result<Node>, Deduplicated;
            Link(Link<'a>) link<'a> -> Result<Attr>, Deduplicated;
            Remove(Remove<'a>) remove<'a> -> Result<()>, Deduplicated;
            Rename(Rename<'a>) rename<'a> -> Result<()>, Deduplicated;
            ReadLink(ReadLink) read_link<> -> Result<u32>, Idempotent;
            ReadDir(ReadDir) read_dir<> -> Result<u32>, Idempotent;
            GetAttr(GetAttr) get_attr<> -> Result<Attr>, Idempotent;
            SetAttr(SetAttr) set_attr<> -> Result<Attr>, Idempotent;
            Sync(Sync) sync<> -> Result<()>, Idempotent;
            SyncAll(SyncAll) sync_all<> -> Result<()>, Idempotent;
            StatFs(StatFs) stat_fs<> -> Result<VolumeInfo>, Idempotent;
            Reserve(Reserve) reserve<> -> Result<()>, Idempotent;
            Allocate(Allocate) allocate<> -> Result<()>, Idempotent;
            Reopen(Reopen) reopen<> -> Result<Node>, Idempotent;
            GetXattr(GetXattr<'a>) get_xattr<'a> -> Result<u32>, Idempotent;
            SetXattr(SetXattr<'a>) set_xattr<'a> -> Result<()>, Deduplicated;
            ListXattr(ListXattr) list_xattr<> -> Result<u32>, Idempotent;
            RemoveXattr(RemoveXattr<'a>) remove_xattr<'a> -> Result<()>, Deduplicated;
        } }
    };
}

pub(crate) type Static = Request<'static>;

fs_calls!(crate::calls::implement_calls);
