//! The vDSO: clock functions that the program calls without entering the kernel.
//!
//! The core owns image and clock page; here they are mapped into the program, one behind the other, and handed to it by
//! `AT_SYSINFO_EHDR`.

use crate::mm::{Backing, MappedFile, PAGE, Place, Wish};
use crate::process::Process;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::memory::Prot;
use microkernel::mm::frame::Frame;
use microkernel::vdso;

/// One page of the core's, as something that can be mapped.
struct Page {
    frame: Frame,
    id: u64,
    name: &'static [u8],
}

/// Identities that no file has: those of files stay below 2^63, those of shared memory above it.
const IMAGE_ID: u64 = u64::MAX;
const CLOCK_ID: u64 = u64::MAX - 1;

impl MappedFile for Page {
    fn id(&self) -> u64 {
        self.id
    }

    fn page(&self, index: u64, for_write: bool) -> Result<Frame, Errno> {
        if index == 0 && !for_write { Ok(self.frame.clone()) } else { Err(Errno::EFAULT) }
    }

    fn mark_dirty(&self, _index: u64) {}

    fn size(&self) -> u64 {
        PAGE
    }

    fn name(&self) -> Vec<u8> {
        self.name.to_vec()
    }

    fn node(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// Maps image and clock; `None` without memory for them: the program then asks the kernel for the time.
pub(crate) fn map(process: &Process) -> Option<u64> {
    let image = Page { frame: vdso::image()?, id: IMAGE_ID, name: b"[vdso]" };
    let clock = Page { frame: vdso::clock_page()?, id: CLOCK_ID, name: b"[vvar]" };
    let start = process.mm.lock().choose_free(2 * PAGE).ok()?;
    map_page(process, start, image, Prot::READ | Prot::EXEC)?;
    map_page(process, start + PAGE, clock, Prot::READ)?;
    Some(start)
}

fn map_page(process: &Process, at: u64, page: Page, prot: Prot) -> Option<u64> {
    let wish = Wish {
        place: Place::Fixed(at),
        len: PAGE,
        prot,
        // As Linux shows it: a debugger's breakpoint would be the program's own copy.
        shared: false,
        may_write: true,
        grows_down: false,
        locked: false,
        no_reserve: true,
        backing: Backing::File { file: Arc::new(page), first: 0 },
    };
    process.mm.map(wish).ok()
}
