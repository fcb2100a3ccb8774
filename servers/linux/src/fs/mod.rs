//! Files: the VFS, names, page cache and descriptor table.

use crate::setup::Mount;
use alloc::string::String;
use alloc::vec::Vec;
use microkernel::channel::Client;

/// State of the files side.
pub(crate) struct Files {}

impl Files {
    /// Attaches the mounts. The error is a sentence for the log.
    pub(crate) fn new(
        _root: Client,
        _mounts: Vec<Mount>,
        _net: Option<Client>,
        _console: Client,
    ) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Opens the standard streams and enters `cwd`; runs when the process is installed and events run.
    pub(crate) fn begin(&self, _cwd: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
