//! poll(2) and select(2): readiness of several descriptors at once.

use crate::block::{bits, wait_restartable};
use crate::context::{Context, SysResult};
use crate::fs::description::OpenFile;
use crate::fs::node::Result;
use crate::signal::{self, SigSet};
use crate::user;
use crate::wait::{ALWAYS, READABLE, WRITABLE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_abi::file::{Events, PollFd};
use linux_abi::time::{Timespec, Timeval};
use linux_abi::{Errno, Layout};
use microkernel::time::now_ns;

/// Monotonic deadline of a timeout in milliseconds; negative is none, and 0 the past.
pub(crate) fn deadline_of_ms(timeout_ms: i32) -> Option<u64> {
    match u64::try_from(timeout_ms) {
        Err(_) => None,
        Ok(0) => Some(0),
        Ok(ms) => Some(now_ns().saturating_add(ms * 1_000_000)),
    }
}

/// Monotonic deadline of a `timespec` at `addr`; a null address is none. Errors: `EINVAL`, `EFAULT`.
pub(crate) fn deadline_of_timespec(addr: u64) -> Result<Option<u64>> {
    if addr == 0 {
        return Ok(None);
    }
    let timeout: Timespec = user::read_struct(addr)?;
    deadline_of_ns(timeout.to_ns().ok_or(Errno::EINVAL)?)
}

fn deadline_of_ns(ns: u64) -> Result<Option<u64>> {
    Ok(Some(if ns == 0 { 0 } else { now_ns().saturating_add(ns) }))
}

/// A signal mask that is in force during one call.
pub(crate) struct TemporaryMask {
    set: bool,
}

impl TemporaryMask {
    /// Puts the mask at `addr` in force; a null address leaves the old one. Errors: `EINVAL`, `EFAULT`.
    pub(crate) fn read(cx: &Context, addr: u64, size: usize) -> Result<Self> {
        if addr == 0 {
            return Ok(Self { set: false });
        }
        if size != 8 {
            return Err(Errno::EINVAL);
        }
        signal::set_temporary_mask(cx, SigSet(user::read_struct::<u64>(addr)?));
        Ok(Self { set: true })
    }

    /// Ends it, unless a signal is to be delivered with it in force.
    pub(crate) fn end(self, cx: &Context, outcome: SysResult) -> SysResult {
        let interrupted = matches!(outcome, Err(errno) if errno == Errno::EINTR || errno.is_restart());
        if self.set && !interrupted {
            signal::end_temporary_mask(cx);
        }
        outcome
    }
}

/// Looks at each file until `look` counts something ready, the deadline passes, or a signal comes.
fn wait_for_any(
    cx: &Context,
    files: &[Option<Arc<OpenFile>>],
    wanted: &[Events],
    deadline_ns: Option<u64>,
    mut look: impl FnMut() -> usize,
) -> Result<usize> {
    let count = look();
    if count > 0 || deadline_ns == Some(0) {
        return Ok(count);
    }
    let mut joined = Vec::with_capacity(files.len());
    for (file, &wanted) in files.iter().zip(wanted) {
        if let Some(queue) = file.as_ref().and_then(|file| file.file().queue()) {
            joined.push(queue.join(wanted));
        }
    }
    loop {
        let count = look();
        if count > 0 {
            return Ok(count);
        }
        match wait_restartable(cx, bits::QUEUE, deadline_ns) {
            Ok(true) => {}
            Ok(false) => return Ok(look()),
            Err(_) => return Err(Errno::ERESTARTNOHAND),
        }
    }
}

fn poll_until(cx: &Context, addr: u64, count: u64, deadline_ns: Option<u64>) -> SysResult {
    let count = usize::try_from(count).ok().filter(|&count| count <= cx.process.fs.limit()).ok_or(Errno::EINVAL)?;
    let mut polled: Vec<PollFd> = user::read_array(addr, count)?;
    let files: Vec<Option<Arc<OpenFile>>> = polled
        .iter()
        .map(|entry| cx.process.fs.table.get(entry.fd).ok().filter(|file| file.usable().is_ok()))
        .collect();
    let wanted: Vec<Events> =
        polled.iter().map(|entry| Events::from_bits_retain(u32::from(entry.events.cast_unsigned()))).collect();
    let ready = wait_for_any(cx, &files, &wanted, deadline_ns, || {
        let mut ready = 0;
        for ((entry, file), &wanted) in polled.iter_mut().zip(&files).zip(&wanted) {
            let events = match file {
                _ if entry.fd < 0 => Events::empty(),
                None => Events::NVAL,
                Some(file) => file.file().ready().intersection(wanted | ALWAYS),
            };
            entry.revents = (events.bits() as u16).cast_signed();
            ready += usize::from(!events.is_empty());
        }
        ready
    })?;
    let mut bytes = alloc::vec![0; polled.len() * PollFd::BYTES];
    for (entry, out) in polled.iter().zip(bytes.chunks_exact_mut(PollFd::BYTES)) {
        entry.put(out);
    }
    user::copy_out(addr, &bytes)?;
    Ok(ready as u64)
}

/// poll(2).
pub(crate) fn poll(cx: &mut Context, addr: u64, count: u64, timeout_ms: i32) -> SysResult {
    poll_until(cx, addr, count, deadline_of_ms(timeout_ms))
}

/// ppoll(2); like Linux, writes back what is left of the timeout.
pub(crate) fn ppoll(cx: &mut Context, addr: u64, count: u64, timeout: u64, mask: u64, size: usize) -> SysResult {
    let deadline = deadline_of_timespec(timeout)?;
    let masked = TemporaryMask::read(cx, mask, size)?;
    let outcome = poll_until(cx, addr, count, deadline);
    write_left(timeout, deadline, |ns| Timespec::from_ns(ns).to_bytes());
    masked.end(cx, outcome)
}

/// Writes what is left until `deadline` back; a read-only timeout is left alone, as in Linux.
fn write_left(addr: u64, deadline: Option<u64>, emit: impl Fn(u64) -> [u8; 16]) {
    if let (Some(deadline), true) = (deadline, addr != 0) {
        let _ = user::copy_out(addr, &emit(deadline.saturating_sub(now_ns())));
    }
}

/// Readiness that each of select's three sets asks for.
const SELECT: [Events; 3] = [
    READABLE.union(Events::RDBAND).union(Events::HUP).union(Events::ERR),
    WRITABLE.union(Events::WRBAND).union(Events::ERR),
    Events::PRI,
];

fn select_until(cx: &Context, count: i32, sets: [u64; 3], deadline_ns: Option<u64>) -> SysResult {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(most_select());
    let bytes = count.div_ceil(64) * 8;
    let mut inputs: [Vec<u8>; 3] = Default::default();
    for (input, &addr) in inputs.iter_mut().zip(&sets) {
        *input = alloc::vec![0; bytes];
        if addr != 0 {
            user::copy_in(addr, input)?;
        }
    }
    let is_set = |set: &[u8], fd: usize| set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 != 0);
    let mut watched = Vec::new();
    let (mut files, mut wanted) = (Vec::new(), Vec::new());
    for fd in 0..count {
        let asked: Vec<usize> = (0..3).filter(|&set| is_set(&inputs[set], fd)).collect();
        if asked.is_empty() {
            continue;
        }
        let file = cx.process.fs.table.get(fd as i32)?;
        wanted.push(asked.iter().fold(Events::empty(), |sum, &set| sum | SELECT[set]));
        files.push(Some(file));
        watched.push((fd, asked));
    }
    let mut outputs: [Vec<u8>; 3] = Default::default();
    let ready = wait_for_any(cx, &files, &wanted, deadline_ns, || {
        outputs.iter_mut().for_each(|output| *output = alloc::vec![0; bytes]);
        let mut ready = 0;
        for ((fd, asked), file) in watched.iter().zip(&files) {
            let events = file.as_ref().map_or(Events::empty(), |file| file.file().ready());
            for &set in asked {
                if events.intersects(SELECT[set])
                    && let Some(byte) = outputs[set].get_mut(fd / 8)
                {
                    *byte |= 1 << (fd % 8);
                    ready += 1;
                }
            }
        }
        ready
    })?;
    for (output, &addr) in outputs.iter().zip(&sets) {
        if addr != 0 {
            user::copy_out(addr, output)?;
        }
    }
    Ok(ready as u64)
}

