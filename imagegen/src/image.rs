//! Writes the disk: boot code, boot volume, root volume, in the layout of FORMAT.md section 2.
//!
//! The file is sparse: only sectors with something in them are written, and the bytes of host files go straight from
//! file to file. It is written beside its final place and renamed, so that no half image is ever seen.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tfs_format::build::Copy;
use tfs_format::mbr::{DiskLayout, Firmware};
use tfs_format::{SECTOR, SECTOR_BYTES};

use crate::boot_code::BootCode;
use crate::error::{Error, Result};
use crate::interrupt::Interrupts;
use crate::tree::Content;
use crate::volume::{Planned, plan_boot};

/// Bytes copied between two looks at the signals.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

/// A disk ready to be written.
pub struct Disk {
    layout: DiskLayout,
    start: Vec<u8>,
    boot: Planned,
    root: Planned,
}

impl Disk {
    /// Puts together boot code, kernel and root volume. Errors: [`Error::Volume`] if they do not fit each other.
    pub fn new(boot_code: &[u8], kernel: &[u8], root: Planned) -> Result<Disk> {
        let code = BootCode::from_elf(boot_code)?;
        let too_large = |why: &dyn std::fmt::Display| Error::Volume {
            why: why.to_string(),
            fix: "give a smaller --size".to_owned(),
        };
        let layout = DiskLayout::new(code.stage2_bytes(), Firmware::Bios, root.built.sectors);
        let layout = layout.map_err(|why| too_large(&why))?;
        let boot = plan_boot(kernel)?;
        let kernel_copy = boot.built.copies.first();
        let kernel_copy = kernel_copy.ok_or_else(|| too_large(&"the kernel is empty"))?;
        let mut start = code.finish(layout.boot.sector + kernel_copy.sector, kernel_copy.bytes)?;
        if let Some(sector) = start.first_chunk_mut::<SECTOR>() {
            layout.write_into(sector);
        }
        Ok(Disk { layout, start, boot, root })
    }

    /// Length of the disk in bytes.
    pub fn bytes(&self) -> u64 {
        self.layout.disk_sectors() * SECTOR_BYTES
    }

    /// Writes the disk to `path`, replacing a regular file there.
    ///
    /// Errors: [`Error::DiskFull`], [`Error::Host`], [`Error::Interrupted`]; nothing is left behind then.
    pub fn write(&self, path: &Path, interrupts: &Interrupts) -> Result<()> {
        let folder = folder_of(path);
        let named = |why| Error::host("write", path, why);
        let mut file = tempfile::Builder::new()
            .prefix(".imagegen-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(named)?;
        self.write_to(file.as_file_mut(), path, interrupts)?;
        file.persist(path).map_err(|failed| named(failed.error))?;
        Ok(())
    }

    fn write_to(&self, file: &mut File, path: &Path, interrupts: &Interrupts) -> Result<()> {
        let named = |why| Error::host("write", path, why);
        file.set_len(self.bytes()).map_err(named)?;
        file.write_all_at(&self.start, 0).map_err(named)?;
        for (volume, sector) in [(&self.boot, self.layout.boot.sector), (&self.root, self.layout.root.sector)] {
            for write in &volume.built.writes {
                let bytes = without_zero_tail(&write.bytes);
                file.write_all_at(bytes, (sector + write.sector) * SECTOR_BYTES).map_err(named)?;
            }
            for copy in &volume.built.copies {
                interrupts.check()?;
                let Some(content) = volume.contents.get(copy.source) else { continue };
                file.seek(SeekFrom::Start((sector + copy.sector) * SECTOR_BYTES)).map_err(named)?;
                copy_content(content, copy, file, path, interrupts)?;
            }
        }
        Ok(())
    }
}

/// Refuses an output that cannot be a new regular file, or that is the program itself.
pub fn check_output(output: &Path, program: &Path) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::Option {
            option: format!("-o {}", output.display()),
            why: why.to_owned(),
            fix: "give another file".to_owned(),
        })
    };
    match fs::metadata(output) {
        Ok(about) if !about.is_file() => refuse("it exists and is not a regular file"),
        Ok(_) if fs::canonicalize(output).is_ok_and(|path| path == program) => refuse("it is the program itself"),
        Err(_) if !folder_of(output).is_dir() => refuse("its folder does not exist"),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// The bytes up to the last sector that has something in it; holes read as zeros.
fn without_zero_tail(bytes: &[u8]) -> &[u8] {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(SECTOR));
    bytes.get(..used).unwrap_or(bytes)
}

/// Copies one file's bytes to the disk's current position.
fn copy_content(content: &Content, copy: &Copy, disk: &mut File, path: &Path, interrupts: &Interrupts) -> Result<()> {
    let source = match content {
        Content::Bytes(bytes) => return disk.write_all(bytes).map_err(|why| Error::host("write", path, why)),
        Content::Host { path, .. } => path,
    };
    let file = File::open(source).map_err(|why| Error::host("read", source, why))?;
    let mut left = copy.bytes;
    while left > 0 {
        interrupts.check()?;
        let piece = left.min(CHUNK_BYTES);
        // The standard library lets the kernel copy from file to file.
        match io::copy(&mut (&file).take(piece), disk).map_err(|why| Error::host("write", path, why))? {
            0 => {
                let why = io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was copied");
                return Err(Error::host("copy", source, why));
            }
            copied => left = left.saturating_sub(copied),
        }
    }
    Ok(())
}
