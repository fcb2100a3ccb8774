//! The packed directory entries of [`ReadDir`](super::ReadDir): little endian, no padding.
//!
//! `inode: u64, cookie: u64, kind: u8, name_len: u8, name: [u8; name_len]`.

use super::Kind;

/// Bytes before the name.
pub const HEAD_BYTES: usize = 18;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Inode number, as in `Attr`.
    pub inode: u64,
    /// Resumes the listing behind this entry.
    pub cookie: u64,
    /// What the node is.
    pub kind: Kind,
    /// Name, 1..=255 bytes.
    pub name: &'a [u8],
}

const KINDS: [Kind; 7] =
    [Kind::File, Kind::Directory, Kind::Link, Kind::Socket, Kind::Fifo, Kind::CharDevice, Kind::BlockDevice];

impl<'a> Entry<'a> {
    /// Bytes that the packed entry takes.
    pub fn packed_len(&self) -> usize {
        HEAD_BYTES + self.name.len()
    }

    /// Packs the entry at the start of `out`; `None` if it does not fit or the name is too long.
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.packed_len();
        let out = out.get_mut(..len)?;
        out[0..8].copy_from_slice(&self.inode.to_le_bytes());
        out[8..16].copy_from_slice(&self.cookie.to_le_bytes());
        out[16] = self.kind as u8;
        out[17] = u8::try_from(self.name.len()).ok()?;
        out[HEAD_BYTES..].copy_from_slice(self.name);
        Some(len)
    }

    /// Reads the entry at the start of `bytes`; also what follows it. `None` if it is cut or illegal.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (name, rest) = rest.split_at_checked(usize::from(head[17]))?;
        let entry = Self {
            inode: u64::from_le_bytes(head[0..8].try_into().ok()?),
            cookie: u64::from_le_bytes(head[8..16].try_into().ok()?),
            kind: *KINDS.get(usize::from(head[16]))?,
            name,
        };
        Some((entry, rest))
    }
}
