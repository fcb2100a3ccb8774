//! Folders of the host: the 9P transport. VIRTIO gives only its number (9); the layout is QEMU's
//! (hw/9pfs/virtio-9p.h): one queue, and a configuration with the mount tag.

use crate::driver::{Driver, OpenError, Parts};
use crate::queue::Chain;
use crate::store::Shape;
use crate::transport::{Transport, consistent};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use rt::device::p9::P9Device;
use rt::device::{DeviceError, Segment, Tag};

/// Most contiguous pieces of one exchange: QEMU's queue has 128 descriptors.
const PIECES: u16 = 128;

pub(crate) const SHAPE: Shape = Shape { side: 0, pieces: PIECES, segments: 16, depth: 128, tables: true };

const QUEUE: usize = 0;

/// The configuration holds a mount tag.
pub(crate) const FEATURE_MOUNT_TAG: u64 = 1;
/// Offset of the length of the mount tag (16 bits); the tag follows.
const CONFIG_TAG_LEN: usize = 0;
const CONFIG_TAG: usize = 2;
/// Longest tag that is read; QEMU's longest has 32 bytes.
const LONGEST_TAG: u16 = 255;

/// A 9P transport in the hands of its driver.
pub(crate) struct P9 {
    driver: RefCell<Driver>,
    tag: String,
    max_pieces: u32,
}

impl P9 {
    /// Takes the device.
    pub(crate) fn open(parts: Parts, transport: Box<dyn Transport>, bit: u8) -> Result<Self, OpenError> {
        let mut driver = Driver::open(parts, transport, FEATURE_MOUNT_TAG, bit)?;
        let tag = mount_tag(driver.transport());
        let max_pieces = u32::from(PIECES.min(driver.depth(QUEUE)));
        driver.start();
        Ok(Self { driver: RefCell::new(driver), tag, max_pieces })
    }
}

/// Reads the mount tag; bytes that are not UTF-8 are replaced.
pub(crate) fn mount_tag(transport: &mut dyn Transport) -> String {
    let bytes = consistent(transport, |transport| {
        let len = transport.config_u16(CONFIG_TAG_LEN).min(LONGEST_TAG);
        (0..usize::from(len)).map(|at| transport.config_u8(CONFIG_TAG + at)).collect::<Vec<u8>>()
    });
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

impl P9Device for P9 {
    fn mount_tag(&self) -> String {
        self.tag.clone()
    }

    fn max_pieces(&self) -> u32 {
        self.max_pieces
    }

    fn submit(&self, request: &[Segment], reply: &[Segment]) -> Result<Tag, DeviceError> {
        let chain = Chain { output: request, input: reply, ..Chain::default() };
        self.driver.borrow_mut().submit(QUEUE, &chain)
    }

    fn kick(&self) {
        self.driver.borrow_mut().kick(QUEUE);
    }

    fn completed(&self) -> Option<(Tag, usize)> {
        let completion = self.driver.borrow_mut().complete(QUEUE)?;
        Some((completion.tag, completion.written))
    }

    fn bit(&self) -> u8 {
        self.driver.borrow().bit()
    }

    fn acknowledge(&self) {
        self.driver.borrow_mut().acknowledge();
    }

    fn reset(&self) {
        self.driver.borrow_mut().stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Kind;
    use crate::driver::feature;
    use crate::fake::{FakeTransport, TestMemory, device, segment};

    #[test]
    fn exchanges_wait_for_the_kick_and_one_kick_sends_them_all() {
        let (device, parts) = device(Kind::P9, 1, 128, FEATURE_MOUNT_TAG | feature::INDIRECT, b"\x06\0static!!");
        let p9 = P9::open(parts, Box::new(FakeTransport(device.clone())), 5).expect("opens");
        assert_eq!((p9.mount_tag().as_str(), p9.max_pieces()), ("static", 128));
        let memory = TestMemory::new(8192);
        rt::sys::Memory::write(&*memory, 0, b"Twalk").expect("inside");
        let (request, reply) = ([segment(&memory, 0, 5)], [segment(&memory, 100, 7), segment(&memory, 4096, 4096)]);
        let tags = [(); 2].map(|()| p9.submit(&request, &reply).expect("room"));
        assert!(device.borrow().notified.is_empty());
        p9.kick();
        assert_eq!(device.borrow().notified, [0]);
        for tag in tags {
            assert_eq!(device.borrow_mut().answer(0, b"Rwalk and more"), b"Twalk");
            assert_eq!(p9.completed(), Some((tag, 14)));
        }
        assert_eq!(p9.completed(), None);
    }
}
