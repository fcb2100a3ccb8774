//! The split virtqueue in shared memory (VIRTIO 1.2 section 2.7): where its parts lie and how they are
//! read and written. Which descriptor belongs to whom is the business of [`queue`](crate::queue).

use crate::area::{Area, PAGE};
use microkernel::device::memory_barrier;

/// Bytes of one descriptor.
pub(crate) const DESCRIPTOR: usize = 16;

/// The chain goes on at `next`.
const FLAG_NEXT: u16 = 1;
/// The device writes this piece.
const FLAG_WRITE: u16 = 2;
/// The piece is a table of descriptors.
const FLAG_INDIRECT: u16 = 4;
/// In `used.flags`: the device wants no notification.
const USED_NO_NOTIFY: u16 = 1;

/// One contiguous piece of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Bus address.
    pub address: u64,
    /// Bytes.
    pub len: u32,
    /// The device writes it.
    pub device_writes: bool,
}

/// Where the three parts of a queue of `size` descriptors lie within one contiguous area.
///
/// Legacy devices want exactly this layout (section 2.7.2: used ring on the next page); modern ones
/// take any, so there is only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Number of descriptors.
    pub size: u16,
}

impl Layout {
    /// Offset of the available ring.
    pub(crate) fn available(self) -> usize {
        DESCRIPTOR * usize::from(self.size)
    }

    /// Offset of the used ring.
    pub(crate) fn used(self) -> usize {
        (self.available() + 6 + 2 * usize::from(self.size)).next_multiple_of(PAGE)
    }

    /// Bytes in all.
    pub(crate) fn bytes(self) -> usize {
        self.used() + 6 + 8 * usize::from(self.size)
    }

    fn mask(self) -> u16 {
        self.size - 1
    }

    /// Offset of `avail.ring[index]`.
    fn available_entry(self, index: u16) -> usize {
        self.available() + 4 + 2 * usize::from(index & self.mask())
    }

    /// Offset of `avail.used_event`.
    fn used_event(self) -> usize {
        self.available() + 4 + 2 * usize::from(self.size)
    }

    /// Offset of `used.ring[index]`.
    fn used_entry(self, index: u16) -> usize {
        self.used() + 4 + 8 * usize::from(index & self.mask())
    }

    /// Offset of `used.avail_event`.
    fn available_event(self) -> usize {
        self.used() + 4 + 8 * usize::from(self.size)
    }
}

/// View of the shared memory of one queue.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    /// The memory, at least [`Layout::bytes`] long.
    pub area: &'a Area,
    /// Its parts.
    pub layout: Layout,
}

/// Writes one descriptor into a table that starts at `table`.
pub(crate) fn write_descriptor(area: &Area, table: usize, index: u16, piece: Piece, next: Option<u16>) {
    let flags = next.map_or(0, |_| FLAG_NEXT) | if piece.device_writes { FLAG_WRITE } else { 0 };
    write_raw(area, table, index, piece, flags, next.unwrap_or(0));
}

/// Writes the one descriptor that refers to a table of descriptors.
pub(crate) fn write_indirect(area: &Area, index: u16, table: Piece) {
    write_raw(area, 0, index, table, FLAG_INDIRECT, 0);
}

fn write_raw(area: &Area, table: usize, index: u16, piece: Piece, flags: u16, next: u16) {
    let at = table + DESCRIPTOR * usize::from(index);
    area.store_u64(at, piece.address);
    area.store_u32(at + 8, piece.len);
    area.store_u16(at + 12, flags);
    area.store_u16(at + 14, next);
}

impl Ring<'_> {
    /// Puts a chain at place `index` of the available ring and shows it to the device.
    pub(crate) fn offer(self, index: u16, head: u16) {
        self.area.store_u16(self.layout.available_entry(index), head);
        // The store of the index releases descriptors and entry to the device.
        self.area.store_u16(self.layout.available() + 2, index.wrapping_add(1));
    }

    /// The device's count of finished chains.
    pub(crate) fn used_index(self) -> u16 {
        self.area.load_u16(self.layout.used() + 2)
    }

    /// The finished chain at place `index`: its head and the number of bytes written.
    pub(crate) fn used(self, index: u16) -> (u32, u32) {
        let at = self.layout.used_entry(index);
        (self.area.load_u32(at), self.area.load_u32(at + 4))
    }

    /// Asks for an interrupt when the device has finished chain `index` (with EVENT_IDX).
    pub(crate) fn want_interrupt_at(self, index: u16) {
        self.area.store_u16(self.layout.used_event(), index);
        // The device must see the wish before the caller looks at the used index once more.
        memory_barrier();
    }

    /// Whether the device must be told about chains `old..new` (section 2.7.10).
    pub(crate) fn wants_notification(self, old: u16, new: u16, event_index: bool) -> bool {
        // The device must see the new available index before its wish is read.
        memory_barrier();
        if !event_index {
            return self.area.load_u16(self.layout.used()) & USED_NO_NOTIFY == 0;
        }
        let event = self.area.load_u16(self.layout.available_event());
        new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_used_ring_starts_on_a_page_of_its_own() {
        let layout = Layout { size: 256 };
        assert_eq!(layout.available(), 4096);
        assert_eq!(layout.used(), 8192);
        assert_eq!(layout.bytes(), 8192 + 6 + 2048);
        assert_eq!(Layout { size: 8 }.used(), 4096);
    }

    #[test]
    fn a_notification_is_due_when_the_event_index_is_passed_also_across_the_wrap() {
        let area = Area::on_host(Layout { size: 4 }.bytes());
        let ring = Ring { area: &area, layout: Layout { size: 4 } };
        area.store_u16(ring.layout.available_event(), 0xffff);
        assert!(ring.wants_notification(0xfffe, 0, true));
        assert!(!ring.wants_notification(0, 2, true));
        area.store_u16(ring.layout.available_event(), 1);
        assert!(ring.wants_notification(0, 2, true));
        assert!(!ring.wants_notification(0, 1, true));
    }

    #[test]
    fn without_event_index_the_flag_decides() {
        let area = Area::on_host(Layout { size: 4 }.bytes());
        let ring = Ring { area: &area, layout: Layout { size: 4 } };
        assert!(ring.wants_notification(0, 1, false));
        area.store_u16(ring.layout.used(), USED_NO_NOTIFY);
        assert!(!ring.wants_notification(0, 1, false));
    }
}
