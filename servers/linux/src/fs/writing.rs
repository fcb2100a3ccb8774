//! Writing a file: into its pages with write-back later, or straight through on a shared volume.
//!
//! A page is dirtied only after the server has reserved its space ([`Inode::reserve`]), so write-back never meets `ENOSPC`. Data is copied with
//! the inode's `order` held and faults off; where the program's page is missing, the order is let go, the page brought in, and the
//! write goes on (at the new end, if it appends).

use super::inode::Inode;
use super::node::{Result, now};
use super::pages::Look;
use super::server::{Handle, LEASE, Lend, frame, most_dirty, zeroed_frame};
use super::transfer::{Source, partial};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::file::Events;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs;

const PAGE: u64 = PAGE_SIZE as u64;
/// Largest file: positions stay below 2^63.
const MOST_BYTES: u64 = i64::MAX as u64;
/// Most pages that are reserved ahead of a sequential writer.
const MOST_RESERVED: u64 = 256;
/// Pages between two looks at how many are dirty.
const THROTTLE_STEP: usize = 8;
/// Pages staged for one request of a write-through.
const STAGED: usize = 32;

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// This position.
    Offset(u64),
    /// Wherever the end is.
    End,
}

/// A page about to be written.
enum Prepared {
    /// It is held by the cache.
    Held(Frame),
    /// It is claimed as busy, with a fresh frame; `zeroed`: it lies behind the end, so zeros are what surrounds the new bytes.
    Claimed { frame: Frame, zeroed: bool },
}

impl Prepared {
    fn frame(&self) -> &Frame {
        match self {
            Self::Held(frame) | Self::Claimed { frame, .. } => frame,
        }
    }
}

impl Inode {
    /// Writes all of `source` as far as possible; answers the bytes and the position behind them.
    ///
    /// Errors: `EFBIG`, `ENOSPC`, `EFAULT`, `EIO`, `ENOMEM`.
    pub(super) fn write(self: &Arc<Self>, handle: &Arc<Handle>, at: At, source: &mut Source) -> Result<(usize, u64)> {
        if handle.server().is_shared() {
            return self.write_through(handle, at, source);
        }
        let start = source.done();
        let mut end = None;
        let mut result = Ok(());
        while result.is_ok() && source.remaining() > 0 {
            let inside = self.order.pass();
            let mut offset = match (at, end) {
                (At::Offset(first), None) => first,
                (At::Offset(_), Some(end)) => end,
                (At::End, _) => self.size(),
            };
            let mut pages = 0;
            let missing = loop {
                if source.remaining() == 0 {
                    break None;
                }
                pages += 1;
                if pages % THROTTLE_STEP == 0 && self.state.lock().pages.dirty_count() > most_dirty() {
                    // What fails now is told by fsync(2), as if it had failed in the background.
                    let _ = self.write_back(0, u64::MAX).map_err(|errno| self.state.lock().error = Some(errno));
                }
                match self.write_page(handle, offset, source) {
                    Ok((moved, missing)) => {
                        offset += moved as u64;
                        end = Some(offset);
                        if missing.is_some() {
                            break missing;
                        }
                    }
                    Err(errno) => {
                        result = Err(errno);
                        break None;
                    }
                }
            };
            drop(inside);
            if let Some(missing) = missing {
                result = Source::bring_in(missing);
            }
        }
        let count = partial(source.done() - start, result)?;
        Ok((count, end.unwrap_or(0)))
    }

    /// Copies into one page; also answers what the program lacked, if it stopped early.
    fn write_page(
        self: &Arc<Self>,
        handle: &Arc<Handle>,
        offset: u64,
        source: &mut Source,
    ) -> Result<(usize, Option<super::transfer::Missing>)> {
        if offset >= MOST_BYTES {
            return Err(Errno::EFBIG);
        }
        let (index, at) = (offset / PAGE, (offset % PAGE) as usize);
        let len = (PAGE_SIZE - at).min(source.remaining());
        self.reserve(handle, index, (at + source.remaining()).div_ceil(PAGE_SIZE) as u64)?;
        let prepared = self.prepare(handle, index, at, len)?;
        let before = source.done();
        let missing = source.attempt_frame(prepared.frame(), at, len).err();
        let moved = source.done() - before;
        let frame = match prepared {
            Prepared::Held(_) if moved == 0 => return Ok((0, missing)),
            Prepared::Held(frame) => frame,
            Prepared::Claimed { frame, zeroed } if moved == len || (zeroed && moved > 0) => frame,
            Prepared::Claimed { frame: part, .. } => {
                self.state.lock().pages.abandon(index, 1);
                self.queue.wake(Events::IN);
                if moved == 0 {
                    return Ok((0, missing));
                }
                // A page that was to be replaced whole got only its first part: what follows comes from the file.
                let whole = self.held_page(handle, index)?;
                whole.copy_range_from(at, &part, at, moved).map_err(|_| Errno::EIO)?;
                whole
            }
        };
        self.commit(index, frame, offset + moved as u64)?;
        Ok((moved, missing))
    }

