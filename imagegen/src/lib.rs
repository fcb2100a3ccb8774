//! imagegen.

#![forbid(unsafe_code)]
