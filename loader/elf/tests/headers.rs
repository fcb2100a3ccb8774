//! What `Headers` accepts and refuses, on files built field by field.

mod sample;

use sample::{Header, file, load};
use skiff_elf::{Elf, Error, ForeignFormat, Headers, Kind, SegmentKind};

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const TEXT: u64 = 0x40_0000;

fn small() -> Vec<u8> {
    file(ET_EXEC, TEXT + 200, &[load(0, TEXT, 256), load(256, TEXT + 0x1100, 44)], 300)
}

fn refused(bytes: &[u8]) -> Error {
    Elf::parse(bytes).expect_err("must be refused")
}

fn with_second(second: Header) -> Error {
    refused(&file(ET_EXEC, TEXT, &[load(0, TEXT, 256), second], 300))
}

#[test]
fn a_small_static_program_is_accepted() {
    let bytes = small();
    let elf = Elf::parse(&bytes).unwrap();
    let headers = elf.headers();
    assert_eq!((elf.kind(), headers.entry()), (Kind::Static, TEXT + 200));
    assert_eq!(headers.vaddr_span(), TEXT..TEXT + 0x1100 + 44);
    assert_eq!((headers.table_vaddr(), headers.count(), headers.entry_bytes()), (Some(TEXT + 64), 2, 56));
    let second = headers.loads().nth(1).unwrap();
    assert_eq!((second.readable, second.writable, second.executable), (true, false, true));
    assert_eq!(elf.data(&second), &bytes[256..300]);
    assert_eq!(headers.offset_of(TEXT + 0x1101), Some(257));
    assert_eq!(headers.offset_of(TEXT + 0x1000), None);
    assert!(headers.wants_executable_stack());
}

#[test]
fn every_truncation_of_a_small_program_is_refused() {
    let bytes = small();
    for len in 0..bytes.len() {
        match refused(&bytes[..len]) {
            Error::Truncated { need, len: named } => assert!(need > named && named == len as u64),
            other => assert_eq!((len, other), (0, Error::NotElf(ForeignFormat::Empty))),
        }
    }
}

#[test]
fn a_prefix_that_is_too_short_says_how_much_is_needed() {
    let bytes = small();
    let full = bytes.len() as u64;
    for len in 1..64 + 2 * 56 {
        let need = if len < 64 { 64 } else { 64 + 2 * 56 };
        assert_eq!(Headers::parse(&bytes[..len], full).err(), Some(Error::NeedMore { need }), "{len}");
    }
    assert!(Headers::parse(&bytes[..64 + 2 * 56], full).is_ok());
}

#[test]
fn no_byte_value_in_the_headers_makes_it_panic() {
    let bytes = small();
    for at in 0..176 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(elf) = Elf::parse(&damaged) {
                let _ = (elf.kind(), elf.interpreter(), elf.headers().table_vaddr(), elf.notes().count());
                let _ = (elf.dynamic(), elf.symbols(), elf.headers().vaddr_span());
            }
        }
    }
}

#[test]
fn other_formats_are_named() {
    let format = |bytes: &[u8]| refused(bytes);
    assert_eq!(format(b"#!/bin/sh\n"), Error::NotElf(ForeignFormat::Script));
    assert_eq!(format(b"MZ\x90\0"), Error::NotElf(ForeignFormat::Pe));
    assert_eq!(format(&[0xcf, 0xfa, 0xed, 0xfe, 7]), Error::NotElf(ForeignFormat::MachO));
    assert_eq!(format(b"plain text"), Error::NotElf(ForeignFormat::Unknown));
    assert!(refused(b"#!/bin/sh\n").to_string().contains("interpreter"));
}

#[test]
fn files_for_other_machines_are_named() {
    let patched = |at: usize, value: u8| {
        let mut bytes = small();
        bytes[at] = value;
        refused(&bytes)
    };
    assert_eq!(patched(4, 1), Error::Not64Bit);
    assert_eq!(patched(5, 2), Error::NotLittleEndian);
    assert_eq!(patched(6, 9), Error::UnknownVersion(9));
    assert_eq!(patched(7, 9), Error::ForeignSystem(9));
    assert_eq!(patched(18, 183), Error::ForeignMachine(183));
    assert_eq!(patched(18, 183).to_string(), "made for AArch64 (ARM64); build for x86_64");
    assert_eq!(patched(7, 9).to_string(), "made for FreeBSD; build for Linux");
}

