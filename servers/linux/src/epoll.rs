//! epoll(7): a set of watched descriptions and a list of those that may be ready.
//!
//! Each [`Item`] hangs as a hook on the wait queue of its file and puts itself on the set's ready list when something of
//! interest happens, so that epoll_wait(2) looks only at candidates. A level-triggered item goes back to the end of the list
//! after it was reported; an edge-triggered one waits for the next event.
//!
//! Locks, in order: `items`, a file's wait queue, `ready`, the set's own wait queue. A file's readiness is asked for with none of them held but `items`.

use crate::block::{bits, wait_restartable};
use crate::context::{Context, SysResult};
use crate::fs::description::{File, OpenFile};
use crate::fs::node::{Kind, Result};
use crate::fs::special::anonymous;
use crate::poll::{TemporaryMask, deadline_of_ms, deadline_of_timespec};
use crate::user;
use crate::wait::{ALWAYS, Hook, READABLE, Sharing, Slot, WaitQueue};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use linux_abi::file::{EpollEvent, Events, OpenFlags, epoll};
use linux_abi::{Errno, Layout};
use spin::Mutex;

/// Most events of one call (`EP_MAX_EVENTS`).
const MOST_EVENTS: usize = i32::MAX as usize / EpollEvent::BYTES;
/// Deepest nesting of sets (`EP_MAX_NESTS`).
const MOST_NESTED: u32 = 4;
/// How an item behaves, besides what it wants to hear of.
const BEHAVIOUR: Events = Events::EXCLUSIVE.union(Events::WAKEUP).union(Events::ONESHOT).union(Events::EDGE);

/// Names an item: number and description, as both together are watched.
type Key = (i32, usize);

/// One watched description.
pub(crate) struct Item {
    set: Weak<Epoll>,
    key: Key,
    file: Weak<OpenFile>,
    slot: Mutex<Option<Slot>>,
    wanted: AtomicU32,
    data: AtomicU64,
    /// It is on the ready list.
    listed: AtomicBool,
}

impl Item {
    fn wanted(&self) -> Events {
        Events::from_bits_retain(self.wanted.load(Ordering::Acquire))
    }

    /// What of the readiness is to be reported; nothing for an item that reported once and is not armed again.
    fn report(&self) -> Events {
        let wanted = self.wanted();
        if wanted.difference(BEHAVIOUR).is_empty() && wanted.contains(Events::ONESHOT) {
            return Events::empty();
        }
        let Some(file) = self.file.upgrade() else { return Events::empty() };
        file.file().ready().intersection(wanted.difference(BEHAVIOUR) | ALWAYS)
    }

    /// The description has gone; called by its destructor.
    pub(crate) fn closed(&self, file: &dyn File) {
        self.unhook(file);
        if let Some(set) = self.set.upgrade() {
            let gone = set.items.lock().remove(&self.key);
            drop(gone);
        }
    }

    fn unhook(&self, file: &dyn File) {
        let slot = self.slot.lock().take();
        if let (Some(slot), Some(queue)) = (slot, file.queue()) {
            queue.leave(slot);
        }
    }
}

/// The hook of an item; separate, so that the item knows itself.
struct ItemHook(Weak<Item>);

impl Hook for ItemHook {
    fn fire(&self, _key: u64, events: Events) -> bool {
        let Some(item) = self.0.upgrade() else { return false };
        let wanted = item.wanted();
        let armed = !(wanted.difference(BEHAVIOUR).is_empty() && wanted.contains(Events::ONESHOT));
        if !armed || !events.intersects(wanted | ALWAYS) {
            return false;
        }
        match item.set.upgrade() {
            Some(set) => set.list(item),
            None => false,
        }
    }
}

/// An epoll set.
#[derive(Default)]
pub(crate) struct Epoll {
    items: Mutex<BTreeMap<Key, Arc<Item>>>,
    ready: Mutex<VecDeque<Arc<Item>>>,
    queue: WaitQueue,
}

impl Epoll {
    /// Puts an item on the ready list and wakes a waiter; `false` if it was there already.
    fn list(&self, item: Arc<Item>) -> bool {
        if item.listed.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.ready.lock().push_back(item);
        self.queue.wake(READABLE);
        true
    }

