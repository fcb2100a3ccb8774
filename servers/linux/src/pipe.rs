//! pipe(2) and FIFOs.
