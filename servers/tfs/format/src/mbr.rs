//! Disks and their partitions (FORMAT section 2): finding the volumes, and laying out a new disk.

use crate::space::Run;
use crate::{MAGIC, SECTOR, SECTOR_BYTES};
use core::fmt;

/// Sectors of the boot volume: 12 MiB.
pub const BOOT_SECTORS: u64 = 12 * 1024 * 1024 / SECTOR_BYTES;
/// Sectors of the EFI system partition: 33 MiB.
pub const EFI_SECTORS: u64 = 33 * 1024 * 1024 / SECTOR_BYTES;
/// Bytes of the crash log area in front of the first partition.
pub const CRASH_LOG_BYTES: u64 = 4096;
/// Load address of the second stage, as the region record names it.
pub const STAGE2_ADDRESS: u64 = 0x8000;

const REGION: usize = 426;
const REGION_FILESYSTEM: u32 = 12;
const TABLE: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: usize = 510;
const TYPE_EFI: u8 = 0xef;
const TYPE_LINUX: u8 = 0x83;
const ACTIVE: u8 = 0x80;
const HEADS: u64 = 255;
const SECTORS_PER_TRACK: u64 = 63;

/// The volumes of a disk, as runs of the disk's sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// The boot volume; none on a disk that is one bare volume.
    pub boot: Option<Run>,
    /// The root volume: up to the end of the disk, whatever the table says.
    pub root: Run,
}

/// Why no volume was found, or a disk cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MbrError {
    /// Fewer than 512 bytes.
    TooSmall,
    /// A partition lies outside the disk.
    Outside(Run),
    /// The second stage is not a whole number of sectors, or too large to address.
    BadStage2(u64),
    /// The disk would exceed what the table can express.
    TooLarge,
}

impl fmt::Display for MbrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MbrError::TooSmall => f.write_str("the disk is smaller than one sector"),
            MbrError::Outside(run) => {
                write!(f, "the partition at sector {}, {} sectors, lies outside the disk", run.sector, run.count)
            }
            MbrError::BadStage2(bytes) => write!(f, "a second stage of {bytes} bytes cannot be stored"),
            MbrError::TooLarge => f.write_str("the disk would be too large for a partition table"),
        }
    }
}

impl core::error::Error for MbrError {}

/// Finds the volumes of a disk of `disk_sectors` from its first sector.
pub fn find(first_sector: &[u8], disk_sectors: u64) -> Result<Volumes, MbrError> {
    let sector = first_sector.get(..SECTOR).ok_or(MbrError::TooSmall)?;
    let bare = Volumes { boot: None, root: Run { sector: 0, count: disk_sectors } };
    if sector.starts_with(MAGIC) || sector.get(SIGNATURE..) != Some(&[0x55, 0xaa]) {
        return Ok(bare);
    }
    let first = usize::from(entry(sector, 0).is_some_and(|e| e.kind == TYPE_EFI));
    let (Some(boot), Some(root)) = (entry(sector, first), entry(sector, first + 1)) else {
        return Ok(bare);
    };
    if root.run.sector == 0 || root.run.count == 0 {
        return Ok(bare);
    }
    let Some(count) = disk_sectors.checked_sub(root.run.sector).filter(|count| *count > 0) else {
        return Err(MbrError::Outside(root.run));
    };
    let boot_fits = boot.run.end().is_some_and(|end| end <= disk_sectors);
    if !boot_fits {
        return Err(MbrError::Outside(boot.run));
    }
    let boot = (boot.run.sector > 0 && boot.run.count > 0).then_some(boot.run);
    Ok(Volumes { boot, root: Run { sector: root.run.sector, count } })
}

struct Entry {
    kind: u8,
    run: Run,
}

fn entry(sector: &[u8], index: usize) -> Option<Entry> {
    let start = TABLE + index * ENTRY;
    let bytes = sector.get(start..start + ENTRY)?;
    let word = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(four)))
    };
    Some(Entry { kind: *bytes.get(4)?, run: Run { sector: word(8)?, count: word(12)? } })
}

/// The layout of a new disk. All runs count sectors of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLayout {
    /// Bytes of the second stage, from byte 512 on.
    pub stage2_bytes: u64,
    /// The crash log area.
    pub crash_log: Run,
    /// The EFI system partition, if wanted.
    pub efi: Option<Run>,
    /// The boot volume.
    pub boot: Run,
    /// The root volume; it ends the disk.
    pub root: Run,
}

/// Whether a disk gets an EFI system partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// BIOS only.
    Bios,
    /// BIOS and UEFI.
    Efi,
}

impl DiskLayout {
    /// Lays out a disk with a second stage of `stage2_bytes` (a multiple of 512, or 0) and a root
    /// volume of `root_sectors`.
    pub fn new(stage2_bytes: u64, firmware: Firmware, root_sectors: u64) -> Result<Self, MbrError> {
        if !stage2_bytes.is_multiple_of(SECTOR_BYTES) || stage2_bytes > 1 << 30 {
            return Err(MbrError::BadStage2(stage2_bytes));
        }
        let mut next = 1 + stage2_bytes / SECTOR_BYTES;
        let mut take = |count: u64| {
            let run = Run { sector: next, count };
            next += count;
            run
        };
        let crash_log = take(CRASH_LOG_BYTES / SECTOR_BYTES);
        let efi = (firmware == Firmware::Efi).then(|| take(EFI_SECTORS));
        let boot = take(BOOT_SECTORS);
        if root_sectors > u64::from(u32::MAX) - next {
            return Err(MbrError::TooLarge);
        }
        let root = Run { sector: next, count: root_sectors };
        Ok(DiskLayout { stage2_bytes, crash_log, efi, boot, root })
    }

