//! Device files under /dev.
