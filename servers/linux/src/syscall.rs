//! syscall.
