//! boot-info.
#![no_std]
#![forbid(unsafe_code)]
