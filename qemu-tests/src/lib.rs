//! qemu-tests.

#![forbid(unsafe_code)]
