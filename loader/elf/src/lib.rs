//! skiff-elf.
#![no_std]
#![forbid(unsafe_code)]
