//! signalfd(2): pending signals as records to read.

use crate::context::{Context, SysResult};
use crate::eventfd::patiently;
use crate::fs::description::{File, OpenFile, Patience};
use crate::fs::node::{Kind, Result};
use crate::fs::special::anonymous;
use crate::fs::transfer::Sink;
use crate::process::process;
use crate::signal::{self, SigSet};
use crate::thread::LinuxThread;
use crate::user;
use crate::wait::{READABLE, WaitQueue};
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::file::{Events, OpenFlags};
use linux_abi::signal::SigInfo;
use linux_abi::{Errno, Layout};

/// Bytes of `struct signalfd_siginfo`.
const RECORD: usize = 128;

struct SignalFd {
    wanted: AtomicU64,
}

impl SignalFd {
    fn wanted(&self) -> SigSet {
        SigSet(self.wanted.load(Ordering::Acquire))
    }
}

/// `struct signalfd_siginfo` from a `siginfo_t`: both start with signo, errno and code in some order, then pid and uid.
fn record(info: &SigInfo) -> [u8; RECORD] {
    let mut from = [0; 128];
    info.put(&mut from);
    let word = |at: usize| from.get(at..at + 4).unwrap_or(&[0; 4]);
    let mut out = [0; RECORD];
    // signo, errno, code stand first in both; pid and uid follow at 12 here and at 16 there.
    // The value sent along stands at 24 there, and here as a number at 44 and as a pointer at 48.
    for (to, at) in [(0, 0), (4, 4), (8, 8), (12, 16), (16, 20), (44, 24), (48, 24), (52, 28)] {
        out[to..to + 4].copy_from_slice(word(at));
    }
    out
}

impl File for SignalFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        if sink.remaining() < RECORD {
            return Err(Errno::EINVAL);
        }
        let queue = &process().fs.signal_queue;
        let mut next =
            patiently(cx, patience, queue, READABLE, || signal::take_pending(cx, self.wanted()).map(Ok)).map(Some)?;
        let start = sink.done();
        while let Some(info) = next.take() {
            sink.put(&record(&info))?;
            if sink.remaining() >= RECORD {
                next = signal::take_pending(cx, self.wanted());
            }
        }
        Ok(sink.done() - start)
    }
    fn ready(&self) -> Events {
        let process = process();
        let has = |thread: &Arc<LinuxThread>| {
            let [own, shared, ..] = signal::sets(process, thread);
            own.or(shared).and(self.wanted()).first().is_some()
        };
        if process.threads.all().iter().any(has) { READABLE } else { Events::empty() }
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&process().fs.signal_queue)
    }
}

/// signalfd4(2).
pub(crate) fn signalfd4(cx: &mut Context, fd: i32, mask: u64, size: usize, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    if size != 8 || !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let wanted = SigSet(user::read_struct::<u64>(mask)?).without(SigSet::UNBLOCKABLE).0;
    if fd != -1 {
        let file: Arc<OpenFile> = cx.process.fs.table.get(fd)?;
        file.is::<SignalFd>().ok_or(Errno::EINVAL)?.wanted.store(wanted, Ordering::Release);
        return Ok(fd as u64);
    }
    let status = OpenFlags::READ_WRITE | flags.intersection(OpenFlags::NONBLOCK);
    let open = anonymous(Arc::new(SignalFd { wanted: AtomicU64::new(wanted) }), Kind::File, "[signalfd]", status);
    Ok(cx.process.fs.install(open, flags.contains(OpenFlags::CLOEXEC))? as u64)
}

/// signalfd(2).
pub(crate) fn signalfd(cx: &mut Context, fd: i32, mask: u64, size: usize) -> SysResult {
    signalfd4(cx, fd, mask, size, 0)
}
