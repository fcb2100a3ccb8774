//! futex.
