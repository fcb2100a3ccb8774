//! Heads of messages whose payload lies in another segment: Twrite on the way out, Rread and Rreaddir on the way in.
//!
//! An Rread head and a whole Rlerror are both eleven bytes, so that an error never reaches the caller's buffer:
//! `size[4] type[1] tag[2] count[4]` and `size[4] type[1] tag[2] ecode[4]`.

use crate::field::{Field, Reader, Writer};
use crate::{Error, HEADER_LEN, Packet, Reply, Result, header};

/// Length of the head of Rread and Rreaddir in bytes.
pub const IO_REPLY_HEAD: usize = HEADER_LEN + 4;
/// Length of the head of Twrite in bytes: header, fid, offset, count.
pub const WRITE_REQUEST_HEAD: usize = HEADER_LEN + 4 + 8 + 4;
/// Type byte of Rread.
pub const READ_REPLY: u8 = 117;
/// Type byte of Rreaddir.
pub const READDIR_REPLY: u8 = 41;
/// Type byte of Rlerror.
const LERROR: u8 = 7;
/// Type byte of Twrite.
const WRITE_REQUEST: u8 = 118;

/// What the eleven bytes in front of read data say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadHead {
    /// This many bytes follow in the payload segments.
    Data {
        /// Bytes read.
        count: u32,
    },
    /// The host refused with this Linux error number.
    Refused {
        /// Error number.
        ecode: u32,
    },
}

impl ReadHead {
    /// Checks the head of a reply of type `kind` ([`READ_REPLY`] or [`READDIR_REPLY`]) to a request for `asked`
    /// bytes.
    ///
    /// Gives the tag too. Errors: `Truncated`, `UnknownType`, `BadSize` if size and count disagree, `BadValue` if
    /// more came than was asked for.
    pub fn parse(bytes: &[u8], kind: u8, asked: u32) -> Result<(u16, Self)> {
        let packet = Packet::head_only(bytes)?;
        if packet.kind() == LERROR {
            return match Reply::parse(bytes)? {
                (tag, Reply::Lerror { ecode }) => Ok((tag, Self::Refused { ecode })),
                (_, other) => Err(Error::UnknownType(other.kind())),
            };
        }
        if packet.kind() != kind {
            return Err(Error::UnknownType(packet.kind()));
        }
        let count: u32 = Reader::new(packet.body()).get()?;
        if u64::from(packet.size()) != IO_REPLY_HEAD as u64 + u64::from(count) {
            return Err(Error::BadSize);
        }
        if count > asked {
            return Err(Error::BadValue);
        }
        Ok((packet.tag(), Self::Data { count }))
    }
}

/// The head of a Twrite whose data follows in other segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteHead {
    /// File to write.
    pub fid: u32,
    /// Position in bytes.
    pub offset: u64,
    /// Bytes that follow.
    pub count: u32,
}

impl WriteHead {
    /// Writes the head to the front of `bytes`; gives its length, [`WRITE_REQUEST_HEAD`].
    ///
    /// Errors: `NoSpace`, also if head and data together exceed 4 GiB.
    pub fn emit(&self, tag: u16, bytes: &mut [u8]) -> Result<usize> {
        let size = u32::try_from(WRITE_REQUEST_HEAD as u64 + u64::from(self.count)).map_err(|_| Error::NoSpace)?;
        let mut to = Writer::after(bytes, HEADER_LEN)?;
        self.fid.put(&mut to)?;
        self.offset.put(&mut to)?;
        self.count.put(&mut to)?;
        let len = to.len();
        header::emit(bytes, size, WRITE_REQUEST, tag)?;
        Ok(len)
    }
}