    /// Sectors of the whole disk.
    #[must_use]
    pub fn disk_sectors(&self) -> u64 {
        self.root.sector + self.root.count
    }

    /// Writes region record, table and signature into a boot sector; its code stays.
    pub fn write_into(&self, sector: &mut [u8; SECTOR]) {
        if let Some(region) = sector.get_mut(REGION..REGION + 20).filter(|_| self.stage2_bytes > 0) {
            let (address, rest) = region.split_at_mut(8);
            let (length, kind) = rest.split_at_mut(8);
            address.copy_from_slice(&STAGE2_ADDRESS.to_le_bytes());
            length.copy_from_slice(&self.stage2_bytes.to_le_bytes());
            kind.copy_from_slice(&REGION_FILESYSTEM.to_le_bytes());
        }
        let efi = self.efi.map(|run| (TYPE_EFI, run));
        let partitions = efi.into_iter().chain([(TYPE_LINUX, self.boot), (TYPE_LINUX, self.root)]);
        let mut table = [0; 4 * ENTRY];
        for (place, (kind, run)) in table.chunks_exact_mut(ENTRY).zip(partitions) {
            place.copy_from_slice(&entry_bytes(kind, run));
        }
        for (place, byte) in sector.iter_mut().skip(TABLE).zip(table.into_iter().chain([0x55, 0xaa])) {
            *place = byte;
        }
    }
}

fn entry_bytes(kind: u8, run: Run) -> [u8; ENTRY] {
    let [h, s, c] = chs(run.sector);
    let [eh, es, ec] = chs(run.end().unwrap_or(u64::MAX).saturating_sub(1));
    // `DiskLayout::new` keeps everything below 2^32 sectors.
    let [l0, l1, l2, l3] = (run.sector as u32).to_le_bytes();
    let [n0, n1, n2, n3] = (run.count as u32).to_le_bytes();
    [ACTIVE, h, s, c, kind, eh, es, ec, l0, l1, l2, l3, n0, n1, n2, n3]
}

/// Cylinder, head and sector in the byte order that the format has (and nobody reads).
fn chs(sector: u64) -> [u8; 3] {
    let cylinder = sector / (HEADS * SECTORS_PER_TRACK);
    let within = sector % (HEADS * SECTORS_PER_TRACK);
    let (cylinder, head, sector) = if cylinder > 1023 {
        (1023, 254, 63)
    } else {
        (cylinder, within / SECTORS_PER_TRACK, within % SECTORS_PER_TRACK + 1)
    };
    [head as u8, (cylinder >> 8) as u8 | sector as u8, cylinder as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_specifications_disk_is_written() {
        let layout = DiskLayout::new(3584, Firmware::Bios, 5120).unwrap();
        let mut sector = [0u8; SECTOR];
        layout.write_into(&mut sector);
        let region = [0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x0e, 0, 0, 0, 0, 0, 0, 0x0c, 0, 0, 0];
        assert_eq!(sector[0x1aa..0x1be], region);
        let boot = [0x80, 0, 0x11, 0, 0x83, 0x87, 0x16, 1, 0x10, 0, 0, 0, 0, 0x60, 0, 0];
        assert_eq!(sector[0x1be..0x1ce], boot);
        let root = [0x80, 0x87, 0x17, 1, 0x83, 0xd8, 0x27, 1, 0x10, 0x60, 0, 0, 0, 0x14, 0, 0];
        assert_eq!(sector[0x1ce..0x1de], root);
        assert_eq!(sector[510..], [0x55, 0xaa]);
        let found = find(&sector, layout.disk_sectors() + 100).unwrap();
        assert_eq!(found.boot, Some(layout.boot));
        assert_eq!(found.root, Run { sector: 24592, count: 5220 });
    }

    #[test]
    fn an_efi_partition_shifts_the_others() {
        let layout = DiskLayout::new(0, Firmware::Efi, 4096).unwrap();
        let mut sector = [0u8; SECTOR];
        layout.write_into(&mut sector);
        let found = find(&sector, layout.disk_sectors()).unwrap();
        assert_eq!((found.boot, found.root), (Some(layout.boot), layout.root));
    }

    #[test]
    fn a_disk_without_signature_is_one_volume() {
        let found = find(&[0; SECTOR], 77).unwrap();
        assert_eq!(found, Volumes { boot: None, root: Run { sector: 0, count: 77 } });
    }

    #[test]
    fn partitions_outside_the_disk_are_refused() {
        let layout = DiskLayout::new(512, Firmware::Bios, 4096).unwrap();
        let mut sector = [0u8; SECTOR];
        layout.write_into(&mut sector);
        assert!(matches!(find(&sector, layout.root.sector), Err(MbrError::Outside(_))));
        assert_eq!(find(&sector[..100], 100), Err(MbrError::TooSmall));
        assert_eq!(DiskLayout::new(100, Firmware::Bios, 1), Err(MbrError::BadStage2(100)));
    }
}
