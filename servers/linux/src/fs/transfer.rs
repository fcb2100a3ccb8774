//! The two ends of data on its way: [`Sink`] takes what a read yields, [`Source`] gives what a write takes.
//!
//! Either is the program's memory (one range or a vector of ranges) or memory of the front end (sendfile, splice).
//! Copies run with faults off; where a page is missing it is brought in between two attempts, so that no caller may
//! hold a lock, a busy page or a reservation across [`Sink::put`], [`Source::get`] and their like. Who must copy under a lock
//! uses `attempt`, which never faults in, and [`Sink::bring_in`] after letting go.

use super::node::Result;
use crate::mm::Wanted;
use crate::process::process;
use linux_abi::Errno;
use linux_abi::file::IoVec;
use microkernel::mm::frame::Frame;
use microkernel::mm::user::{Fault, UserRead, UserWrite};

/// A run of places, consumed from the front.
enum Places<'a> {
    One { addr: u64, len: usize },
    Many { vectors: &'a [IoVec], skip: u64 },
}

impl Places<'_> {
    /// Address and length of the first run that is not empty.
    fn front(&mut self) -> Option<(u64, usize)> {
        match self {
            Self::One { addr, len } => (*len > 0).then_some((*addr, *len)),
            Self::Many { vectors, skip } => loop {
                let first = vectors.first()?;
                if *skip < first.len {
                    return Some((first.base + *skip, usize::try_from(first.len - *skip).ok()?));
                }
                *skip = 0;
                *vectors = &vectors[1..];
            },
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::One { addr, len } => {
                *addr += count as u64;
                *len -= count.min(*len);
            }
            Self::Many { skip, .. } => *skip += count as u64,
        }
    }

    fn remaining(&self) -> usize {
        match self {
            Self::One { len, .. } => *len,
            Self::Many { vectors, skip } => {
                let all: u64 = vectors.iter().map(|vector| vector.len).sum();
                usize::try_from(all - skip).unwrap_or(usize::MAX)
            }
        }
    }
}

/// Most bytes of one transfer (`MAX_RW_COUNT`).
fn one(addr: u64, len: usize) -> Result<Places<'static>> {
    let len = len.min(linux_abi::file::RW_MAX);
    UserRead::new(addr, len).map_err(|_| Errno::EFAULT)?;
    Ok(Places::One { addr, len })
}

/// Why an attempt under a lock stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    address: u64,
}

/// What a handler does with a page that is missing in the middle of a transfer.
fn bring_in(missing: Missing, wanted: Wanted) -> Result<()> {
    process().mm.fault_in(missing.address, wanted).map_err(|_| Errno::EFAULT)
}

/// Where read data goes.
pub(crate) struct Sink<'a> {
    to: SinkTo<'a>,
    done: usize,
}

