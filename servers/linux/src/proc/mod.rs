//! Files under /proc and /sys.
