//! From the guest's [`Tree`] to a planned TFS volume: which sectors hold the log and where each file's bytes go.
//!
//! `tfs-format` does the planning, with the code that the guest's server reads with. [`crate::image`] writes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tfs_format::SECTOR_BYTES;
use tfs_format::build::{BuildError, Builder, Built, FileInfo, Size};
use tfs_format::manifest::Manifest;
use tfs_format::mbr::BOOT_SECTORS;

use crate::error::{Error, Result};
use crate::tree::{Content, Directory, Node, Tree};

/// Name of the kernel in the boot volume; boot loaders look for it.
const KERNEL_PATH: &[u8] = b"/kernel";

/// A volume with the contents that belong to its copies.
pub struct Planned {
    /// What goes where.
    pub built: Built,
    /// [`tfs_format::build::Copy::source`] is an index into this.
    pub contents: Vec<Content>,
}

/// Plans the root volume; `least_bytes` is its smallest length. Errors: [`Error::Volume`].
pub fn plan_root(tree: &Tree, manifest: &[(Vec<u8>, Manifest)], least_bytes: u64) -> Result<Planned> {
    let mut builder = new_builder()?;
    for (name, value) in manifest {
        builder.root_option(name, value).map_err(|why| refused(&why, name))?;
    }
    let mut contents = Vec::new();
    add_directory(&mut builder, tree.root(), &mut Vec::new(), &mut contents)?;
    let size = Size::AtLeast(least_bytes.div_ceil(SECTOR_BYTES));
    let built = builder.finish(size).map_err(|why| refused(&why, b"/"))?;
    Ok(Planned { built, contents })
}

/// Plans the boot volume, whose one file is the kernel. Errors: [`Error::Volume`] if the kernel is too large.
pub fn plan_boot(kernel: &[u8]) -> Result<Planned> {
    let mut builder = new_builder()?;
    let content = Content::Bytes(kernel.to_vec());
    let info = FileInfo { mode: 0o444, ..FileInfo::default() };
    builder.file(KERNEL_PATH, content.len(), 0, info).map_err(|why| refused(&why, KERNEL_PATH))?;
    let built = builder.finish(Size::Exactly(BOOT_SECTORS)).map_err(|why| refused(&why, KERNEL_PATH))?;
    Ok(Planned { built, contents: vec![content] })
}

/// An empty volume with an identity of its own.
fn new_builder() -> Result<Builder> {
    let source = Path::new("/dev/urandom");
    let mut uuid = [0; 16];
    let read = File::open(source).and_then(|mut file| file.read_exact(&mut uuid));
    read.map_err(|why| Error::host("read", source, why))?;
    Builder::new(uuid, b"").map_err(|why| refused(&why, b"/"))
}

/// Adds everything below a directory; `path` is the directory's own and comes back unchanged.
fn add_directory(
    builder: &mut Builder,
    directory: &Directory,
    path: &mut Vec<u8>,
    contents: &mut Vec<Content>,
) -> Result<()> {
    for (name, node) in directory {
        let own = path.len();
        path.push(b'/');
        path.extend_from_slice(name);
        match node {
            Node::Directory(entries) => {
                let info = FileInfo { mode: 0o755, ..FileInfo::default() };
                builder.directory(path, info).map_err(|why| refused(&why, path))?;
                add_directory(builder, entries, path, contents)?;
            }
            Node::File(content, info) => {
                builder.file(path, content.len(), contents.len(), *info).map_err(|why| refused(&why, path))?;
                contents.push(content.clone());
            }
            Node::Link(target) => {
                let info = FileInfo { mode: 0o777, ..FileInfo::default() };
                builder.symlink(path, target, info).map_err(|why| refused(&why, path))?;
            }
        }
        path.truncate(own);
    }
    Ok(())
}

fn refused(why: &BuildError, path: &[u8]) -> Error {
    Error::Volume {
        why: format!("{}: {why}", String::from_utf8_lossy(path)),
        fix: "leave it out, or give it another name".to_owned(),
    }
}
