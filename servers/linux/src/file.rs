//! Descriptor calls: open, close, dup, fcntl, lseek, ioctl.
