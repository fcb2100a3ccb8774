//! Turns one Linux program and its files into a bootable disk image, and boots it in QEMU.
//!
//! The way of a program: [`cli`] reads the options (their values parse in [`options`]), [`program`] checks the file,
//! [`libraries`] finds what it needs, [`rootfs`] assembles the guest's [`tree`], [`manifest`] names the options that
//! the guest reads, [`volume`] plans the TFS volumes, [`image`] writes the disk with the [`embedded`] kernel and the
//! [`boot_code`], and [`qemu`] boots it, with [`symbols`] naming the addresses in crash reports. [`commands`] is that
//! way as code.

#![forbid(unsafe_code)]

pub mod boot_code;
pub mod cli;
pub mod commands;
pub mod embedded;
pub mod error;
pub mod image;
pub mod interrupt;
pub mod libraries;
mod library_paths;
pub mod manifest;
pub mod options;
pub mod program;
pub mod qemu;
pub mod rootfs;
pub mod symbols;
pub mod tree;
pub mod volume;
