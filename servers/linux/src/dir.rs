//! Directory calls: mkdir, rmdir, unlink, rename, link, getdents64.
