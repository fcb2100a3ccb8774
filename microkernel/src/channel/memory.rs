//! Memory that a task may touch by copying, and lend to others: its own pages, or what it was lent.
//!
//! A lease is a view of the lender's frames. Ending it stops access at once; the frames themselves stay until
//! the last reference is gone, a device's [`Pin`] included.

use crate::mm::PAGE_SIZE;
use crate::mm::frame::{Frame, Need};
use crate::task::handle::Owned;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

/// Why memory could not be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The range does not lie inside.
    OutOfRange,
    /// The lease has ended.
    Revoked,
    /// The lease allows reading only.
    ReadOnly,
}

pub(crate) struct View {
    frames: Arc<[Frame]>,
    /// First byte within the frames.
    at: usize,
    len: usize,
    write: bool,
    revoked: AtomicBool,
    parent: Option<Arc<View>>,
}

impl View {
    pub(crate) fn new(frames: Arc<[Frame]>, at: usize, len: usize, write: bool) -> Self {
        let room = (frames.len() * PAGE_SIZE).saturating_sub(at);
        Self { frames, at, len: len.min(room), write, revoked: AtomicBool::new(false), parent: None }
    }

    /// A lease of all of `parent`, which ends with it.
    pub(crate) fn lease(parent: &Arc<View>, write: bool) -> Self {
        Self {
            frames: parent.frames.clone(),
            at: parent.at,
            len: parent.len,
            write: write && parent.write,
            revoked: AtomicBool::new(false),
            parent: Some(parent.clone()),
        }
    }

    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.is_revoked())
    }

    /// Calls `part` with frame, offset in it, offset in the range, and length of each piece.
    fn pieces(
        &self,
        at: usize,
        len: usize,
        part: &mut dyn FnMut(&Frame, usize, usize, usize),
    ) -> Result<(), MemoryError> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(MemoryError::OutOfRange);
        }
        if self.is_revoked() {
            return Err(MemoryError::Revoked);
        }
        let mut done = 0;
        while done < len {
            let position = self.at + at + done;
            let offset = position % PAGE_SIZE;
            let step = (PAGE_SIZE - offset).min(len - done);
            part(&self.frames[position / PAGE_SIZE], offset, done, step);
            done += step;
        }
        Ok(())
    }
}

/// Memory of a task: a handle that the core backs.
pub struct Memory(pub(crate) Owned<View>);

/// Keeps the frames of a transfer alive until the device is done with them.
///
/// No handle of the task: a device may go on writing after its driver has died, so whoever resets the device
/// drops the pin, on any thread (DESIGN section 2, rule 8).
pub struct Pin(Option<Arc<View>>);

impl Drop for Pin {
    fn drop(&mut self) {
        // The view belongs to the core's arena.
        let _section = crate::sync::CoreSection::enter();
        drop(self.0.take());
    }
}

impl Memory {
    /// Own, zeroed pages of at least `bytes`. `None`: no memory.
    pub fn alloc(bytes: usize) -> Option<Self> {
        let _section = crate::sync::CoreSection::enter();
        let count = bytes.div_ceil(PAGE_SIZE).max(1);
        let mut frames = Vec::new();
        frames.try_reserve_exact(count).ok()?;
        for _ in 0..count {
            frames.push(Frame::alloc_zeroed_for(Need::Kernel)?);
        }
        Some(Self::from_frames(frames.into(), 0, count * PAGE_SIZE, true))
    }

    /// Memory over frames that the caller holds.
    pub fn from_frames(frames: Arc<[Frame]>, at: usize, len: usize, write: bool) -> Self {
        Self(Owned::new(Arc::new(View::new(frames, at, len, write))))
    }

    pub(crate) fn from_view(view: Arc<View>) -> Self {
        Self(Owned::new(view))
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.0.write
    }

    /// Copies out. Errors: `OutOfRange`, `Revoked`.
    pub fn read(&self, at: usize, out: &mut [u8]) -> Result<(), MemoryError> {
        let len = out.len();
        self.0.pieces(at, len, &mut |frame, offset, done, step| {
            frame.read(offset, &mut out[done..done + step]).expect("pieces lie in their frames");
        })
    }

    /// Copies in. Errors: each of [`MemoryError`].
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<(), MemoryError> {
        self.check_writable()?;
        self.0.pieces(at, bytes.len(), &mut |frame, offset, done, step| {
            frame.write(offset, &bytes[done..done + step]).expect("pieces lie in their frames");
        })
    }

    /// Fills with zeros. Errors: each of [`MemoryError`].
    pub fn zero(&self, at: usize, len: usize) -> Result<(), MemoryError> {
        self.check_writable()?;
        self.0.pieces(at, len, &mut |frame, offset, _, step| frame.zero(offset, step))
    }

    fn check_writable(&self) -> Result<(), MemoryError> {
        if self.0.write { Ok(()) } else { Err(MemoryError::ReadOnly) }
    }

    /// Names the physical pieces of a range and pins them for a device.
    ///
    /// Errors: `OutOfRange`, `Revoked`, and `ReadOnly` if the device is to write.
    pub fn pin(
        &self,
        at: usize,
        len: usize,
        device_writes: bool,
        piece: &mut dyn FnMut(u64, usize),
    ) -> Result<Pin, MemoryError> {
        if device_writes {
            self.check_writable()?;
        }
        let mut pending: Option<(u64, usize)> = None;
        self.0.pieces(at, len, &mut |frame, offset, _, step| {
            let address = frame.address() + offset as u64;
            match &mut pending {
                Some((start, bytes)) if *start + *bytes as u64 == address => *bytes += step,
                _ => {
                    if let Some((start, bytes)) = pending.replace((address, step)) {
                        piece(start, bytes);
                    }
                }
            }
        })?;
        if let Some((start, bytes)) = pending {
            piece(start, bytes);
        }
        Ok(Pin(Some(self.0.share())))
    }
}

/// Frames gathered into one allocation, for [`Memory::from_frames`] and [`Attached`](super::Attached).
pub fn gather(frames: Vec<Frame>) -> Arc<[Frame]> {
    let _section = crate::sync::CoreSection::enter();
    let boxed: Box<[Frame]> = frames.into_boxed_slice();
    Arc::from(boxed)
}