    /// The frame to copy into: the held page, a fresh one where nothing of the old shows through, else read in.
    fn prepare(&self, handle: &Arc<Handle>, index: u64, at: usize, len: usize) -> Result<Prepared> {
        let behind_end = {
            let mut state = self.state.lock();
            let behind_end = index * PAGE >= state.attr.size;
            match state.pages.look(index) {
                Look::Ready(frame) => return Ok(Prepared::Held(frame)),
                Look::Missing if behind_end || (at == 0 && len == PAGE_SIZE) => {
                    state.pages.claim(index, 1);
                    Some(behind_end)
                }
                _ => None,
            }
        };
        let Some(zeroed) = behind_end else { return Ok(Prepared::Held(self.held_page(handle, index)?)) };
        match if zeroed { zeroed_frame() } else { frame() } {
            Ok(frame) => Ok(Prepared::Claimed { frame, zeroed }),
            Err(errno) => {
                self.state.lock().pages.abandon(index, 1);
                self.queue.wake(Events::IN);
                Err(errno)
            }
        }
    }

    /// Page `index` from the cache, read in if needed.
    fn held_page(&self, handle: &Arc<Handle>, index: u64) -> Result<Frame> {
        loop {
            if let Some(frame) = self.page(&|| Ok(handle.clone()), index, 1)? {
                return Ok(frame);
            }
        }
    }

    /// The page was written: dirty, and the file at least `end` long.
    fn commit(self: &Arc<Self>, index: u64, frame: Frame, end: u64) -> Result<()> {
        let time = now();
        let first_dirty = {
            let mut state = self.state.lock();
            let first_dirty = state.pages.dirty_count() == 0;
            // Ends the claim of a fresh page; no effect on one that was held.
            state.pages.filled(index, frame.clone());
            state.pages.dirtied(index, frame);
            if end > state.attr.size {
                state.attr.size = end;
                state.longer_here = true;
            }
            (state.attr.mtime, state.attr.ctime) = (time, time);
            first_dirty
        };
        self.queue.wake(Events::IN);
        if first_dirty {
            self.server()?.note_dirty(self);
        }
        Ok(())
    }

    /// Has the server reserve space for `pages` pages from `index` on, more for a sequential writer.
    pub(super) fn reserve(&self, handle: &Handle, index: u64, pages: u64) -> Result<()> {
        let (first, behind) = {
            let state = self.state.lock();
            if state.pages.is_dirty(index) {
                return Ok(());
            }
            state.reserved
        };
        if (first..behind).contains(&index) {
            return Ok(());
        }
        let pages = pages.clamp(1, MOST_RESERVED);
        let sequential = index == behind && behind > first;
        let ahead = if sequential { ((behind - first) * 2).clamp(pages, MOST_RESERVED) } else { pages };
        let ask = |pages: u64| {
            handle.server().call(fs::Reserve { file: handle.file(), offset: index * PAGE, len: pages * PAGE })
        };
        let got = match ask(ahead) {
            Ok(()) => ahead,
            // Not for the whole run: then for as much as the very next page needs.
            Err(Errno::ENOSPC) => {
                ask(1)?;
                1
            }
            Err(errno) => return Err(errno),
        };
        self.state.lock().reserved = if sequential { (first, index + got) } else { (index, index + got) };
        Ok(())
    }

    /// Page `index` is about to be written through a shared mapping.
    pub(super) fn mark_mapped(self: &Arc<Self>, index: u64) {
        let known = {
            let mut state = self.state.lock();
            let Look::Ready(frame) = state.pages.look(index) else { return };
            let known = state.pages.dirty_count() > 0;
            state.pages.dirtied(index, frame);
            let time = now();
            (state.attr.mtime, state.attr.ctime) = (time, time);
            known
        };
        if !known && let Ok(server) = self.server() {
            server.note_dirty(self);
        }
    }

