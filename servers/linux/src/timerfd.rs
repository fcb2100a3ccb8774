//! timerfd(2), over the timers of `time`.

use crate::context::{Context, SysResult};
use crate::eventfd::patiently;
use crate::fs::description::{File, OpenFile, Patience};
use crate::fs::node::{Kind, Result};
use crate::fs::special::anonymous;
use crate::fs::transfer::Sink;
use crate::time::clock::Clock;
use crate::time::ticker::{Setting, Start, Ticker};
use crate::user;
use crate::wait::{READABLE, WaitQueue};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_abi::Errno;
use linux_abi::file::{Events, OpenFlags};
use linux_abi::time::{Itimerspec, TFD_TIMER_CANCEL_ON_SET, TIMER_ABSTIME, Timespec, clock};

struct TimerFd {
    ticker: Arc<Ticker>,
    expirations: AtomicU64,
    queue: WaitQueue,
}

impl File for TimerFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        if sink.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let take = || match self.expirations.swap(0, Ordering::AcqRel) {
            0 => None,
            count => Some(Ok(count)),
        };
        let count = patiently(cx, patience, &self.queue, READABLE, take)?;
        sink.put(&count.to_le_bytes())
    }
    fn ready(&self) -> Events {
        if self.expirations.load(Ordering::Acquire) > 0 { READABLE } else { Events::empty() }
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        self.ticker.set(Start::In, 0, 0);
    }
}

/// timerfd_create(2).
pub(crate) fn timerfd_create(cx: &mut Context, number: i32, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    let known = matches!(
        number,
        clock::REALTIME | clock::MONOTONIC | clock::BOOTTIME | clock::REALTIME_ALARM | clock::BOOTTIME_ALARM
    );
    if !known || !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let clock = Clock::parse(cx, number)?;
    let file = Arc::new_cyclic(|me: &Weak<TimerFd>| {
        let me = me.clone();
        let expired = Box::new(move |count: u64| {
            if let Some(file) = me.upgrade() {
                file.expirations.fetch_add(count, Ordering::AcqRel);
                file.queue.wake(READABLE);
            }
        });
        TimerFd { ticker: Ticker::new(clock, expired), expirations: AtomicU64::new(0), queue: WaitQueue::new() }
    });
    let status = OpenFlags::READ_WRITE | flags.intersection(OpenFlags::NONBLOCK);
    let open = anonymous(file, Kind::File, "[timerfd]", status);
    Ok(cx.process.fs.install(open, flags.contains(OpenFlags::CLOEXEC))? as u64)
}

fn timer(file: &OpenFile) -> Result<&TimerFd> {
    file.is::<TimerFd>().ok_or(Errno::EINVAL)
}

fn spec(setting: Setting) -> Itimerspec {
    Itimerspec { interval: Timespec::from_ns(setting.interval), value: Timespec::from_ns(setting.value) }
}

/// timerfd_settime(2).
pub(crate) fn timerfd_settime(cx: &mut Context, fd: i32, flags: i32, new: u64, old: u64) -> SysResult {
    if flags & !(TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let wanted: Itimerspec = user::read_struct(new)?;
    let value = wanted.value.to_ns().ok_or(Errno::EINVAL)?;
    let interval = wanted.interval.to_ns().ok_or(Errno::EINVAL)?;
    let file = cx.process.fs.table.get(fd)?;
    let timer = timer(&file)?;
    let start = if flags & TIMER_ABSTIME != 0 { Start::At } else { Start::In };
    timer.expirations.store(0, Ordering::Release);
    let before = timer.ticker.set(start, value, interval);
    user::write_struct_opt(old, &spec(before))?;
    Ok(0)
}

/// timerfd_gettime(2).
pub(crate) fn timerfd_gettime(cx: &mut Context, fd: i32, out: u64) -> SysResult {
    let file = cx.process.fs.table.get(fd)?;
    let setting = timer(&file)?.ticker.get();
    user::write_struct(out, &spec(setting))?;
    Ok(0)
}
