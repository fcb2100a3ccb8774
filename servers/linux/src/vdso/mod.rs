//! The vDSO: clock functions that the program calls without entering the kernel.
//!
//! The core owns image and clock page; here they are mapped into the program and handed to it by `AT_SYSINFO_EHDR`.

use crate::process::Process;

/// Maps the image; `None` where the machine's clock cannot be read by programs.
pub(crate) fn map(_process: &Process) -> Option<u64> {
    None
}