    /// Up to `most` reports; level-triggered items go back on the list.
    fn collect(&self, most: usize) -> Vec<EpollEvent> {
        let mut reports = Vec::new();
        let mut again = Vec::new();
        let mut left = self.ready.lock().len();
        while reports.len() < most && left > 0 {
            left -= 1;
            let Some(item) = self.ready.lock().pop_front() else { break };
            // Off the list before the look, so that an event meanwhile puts it back.
            item.listed.store(false, Ordering::Release);
            let events = item.report();
            if events.is_empty() {
                continue;
            }
            let wanted = item.wanted();
            reports.push(EpollEvent { events: events.bits(), data: item.data.load(Ordering::Acquire) });
            if wanted.contains(Events::ONESHOT) {
                item.wanted.store(wanted.intersection(BEHAVIOUR).bits(), Ordering::Release);
            } else if !wanted.contains(Events::EDGE) {
                again.push(item);
            }
        }
        if !again.is_empty() {
            let mut ready = self.ready.lock();
            for item in again {
                if !item.listed.swap(true, Ordering::AcqRel) {
                    ready.push_back(item);
                }
            }
        }
        reports
    }

    /// Whether another waiter should look too.
    fn has_more(&self) -> bool {
        !self.ready.lock().is_empty()
    }

    /// Whether `other` is this set or watches it, over at most [`MOST_NESTED`] levels. Errors: `ELOOP` (deeper, or a circle).
    fn check_nesting(&self, other: &Self, depth: u32) -> Result<()> {
        if core::ptr::eq(self, other) || depth > MOST_NESTED {
            return Err(Errno::ELOOP);
        }
        let inner: Vec<Arc<Item>> = other.items.lock().values().cloned().collect();
        for item in inner {
            if let Some(file) = item.file.upgrade()
                && let Some(nested) = file.is::<Self>()
            {
                self.check_nesting(nested, depth + 1)?;
            }
        }
        Ok(())
    }
}

impl File for Epoll {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_epoll(self: Arc<Self>) -> Option<Arc<Epoll>> {
        Some(self)
    }
    fn ready(&self) -> Events {
        let listed: Vec<Arc<Item>> = self.ready.lock().iter().cloned().collect();
        if listed.iter().any(|item| !item.report().is_empty()) { READABLE } else { Events::empty() }
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for item in core::mem::take(self.items.get_mut()).into_values() {
            if let Some(file) = item.file.upgrade() {
                item.unhook(&**file.file());
            }
        }
    }
}

/// epoll_create1(2).
pub(crate) fn epoll_create1(cx: &mut Context, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    if !OpenFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let open = anonymous(Arc::new(Epoll::default()), Kind::File, "[eventpoll]", OpenFlags::READ_WRITE);
    Ok(cx.process.fs.install(open, flags.contains(OpenFlags::CLOEXEC))? as u64)
}

/// epoll_create(2).
pub(crate) fn epoll_create(cx: &mut Context, size: i32) -> SysResult {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(cx, 0) }
}

