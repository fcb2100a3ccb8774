//! In-kernel test: frames and runs of them, the program's pages, and copies from and to them.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod copies;
mod frames;
mod pages;

microkernel::entry!(main);

fn main() {
    // A heap that has grown once does not change what the tests count.
    drop(core::hint::black_box(alloc::vec![1_u8; 512 << 10]));
    frames::check();
    pages::check();
    copies::check();
    microkernel::power::exit(16)
}

/// Tells that everything the sentence says has been seen.
fn says(sentence: &str) {
    microkernel::log!("ok: {sentence}");
}
