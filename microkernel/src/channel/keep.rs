//! Keep pages: a bounded region per server instance that survives its death.
//!
//! The successor gets the same bytes and treats them as untrusted.

use super::memory::{Memory, View};
use crate::mm::PAGE_SIZE;
use crate::mm::frame::{Frame, Need};
use crate::sync::Lock;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

static REGIONS: Lock<BTreeMap<String, Arc<[Frame]>>> = Lock::new(BTreeMap::new());

/// The keep pages of `instance`, made zeroed at the first call. `None`: no memory.
pub fn region(instance: &str, bytes: usize) -> Option<Memory> {
    let _section = crate::sync::CoreSection::enter();
    let mut regions = REGIONS.lock();
    if !regions.contains_key(instance) {
        let frames: Option<Vec<_>> =
            (0..bytes.div_ceil(PAGE_SIZE)).map(|_| Frame::alloc_zeroed_for(Need::Kernel)).collect();
        regions.insert(String::from(instance), frames?.into());
    }
    let frames = regions.get(instance)?.clone();
    let len = frames.len() * PAGE_SIZE;
    Some(Memory::from_view(Arc::new(View::new(frames, 0, len, true))))
}
