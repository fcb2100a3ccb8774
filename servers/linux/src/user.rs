//! User memory for handlers: copies that fault pages in, strings, structures, vectors.
//!
//! The core's [`UserRead`] and [`UserWrite`] copies with faults off. [`with_user`] is the one retry loop: on a fault it asks `mm` to
//! bring the page in (which may wait) and tries again. Call nothing here with a lock or a reservation held.

use crate::mm::Wanted;
use crate::process::process;
use alloc::vec;
use alloc::vec::Vec;
use linux_abi::file::{IOV_MAX, IoVec, PATH_MAX, RW_MAX};
use linux_abi::{Errno, Layout};
use microkernel::mm::user::{self, CstrError, Fault, UserRead, UserWrite, WordError};

/// First address that no program may use (`TASK_SIZE_MAX` with 4-level paging).
pub(crate) const USER_END: u64 = 0x7fff_ffff_f000;

/// Runs `copy` until it succeeds, faulting in for `wanted` whatever page it stumbled over.
///
/// Errors: `EFAULT` if a page cannot be brought in.
pub(crate) fn with_user<T>(wanted: Wanted, mut copy: impl FnMut() -> Result<T, Fault>) -> Result<T, Errno> {
    loop {
        match copy() {
            Ok(value) => return Ok(value),
            Err(fault) => process().mm.fault_in(fault.address, wanted).map_err(|_| Errno::EFAULT)?,
        }
    }
}

/// Claims `len` bytes at `addr` for reading. Errors: `EFAULT` (outside the program's half).
pub(crate) fn readable(addr: u64, len: usize) -> Result<UserRead, Errno> {
    UserRead::new(addr, len).map_err(|_| Errno::EFAULT)
}

/// Claims `len` bytes at `addr` for writing. Errors: `EFAULT` (outside the program's half).
pub(crate) fn writable(addr: u64, len: usize) -> Result<UserWrite, Errno> {
    UserWrite::new(addr, len).map_err(|_| Errno::EFAULT)
}

/// Copies from the program; all of `out` or `EFAULT`.
pub(crate) fn copy_in(addr: u64, out: &mut [u8]) -> Result<(), Errno> {
    let slice = readable(addr, out.len())?;
    with_user(Wanted::Read, || slice.read_to(out))
}

/// Copies to the program; all of `bytes` or `EFAULT` (a part may have been written).
pub(crate) fn copy_out(addr: u64, bytes: &[u8]) -> Result<(), Errno> {
    let slice = writable(addr, bytes.len())?;
    with_user(Wanted::Write, || slice.write_from(bytes))
}

/// Reads a structure.
pub(crate) fn read_struct<T: Layout>(addr: u64) -> Result<T, Errno> {
    with_buffer(T::BYTES, |bytes| {
        copy_in(addr, bytes)?;
        Ok(T::get(bytes))
    })
}

/// Writes a structure.
pub(crate) fn write_struct<T: Layout>(addr: u64, value: &T) -> Result<(), Errno> {
    with_buffer(T::BYTES, |bytes| {
        value.put(bytes);
        copy_out(addr, bytes)
    })
}

/// Runs `work` with a zeroed buffer of `len` bytes: a small one for small structures, since clearing costs time.
#[inline(always)]
fn with_buffer<R>(len: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    match len {
        0..=16 => work(&mut [0; 16][..len]),
        17..=64 => work(&mut [0; 64][..len]),
        65..=512 => work(&mut [0; 512][..len]),
        _ => work(&mut vec![0; len]),
    }
}

/// Writes a structure unless `addr` is null.
pub(crate) fn write_struct_opt<T: Layout>(addr: u64, value: &T) -> Result<(), Errno> {
    if addr == 0 { Ok(()) } else { write_struct(addr, value) }
}

/// Reads an array of `count` structures. Errors: `EFAULT`, `ENOMEM` (it exceeds 16 MiB).
pub(crate) fn read_array<T: Layout>(addr: u64, count: usize) -> Result<Vec<T>, Errno> {
    let len = count.checked_mul(T::BYTES).filter(|&len| len <= 16 << 20).ok_or(Errno::ENOMEM)?;
    let mut bytes = vec![0; len];
    copy_in(addr, &mut bytes)?;
    Ok(bytes.chunks_exact(T::BYTES).map(T::get).collect())
}

/// Runs `touch` on an aligned word until it succeeds, faulting in.
///
/// Errors: `EFAULT`, also for a word that is not aligned.
pub(crate) fn with_word<T>(wanted: Wanted, mut touch: impl FnMut() -> Result<T, WordError>) -> Result<T, Errno> {
    loop {
        match touch() {
            Ok(value) => return Ok(value),
            Err(WordError::BadAddress) => return Err(Errno::EFAULT),
            Err(WordError::Fault(fault)) => {
                process().mm.fault_in(fault.address, wanted).map_err(|_| Errno::EFAULT)?;
            }
        }
    }
}

/// Reads a word at any alignment.
pub(crate) fn read_u32(addr: u64) -> Result<u32, Errno> {
    read_struct(addr)
}

/// Writes a word at any alignment.
pub(crate) fn write_u32(addr: u64, value: u32) -> Result<(), Errno> {
    write_struct(addr, &value)
}

/// Reads a long word at any alignment.
pub(crate) fn read_u64(addr: u64) -> Result<u64, Errno> {
    read_struct(addr)
}

/// Writes a long word at any alignment.
pub(crate) fn write_u64(addr: u64, value: u64) -> Result<(), Errno> {
    write_struct(addr, &value)
}

/// Bytes that most strings fit in; a longer one is read again with the whole limit.
const SHORT_STRING: usize = 128;

/// Reads a string of fewer than `limit` bytes, without its NUL. `None` if it is longer.
pub(crate) fn read_cstr(addr: u64, limit: usize) -> Result<Option<Vec<u8>>, Errno> {
    let mut bytes = vec![0; limit.min(SHORT_STRING)];
    loop {
        match user::read_cstr(addr, &mut bytes) {
            Ok(len) => {
                bytes.truncate(len);
                return Ok(Some(bytes));
            }
            Err(CstrError::TooLong) if bytes.len() < limit => bytes.resize(limit, 0),
            Err(CstrError::TooLong) => return Ok(None),
            Err(CstrError::Fault(fault)) => {
                process().mm.fault_in(fault.address, Wanted::Read).map_err(|_| Errno::EFAULT)?;
            }
        }
    }
}

/// Reads a path. Errors: `EFAULT`, `ENAMETOOLONG`. The empty path is not refused here.
pub(crate) fn read_path(addr: u64) -> Result<Vec<u8>, Errno> {
    read_cstr(addr, PATH_MAX)?.ok_or(Errno::ENAMETOOLONG)
}

/// Reads an `iovec` array and checks it as Linux does: every length below `i64::MAX`, every range in the
/// program's half, and the sum cut to `MAX_RW_COUNT`.
///
/// Errors: `EINVAL`, `EFAULT`.
pub(crate) fn read_iovecs(addr: u64, count: usize) -> Result<Vec<IoVec>, Errno> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let mut vectors = read_array::<IoVec>(addr, count)?;
    if vectors.iter().any(|vector| i64::try_from(vector.len).is_err()) {
        return Err(Errno::EINVAL);
    }
    let mut room = RW_MAX as u64;
    for vector in &mut vectors {
        if vector.base.checked_add(vector.len).is_none_or(|end| end > USER_END) && vector.len > 0 {
            return Err(Errno::EFAULT);
        }
        vector.len = vector.len.min(room);
        room -= vector.len;
    }
    Ok(vectors)
}
