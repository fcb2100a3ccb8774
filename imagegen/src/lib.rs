//! Turns one Linux program and its files into a bootable disk image, and boots it in QEMU.
//!
//! The way of a program: [`cli`] reads the options (their values parse in [`options`]), [`program`] checks the file,
//! [`libraries`] finds what it needs, [`rootfs`] assembles the guest's [`tree`], [`manifest`] names the options that
//! the guest reads.

#![forbid(unsafe_code)]

pub mod cli;
pub mod error;
pub mod interrupt;
pub mod layout;
pub mod libraries;
mod library_paths;
pub mod manifest;
pub mod options;
pub mod program;
pub mod qemu;
pub mod rootfs;
pub mod tree;
