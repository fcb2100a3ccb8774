//! Reading a file through its cached pages: hits, misses, read-ahead.
//!
//! A miss claims a run of pages as busy, reads the run with one request straight into the frames, and wakes who waits.
//! The run is as long as the request needs, and grows while a description reads sequentially ([`ReadAhead`]).

use super::inode::{Inode, State};
use super::node::Result;
use super::pages::Look;
use super::server::{Handle, LEASE, Lend, frame};
use super::transfer::Sink;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::Errno;
use linux_abi::file::Events;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs;

const PAGE: u64 = PAGE_SIZE as u64;
/// A file up to this many pages is read whole at the first miss.
const SMALL_FILE_PAGES: u64 = 16;
/// Largest read-ahead, in pages.
const MOST_AHEAD: u64 = 64;

/// Where a description is expected to read next, and how far to read ahead there.
#[derive(Default)]
pub(crate) struct ReadAhead {
    /// Page behind the last run.
    next: AtomicU64,
    /// Pages of the last run.
    window: AtomicU64,
}

impl ReadAhead {
    /// How many pages to read at a miss on `index`, if `needed` are wanted now and the file has `pages`.
    pub(super) fn plan(&self, index: u64, needed: u64, pages: u64) -> u64 {
        let sequential = index == self.next.load(Ordering::Relaxed);
        let window = if sequential { (self.window.load(Ordering::Relaxed) * 2).clamp(4, MOST_AHEAD) } else { 1 };
        let wanted = if pages <= SMALL_FILE_PAGES { pages } else { needed.max(window) };
        let run = wanted.clamp(1, MOST_AHEAD.max(needed)).min(pages.saturating_sub(index).max(1));
        self.window.store(run, Ordering::Relaxed);
        self.next.store(index + run, Ordering::Relaxed);
        run
    }
}

impl Inode {
    /// Reads at `offset`; `handle` is open for reading at the server, or opens it.
    ///
    /// Errors: `EFAULT`, `EIO`, `ENOMEM`.
    pub(super) fn read_at(
        &self,
        open: &dyn Fn() -> Result<Arc<Handle>>,
        ahead: &ReadAhead,
        mut offset: u64,
        sink: &mut Sink,
    ) -> Result<usize> {
        let start = sink.done();
        while sink.remaining() > 0 {
            let at = (offset % PAGE) as usize;
            let (look, size) = {
                let state = self.state.lock();
                (state.pages.look(offset / PAGE), state.attr.size)
            };
            if offset >= size {
                break;
            }
            let frame = match look {
                Look::Ready(frame) => frame,
                _ => {
                    let needed = (at + sink.remaining()).div_ceil(PAGE_SIZE) as u64;
                    match self.page(open, offset / PAGE, ahead.plan(offset / PAGE, needed, size.div_ceil(PAGE))) {
                        Ok(Some(frame)) => frame,
                        Ok(None) => continue,
                        Err(errno) if sink.done() == start => return Err(errno),
                        Err(_) => break,
                    }
                }
            };
            let count = (PAGE_SIZE - at).min(sink.remaining()).min(usize::try_from(size - offset).unwrap_or(PAGE_SIZE));
            match sink.put_frame(&frame, at, count) {
                Ok(moved) => {
                    offset += moved as u64;
                    if moved < count {
                        break;
                    }
                }
                Err(errno) if sink.done() == start => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(sink.done() - start)
    }

    /// The frame of page `index`, reading a run of up to `run` pages from there if it is missing.
    ///
    /// `None`: somebody else was reading it, or it changed meanwhile; look again. Errors: `EIO`, `ENOMEM`.
    pub(super) fn page(&self, open: &dyn Fn() -> Result<Arc<Handle>>, index: u64, run: u64) -> Result<Option<Frame>> {
        let claimed = {
            let mut state = self.state.lock();
            match state.pages.look(index) {
                Look::Ready(frame) => return Ok(Some(frame)),
                Look::Busy => 0,
                Look::Missing => state.pages.claim(index, run.max(1)),
            }
        };
        if claimed == 0 {
            self.wait_while(|state| state.pages.is_busy(index));
            return Ok(None);
        }
        let outcome = self.fill(open, index, claimed);
        if outcome.is_err() {
            self.state.lock().pages.abandon(index, claimed);
        }
        self.queue.wake(Events::IN);
        outcome.map(Some)
    }

    /// Reads the claimed run, in as few requests as the server allows; answers the first frame.
    fn fill(&self, open: &dyn Fn() -> Result<Arc<Handle>>, index: u64, count: u64) -> Result<Frame> {
        let handle = open()?;
        let mut at = index;
        let mut first = None;
        while at < index + count {
            let pages = (index + count - at).min(handle.server().io_pages() as u64);
            match self.fill_run(&handle, at, pages) {
                Ok(frame) => first.get_or_insert(frame),
                Err(errno) if first.is_none() => return Err(errno),
                Err(_) => {
                    self.state.lock().pages.abandon(at, index + count - at);
                    break;
                }
            };
            at += pages;
        }
        first.ok_or(Errno::EIO)
    }

    fn fill_run(&self, handle: &Handle, index: u64, pages: u64) -> Result<Frame> {
        let frames = (0..pages).map(|_| frame()).collect::<Result<Vec<Frame>>>()?;
        let len = frames.len() * PAGE_SIZE;
        let asked = microkernel::time::wall_ns();
        let request = fs::Read { file: handle.file(), offset: index * PAGE, len: len as u32, dest: LEASE };
        let got = handle.server().call_with(request, &frames, 0, len, Lend::ToFill)? as usize;
        for (number, frame) in frames.iter().enumerate() {
            let filled = got.saturating_sub(number * PAGE_SIZE).min(PAGE_SIZE);
            frame.zero(filled, PAGE_SIZE - filled);
        }
        let first = frames.first().cloned().ok_or(Errno::EIO)?;
        let mut state = self.state.lock();
        state.fetched = Some(state.fetched.map_or(asked, |before| before.min(asked)));
        for (number, frame) in frames.into_iter().enumerate() {
            state.pages.filled(index + number as u64, frame);
        }
        self.shrink_to(handle, &mut state, index * PAGE + got as u64, got < len);
        Ok(first)
    }

    /// On a shared volume a short answer tells that the file ends earlier than believed.
    fn shrink_to(&self, handle: &Handle, state: &mut State, end: u64, short: bool) {
        if short && handle.server().is_shared() && end < state.attr.size && state.pages.dirty_count() == 0 {
            state.attr.size = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReadAhead;

    #[test]
    fn a_small_file_is_read_whole() {
        assert_eq!(ReadAhead::default().plan(0, 1, 9), 9);
    }

    #[test]
    fn sequential_reading_doubles_the_window_and_a_jump_resets_it() {
        let ahead = ReadAhead::default();
        assert_eq!(ahead.plan(0, 1, 1000), 4);
        assert_eq!(ahead.plan(4, 1, 1000), 8);
        assert_eq!(ahead.plan(12, 1, 1000), 16);
        assert_eq!(ahead.plan(500, 2, 1000), 2);
        assert_eq!(ahead.plan(999, 1, 1000), 1);
    }
}
