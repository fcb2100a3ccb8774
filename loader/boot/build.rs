//! Hands the linker script to the linker, and refuses flags under which the boot code cannot run.
#![forbid(unsafe_code)]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo::error=the boot code only builds with --target x86_64-unknown-none");
        return;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !flags.contains("relocation-model=static") {
        println!("cargo::error=the boot code runs at fixed addresses: build with -C relocation-model=static");
    }
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bins=-T{folder}/link.ld");
}
