//! Between the volume's notions and the protocol's: times, kinds, attributes.

use protocol::fs::{Kind, Time};
use tfs_format::node::type_bits;
use tfs_format::tree::ObjectId;
use tfs_format::{Symbol, Tree, symbols};

const TYPE_MASK: u64 = 0o170_000;
const FIFO: u64 = 0o010_000;
const CHAR_DEVICE: u64 = 0o020_000;
const BLOCK_DEVICE: u64 = 0o060_000;
const NANOS: u64 = 1_000_000_000;

/// A time as TFS stores it: seconds in the high 32 bits, binary fraction in the low ones. Times that do
/// not fit (before 1970, after 2106) become the nearest that does.
pub fn to_stamp(time: Time) -> u64 {
    let Ok(seconds) = u64::try_from(time.seconds) else { return 0 };
    if seconds > u64::from(u32::MAX) {
        return u64::MAX;
    }
    // Rounded up, so that the way back yields the same nanosecond.
    let fraction = (u64::from(time.nanoseconds).min(NANOS - 1) << 32).div_ceil(NANOS);
    seconds << 32 | fraction
}

/// The protocol's form of a stored time.
pub fn from_stamp(stamp: u64) -> Time {
    let fraction = stamp & u64::from(u32::MAX);
    Time { seconds: (stamp >> 32) as i64, nanoseconds: ((fraction * NANOS) >> 32) as u32 }
}

/// A stored time from nanoseconds since 1970.
pub fn stamp_of_ns(ns: u64) -> u64 {
    to_stamp(Time { seconds: (ns / NANOS) as i64, nanoseconds: (ns % NANOS) as u32 })
}

/// What a node is. Pipes and device nodes are files whose stored mode says so.
pub fn kind(tree: &Tree, node: ObjectId) -> Kind {
    match tree.kind(node) {
        tfs_format::Kind::Directory => Kind::Directory,
        tfs_format::Kind::Symlink => Kind::Link,
        tfs_format::Kind::Socket => Kind::Socket,
        tfs_format::Kind::Special => Kind::CharDevice,
        tfs_format::Kind::File => match tree.number(node, symbols::MODE).unwrap_or(0) & TYPE_MASK {
            FIFO => Kind::Fifo,
            CHAR_DEVICE => Kind::CharDevice,
            BLOCK_DEVICE => Kind::BlockDevice,
            _ => Kind::File,
        },
    }
}

/// The stored mode: type and permission bits.
pub fn mode_word(kind: Kind, permissions: u16) -> u64 {
    let kind = match kind {
        Kind::File => type_bits(tfs_format::Kind::File),
        Kind::Directory => type_bits(tfs_format::Kind::Directory),
        Kind::Link => type_bits(tfs_format::Kind::Symlink),
        Kind::Socket => type_bits(tfs_format::Kind::Socket),
        Kind::Fifo => FIFO,
        Kind::CharDevice => CHAR_DEVICE,
        Kind::BlockDevice => BLOCK_DEVICE,
    };
    kind | u64::from(permissions & 0o7777)
}

/// Permission bits. Volumes of other tools have none: everything may be read and run then, as there.
pub fn permissions(tree: &Tree, node: ObjectId, kind: Kind) -> u16 {
    match tree.number(node, symbols::MODE) {
        Some(mode) => (mode & 0o7777) as u16,
        None if kind == Kind::Link => 0o777,
        None => 0o755,
    }
}

/// A 32-bit attribute; 0 if it is missing or out of range.
pub fn small(tree: &Tree, node: ObjectId, name: Symbol) -> u32 {
    tree.number(node, name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_to_the_nanosecond() {
        for nanoseconds in [0, 1, 2, 499_999_999, 500_000_000, 999_999_999] {
            let time = Time { seconds: 1_700_000_000, nanoseconds };
            assert_eq!(from_stamp(to_stamp(time)), time);
        }
        assert_eq!(to_stamp(Time { seconds: -1, nanoseconds: 0 }), 0);
        assert_eq!(to_stamp(Time { seconds: 1 << 32, nanoseconds: 0 }), u64::MAX);
    }
}