/// Descriptors above the table's end are ignored, as in Linux.
fn most_select() -> usize {
    crate::process::process().fs.table.capacity()
}

/// select(2).
pub(crate) fn select(cx: &mut Context, count: i32, read: u64, write: u64, except: u64, timeout: u64) -> SysResult {
    let deadline = if timeout == 0 {
        None
    } else {
        let value: Timeval = user::read_struct(timeout)?;
        if value.seconds < 0 || value.microseconds < 0 {
            return Err(Errno::EINVAL);
        }
        let seconds = value.seconds.cast_unsigned().saturating_mul(1_000_000_000);
        deadline_of_ns(seconds.saturating_add(value.microseconds.cast_unsigned().saturating_mul(1000)))?
    };
    let outcome = select_until(cx, count, [read, write, except], deadline);
    write_left(timeout, deadline, |ns| Timeval::from_ns(ns).to_bytes());
    outcome
}

/// pselect6(2): the sixth argument points to the mask's address and size.
pub(crate) fn pselect6(
    cx: &mut Context,
    count: i32,
    read: u64,
    write: u64,
    except: u64,
    timeout: u64,
    mask: u64,
) -> SysResult {
    let deadline = deadline_of_timespec(timeout)?;
    let [mask, size]: [u64; 2] = if mask == 0 { [0, 0] } else { user::read_struct(mask)? };
    let masked = TemporaryMask::read(cx, mask, usize::try_from(size).unwrap_or(usize::MAX))?;
    let outcome = select_until(cx, count, [read, write, except], deadline);
    write_left(timeout, deadline, |ns| Timespec::from_ns(ns).to_bytes());
    masked.end(cx, outcome)
}
