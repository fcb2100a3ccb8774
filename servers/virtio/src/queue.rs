//! A queue with many scatter-gather transfers in flight, for every kind of device.
//!
//! The memory that the device sees, and the holds that keep lent frames in place, are in a
//! [`QueueStore`]; here is the driver's own record of what it handed out, which the device cannot touch.
//! What comes back is checked against it: an unknown chain or an impossible length is [`Broken`].

use crate::memory;
use crate::ring::{Piece, write_descriptor, write_indirect};
use crate::store::QueueStore;
use alloc::boxed::Box;
use alloc::vec::Vec;
use microkernel::sync::CoreSection;
use rt::device::{DeviceError, Segment, Tag};

/// The device broke the rules of the queue and must be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Transfers under way that are few: their end may wait until somebody looks.
const FEW: u16 = 16;

/// What stands in the first byte of a trailer that the device did not write.
const UNWRITTEN: u8 = 0xff;

/// One transfer: what the device reads, then what it writes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chain<'a> {
    /// Bytes of the driver's own in front, read by the device.
    pub header: &'a [u8],
    /// Memory that the device reads.
    pub output: &'a [Segment],
    /// Bytes of the driver's own that the device writes first.
    pub lead: u16,
    /// Memory that the device writes.
    pub input: &'a [Segment],
    /// Bytes of the driver's own that the device writes last.
    pub trail: u16,
}

/// A transfer that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Which one.
    pub tag: Tag,
    /// Bytes that the device wrote, its parts in the driver's own memory included; 0 when lost.
    pub written: usize,
    /// First byte of the trailing own data; 0 if there is none.
    pub trail: u8,
    /// The device failed before it was done.
    pub lost: bool,
}

/// The driver's record of one descriptor, and of the transfer that starts there.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The next descriptor of the same chain.
    next: Option<u16>,
    /// A transfer starts here.
    in_flight: bool,
    /// Bytes that the device may write.
    capacity: usize,
    /// Offset of the trailing own data within the slot's side memory.
    trail_at: Option<usize>,
}

/// Driver side of one queue. The store is passed to every call: it belongs to the device, not to the driver.
pub(crate) struct Queue {
    slots: Box<[Slot]>,
    /// Unused descriptors.
    free: Vec<u16>,
    /// Pieces of the transfer being built; kept to avoid an allocation each time.
    pieces: Vec<Piece>,
    in_flight: u16,
    /// Count of chains offered, modulo 2^16.
    offered: u16,
    /// `offered` when the device was last told.
    announced: u16,
    /// Count of chains taken back, modulo 2^16.
    taken: u16,
    /// Most bytes of one piece.
    piece_limit: u32,
    event_index: bool,
}

impl Queue {
    /// An idle queue over a store that was just released.
    pub(crate) fn new(store: &QueueStore, event_index: bool) -> Self {
        let usable = |slot: &u16| store.holds(*slot).iter().all(|cell| cell.is_empty());
        Self {
            slots: (0..store.size).map(|_| Slot::default()).collect(),
            free: (0..store.size).rev().filter(usable).collect(),
            pieces: Vec::with_capacity(usize::from(store.shape.pieces)),
            in_flight: 0,
            offered: 0,
            announced: 0,
            taken: 0,
            piece_limit: u32::MAX,
            event_index,
        }
    }

    /// Splits pieces so that none is longer than `bytes`.
    pub(crate) fn limit_pieces(&mut self, bytes: u32) {
        self.piece_limit = bytes.max(1);
    }

    /// Hands a transfer to the device, which sees it at the next notification or before.
    ///
    /// Errors: `Full`, `BadMemory`, `BadRequest` (nothing to transfer, or too many segments or pieces).
    pub(crate) fn submit(&mut self, store: &QueueStore, chain: &Chain<'_>) -> Result<Tag, DeviceError> {
        let side = chain.header.len() + usize::from(chain.lead) + usize::from(chain.trail);
        if chain.output.len() + chain.input.len() > store.shape.segments || side > store.shape.side {
            return Err(DeviceError::BadRequest);
        }
        let slot = *self.free.last().ok_or(DeviceError::Full)?;
        let built = self.gather(store, slot, chain).and_then(|()| self.reserve(store));
        if let Err(error) = built {
            store.holds(slot).iter().for_each(|cell| cell.clear());
            return Err(error);
        }
        store.area.store_bytes(store.side_of(slot), chain.header);
        if chain.trail > 0 {
            let trail_at = store.side_of(slot) + chain.header.len() + usize::from(chain.lead);
            store.area.store_bytes(trail_at, &[UNWRITTEN]);
        }
        self.describe(store);
        self.record(slot, chain);
        store.ring().offer(self.offered, slot);
        self.offered = self.offered.wrapping_add(1);
        self.in_flight += 1;
        Ok(slot)
    }

