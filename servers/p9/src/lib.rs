//! p9.
#![no_std]
#![forbid(unsafe_code)]
