//! A small ELF file for tests, built field by field.

/// One program header of a sample.
#[derive(Clone, Copy)]
pub struct Header {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub file_bytes: u64,
    pub mem_bytes: u64,
    pub align: u64,
}

/// A load of `len` bytes from `offset` to `vaddr`.
pub fn load(offset: u64, vaddr: u64, len: u64) -> Header {
    Header { kind: 1, flags: 5, offset, vaddr, paddr: vaddr, file_bytes: len, mem_bytes: len, align: 1 }
}

/// A file of `len` bytes with these program headers; byte `n` after the headers is `n as u8`.
pub fn file(e_type: u16, entry: u64, headers: &[Header], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    head.extend(e_type.to_le_bytes());
    head.extend(62u16.to_le_bytes());
    head.extend(1u32.to_le_bytes());
    head.extend(entry.to_le_bytes());
    head.extend(64u64.to_le_bytes());
    head.extend(0u64.to_le_bytes());
    head.extend(0u32.to_le_bytes());
    for half in [64, 56, headers.len() as u16, 64, 0, 0] {
        head.extend(half.to_le_bytes());
    }
    for header in headers {
        head.extend(header.kind.to_le_bytes());
        head.extend(header.flags.to_le_bytes());
        for field in [header.offset, header.vaddr, header.paddr, header.file_bytes, header.mem_bytes, header.align] {
            head.extend(field.to_le_bytes());
        }
    }
    bytes[..head.len()].copy_from_slice(&head);
    bytes
}
