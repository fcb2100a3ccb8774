//! Links the kernel with its own layout.
#![forbid(unsafe_code)]

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo:rerun-if-changed=../../../microkernel/kernel.ld");
    println!("cargo:rustc-link-arg-bins=-T{folder}/../../../microkernel/kernel.ld");
    println!("cargo:rustc-link-arg-bins=--build-id=none");
}
