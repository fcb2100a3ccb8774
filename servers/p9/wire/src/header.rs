//! The seven bytes in front of every message: `size[4] type[1] tag[2]`, as a checked view.
//!
//! `size` counts the whole message, itself included. The buffer may be longer than the message: a virtio device
//! fills part of a reply buffer.

use crate::{Error, Result};

/// Length of the header in bytes.
pub const HEADER_LEN: usize = field::BODY;

mod field {
    use core::ops::Range;
    pub const SIZE: Range<usize> = 0..4;
    pub const KIND: usize = 4;
    pub const TAG: Range<usize> = 5..7;
    pub const BODY: usize = 7;
}

/// A view of one message. Invariant after `new_checked`: `HEADER_LEN <= size() <= buffer length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    head: &'a [u8; HEADER_LEN],
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the size field against `bytes` and cuts the view to the message.
    ///
    /// Errors: `Truncated` below seven bytes, `BadSize`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
        let packet = Self { head, body: rest };
        let size = usize::try_from(packet.size()).map_err(|_| Error::BadSize)?;
        let body_len = size.checked_sub(HEADER_LEN).ok_or(Error::BadSize)?;
        let body = rest.get(..body_len).ok_or(Error::BadSize)?;
        Ok(Self { head, body })
    }

    /// Reads only the head of a message whose rest lies elsewhere; the size field is not checked.
    ///
    /// Errors: `Truncated` below seven bytes.
    pub fn head_only(bytes: &'a [u8]) -> Result<Self> {
        let (head, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
        Ok(Self { head, body })
    }

    /// Length of the whole message in bytes, as the sender states it.
    pub fn size(&self) -> u32 {
        let mut raw = [0; 4];
        raw.copy_from_slice(&self.head[field::SIZE]);
        u32::from_le_bytes(raw)
    }

    /// The message type; even numbers are requests, odd ones replies.
    pub fn kind(&self) -> u8 {
        self.head[field::KIND]
    }

    /// The tag that pairs a reply with its request.
    pub fn tag(&self) -> u16 {
        let mut raw = [0; 2];
        raw.copy_from_slice(&self.head[field::TAG]);
        u16::from_le_bytes(raw)
    }

    /// The bytes after the header.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Writes a header at the front of `bytes`.
///
/// Errors: `NoSpace` if `bytes` is shorter than the header.
pub(crate) fn emit(bytes: &mut [u8], size: u32, kind: u8, tag: u16) -> Result<()> {
    let head = bytes.first_chunk_mut::<HEADER_LEN>().ok_or(Error::NoSpace)?;
    head[field::SIZE].copy_from_slice(&size.to_le_bytes());
    head[field::KIND] = kind;
    head[field::TAG].copy_from_slice(&tag.to_le_bytes());
    Ok(())
}
