//! The frame allocator: everything comes back, in the largest runs again.

use crate::says;
use alloc::vec::Vec;
use microkernel::channel::Memory;
use microkernel::mm::frame::{self, Contiguous, Frame};
use microkernel::mm::{BLOCK_SIZE, PAGE_SIZE};

/// Frames in a block.
const BLOCK: usize = BLOCK_SIZE / PAGE_SIZE;
/// The most that is kept in use at once.
const HELD: usize = 2000;

fn free() -> usize {
    frame::stats().free_frames
}

/// A sequence of numbers that looks random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

pub fn check() {
    frames_are_counted();
    contents_stay_inside();
    runs_are_aligned_and_zeroed();
    runs_split_into_frames();
    memory_in_pieces_joins_again();
    the_last_frame_is_the_last();
}

fn frames_are_counted() {
    let before = free();
    let frame = Frame::alloc_zeroed().expect("there is memory");
    let copies: Vec<Frame> = (0..100).map(|_| frame.clone()).collect();
    assert_eq!((frame.references(), free()), (101, before - 1));
    assert!(copies.iter().all(|copy| copy.same(&frame)));
    drop(frame);
    assert_eq!((copies[0].references(), free()), (100, before - 1));
    drop(copies);
    assert_eq!(free(), before);
    says("a frame is free again when its last reference goes");
}

fn contents_stay_inside() {
    let frame = Frame::alloc_zeroed().expect("there is memory");
    frame.write(PAGE_SIZE - 4, &[1, 2, 3, 4]).expect("inside");
    assert!(frame.write(PAGE_SIZE - 3, &[0; 4]).is_err());
    assert!(frame.read(usize::MAX, &mut [0; 4]).is_err());
    assert_eq!(frame.load_u32(PAGE_SIZE - 4), Some(0x0403_0201));
    assert_eq!((frame.load_u32(PAGE_SIZE - 2), frame.load_u32(PAGE_SIZE)), (None, None));
    assert_eq!(frame.compare_exchange_u32(PAGE_SIZE - 4, 0, 9), Some(Err(0x0403_0201)));
    assert_eq!(frame.compare_exchange_u32(PAGE_SIZE - 4, 0x0403_0201, 9), Some(Ok(0x0403_0201)));
    let other = Frame::alloc().expect("there is memory");
    other.copy_from(&frame);
    assert_eq!(other.load_u32(PAGE_SIZE - 4), Some(9));
    other.zero(PAGE_SIZE - 4, usize::MAX);
    assert_eq!(other.load_u32(PAGE_SIZE - 4), Some(0));
    assert!(other.copy_range_from(1, &frame, 0, PAGE_SIZE).is_err());
    says("a frame is read and written within its 4096 bytes only");
}

fn runs_are_aligned_and_zeroed() {
    let before = free();
    for pages in [1, 2, 3, 7, 64, 300, BLOCK] {
        for _ in 0..2 {
            let run = Contiguous::alloc_zeroed(pages).expect("there is memory");
            let len = pages.next_power_of_two() * PAGE_SIZE;
            assert_eq!((run.len(), run.address() % len as u64), (len, 0));
            for frame in run.into_frames() {
                let mut bytes = [1; PAGE_SIZE];
                frame.read(0, &mut bytes).expect("inside");
                assert!(bytes.iter().all(|&byte| byte == 0), "a run with old bytes");
                frame.write(0, &[0xee; PAGE_SIZE]).expect("inside");
            }
        }
    }
    assert!(Contiguous::alloc_zeroed(BLOCK + 1).is_none());
    assert_eq!(free(), before);
    says("runs of frames are aligned to their size and zeroed");
}

fn runs_split_into_frames() {
    let before = free();
    let run = Contiguous::alloc_zeroed(16).expect("there is memory");
    let first = run.address();
    let frames: Vec<Frame> = run.into_frames().collect();
    assert!(frames.iter().enumerate().all(|(at, frame)| frame.address() == first + (at * PAGE_SIZE) as u64));
    let odd: Vec<Frame> = frames.into_iter().skip(1).step_by(2).collect();
    assert_eq!(free(), before - 8);
    drop(odd);
    assert_eq!(free(), before);
    says("a run can be split into frames, each with its own life");
}

/// How many whole blocks can be had.
fn blocks() -> usize {
    let held: Vec<Contiguous> = (0..).map_while(|_| Contiguous::alloc_zeroed(BLOCK)).collect();
    held.len()
}

fn memory_in_pieces_joins_again() {
    let (before, whole) = (free(), blocks());
    assert_eq!(free(), before);
    let mut numbers = Numbers(1);
    let (mut frames, mut runs): (Vec<Frame>, Vec<Contiguous>) = (Vec::with_capacity(HELD), Vec::with_capacity(HELD));
    for _ in 0..20_000 {
        match numbers.below(4) {
            0 if frames.len() < HELD => frames.extend(Frame::alloc()),
            1 if runs.len() < HELD / 20 => runs.extend(Contiguous::alloc_zeroed(1 + numbers.below(32))),
            2 if !runs.is_empty() => drop(runs.swap_remove(numbers.below(runs.len()))),
            3 if !frames.is_empty() => drop(frames.swap_remove(numbers.below(frames.len()))),
            _ => {}
        }
    }
    let mut addresses: Vec<(u64, u64)> = frames.iter().map(|frame| (frame.address(), PAGE_SIZE as u64)).collect();
    addresses.extend(runs.iter().map(|run| (run.address(), run.len() as u64)));
    addresses.sort_unstable();
    assert!(addresses.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "two owners of one frame");
    let held: u64 = addresses.iter().map(|(_, len)| len / PAGE_SIZE as u64).sum();
    drop(addresses);
    assert!(held > 0 && free() < before);
    drop(runs);
    drop(frames);
    assert_eq!(blocks(), whole, "free memory has stayed in pieces");
    says("memory that was given out in pieces joins to whole blocks again");
}

fn the_last_frame_is_the_last() {
    let mut held: Vec<Frame> = Vec::new();
    held.try_reserve_exact(free()).expect("the list is small");
    let before = frame::stats();
    held.extend((0..).map_while(|_| Frame::alloc()));
    assert_eq!((held.len(), free()), (before.free_frames - before.reserved_frames, before.reserved_frames));
    assert!(Contiguous::alloc_zeroed(1).is_none());
    let own = Memory::alloc(4 * PAGE_SIZE).expect("the kernel has a reserve");
    assert!(held.pop().is_some());
    assert!(Frame::alloc_zeroed().is_none(), "what the kernel took must come back first");
    drop(own);
    assert!(Frame::alloc_zeroed().is_some());
    drop(held);
    says("the program can use up its memory, and is told so while the kernel goes on");
}
