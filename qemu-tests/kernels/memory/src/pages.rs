//! The program's half of the address space: pages, blocks, and the flags of both.

use crate::says;
use alloc::vec::Vec;
use microkernel::mm::frame::{self, Contiguous, Frame};
use microkernel::mm::layout::USER_END;
use microkernel::mm::space::{Access, AddressSpace, MapError, Removed};
use microkernel::mm::user::{self, UserRead, UserWrite};
use microkernel::mm::{BLOCK_SIZE, PAGE_SIZE};

/// Where these tests map.
pub const HERE: u64 = 0x4000_0000;
const PAGE: u64 = PAGE_SIZE as u64;
const BLOCK: u64 = BLOCK_SIZE as u64;
pub const READ: Access = Access { write: false, execute: false };
pub const WRITE: Access = Access { write: true, execute: false };

static SPACE: AddressSpace = AddressSpace::new();

/// The program's half: there is one.
pub fn space() -> &'static AddressSpace {
    &SPACE
}

pub fn page() -> Frame {
    Frame::alloc_zeroed().expect("there is memory")
}

fn block() -> Contiguous {
    Contiguous::alloc_zeroed(BLOCK_SIZE / PAGE_SIZE).expect("there is memory")
}

/// Empties a range; returns the pages and blocks that were there, and the dirty ones' addresses.
pub fn clear(start: u64, end: u64) -> (usize, usize, Vec<u64>) {
    let (mut pages, mut blocks, mut dirty) = (0, 0, Vec::new());
    space().unmap_range(start, end, &mut |address, removed, was_dirty| {
        match removed {
            Removed::Page(_) => pages += 1,
            Removed::Block(_) => blocks += 1,
        }
        if was_dirty {
            dirty.push(address);
        }
    });
    (pages, blocks, dirty)
}

pub fn check() {
    // The first pages bring their tables, which stay.
    for address in [HERE, USER_END - PAGE] {
        space().map(address, page(), WRITE).expect("there is memory");
    }
    clear(0, USER_END);
    let before = frame::stats().free_frames;
    pages_are_mapped_and_replaced();
    bad_addresses_are_refused();
    flags_follow_use();
    protection_is_enforced();
    long_ranges_are_emptied();
    assert_eq!(frame::stats().free_frames, before, "pages were lost");
    blocks_are_split_where_needed();
    whole_blocks_come_back();
    clear(0, USER_END);
    // One table stands where a block was split.
    assert!(frame::stats().free_frames + 4 >= before, "blocks were lost");
    says("all frames are back");
}

fn pages_are_mapped_and_replaced() {
    let (one, two) = (page(), page());
    assert!(matches!(space().map(HERE, one.clone(), WRITE), Ok(None)));
    user::store_u32(HERE + 8, 77).expect("mapped for writing");
    assert_eq!(one.load_u32(8), Some(77));
    let old = space().map(HERE, two.clone(), READ).expect("there is memory").expect("something was mapped");
    assert!(old.same(&one));
    assert_eq!(user::load_u32(HERE + 8), Ok(0), "the old page is seen");
    let found = space().query(HERE).expect("mapped");
    assert!(found.frame.is_some_and(|frame| frame.same(&two)) && found.address == two.address());
    assert_eq!(found.access, READ);
    assert_eq!(two.references(), 2);
    let (gone, _) = space().unmap(HERE).expect("mapped");
    assert!(gone.same(&two) && space().query(HERE).is_none() && space().unmap(HERE).is_none());
    assert!(user::load_u32(HERE).is_err(), "an unmapped page is seen");
    says("a page is mapped, replaced, found and taken out, with its frame's references right");
}

fn bad_addresses_are_refused() {
    for address in [USER_END, HERE + 1, 0xffff_8000_0000_0000, !0xfff] {
        assert_eq!(space().map(address, page(), READ).map(drop), Err(MapError::BadAddress), "{address:#x}");
        assert!(space().query(address).is_none() || address == HERE + 1);
    }
    let refused = space().map_block(HERE + PAGE, block(), READ);
    assert!(matches!(refused, Err((MapError::BadAddress, _))));
    let refused = space().map_block(HERE, Contiguous::alloc_zeroed(2).expect("there is memory"), READ);
    assert!(matches!(refused, Err((MapError::BadAddress, _))));
    space().map(USER_END - PAGE, page(), WRITE).expect("the last page is the program's");
    assert_eq!(clear(USER_END - PAGE, u64::MAX).0, 1);
    says("the kernel's half, and what is not aligned, is refused");
}

fn flags(address: u64) -> (bool, bool) {
    let found = space().query(address).expect("mapped");
    (found.accessed, found.dirty)
}

fn flags_follow_use() {
    for at in 0..3 {
        space().map(HERE + at * PAGE, page(), WRITE).expect("there is memory");
        assert_eq!(flags(HERE + at * PAGE), (false, false));
    }
    user::load_u32(HERE).expect("mapped");
    user::store_u32(HERE + PAGE, 1).expect("mapped");
    assert_eq!((flags(HERE), flags(HERE + PAGE)), ((true, false), (true, true)));
    assert!(space().clear_accessed(HERE) && !space().clear_accessed(HERE));
    let mut cleaned = Vec::new();
    space().clean_range(HERE, HERE + 3 * PAGE, &mut |address| cleaned.push(address));
    assert_eq!(cleaned, [HERE + PAGE]);
    assert!(!flags(HERE + PAGE).1);
    user::store_u32(HERE + PAGE, 2).expect("mapped");
    assert!(flags(HERE + PAGE).1, "a write after cleaning is not noticed");
    space().protect_range(HERE, HERE + 3 * PAGE, READ);
    assert!(flags(HERE + PAGE).1, "protecting forgets the dirty flag");
    assert_eq!(clear(HERE, HERE + 3 * PAGE), (3, 0, alloc::vec![HERE + PAGE]));
    says("accessed and dirty flags follow what the program did, again after they were cleared");
}

