//! Where everything lies on the disk (FORMAT.md section 2): boot sector, second stage, crash log, boot and root volume.
//!
//! Only arithmetic and the partition table; [`crate::image`] does the writing. All offsets are bytes from the start of
//! the disk and multiples of a sector.

use tfs_format::{SECTOR, SECTOR_BYTES};

/// Bytes before the first partition that hold the last crash report.
const CRASH_LOG_BYTES: u64 = 4096;

/// Length of the boot volume; Nanos' tools expect exactly this.
pub const BOOT_VOLUME_BYTES: u64 = 12 * 1024 * 1024;

/// The root volume's length is a multiple of this.
pub const ROOT_GRAIN_BYTES: u64 = 512 * 1024;

/// Load address of the second stage in the region record.
const STAGE2_ADDRESS: u64 = 0x8000;

/// Region type "file system follows".
const REGION_FILESYSTEM: u32 = 12;

/// Offset of the region record in the boot sector; the partition table follows it.
const REGION_AT: usize = 426;

/// MBR partition type of both volumes.
const PARTITION_TYPE: u8 = 0x83;

/// CHS geometry of the table.
const HEADS: u64 = 255;
/// Sectors of one track in that geometry.
const TRACK: u64 = 63;

/// The places on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Length of the second stage; it starts at byte 512.
    pub stage2_bytes: u64,
    /// Length of the root volume, which ends the disk.
    pub root_bytes: u64,
}

impl Layout {
    /// A disk with at least `root_bytes` for the root volume.
    pub fn new(stage2_bytes: u64, root_bytes: u64) -> Layout {
        Layout {
            stage2_bytes: stage2_bytes.next_multiple_of(SECTOR_BYTES),
            root_bytes: root_bytes.max(1).next_multiple_of(ROOT_GRAIN_BYTES),
        }
    }

    /// Start of the boot volume.
    pub fn boot_offset(&self) -> u64 {
        SECTOR_BYTES + self.stage2_bytes + CRASH_LOG_BYTES
    }

    /// Start of the root volume.
    pub fn root_offset(&self) -> u64 {
        self.boot_offset() + BOOT_VOLUME_BYTES
    }

    /// Length of the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.root_offset() + self.root_bytes
    }

    /// Writes region record, partition table and signature into a boot sector; its code stays.
    pub fn finish_boot_sector(&self, sector: &mut [u8; SECTOR]) {
        let boot = partition(self.boot_offset(), BOOT_VOLUME_BYTES);
        let root = partition(self.root_offset(), self.root_bytes);
        let mut tail = Vec::with_capacity(SECTOR - REGION_AT);
        tail.extend(STAGE2_ADDRESS.to_le_bytes());
        tail.extend(self.stage2_bytes.to_le_bytes());
        tail.extend(REGION_FILESYSTEM.to_le_bytes());
        tail.extend(boot);
        tail.extend(root);
        tail.extend([0; 32]);
        tail.extend([0x55, 0xaa]);
        if let Some(place) = sector.get_mut(REGION_AT..) {
            place.copy_from_slice(&tail);
        }
    }
}

/// One entry of the partition table. Sector counts beyond 32 bits saturate; the kernel goes by the disk's size.
fn partition(offset: u64, bytes: u64) -> [u8; 16] {
    let lba = offset / SECTOR_BYTES;
    let count = bytes / SECTOR_BYTES;
    let mut entry = [0; 16];
    entry[0] = 0x80;
    entry[1..4].copy_from_slice(&chs(lba));
    entry[4] = PARTITION_TYPE;
    entry[5..8].copy_from_slice(&chs((lba + count).saturating_sub(1)));
    entry[8..12].copy_from_slice(&saturated(lba).to_le_bytes());
    entry[12..16].copy_from_slice(&saturated(count).to_le_bytes());
    entry
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Cylinder, head, sector as FORMAT.md section 2.1 describes them, misplaced high bits included.
fn chs(lba: u64) -> [u8; 3] {
    let cylinder = lba / (HEADS * TRACK);
    let (cylinder, head, sector) = match cylinder {
        0..=1023 => (cylinder, lba / TRACK % HEADS, lba % TRACK + 1),
        _ => (1023, HEADS - 1, TRACK),
    };
    [head as u8, ((cylinder >> 8) as u8) | sector as u8, cylinder as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_follow_each_other_without_gaps() {
        let layout = Layout::new(48128, 1);
        assert_eq!(layout.boot_offset(), 52736);
        assert_eq!(layout.root_offset() / SECTOR_BYTES, 24679);
        assert_eq!(layout.root_bytes, ROOT_GRAIN_BYTES);
        assert_eq!(layout.disk_bytes(), layout.root_offset() + ROOT_GRAIN_BYTES);
    }

    #[test]
    fn the_table_is_that_of_the_golden_disk() {
        let mut sector = [0xcc; SECTOR];
        Layout::new(3584, 5120 * SECTOR_BYTES).finish_boot_sector(&mut sector);
        let region = [0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x0e, 0, 0, 0, 0, 0, 0, 0x0c, 0, 0, 0];
        let boot = [0x80, 0, 0x11, 0, 0x83, 0x87, 0x16, 0x01, 0x10, 0, 0, 0, 0, 0x60, 0, 0];
        let root = [0x80, 0x87, 0x17, 0x01, 0x83, 0xd8, 0x27, 0x01, 0x10, 0x60, 0, 0, 0, 0x14, 0, 0];
        assert_eq!(sector[REGION_AT..446], region);
        assert_eq!(sector[446..462], boot);
        assert_eq!(sector[462..478], root);
        assert_eq!(sector[510..], [0x55, 0xaa]);
        assert_eq!(sector[REGION_AT - 1], 0xcc);
    }

    #[test]
    fn a_disk_beyond_the_tables_numbers_still_has_one() {
        let entry = partition(512, 1 << 43);
        assert_eq!(entry[12..16], [0xff; 4]);
        assert_eq!(entry[5..8], [254, 3 | 63, 0xff]);
    }
}