enum SinkTo<'a> {
    User(Places<'a>),
    Memory(&'a mut [u8]),
}

/// The next contiguous room of a sink.
pub(crate) enum Room<'a> {
    /// In the program.
    User(UserWrite),
    /// In the front end.
    Memory(&'a mut [u8]),
}

impl<'a> Sink<'a> {
    /// One range of the program. Errors: `EFAULT` (outside its half).
    pub(crate) fn user(addr: u64, len: usize) -> Result<Self> {
        Ok(Self { to: SinkTo::User(one(addr, len)?), done: 0 })
    }

    /// A checked vector of ranges (`user::read_iovecs`).
    pub(crate) fn vector(vectors: &'a [IoVec]) -> Self {
        Self { to: SinkTo::User(Places::Many { vectors, skip: 0 }), done: 0 }
    }

    /// Memory of the front end.
    pub(crate) fn memory(bytes: &'a mut [u8]) -> Self {
        Self { to: SinkTo::Memory(bytes), done: 0 }
    }

    /// Bytes that still fit.
    pub(crate) fn remaining(&self) -> usize {
        match &self.to {
            SinkTo::User(places) => places.remaining(),
            SinkTo::Memory(bytes) => bytes.len() - self.done,
        }
    }

    /// Bytes taken so far.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// One copy with faults off into the next contiguous room: `copy` answers the bytes it placed.
    ///
    /// May be called under a lock. `Ok(0)`: no room, or `copy` had nothing.
    pub(crate) fn attempt(
        &mut self,
        copy: impl FnOnce(Room) -> core::result::Result<usize, Fault>,
    ) -> core::result::Result<usize, Missing> {
        let outcome = match &mut self.to {
            SinkTo::Memory(bytes) => copy(Room::Memory(bytes.get_mut(self.done..).unwrap_or_default())),
            SinkTo::User(places) => {
                let Some((addr, len)) = places.front() else { return Ok(0) };
                let slice = UserWrite::new(addr, len).map_err(|_| Missing { address: addr })?;
                copy(Room::User(slice))
            }
        };
        let (count, result) = match outcome {
            Ok(count) => (count, Ok(count)),
            Err(fault) => (fault.done, Err(Missing { address: fault.address })),
        };
        self.done += count;
        if let SinkTo::User(places) = &mut self.to {
            places.advance(count);
        }
        result
    }

    /// Brings in the page that an attempt lacked. Errors: `EFAULT`.
    pub(crate) fn bring_in(missing: Missing) -> Result<()> {
        bring_in(missing, Wanted::Write)
    }

    /// Copies `bytes` as far as there is room. Errors: `EFAULT`, if not even one byte went.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        self.run(bytes.len(), |at, room| {
            let rest = bytes.get(at..).unwrap_or_default();
            match room {
                Room::User(slice) => {
                    let count = rest.len().min(slice.len());
                    slice.write_from(&rest[..count]).map(|()| count)
                }
                Room::Memory(out) => {
                    let count = rest.len().min(out.len());
                    out[..count].copy_from_slice(&rest[..count]);
                    Ok(count)
                }
            }
        })
    }

    /// Copies `len` bytes of `frame` from `at` on, as far as there is room.
    pub(crate) fn put_frame(&mut self, frame: &Frame, at: usize, len: usize) -> Result<usize> {
        self.run(len, |done, room| match room {
            Room::User(slice) => {
                let count = (len - done).min(slice.len());
                frame.copy_to_user(at + done, slice.slice(0, count)).map(|()| count)
            }
            Room::Memory(out) => {
                let count = (len - done).min(out.len());
                Ok(frame.read(at + done, &mut out[..count]).map_or(0, |()| count))
            }
        })
    }

    fn run(
        &mut self,
        len: usize,
        mut copy: impl FnMut(usize, Room) -> core::result::Result<usize, Fault>,
    ) -> Result<usize> {
        let start = self.done;
        loop {
            let at = self.done - start;
            if at == len {
                return Ok(len);
            }
            match self.attempt(|room| copy(at, room)) {
                Ok(0) => return Ok(at),
                Ok(_) => {}
                Err(missing) => {
                    if let Err(errno) = Self::bring_in(missing) {
                        let at = self.done - start;
                        return if at == 0 { Err(errno) } else { Ok(at) };
                    }
                }
            }
        }
    }
}

/// Where written data comes from.
pub(crate) struct Source<'a> {
    from: SourceFrom<'a>,
    done: usize,
}

