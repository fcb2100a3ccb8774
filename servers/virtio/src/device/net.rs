//! Network interfaces (VIRTIO 1.2 section 5.1), without offloads: whole frames, one per buffer.
//!
//! The device's own header stays in the driver's memory, so buffers hold nothing but the frame.

use crate::driver::{Driver, OpenError, Parts, feature};
use crate::queue::{Chain, Completion};
use crate::store::Shape;
use crate::transport::{Transport, consistent};
use alloc::boxed::Box;
use core::cell::RefCell;
use rt::device::net::{Facts, NetDevice};
use rt::device::{DeviceError, Segment, Tag};

/// Header, and a frame that may cross a page or two.
const PIECES: u16 = 4;

pub(crate) const SHAPE: Shape = Shape { side: 16, pieces: PIECES, segments: 1, depth: 256, tables: true };

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

const FEATURE_MTU: u64 = 1 << 3;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;

/// Offsets in the configuration (section 5.1.4).
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const CONFIG_MTU: usize = 10;

const STATUS_LINK_UP: u16 = 1;

/// The header without the count of merged buffers, and with it (section 5.1.6).
const OLD_HEADER: usize = 10;
const HEADER: usize = 12;

/// Payload of an Ethernet frame where the device says nothing, and the least that IPv4 allows.
const DEFAULT_MTU: u16 = 1500;
const LEAST_MTU: u16 = 68;
/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;

/// An interface in the hands of its driver.
pub(crate) struct Net {
    driver: RefCell<Driver>,
    facts: Facts,
    /// Bytes of the device's header.
    header: usize,
}

impl Net {
    /// Takes the device; `random_mac` is used where it has no address.
    pub(crate) fn open(
        parts: Parts,
        transport: Box<dyn Transport>,
        bit: u8,
        random_mac: [u8; 6],
    ) -> Result<Self, OpenError> {
        let wanted = FEATURE_MTU | FEATURE_MAC | FEATURE_STATUS;
        let mut driver = Driver::open(parts, transport, wanted, bit)?;
        let facts = facts(&mut driver, random_mac);
        let header = if driver.has(feature::VERSION_1) { HEADER } else { OLD_HEADER };
        driver.start();
        Ok(Self { driver: RefCell::new(driver), facts, header })
    }
}

fn facts(driver: &mut Driver, random_mac: [u8; 6]) -> Facts {
    let (has_mac, has_mtu) = (driver.has(FEATURE_MAC), driver.has(FEATURE_MTU));
    let has_status = driver.has(FEATURE_STATUS);
    let pieces = if driver.is_indirect(RECEIVE) { 1 } else { PIECES };
    let receive_depth = driver.depth(RECEIVE) / pieces;
    consistent(driver.transport(), |transport| {
        let mut mac = locally_administered(random_mac);
        if has_mac {
            for (offset, byte) in mac.iter_mut().enumerate() {
                *byte = transport.config_u8(CONFIG_MAC + offset);
            }
        }
        let mtu = if has_mtu { transport.config_u16(CONFIG_MTU) } else { DEFAULT_MTU };
        let link_up = !has_status || transport.config_u16(CONFIG_STATUS) & STATUS_LINK_UP != 0;
        Facts { mac, mtu: mtu.max(LEAST_MTU), link_up, receive_depth, headroom: 0 }
    })
}

/// Marks an address as made up and not multicast (IEEE 802).
fn locally_administered(mut mac: [u8; 6]) -> [u8; 6] {
    mac[0] = mac[0] & 0xfc | 0x02;
    mac
}

impl NetDevice for Net {
    fn facts(&self) -> Facts {
        self.facts
    }

    fn transmit(&self, segment: &Segment) -> Result<Tag, DeviceError> {
        if segment.len < ETHERNET_HEADER {
            return Err(DeviceError::BadRequest);
        }
        // All zero: no checksum to fill in, no segmentation.
        let header = &[0; HEADER][..self.header];
        let output = core::slice::from_ref(segment);
        let chain = Chain { header, output, ..Chain::default() };
        self.driver.borrow_mut().send(TRANSMIT, &chain)
    }

    fn post(&self, segment: &Segment) -> Result<Tag, DeviceError> {
        if segment.len < usize::from(self.facts.mtu) + ETHERNET_HEADER {
            return Err(DeviceError::BadRequest);
        }
        let input = core::slice::from_ref(segment);
        let chain = Chain { lead: self.header as u16, input, ..Chain::default() };
        self.driver.borrow_mut().send(RECEIVE, &chain)
    }

    fn transmitted(&self) -> Option<Tag> {
        self.driver.borrow_mut().complete_lazily(TRANSMIT).map(|completion| completion.tag)
    }

    fn received(&self) -> Option<(Tag, usize)> {
        let Completion { tag, written, .. } = self.driver.borrow_mut().complete(RECEIVE)?;
        Some((tag, written.saturating_sub(self.header)))
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
mod tests;