    /// Collects the pieces of `chain`, and holds its memory in the cells of `slot`.
    fn gather(&mut self, store: &QueueStore, slot: u16, chain: &Chain<'_>) -> Result<(), DeviceError> {
        let own = store.area.address() + store.side_of(slot) as u64;
        let limit = usize::from(store.shape.pieces);
        let mut list = Pieces { list: &mut self.pieces, limit, piece_limit: self.piece_limit, fits: true, join: false };
        list.list.clear();
        list.add_own(own, chain.header.len(), false);
        let lead_at = own + chain.header.len() as u64;
        let mut cells = store.holds(slot).iter();
        for (segments, device_writes) in [(chain.output, false), (chain.input, true)] {
            if device_writes {
                list.add_own(lead_at, usize::from(chain.lead), true);
            }
            for segment in segments.iter().filter(|segment| segment.len > 0) {
                // A driver is not killed between taking the hold and putting it where its successor finds it.
                let _section = CoreSection::enter();
                let hold = memory::hold(segment, device_writes, &mut |address, len| {
                    list.add(address, len, device_writes);
                })?;
                let cell = cells.next().ok_or(DeviceError::BadRequest)?;
                cell.put(hold).map_err(|_| DeviceError::Full)?;
            }
        }
        list.add_own(lead_at + u64::from(chain.lead), usize::from(chain.trail), true);
        if !list.fits || list.list.is_empty() {
            return Err(DeviceError::BadRequest);
        }
        Ok(())
    }

    /// Checks that there are descriptors for the collected pieces.
    fn reserve(&self, store: &QueueStore) -> Result<(), DeviceError> {
        let needed = if self.goes_indirect(store) { 1 } else { self.pieces.len() };
        if needed > usize::from(store.size) {
            return Err(DeviceError::BadRequest);
        }
        if needed > self.free.len() {
            return Err(DeviceError::Full);
        }
        Ok(())
    }

    fn goes_indirect(&self, store: &QueueStore) -> bool {
        store.indirect && self.pieces.len() > 1
    }

    /// Takes descriptors from the free list and fills them with the collected pieces.
    fn describe(&mut self, store: &QueueStore) {
        if self.goes_indirect(store) {
            let Some(head) = self.free.pop() else { return };
            let table = store.table_of(head);
            let count = self.pieces.len() as u16;
            for (index, piece) in (0..count).zip(&self.pieces) {
                let next = (index + 1 < count).then_some(index + 1);
                write_descriptor(&store.area, table, index, *piece, next);
            }
            let address = store.area.address() + table as u64;
            let len = u32::from(count) * crate::ring::DESCRIPTOR as u32;
            write_indirect(&store.area, head, Piece { address, len, device_writes: false });
            self.link(head, None);
            return;
        }
        for index in 0..self.pieces.len() {
            let Some(descriptor) = self.free.pop() else { return };
            let more = index + 1 < self.pieces.len();
            let next = if more { self.free.last().copied() } else { None };
            write_descriptor(&store.area, 0, descriptor, self.pieces[index], next);
            self.link(descriptor, next);
        }
    }

    fn link(&mut self, descriptor: u16, next: Option<u16>) {
        if let Some(slot) = self.slots.get_mut(usize::from(descriptor)) {
            *slot = Slot { next, ..Slot::default() };
        }
    }