#[test]
fn object_files_and_files_without_loads_are_refused() {
    assert_eq!(refused(&file(ET_REL, 0, &[load(0, 0, 100)], 200)), Error::NotExecutable(1));
    assert_eq!(refused(&file(ET_EXEC, 0, &[], 200)), Error::NoProgramHeaders);
    assert_eq!(refused(&file(ET_EXEC, 0, &[load(0, 0, 0)], 200)), Error::NothingToLoad);
    let mut entries = small();
    entries[54] = 55;
    assert_eq!(refused(&entries), Error::EntrySize(55));
    let mut count = small();
    count[56..58].fill(0xff);
    assert_eq!(refused(&count), Error::TooManyProgramHeaders(0xffff));
    let mut offset = small();
    offset[32..40].fill(0xff);
    assert!(matches!(refused(&offset), Error::Truncated { .. }));
}

#[test]
fn impossible_loads_are_refused() {
    let good = load(256, TEXT + 0x1100, 44);
    assert_eq!(with_second(Header { mem_bytes: 43, ..good }), Error::FileLargerThanMemory { index: 1 });
    assert_eq!(with_second(Header { vaddr: u64::MAX - 8, ..good }), Error::Overflow { index: 1 });
    assert_eq!(with_second(Header { paddr: u64::MAX, ..good }), Error::Overflow { index: 1 });
    assert_eq!(with_second(Header { offset: u64::MAX, ..good }), Error::Overflow { index: 1 });
    assert_eq!(with_second(Header { align: 3, ..good }), Error::Misaligned { index: 1 });
    assert_eq!(with_second(Header { align: 0x1000, vaddr: TEXT + 0x2000, ..good }), Error::Misaligned { index: 1 });
    assert_eq!(with_second(Header { vaddr: TEXT + 255, ..good }), Error::Overlap { first: 0, second: 1 });
    let beyond = Header { offset: 257, vaddr: TEXT + 0x1101, ..good };
    assert_eq!(with_second(beyond), Error::Truncated { need: 301, len: 300 });
}

#[test]
fn loads_may_be_empty_touching_or_out_of_order() {
    let headers = [load(0, TEXT + 256, 44), load(0, TEXT, 256), load(0, TEXT + 10, 0)];
    let bytes = file(ET_EXEC, TEXT, &headers, 300);
    let elf = Elf::parse(&bytes).unwrap();
    assert_eq!(elf.headers().loads().count(), 2);
    assert_eq!(elf.headers().vaddr_span(), TEXT..TEXT + 300);
}

#[test]
fn an_interpreter_makes_a_program_dynamic() {
    let mut bytes = file(ET_DYN, 200, &[load(0, 0, 300), Header { kind: 3, ..load(280, 280, 11) }], 300);
    bytes[280..291].copy_from_slice(b"/lib/ld.so\0");
    let elf = Elf::parse(&bytes).unwrap();
    assert_eq!((elf.kind(), elf.headers().is_position_independent()), (Kind::Dynamic, true));
    assert_eq!(elf.interpreter(), Ok(Some(&b"/lib/ld.so"[..])));
}

#[test]
fn an_interpreter_that_is_no_path_is_refused() {
    let interpreter = |path: &[u8; 4]| {
        let mut bytes = file(ET_EXEC, 200, &[load(0, 0, 300), Header { kind: 3, ..load(280, 280, 4) }], 300);
        bytes[280..284].copy_from_slice(path);
        Elf::parse(&bytes).unwrap().interpreter().map(|path| path.map(<[u8]>::to_vec))
    };
    assert_eq!(interpreter(b"/ld\0"), Ok(Some(b"/ld".to_vec())));
    assert_eq!(interpreter(b"/ldx"), Err(Error::BadInterpreter));
    assert_eq!(interpreter(b"/\0d\0"), Err(Error::BadInterpreter));
}

#[test]
fn the_stack_header_decides_about_an_executable_stack() {
    let stack = |flags| Header { kind: 0x6474_e551, flags, ..load(0, 0, 0) };
    let wants = |flags| {
        let bytes = file(ET_DYN, 0, &[load(0, 0, 300), stack(flags)], 300);
        let elf = Elf::parse(&bytes).unwrap();
        assert!(elf.headers().segment(SegmentKind::Stack).is_some());
        elf.headers().wants_executable_stack()
    };
    assert!(!wants(6));
    assert!(wants(7));
}
