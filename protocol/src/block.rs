//! `block`: sectors of one disk. Served by `block:N`; called by `tfs`.
//!
//! There are no handles: a port is a disk. Data moves by DMA between the disk and the caller's
//! lease. Calls wait for the device; they are served concurrently and finish in any order: a caller
//! that needs an order awaits the first reply, and `Flush` in between for durability.
//! Full queue: the sender waits.

use crate::{Failure, LeaseId};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Unit of all positions and counts, in bytes.
pub const SECTOR_BYTES: u32 = 512;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// The range lies outside the disk, is empty, or is longer than `max_sectors`.
    OutOfRange,
    /// The disk is read-only.
    ReadOnly,
    /// The device reported a failure or did not answer.
    Io,
    /// The device does not have this operation.
    NotSupported,
    /// A lease is missing, too small, or of the wrong direction.
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

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct DiskInfo {
    /// Size in sectors.
    pub sectors: u64,
    /// Writes answer `ReadOnly`.
    pub read_only: bool,
    /// Most sectors of one `Read` or `Write`.
    pub max_sectors: u32,
    /// `Flush` makes earlier writes durable; without it writes are durable at once.
    pub has_cache: bool,
}

/// Asks what the disk is. Errors: `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Info {}

/// Reads sectors into the caller's lease. Errors: `OutOfRange`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Read {
    /// First sector.
    pub sector: u64,
    /// Sectors.
    pub count: u32,
    /// Buffer to fill.
    pub dest: LeaseId,
    /// First byte used in the lease.
    pub at: u32,
}

/// Writes sectors from the caller's lease. Errors: `OutOfRange`, `ReadOnly`, `BadLease`, `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Write {
    /// First sector.
    pub sector: u64,
    /// Sectors.
    pub count: u32,
    /// Buffer to take from.
    pub src: LeaseId,
    /// First byte used in the lease.
    pub at: u32,
}

/// Makes all writes that were answered before durable. Errors: `Io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Flush {}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    Info(Info),
    Read(Read),
    Write(Write),
    Flush(Flush),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! block_calls {
    ($apply:path) => {
        $apply! { 'a Block block "block" Request {
            Info(Info) info<> -> Result<DiskInfo>, Idempotent;
            Read(Read) read<> -> Result<()>, Idempotent;
            Write(Write) write<> -> Result<()>, Idempotent;
            Flush(Flush) flush<> -> Result<()>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request;

block_calls!(crate::calls::implement_calls);
