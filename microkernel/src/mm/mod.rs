//! Memory: frames, the kernel's and the program's page tables, user copies, arenas.

pub(crate) mod arena;
pub mod frame;
pub(crate) mod heap;
pub(crate) mod kernel_map;
pub mod layout;
pub mod space;
pub(crate) mod table;
pub mod user;

/// Size of a page and of a frame, in bytes.
pub const PAGE_SIZE: usize = 4096;
/// Size of a block: what one entry of a page directory maps, in bytes.
pub const BLOCK_SIZE: usize = 2 << 20;

/// Bytes of the core's own heap: handed out, and mapped for it.
pub fn core_heap() -> (usize, usize) {
    arena::usage(arena::CORE)
}
