//! vdso.
