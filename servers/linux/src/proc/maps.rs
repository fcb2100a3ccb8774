//! `/proc/self/maps`.

use crate::mm::{Backing, Label, Region};
use crate::process::process;
use alloc::format;
use alloc::vec::Vec;
use linux_abi::memory::Prot;

fn permissions(region: &Region) -> [u8; 4] {
    let pick = |on: bool, letter: u8| if on { letter } else { b'-' };
    [
        pick(region.prot.contains(Prot::READ), b'r'),
        pick(region.prot.contains(Prot::WRITE), b'w'),
        pick(region.prot.contains(Prot::EXEC), b'x'),
        if region.shared { b's' } else { b'p' },
    ]
}

fn line(out: &mut Vec<u8>, region: &Region) {
    let (offset, device, inode, name) = match &region.backing {
        Backing::Anonymous => (0, 0, 0, label(region.label).to_vec()),
        Backing::File { file, first } => {
            let (device, inode) = file.node();
            (first * 4096, device, inode, file.name())
        }
    };
    let start = out.len();
    let permissions = permissions(region);
    let permissions = core::str::from_utf8(&permissions).unwrap_or("----");
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    let head =
        format!("{:08x}-{:08x} {permissions} {offset:08x} {major:02x}:{minor:02x} {inode} ", region.start, region.end);
    out.extend_from_slice(head.as_bytes());
    if !name.is_empty() {
        // Names stand in one column, as programs that parse this by position expect.
        const COLUMN: usize = 73;
        let width = (out.len() - start).max(COLUMN);
        out.resize(start + width, b' ');
        out.extend_from_slice(&name);
    }
    out.push(b'\n');
}

fn label(label: Label) -> &'static [u8] {
    match label {
        Label::None => b"",
        Label::Heap => b"[heap]",
        Label::Stack => b"[stack]",
    }
}

/// All mappings, one per line.
pub(super) fn maps() -> Vec<u8> {
    let mut regions = Vec::new();
    process().mm.for_each_region(&mut |region| regions.push(region.clone()));
    let mut out = Vec::new();
    regions.iter().for_each(|region| line(&mut out, region));
    out
}
