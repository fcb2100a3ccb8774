//! What can be wrong with a volume, and where.

use core::fmt;

/// Damage found while replaying a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Position of the offending record or header, in bytes from the start of the volume.
    pub at: u64,
    /// What is wrong there.
    pub cause: Cause,
}

/// The kinds of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The six magic bytes are missing from an extension.
    Magic,
    /// An extension of a version that is neither 4 nor 5.
    Version(u64),
    /// An extension's header gives another length than the link that led to it.
    ExtensionLength {
        /// Sectors according to the link.
        linked: u64,
        /// Sectors according to the header.
        found: u64,
    },
    /// The label has no terminating zero within its 32 bytes.
    Label,
    /// Data ends in the middle of something.
    Truncated,
    /// A number above 64 bits.
    NumberTooLarge,
    /// A record type that does not exist.
    RecordType(u8),
    /// A new record begins while bytes of the previous one are missing.
    UnfinishedRecord(u64),
    /// A continuation carries more bytes than its record needs.
    OversizedPiece,
    /// A link to sector 0 or of length 0.
    BadLink,
    /// An extension outside the volume.
    LinkOutside(u64),
    /// An extension over sectors that the log already uses.
    LinkOverlap(u64),
    /// A reference to a slot that was never defined.
    DanglingSlot(u64),
    /// A slot holds another kind of thing than the reference needs.
    SlotKind(u64),
    /// A value or name of a type that cannot stand there.
    ValueType(u8),
    /// A record is not a tuple, or the log's first object is not one.
    NotATuple,
    /// Bytes are left over after a record was decoded.
    StrayBytes(usize),
    /// The caller fed another number of bytes than was wanted.
    WrongFeed,
    /// The volume has more objects or names than 32-bit indices can count.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {:#x}: {}", self.at, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Magic => f.write_str("no TFS log here (magic not found)"),
            Cause::Version(v) => write!(f, "log version {v} is not supported (4 and 5 are)"),
            Cause::ExtensionLength { linked, found } => {
                write!(f, "log extension says {found} sectors, the link to it {linked}")
            }
            Cause::Label => f.write_str("the volume label is not terminated"),
            Cause::Truncated => f.write_str("the log ends in the middle of a record"),
            Cause::NumberTooLarge => f.write_str("a number exceeds 64 bits"),
            Cause::RecordType(t) => write!(f, "unknown record type {t}"),
            Cause::UnfinishedRecord(n) => write!(f, "{n} bytes of the previous record are missing"),
            Cause::OversizedPiece => f.write_str("a record piece is longer than its record"),
            Cause::BadLink => f.write_str("a log link is empty or leads to sector 0"),
            Cause::LinkOutside(s) => write!(f, "log extension at sector {s} lies outside the volume"),
            Cause::LinkOverlap(s) => write!(f, "log extension at sector {s} overlaps another one"),
            Cause::DanglingSlot(s) => write!(f, "reference to slot {s}, which is not defined"),
            Cause::SlotKind(s) => write!(f, "slot {s} holds another kind of value"),
            Cause::ValueType(t) => write!(f, "a value of type {t} cannot stand here"),
            Cause::NotATuple => f.write_str("a tuple was expected"),
            Cause::StrayBytes(n) => write!(f, "{n} stray bytes after a record"),
            Cause::WrongFeed => f.write_str("the sectors supplied are not the ones wanted"),
            Cause::TooLarge => f.write_str("the volume has too many objects"),
        }
    }
}

impl core::error::Error for Error {}