    /// Writes dirty pages in `first..last` to the server and waits until none is on its way.
    ///
    /// Errors: `EIO`, `ENOSPC`; also one that an earlier write-back in the background met.
    pub(crate) fn write_back(self: &Arc<Self>, first: u64, last: u64) -> Result<()> {
        let mut outcome = Ok(());
        let io = self.io.lock().clone();
        if let Some(handle) = &io {
            let most = handle.server().io_pages();
            while outcome.is_ok() {
                let (run, size) = {
                    let mut state = self.state.lock();
                    (state.pages.start_writing(first, last, most), state.attr.size)
                };
                let Some((start, frames)) = run else { break };
                // From here on a write through a mapping faults, and makes the page dirty again.
                if let Some(process) = crate::process::installed() {
                    process.mm.write_protect_file(self.identity(), start, start + frames.len() as u64);
                }
                outcome = Self::write_run(handle, start, &frames, size);
                let mut state = self.state.lock();
                state.pages.end_writing(start, frames.len(), outcome.is_ok());
                state.stale = true;
                let behind = (start + frames.len() as u64) * PAGE;
                if outcome.is_ok() && behind >= state.attr.size && state.pages.dirty_count() == 0 {
                    state.longer_here = false;
                }
                drop(state);
                self.queue.wake(Events::IN);
            }
        }
        self.wait_while(|state| state.pages.in_writing(first, last));
        let mut state = self.state.lock();
        if let Err(errno) = outcome {
            state.error = Some(errno);
        }
        // Under the lock: whoever dirties the first page after this enters the inode again.
        if state.pages.dirty_count() == 0
            && let Ok(server) = self.server()
        {
            server.forget_dirty(self);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// Sends one run of pages, as far as the file goes.
    fn write_run(handle: &Handle, start: u64, frames: &[Frame], size: u64) -> Result<()> {
        let offset = start * PAGE;
        let len = (frames.len() as u64 * PAGE).min(size.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < len {
            let request =
                fs::Write { file: handle.file(), offset: offset + done as u64, len: (len - done) as u32, src: LEASE };
            let taken = handle.server().call_with(request, frames, done, len - done, Lend::ToTake)? as usize;
            if taken == 0 {
                return Err(Errno::EIO);
            }
            done += taken;
        }
        Ok(())
    }

    /// Write on a shared volume: staged in fresh frames, sent at once, and put into the pages that are held.
    fn write_through(self: &Arc<Self>, handle: &Arc<Handle>, at: At, source: &mut Source) -> Result<(usize, u64)> {
        let mut sent = 0;
        let mut end = None;
        let result = loop {
            if source.remaining() == 0 {
                break Ok(());
            }
            let (frames, len) = match stage(source) {
                Ok(staged) => staged,
                Err(errno) => break Err(errno),
            };
            let _inside = self.order.pass();
            let offset = match (at, end) {
                (At::Offset(first), None) => first,
                (_, Some(end)) => end,
                (At::End, None) => handle.server().call(fs::GetAttr { node: handle.file() })?.size,
            };
            if offset.checked_add(len as u64).is_none_or(|end| end > MOST_BYTES) {
                break Err(Errno::EFBIG);
            }
            if let Err(errno) = self.send_staged(handle, offset, &frames, len) {
                break Err(errno);
            }
            sent += len;
            end = Some(offset + len as u64);
        };
        // What was staged and not sent does not count.
        let count = partial(sent, result)?;
        Ok((count, end.unwrap_or(0)))
    }

    fn send_staged(&self, handle: &Handle, offset: u64, frames: &[Frame], len: usize) -> Result<()> {
        let mut done = 0;
        while done < len {
            let request =
                fs::Write { file: handle.file(), offset: offset + done as u64, len: (len - done) as u32, src: LEASE };
            let taken = handle.server().call_with(request, frames, done, len - done, Lend::ToTake)? as usize;
            if taken == 0 {
                return Err(Errno::EIO);
            }
            done += taken;
        }
        let mut state = self.state.lock();
        for at in (0..len).step_by(512) {
            update_held(&state.pages, offset + at as u64, frames, at, (len - at).min(512));
        }
        state.attr.size = state.attr.size.max(offset + len as u64);
        let time = now();
        (state.attr.mtime, state.attr.ctime) = (time, time);
        Ok(())
    }
}

/// Takes data for one request out of the program; may wait for its pages.
fn stage(source: &mut Source) -> Result<(Vec<Frame>, usize)> {
    let mut frames = Vec::new();
    let mut len = 0;
    while source.remaining() > 0 && frames.len() < STAGED {
        let frame = frame()?;
        let want = PAGE_SIZE.min(source.remaining());
        match source.get_frame(&frame, 0, want) {
            Ok(count) => {
                len += count;
                frames.push(frame);
                if count < want {
                    break;
                }
            }
            Err(errno) if len == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok((frames, len))
}

/// Puts up to 512 staged bytes into the held pages that they belong to.
fn update_held(pages: &super::pages::Pages<Frame>, offset: u64, staged: &[Frame], at: usize, len: usize) {
    let Some(from) = staged.get(at / PAGE_SIZE) else { return };
    let mut done = 0;
    while done < len {
        let place = offset + done as u64;
        let into = (place % PAGE) as usize;
        let count = (len - done).min(PAGE_SIZE - into);
        if let Look::Ready(frame) = pages.look(place / PAGE) {
            // Both ranges lie inside their frames: `at` is a multiple of 512 and `len` at most that.
            let _ = frame.copy_range_from(into, from, at % PAGE_SIZE + done, count);
        }
        done += count;
    }
}
