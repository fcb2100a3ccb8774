//! eventfd(2): a 64-bit counter as a descriptor.

use crate::context::{Context, SysResult};
use crate::fs::description::{File, Patience};
use crate::fs::node::{Kind, Result};
use crate::fs::special::anonymous;
use crate::fs::transfer::{Sink, Source};
use crate::wait::{READABLE, WRITABLE, WaitQueue, until};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;
use linux_abi::file::{Events, OpenFlags};
use spin::Mutex;

/// Largest value; one more would block the writer.
const MOST: u64 = u64::MAX - 1;

struct EventFd {
    count: Mutex<u64>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    fn try_take(&self) -> Option<u64> {
        let mut count = self.count.lock();
        let taken = match *count {
            0 => return None,
            _ if self.semaphore => 1,
            all => all,
        };
        *count -= taken;
        Some(taken)
    }

    fn try_add(&self, value: u64) -> Option<()> {
        let mut count = self.count.lock();
        *count = count.checked_add(value).filter(|&sum| sum <= MOST)?;
        Some(())
    }
}

/// `EAGAIN` for who does not wait, else the outcome of waiting.
pub(crate) fn patiently<T>(
    cx: &Context,
    patience: Patience,
    queue: &WaitQueue,
    events: Events,
    mut attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    match patience {
        Patience::Never => attempt().unwrap_or(Err(Errno::EAGAIN)),
        Patience::Wait => until(cx, queue, events, None, attempt)?.ok_or(Errno::EAGAIN),
    }
}

impl File for EventFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        if sink.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let value = patiently(cx, patience, &self.queue, READABLE, || self.try_take().map(Ok))?;
        self.queue.wake(WRITABLE);
        sink.put(&value.to_le_bytes())
    }
    fn write(&self, cx: &Context, patience: Patience, source: &mut Source) -> Result<usize> {
        if source.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; 8];
        if source.get(&mut bytes)? < 8 {
            return Err(Errno::EFAULT);
        }
        let value = u64::from_le_bytes(bytes);
        if value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        patiently(cx, patience, &self.queue, WRITABLE, || self.try_add(value).map(Ok))?;
        self.queue.wake(READABLE);
        Ok(8)
    }
    fn ready(&self) -> Events {
        let count = *self.count.lock();
        let mut events = Events::empty();
        events.set(READABLE, count > 0);
        events.set(WRITABLE, count < MOST);
        events
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
    fn describe(&self) -> Vec<u8> {
        alloc::format!("eventfd-count: {:16x}\n", *self.count.lock()).into_bytes()
    }
}

/// eventfd2(2).
pub(crate) fn eventfd2(cx: &mut Context, initial: u32, flags: u32) -> SysResult {
    const SEMAPHORE: u32 = 1;
    let rest = OpenFlags::from_bits_retain(flags & !SEMAPHORE);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(rest) {
        return Err(Errno::EINVAL);
    }
    let file = Arc::new(EventFd {
        count: Mutex::new(u64::from(initial)),
        semaphore: flags & SEMAPHORE != 0,
        queue: WaitQueue::new(),
    });
    let status = OpenFlags::READ_WRITE | rest.intersection(OpenFlags::NONBLOCK);
    let open = anonymous(file, Kind::File, "[eventfd]", status);
    Ok(cx.process.fs.install(open, rest.contains(OpenFlags::CLOEXEC))? as u64)
}

/// eventfd(2).
pub(crate) fn eventfd(cx: &mut Context, initial: u32) -> SysResult {
    eventfd2(cx, initial, 0)
}