/// epoll_ctl(2).
pub(crate) fn epoll_ctl(cx: &mut Context, set_fd: i32, operation: i32, fd: i32, event: u64) -> SysResult {
    let event: EpollEvent = if operation == epoll::DEL { EpollEvent::default() } else { user::read_struct(event)? };
    let set_file = cx.process.fs.table.get(set_fd)?;
    let file = cx.process.fs.table.get(fd)?;
    file.usable()?;
    if file.file().queue().is_none() {
        return Err(Errno::EPERM);
    }
    let set = epoll_of(&set_file)?;
    if Arc::ptr_eq(&set_file, &file) {
        return Err(Errno::EINVAL);
    }
    let wanted = Events::from_bits_retain(event.events);
    let key = (fd, Arc::as_ptr(&file) as usize);
    match operation {
        epoll::ADD => add(&set, &file, key, wanted, event.data),
        epoll::MOD => modify(&set, key, wanted, event.data),
        epoll::DEL => {
            let item = set.items.lock().remove(&key).ok_or(Errno::ENOENT)?;
            item.unhook(&**file.file());
            item.wanted.store(Events::ONESHOT.bits(), Ordering::Release);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The set behind a description. Errors: `EINVAL`.
fn epoll_of(file: &OpenFile) -> Result<Arc<Epoll>> {
    file.file().clone().into_epoll().ok_or(Errno::EINVAL)
}

fn add(set: &Arc<Epoll>, file: &Arc<OpenFile>, key: Key, wanted: Events, data: u64) -> SysResult {
    const WITH_EXCLUSIVE: Events =
        Events::IN.union(Events::OUT).union(ALWAYS).union(Events::WAKEUP).union(Events::EDGE).union(Events::EXCLUSIVE);
    let exclusive = wanted.contains(Events::EXCLUSIVE);
    let nested = file.is::<Epoll>();
    if exclusive && (nested.is_some() || !WITH_EXCLUSIVE.contains(wanted)) {
        return Err(Errno::EINVAL);
    }
    if let Some(nested) = nested {
        set.check_nesting(nested, 0)?;
    }
    let item = Arc::new(Item {
        set: Arc::downgrade(set),
        key,
        file: Arc::downgrade(file),
        slot: Mutex::new(None),
        wanted: AtomicU32::new(wanted.bits()),
        data: AtomicU64::new(data),
        listed: AtomicBool::new(false),
    });
    {
        let mut items = set.items.lock();
        if items.contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        items.insert(key, item.clone());
    }
    let sharing = if exclusive { Sharing::Exclusive } else { Sharing::Shared };
    if let Some(queue) = file.file().queue() {
        let hook = Arc::new(ItemHook(Arc::downgrade(&item)));
        *item.slot.lock() = Some(queue.join_hook(hook, 0, Events::all(), sharing));
    }
    file.watched_by(&item);
    if !item.report().is_empty() {
        set.list(item);
    }
    Ok(0)
}

fn modify(set: &Arc<Epoll>, key: Key, wanted: Events, data: u64) -> SysResult {
    if wanted.contains(Events::EXCLUSIVE) {
        return Err(Errno::EINVAL);
    }
    let item = set.items.lock().get(&key).cloned().ok_or(Errno::ENOENT)?;
    if item.wanted().contains(Events::EXCLUSIVE) {
        return Err(Errno::EINVAL);
    }
    item.data.store(data, Ordering::Release);
    item.wanted.store(wanted.bits(), Ordering::Release);
    if !item.report().is_empty() {
        set.list(item);
    }
    Ok(0)
}

/// Waits for reports until `deadline_ns`. Errors: `EINVAL`, `EFAULT`, `EINTR`.
fn wait(cx: &Context, set_fd: i32, events: u64, most: i32, deadline_ns: Option<u64>) -> SysResult {
    let most = usize::try_from(most).ok().filter(|&most| most > 0 && most <= MOST_EVENTS).ok_or(Errno::EINVAL)?;
    user::writable(events, most * EpollEvent::BYTES)?;
    let file = cx.process.fs.table.get(set_fd)?;
    let set = epoll_of(&file)?;
    let mut reports = set.collect(most);
    if reports.is_empty() && deadline_ns != Some(0) {
        let joined = set.queue.join_as(READABLE, Sharing::Exclusive);
        reports = loop {
            let reports = set.collect(most);
            if !reports.is_empty() {
                break reports;
            }
            match wait_restartable(cx, bits::QUEUE, deadline_ns) {
                Ok(true) => {}
                Ok(false) => break set.collect(most),
                Err(_) => return Err(Errno::EINTR),
            }
        };
        drop(joined);
    }
    if set.has_more() {
        set.queue.wake(READABLE);
    }
    let mut bytes = alloc::vec![0; reports.len() * EpollEvent::BYTES];
    for (report, out) in reports.iter().zip(bytes.chunks_exact_mut(EpollEvent::BYTES)) {
        report.put(out);
    }
    user::copy_out(events, &bytes)?;
    Ok(reports.len() as u64)
}

/// epoll_wait(2).
pub(crate) fn epoll_wait(cx: &mut Context, set: i32, events: u64, most: i32, timeout_ms: i32) -> SysResult {
    wait(cx, set, events, most, deadline_of_ms(timeout_ms))
}

/// epoll_pwait(2).
pub(crate) fn epoll_pwait(
    cx: &mut Context,
    set: i32,
    events: u64,
    most: i32,
    timeout_ms: i32,
    mask: u64,
    size: usize,
) -> SysResult {
    let masked = TemporaryMask::read(cx, mask, size)?;
    let outcome = wait(cx, set, events, most, deadline_of_ms(timeout_ms));
    masked.end(cx, outcome)
}

/// epoll_pwait2(2).
pub(crate) fn epoll_pwait2(
    cx: &mut Context,
    set: i32,
    events: u64,
    most: i32,
    timeout: u64,
    mask: u64,
    size: usize,
) -> SysResult {
    let deadline = deadline_of_timespec(timeout)?;
    let masked = TemporaryMask::read(cx, mask, size)?;
    let outcome = wait(cx, set, events, most, deadline);
    masked.end(cx, outcome)
}
