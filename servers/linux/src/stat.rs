//! stat, statx, access, statfs.