fn protection_is_enforced() {
    space().map(HERE, page(), WRITE).expect("there is memory");
    user::store_u32(HERE, 5).expect("writable");
    space().protect_range(HERE, HERE + PAGE, READ);
    assert_eq!(user::load_u32(HERE), Ok(5));
    assert!(user::store_u32(HERE, 6).is_err(), "a read-only page was written");
    assert!(user::compare_exchange_u32(HERE, 5, 6).is_err());
    let program = Access { write: false, execute: true };
    space().protect_range(HERE, HERE + PAGE, program);
    let nx = microkernel::cpu::features().nx;
    assert_eq!(space().query(HERE).map(|found| found.access.execute), Some(true));
    space().protect_range(HERE, HERE + PAGE, WRITE);
    assert_eq!(space().query(HERE).map(|found| found.access.execute), Some(!nx));
    user::store_u32(HERE, 6).expect("writable again");
    clear(HERE, HERE + PAGE);
    says("what a page may be used for can be changed, and holds for the kernel's copies too");
}

fn long_ranges_are_emptied() {
    // Within one table that is there already, but more than the TLB is flushed for one by one.
    for at in 0..200 {
        space().map(HERE + at * PAGE, page(), WRITE).expect("there is memory");
        user::store_u32(HERE + at * PAGE, at as u32).expect("mapped");
    }
    assert_eq!(clear(HERE + 10 * PAGE, HERE + 190 * PAGE).0, 180);
    assert!((10..190).all(|at| user::load_u32(HERE + at * PAGE).is_err()));
    assert_eq!((user::load_u32(HERE + 9 * PAGE), user::load_u32(HERE + 190 * PAGE)), (Ok(9), Ok(190)));
    let (pages, _, dirty) = clear(0, USER_END);
    assert_eq!((pages, dirty.len()), (20, 20));
    says("a range of any length is emptied, and nothing beside it");
}

fn blocks_are_split_where_needed() {
    let at = HERE + 4 * BLOCK;
    assert!(space().map_block(at, block(), WRITE).is_ok());
    assert!(matches!(space().map_block(at, block(), WRITE), Err((MapError::BadAddress, _))));
    let found = space().query(at + 5 * PAGE).expect("mapped");
    assert!(found.frame.is_none(), "a page of a block has no frame of its own");
    UserWrite::new(at + BLOCK - 4, 4).expect("legal").write_from(b"last").expect("mapped");
    space().protect_range(at + PAGE, at + 2 * PAGE, READ);
    assert!(
        user::store_u32(at + PAGE, 1).is_err()
            && user::store_u32(at, 1).is_ok()
            && user::store_u32(at + 2 * PAGE, 1).is_ok()
    );
    let mut bytes = [0; 4];
    UserRead::new(at + BLOCK - 4, 4).expect("legal").read_to(&mut bytes).expect("mapped");
    assert_eq!(&bytes, b"last");
    let frame = space().pin(at + BLOCK - PAGE).and_then(|found| found.frame).expect("split by now");
    assert_eq!(frame.references(), 2);
    let old = space().map(at + 7 * PAGE, page(), READ).expect("there is memory");
    assert!(old.is_some());
    assert_eq!(clear(at + 8 * PAGE, at + 16 * PAGE).0, 8);
    assert_eq!(clear(at, at + BLOCK).0, 504);
    says("a block is split when part of it changes, and keeps its contents");
}

fn whole_blocks_come_back() {
    let at = HERE + 8 * BLOCK;
    for index in 0..2 {
        assert!(space().map_block(at + index * BLOCK, block(), WRITE).is_ok());
        user::store_u32(at + index * BLOCK + 12, 3).expect("mapped");
    }
    assert_eq!(clear(at, at + 2 * BLOCK), (0, 2, alloc::vec![at, at + BLOCK]));
    assert!(user::load_u32(at + 12).is_err());
    // Where pages were, once they are gone.
    space().map(at + 3 * PAGE, page(), WRITE).expect("there is memory");
    assert!(space().map_block(at, block(), WRITE).is_err());
    clear(at, at + BLOCK);
    assert!(space().map_block(at, block(), READ).is_ok());
    assert_eq!(user::load_u32(at + 3 * PAGE), Ok(0));
    // A range that cuts two blocks.
    assert!(space().map_block(at + BLOCK, block(), READ).is_ok());
    let (pages, blocks, _) = clear(at + BLOCK - 2 * PAGE, at + BLOCK + 3 * PAGE);
    assert_eq!((pages, blocks), (5, 0));
    assert_eq!(clear(at, at + 2 * BLOCK).0, 1024 - 5);
    says("whole blocks come back whole, and blocks cut by a range come back in pages");
}
