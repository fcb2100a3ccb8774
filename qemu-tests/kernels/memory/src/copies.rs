//! Copies from and to the program's pages: they stop at the first page that is not there, and say where.

use crate::pages::{HERE, READ, WRITE, clear, page, space};
use crate::says;
use microkernel::channel::ring::ring;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::layout::USER_END;
use microkernel::mm::user::{self, BadAddress, CstrError, Fault, UserRead, UserWrite, WordError};

const PAGE: u64 = PAGE_SIZE as u64;

fn readable(address: u64, len: usize) -> UserRead {
    UserRead::new(address, len).expect("the program's half")
}

fn writable(address: u64, len: usize) -> UserWrite {
    UserWrite::new(address, len).expect("the program's half")
}

pub fn check() {
    // Two writable pages, a missing one, a read-only one.
    for at in [0, 1] {
        space().map(HERE + at * PAGE, page(), WRITE).expect("there is memory");
    }
    space().map(HERE + 3 * PAGE, page(), READ).expect("there is memory");
    copies_stop_at_missing_pages();
    copies_stop_at_read_only_pages();
    words_are_checked();
    strings_end_before_missing_pages();
    frames_and_rings_copy_directly();
    addresses_of_the_kernel_are_refused();
    clear(0, USER_END);
}

fn copies_stop_at_missing_pages() {
    let mut bytes: [u8; 3 * PAGE_SIZE] = core::array::from_fn(|at| at as u8 ^ (at >> 8) as u8);
    let start = HERE + 100;
    let fault = Fault { done: 2 * PAGE_SIZE - 100, address: HERE + 2 * PAGE };
    assert_eq!(writable(start, bytes.len()).write_from(&bytes), Err(fault));
    let mut back = [0; 3 * PAGE_SIZE];
    assert_eq!(readable(start, back.len()).read_to(&mut back), Err(fault));
    assert_eq!(back[..fault.done], bytes[..fault.done]);
    assert!(back[fault.done..].iter().all(|&byte| byte == 0));
    for len in [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000] {
        bytes.rotate_left(1);
        let at = HERE + 2 * PAGE - len as u64;
        assert_eq!(writable(at, len).write_from(&bytes), Ok(()));
        assert_eq!(writable(at, len + 1).write_from(&bytes), Err(Fault { done: len, address: HERE + 2 * PAGE }));
        assert_eq!(readable(at, len).read_to(&mut back), Ok(()));
        assert_eq!(back[..len], bytes[..len]);
    }
    assert_eq!(readable(8, 4).read_to(&mut back), Err(Fault { done: 0, address: 8 }));
    says("a copy stops at the first missing page and says how far it came");
    space().unmap(HERE + PAGE);
    assert_eq!(readable(HERE, 2 * PAGE_SIZE).read_to(&mut back), Err(Fault { done: PAGE_SIZE, address: HERE + PAGE }));
    space().map(HERE + PAGE, page(), WRITE).expect("there is memory");
    says("a page that was taken out is missing for the next copy");
}

fn copies_stop_at_read_only_pages() {
    let at = HERE + 3 * PAGE;
    assert_eq!(writable(at, 8).write_from(&[1; 8]), Err(Fault { done: 0, address: at }));
    let mut bytes = [1; 8];
    assert_eq!(readable(at, 8).read_to(&mut bytes), Ok(()));
    assert_eq!(bytes, [0; 8]);
    says("a read-only page is read and not written");
}

