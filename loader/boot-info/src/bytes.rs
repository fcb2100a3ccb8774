//! Little-endian fields of byte slices, bounds-checked.

use crate::Error;

/// The `N` bytes at `at`.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    let need = at.saturating_add(N);
    bytes
        .get(at..need)
        .and_then(|field| <[u8; N]>::try_from(field).ok())
        .ok_or(Error::Truncated {
            need,
            have: bytes.len(),
        })
}

/// The `u32` at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// The `u64` at `at`.
pub fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Error> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Writes `field` at `at`; offsets are constants of the layouts, so it always fits.
pub fn put<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&field);
}
