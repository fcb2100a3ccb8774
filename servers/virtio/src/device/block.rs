//! Disks (VIRTIO 1.2 section 5.2).

use crate::driver::{Driver, OpenError, Parts};
use crate::queue::Chain;
use crate::store::Shape;
use crate::transport::{Transport, consistent};
use alloc::boxed::Box;
use core::cell::RefCell;
use rt::device::block::{BlockDevice, Geometry, Operation};
use rt::device::{DeviceError, Segment, Tag};

/// Most contiguous pieces of one transfer, header and status included.
const PIECES: u16 = 128;
/// Those of the driver: header and status.
const OWN_PIECES: u32 = 2;

pub(crate) const SHAPE: Shape = Shape { side: 32, pieces: PIECES, segments: 16, depth: 128, tables: true };

const SECTOR_BYTES: u64 = 512;
const QUEUE: usize = 0;

const FEATURE_SIZE_MAX: u64 = 1 << 1;
const FEATURE_SEG_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;

/// Offsets in the configuration (section 5.2.4).
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;

/// Request types (section 5.2.6).
const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;

const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;

/// A disk in the hands of its driver.
pub(crate) struct Block {
    driver: RefCell<Driver>,
    geometry: Geometry,
}

impl Block {
    /// Takes the device.
    pub(crate) fn open(parts: Parts, transport: Box<dyn Transport>, bit: u8) -> Result<Self, OpenError> {
        let wanted = FEATURE_SIZE_MAX | FEATURE_SEG_MAX | FEATURE_READ_ONLY | FEATURE_FLUSH;
        let mut driver = Driver::open(parts, transport, wanted, bit)?;
        let geometry = geometry(&mut driver);
        if driver.has(FEATURE_SIZE_MAX) {
            let limit = driver.transport().config_u32(CONFIG_SIZE_MAX);
            // A limit below a sector cannot be meant.
            driver.limit_pieces(QUEUE, limit.max(SECTOR_BYTES as u32));
        }
        driver.start();
        Ok(Self { driver: RefCell::new(driver), geometry })
    }

    /// Bytes and sectors must fit each other and the disk.
    fn check(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<(), DeviceError> {
        if operation == Operation::Flush {
            return if segments.is_empty() { Ok(()) } else { Err(DeviceError::BadRequest) };
        }
        let bytes = segments.iter().try_fold(0u64, |sum, segment| sum.checked_add(segment.len as u64));
        let bytes = bytes.filter(|bytes| *bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES));
        let end = bytes.and_then(|bytes| sector.checked_add(bytes / SECTOR_BYTES));
        match end {
            Some(end) if end <= self.geometry.sectors => Ok(()),
            _ => Err(DeviceError::BadRequest),
        }
    }
}

fn geometry(driver: &mut Driver) -> Geometry {
    let depth = driver.depth(QUEUE);
    let seg_max = driver.has(FEATURE_SEG_MAX).then_some(CONFIG_SEG_MAX);
    let (sectors, seg_max) = consistent(driver.transport(), |transport| {
        let low = u64::from(transport.config_u32(CONFIG_CAPACITY));
        let high = u64::from(transport.config_u32(CONFIG_CAPACITY + 4));
        // Without a word from the device only one piece is certain.
        (low | high << 32, seg_max.map_or(1, |at| transport.config_u32(at)))
    });
    let ours = u32::from(PIECES.min(depth)).saturating_sub(OWN_PIECES);
    Geometry {
        sectors,
        read_only: driver.has(FEATURE_READ_ONLY),
        max_pieces: seg_max.min(ours).max(1),
        has_cache: driver.has(FEATURE_FLUSH),
    }
}

/// The header of a request (section 5.2.6): type, a reserved word, first sector.
fn header(kind: u32, sector: u64) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&sector.to_le_bytes());
    header
}

impl BlockDevice for Block {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn submit(&self, operation: Operation, sector: u64, segments: &[Segment]) -> Result<Tag, DeviceError> {
        self.check(operation, sector, segments)?;
        let (kind, output, input): (_, &[Segment], &[Segment]) = match operation {
            Operation::Read => (TYPE_IN, &[], segments),
            Operation::Write if self.geometry.read_only => return Err(DeviceError::NotSupported),
            Operation::Write => (TYPE_OUT, segments, &[]),
            Operation::Flush if !self.geometry.has_cache => return Err(DeviceError::NotSupported),
            Operation::Flush => (TYPE_FLUSH, &[], &[]),
        };
        let header = header(kind, sector);
        let chain = Chain { header: &header, output, lead: 0, input, trail: 1 };
        self.driver.borrow_mut().send(QUEUE, &chain)
    }

    fn completed(&self) -> Option<(Tag, Result<(), DeviceError>)> {
        let completion = self.driver.borrow_mut().complete(QUEUE)?;
        let result = match completion.trail {
            _ if completion.lost => Err(DeviceError::Failed),
            STATUS_OK => Ok(()),
            STATUS_UNSUPPORTED => Err(DeviceError::NotSupported),
            _ => Err(DeviceError::Failed),
        };
        Some((completion.tag, result))
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
