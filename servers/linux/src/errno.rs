//! errno.
