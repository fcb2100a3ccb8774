//! The program's memory: regions, mapping calls, page faults.

mod file;

pub(crate) use file::MappedFile;

/// What an access wants to do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Run it.
    Execute,
}