enum SourceFrom<'a> {
    User(Places<'a>),
    Memory(&'a [u8]),
}

/// The next contiguous stock of a source.
pub(crate) enum Stock<'a> {
    /// In the program.
    User(UserRead),
    /// In the front end.
    Memory(&'a [u8]),
}

impl<'a> Source<'a> {
    /// One range of the program. Errors: `EFAULT` (outside its half).
    pub(crate) fn user(addr: u64, len: usize) -> Result<Self> {
        Ok(Self { from: SourceFrom::User(one(addr, len)?), done: 0 })
    }

    /// A checked vector of ranges.
    pub(crate) fn vector(vectors: &'a [IoVec]) -> Self {
        Self { from: SourceFrom::User(Places::Many { vectors, skip: 0 }), done: 0 }
    }

    /// Memory of the front end.
    pub(crate) fn memory(bytes: &'a [u8]) -> Self {
        Self { from: SourceFrom::Memory(bytes), done: 0 }
    }

    /// Bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        match &self.from {
            SourceFrom::User(places) => places.remaining(),
            SourceFrom::Memory(bytes) => bytes.len() - self.done,
        }
    }

    /// Bytes given so far.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// One copy with faults off from the next contiguous stock: `copy` answers the bytes it took.
    pub(crate) fn attempt(
        &mut self,
        copy: impl FnOnce(Stock) -> core::result::Result<usize, Fault>,
    ) -> core::result::Result<usize, Missing> {
        let outcome = match &mut self.from {
            SourceFrom::Memory(bytes) => copy(Stock::Memory(bytes.get(self.done..).unwrap_or_default())),
            SourceFrom::User(places) => {
                let Some((addr, len)) = places.front() else { return Ok(0) };
                let slice = UserRead::new(addr, len).map_err(|_| Missing { address: addr })?;
                copy(Stock::User(slice))
            }
        };
        let (count, result) = match outcome {
            Ok(count) => (count, Ok(count)),
            Err(fault) => (fault.done, Err(Missing { address: fault.address })),
        };
        self.advance(count);
        result
    }

    /// Passes over bytes that were taken by other means.
    pub(crate) fn advance(&mut self, count: usize) {
        self.done += count;
        if let SourceFrom::User(places) = &mut self.from {
            places.advance(count);
        }
    }

    /// Brings in the page that an attempt lacked. Errors: `EFAULT`.
    pub(crate) fn bring_in(missing: Missing) -> Result<()> {
        bring_in(missing, Wanted::Read)
    }

    /// Fills `out` as far as there is stock. Errors: `EFAULT`, if not even one byte came.
    pub(crate) fn get(&mut self, out: &mut [u8]) -> Result<usize> {
        let len = out.len();
        self.run(len, |at, stock| {
            let rest = out.get_mut(at..).unwrap_or_default();
            match stock {
                Stock::User(slice) => {
                    let count = rest.len().min(slice.len());
                    slice.read_to(&mut rest[..count]).map(|()| count)
                }
                Stock::Memory(bytes) => {
                    let count = rest.len().min(bytes.len());
                    rest[..count].copy_from_slice(&bytes[..count]);
                    Ok(count)
                }
            }
        })
    }

    /// One attempt to fill `len` bytes of `frame` from `at` on, faults off.
    pub(crate) fn attempt_frame(
        &mut self,
        frame: &Frame,
        at: usize,
        len: usize,
    ) -> core::result::Result<usize, Missing> {
        let mut total = 0;
        while total < len {
            let count = self.attempt(|stock| match stock {
                Stock::User(slice) => {
                    let count = (len - total).min(slice.len());
                    frame.copy_from_user(at + total, slice.slice(0, count)).map(|()| count)
                }
                Stock::Memory(bytes) => {
                    let count = (len - total).min(bytes.len());
                    Ok(frame.write(at + total, &bytes[..count]).map_or(0, |()| count))
                }
            })?;
            if count == 0 {
                break;
            }
            total += count;
        }
        Ok(total)
    }

    /// Fills `len` bytes of `frame` from `at` on, as far as there is stock.
    pub(crate) fn get_frame(&mut self, frame: &Frame, at: usize, len: usize) -> Result<usize> {
        let start = self.done;
        loop {
            let done = self.done - start;
            match self.attempt_frame(frame, at + done, len - done) {
                Ok(_) => return Ok(self.done - start),
                Err(missing) => {
                    if let Err(errno) = Self::bring_in(missing) {
                        let done = self.done - start;
                        return if done == 0 { Err(errno) } else { Ok(done) };
                    }
                }
            }
        }
    }

    fn run(
        &mut self,
        len: usize,
        mut copy: impl FnMut(usize, Stock) -> core::result::Result<usize, Fault>,
    ) -> Result<usize> {
        let start = self.done;
        loop {
            let at = self.done - start;
            if at == len {
                return Ok(len);
            }
            match self.attempt(|stock| copy(at, stock)) {
                Ok(0) => return Ok(at),
                Ok(_) => {}
                Err(missing) => {
                    if let Err(errno) = Self::bring_in(missing) {
                        let at = self.done - start;
                        return if at == 0 { Err(errno) } else { Ok(at) };
                    }
                }
            }
        }
    }
}

/// The count of a transfer that may have stopped early: an error only counts if nothing went.
pub(crate) fn partial(done: usize, result: Result<()>) -> Result<usize> {
    match result {
        Err(errno) if done == 0 => Err(errno),
        _ => Ok(done),
    }
}
