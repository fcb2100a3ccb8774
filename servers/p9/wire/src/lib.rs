//! p9-wire.
#![no_std]
#![forbid(unsafe_code)]
