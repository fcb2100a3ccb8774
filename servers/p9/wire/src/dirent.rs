//! Directory entries inside the data of Rreaddir: `qid[13] offset[8] type[1] name[s]`, one after the other.

use crate::field::{Field, Reader, Writer};
use crate::{Error, Qid, Result};

/// One name of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Identity of the file.
    pub qid: Qid,
    /// Cookie: the `offset` of the Treaddir that continues behind this entry.
    pub offset: u64,
    /// Linux `d_type`; 0 is "unknown".
    pub kind: u8,
    /// The name: not empty, without slash and NUL.
    pub name: &'a [u8],
}

impl<'a> Field<'a> for DirEntry<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self> {
        let entry = Self { qid: from.get()?, offset: from.get()?, kind: from.get()?, name: from.get()? };
        if entry.name.is_empty() || entry.name.iter().any(|&byte| byte == 0 || byte == b'/') {
            return Err(Error::BadValue);
        }
        Ok(entry)
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<()> {
        self.qid.put(to)?;
        self.offset.put(to)?;
        self.kind.put(to)?;
        self.name.put(to)
    }
}

/// Iterates over the entries in the data of an Rreaddir. The first malformed entry is an error and the end.
#[derive(Clone, Debug)]
pub struct DirEntries<'a> {
    reader: Reader<'a>,
}

impl<'a> DirEntries<'a> {
    /// Entries of `data`, the bytes behind the count of an Rreaddir.
    pub fn new(data: &'a [u8]) -> Self {
        Self { reader: Reader::new(data) }
    }
}

impl<'a> Iterator for DirEntries<'a> {
    type Item = Result<DirEntry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let entry = self.reader.get();
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// Fills a slice with whole entries, for a host side.
#[derive(Debug)]
pub struct DirWriter<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> DirWriter<'b> {
    /// A writer over `bytes`, empty so far.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Appends one entry, or nothing.
    ///
    /// Errors: `NoSpace` if it does not fit whole.
    pub fn push(&mut self, entry: &DirEntry<'_>) -> Result<()> {
        let mut to = Writer::after(self.bytes, self.len)?;
        entry.put(&mut to)?;
        self.len = to.len();
        Ok(())
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
