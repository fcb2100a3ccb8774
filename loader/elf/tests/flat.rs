//! Flattening by physical address.

mod sample;

use sample::{Header, file, load};
use skiff_elf::{Elf, Error, FlatImage};

fn boot_code() -> Vec<u8> {
    let first = Header { paddr: 512, ..load(300, 0x8000, 20) };
    let second = Header { paddr: 0, ..load(290, 0x7c00, 10) };
    let zeros = Header { paddr: 0x9000, mem_bytes: 4096, ..load(0, 0x9000, 0) };
    file(2, 0x7c00, &[first, second, zeros], 400)
}

#[test]
fn contents_land_at_their_physical_addresses_with_zeros_between() {
    let bytes = boot_code();
    let elf = Elf::parse(&bytes).unwrap();
    let flat = FlatImage::of(&elf).unwrap();
    assert_eq!((flat.base(), flat.len_bytes()), (0, 532));
    let mut out = vec![0xaa; 532];
    flat.write_to(&mut out).unwrap();
    assert_eq!(out[..10], bytes[290..300]);
    assert!(out[10..512].iter().all(|&byte| byte == 0));
    assert_eq!(out[512..], bytes[300..320]);
    assert_eq!(flat.get(514..520), Some(&bytes[302..308]));
    assert_eq!(flat.get(8..12), None);
}

#[test]
fn a_short_buffer_is_refused() {
    let bytes = boot_code();
    let elf = Elf::parse(&bytes).unwrap();
    let mut out = vec![0; 531];
    assert_eq!(FlatImage::of(&elf).unwrap().write_to(&mut out), Err(Error::FlatTooLarge(532)));
}

#[test]
fn contents_that_overlap_physically_are_refused() {
    let second = Header { paddr: 5, ..load(300, 0x9000, 20) };
    let bytes = file(2, 0, &[Header { paddr: 0, ..load(290, 0x8000, 10) }, second], 400);
    let elf = Elf::parse(&bytes).unwrap();
    assert_eq!(FlatImage::of(&elf).err(), Some(Error::Overlap { first: 0, second: 1 }));
}
