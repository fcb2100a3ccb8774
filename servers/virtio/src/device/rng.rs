//! Randomness (VIRTIO 1.2 section 5.4).

use crate::driver::{Driver, OpenError, Parts};
use crate::queue::Chain;
use crate::store::Shape;
use crate::transport::Transport;
use alloc::boxed::Box;
use core::cell::RefCell;
use rt::device::entropy::EntropyDevice;
use rt::device::{DeviceError, Segment, Tag};

pub(crate) const SHAPE: Shape = Shape { side: 0, pieces: 2, segments: 1, depth: 8, tables: false };

const QUEUE: usize = 0;

/// A source in the hands of its driver.
pub(crate) struct Rng(RefCell<Driver>);

impl Rng {
    /// Takes the device.
    pub(crate) fn open(parts: Parts, transport: Box<dyn Transport>, bit: u8) -> Result<Self, OpenError> {
        let mut driver = Driver::open(parts, transport, 0, bit)?;
        driver.start();
        Ok(Self(RefCell::new(driver)))
    }
}

impl EntropyDevice for Rng {
    fn request(&self, segment: &Segment) -> Result<Tag, DeviceError> {
        let input = core::slice::from_ref(segment);
        self.0.borrow_mut().send(QUEUE, &Chain { input, ..Chain::default() })
    }

    fn completed(&self) -> Option<(Tag, usize)> {
        let completion = self.0.borrow_mut().complete(QUEUE)?;
        Some((completion.tag, completion.written))
    }

    fn bit(&self) -> u8 {
        self.0.borrow().bit()
    }

    fn acknowledge(&self) {
        self.0.borrow_mut().acknowledge();
    }
}