    /// Notes what the device may do with the transfer that starts at `head`.
    fn record(&mut self, head: u16, chain: &Chain<'_>) {
        let writable = self.pieces.iter().filter(|piece| piece.device_writes);
        let capacity = writable.map(|piece| piece.len as usize).sum();
        let trail_at = chain.header.len() + usize::from(chain.lead);
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            slot.in_flight = true;
            slot.capacity = capacity;
            slot.trail_at = (chain.trail > 0).then_some(trail_at);
        }
    }

    /// Whether the device wants to be told about what was submitted since the last call.
    pub(crate) fn needs_notification(&mut self, store: &QueueStore) -> bool {
        if self.announced == self.offered {
            return false;
        }
        let old = core::mem::replace(&mut self.announced, self.offered);
        store.ring().wants_notification(old, self.offered, self.event_index)
    }

    /// Takes back one transfer that the device has finished. When there is none, the next one interrupts.
    pub(crate) fn complete(&mut self, store: &QueueStore) -> Result<Option<Completion>, Broken> {
        self.complete_after(store, Some(0))
    }

    /// As [`Queue::complete`], but for transfers whose end is not urgent: the device interrupts when half of them are done,
    /// and not at all while they are few.
    pub(crate) fn complete_lazily(&mut self, store: &QueueStore) -> Result<Option<Completion>, Broken> {
        self.complete_after(store, (self.in_flight >= FEW).then_some(self.in_flight / 2))
    }

    /// Takes back one transfer; when there is none, the device interrupts after `more` others (`None`: as it likes).
    fn complete_after(&mut self, store: &QueueStore, more: Option<u16>) -> Result<Option<Completion>, Broken> {
        let ring = store.ring();
        if ring.used_index() == self.taken {
            let Some(more) = more.filter(|_| self.event_index) else { return Ok(None) };
            ring.want_interrupt_at(self.taken.wrapping_add(more));
            if ring.used_index() == self.taken {
                return Ok(None);
            }
        }
        if ring.used_index().wrapping_sub(self.taken) > self.in_flight {
            return Err(Broken);
        }
        let (id, written) = ring.used(self.taken);
        let completion = self.take_back(store, id, written).ok_or(Broken)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(completion))
    }

    /// Checks what the device says about a transfer and frees what it used.
    fn take_back(&mut self, store: &QueueStore, id: u32, written: u32) -> Option<Completion> {
        let head = u16::try_from(id).ok()?;
        let slot = *self.slots.get(usize::from(head))?;
        let written = written as usize;
        if !slot.in_flight || written > slot.capacity {
            return None;
        }
        let mut trail = [0];
        if let Some(at) = slot.trail_at {
            store.area.load_bytes(store.side_of(head) + at, &mut trail);
        }
        self.recycle(store, head);
        Some(Completion { tag: head, written, trail: trail[0], lost: false })
    }

    /// Lets go of the memory of a transfer and frees its descriptors.
    fn recycle(&mut self, store: &QueueStore, head: u16) {
        store.holds(head).iter().for_each(|cell| cell.clear());
        self.in_flight = self.in_flight.saturating_sub(1);
        let mut next = Some(head);
        while let Some(descriptor) = next {
            let Some(slot) = self.slots.get_mut(usize::from(descriptor)) else { return };
            next = core::mem::take(slot).next;
            self.free.push(descriptor);
        }
    }

    /// Copies what the device wrote into the driver's own memory in front of the segments.
    /// Good until the next submission after the transfer's completion.
    pub(crate) fn lead(&self, store: &QueueStore, tag: Tag, out: &mut [u8]) {
        store.area.load_bytes(store.side_of(tag), out);
    }

    /// The tags of all transfers under way. For use after a reset.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = Tag> + '_ {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.in_flight).map(|(tag, _)| tag)
    }
}

/// Joins neighbouring pieces and keeps within the limits while a transfer is built.
struct Pieces<'a> {
    list: &'a mut Vec<Piece>,
    limit: usize,
    piece_limit: u32,
    fits: bool,
    /// Whether the next piece may be joined to the last one.
    join: bool,
}

impl Pieces<'_> {
    /// Adds the driver's own memory, always a piece of its own: old devices find headers by that
    /// (VIRTIO 1.2 section 2.7.4.1).
    fn add_own(&mut self, address: u64, len: usize, device_writes: bool) {
        self.join = false;
        self.add(address, len, device_writes);
        self.join = false;
    }

    fn add(&mut self, mut address: u64, mut len: usize, device_writes: bool) {
        if let Some(last) = self.list.last_mut().filter(|_| self.join) {
            let room = self.piece_limit.saturating_sub(last.len) as usize;
            let adjacent = last.address.checked_add(u64::from(last.len)) == Some(address);
            if adjacent && last.device_writes == device_writes && len <= room {
                last.len += len as u32;
                return;
            }
        }
        while len > 0 {
            if self.list.len() >= self.limit {
                self.fits = false;
                return;
            }
            let part = len.min(self.piece_limit as usize);
            self.list.push(Piece { address, len: part as u32, device_writes });
            address = address.wrapping_add(part as u64);
            len -= part;
        }
        self.join = true;
    }
}

#[cfg(test)]
mod tests;