fn words_are_checked() {
    assert_eq!(user::store_u32(HERE + 4, 0x1234_5678), Ok(()));
    assert_eq!(user::load_u32(HERE + 4), Ok(0x1234_5678));
    assert_eq!(user::compare_exchange_u32(HERE + 4, 1, 2), Ok(0x1234_5678));
    assert_eq!(user::load_u32(HERE + 4), Ok(0x1234_5678));
    assert_eq!(user::compare_exchange_u32(HERE + 4, 0x1234_5678, 2), Ok(0x1234_5678));
    assert_eq!(user::load_u64(HERE), user::load_u32(HERE).map(|low| u64::from(low) | 2 << 32));
    assert_eq!(user::store_u64(HERE, u64::MAX), Ok(()));
    assert_eq!(user::load_u64(HERE), Ok(u64::MAX));
    assert_eq!(user::load_u32(HERE + 2), Err(WordError::BadAddress));
    let missing = HERE + 2 * PAGE;
    let fault = WordError::Fault(Fault { done: 0, address: missing });
    assert_eq!(user::load_u64(missing), Err(fault));
    assert_eq!(user::store_u32(missing, 0), Err(fault));
    assert_eq!(user::compare_exchange_u32(missing, 0, 1), Err(fault));
    says("words are loaded, stored and exchanged, or the fault is told");
}

fn strings_end_before_missing_pages() {
    let mut out = [0; 200];
    let at = HERE + 2 * PAGE - 6;
    writable(at, 6).write_from(b"hello\0").expect("mapped");
    assert_eq!(user::read_cstr(at, &mut out), Ok(5));
    assert_eq!(&out[..6], b"hello\0");
    writable(at, 6).write_from(b"helloo").expect("mapped");
    assert_eq!(user::read_cstr(at, &mut out), Err(CstrError::Fault(Fault { done: 6, address: HERE + 2 * PAGE })));
    writable(HERE, 200).write_from(&[b'x'; 200]).expect("mapped");
    assert_eq!(user::read_cstr(HERE, &mut out), Err(CstrError::TooLong));
    assert_eq!(user::read_cstr(HERE + 195, &mut out[..0]), Err(CstrError::TooLong));
    assert!(matches!(user::read_cstr(u64::MAX - 3, &mut out), Err(CstrError::Fault(_))));
    says("a string may end right before a missing page");
}

fn frames_and_rings_copy_directly() {
    let frame = page();
    frame.write(0, &[7; PAGE_SIZE]).expect("inside");
    let at = HERE + 2 * PAGE - 10;
    assert_eq!(frame.copy_to_user(0, writable(at, 10)), Ok(()));
    assert_eq!(frame.copy_to_user(0, writable(at, 11)), Err(Fault { done: 10, address: HERE + 2 * PAGE }));
    assert_eq!(frame.copy_from_user(50, readable(HERE + PAGE, 20)), Ok(()));
    assert_eq!(frame.load_u32(52), Some(0));
    let (producer, consumer) = ring(1).expect("there is memory");
    assert_eq!(producer.push_from_user(readable(at, 100)), Ok(10), "what came before the fault counts");
    let none = Fault { done: 0, address: HERE + 2 * PAGE };
    assert_eq!(producer.push_from_user(readable(HERE + 2 * PAGE, 100)), Err(none));
    assert_eq!(consumer.pop_to_user(writable(HERE + 3 * PAGE, 4)), Err(Fault { done: 0, address: HERE + 3 * PAGE }));
    assert_eq!((consumer.readable(), consumer.peek_to_user(8, writable(HERE, 100))), (10, Ok(2)));
    assert_eq!(consumer.pop_to_user(writable(HERE, 100)), Ok(10));
    let mut bytes = [0; 10];
    readable(HERE, 10).read_to(&mut bytes).expect("mapped");
    assert_eq!(bytes, [7; 10]);
    says("frames and rings copy straight from and to the program");
}

fn addresses_of_the_kernel_are_refused() {
    for address in [USER_END, 0xffff_8000_0000_0000, 0xffff_ffff_8010_0000, u64::MAX - 7] {
        assert_eq!(UserRead::new(address, 8).map(drop), Err(BadAddress));
        assert_eq!(UserWrite::new(address, 8).map(drop), Err(BadAddress));
        assert_eq!(user::load_u32(address & !7), Err(WordError::BadAddress));
    }
    assert_eq!(UserRead::new(USER_END - 8, 9).map(drop), Err(BadAddress));
    assert!(UserRead::new(USER_END - 8, 8).is_ok());
    says("addresses of the kernel are refused");
}
