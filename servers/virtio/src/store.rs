//! What of a device outlives its driver task: queue memory, and the holds on memory under transfer.
//!
//! A driver may be killed at any instruction and its arena dropped without a destructor. Frames that the
//! device may still write are therefore held here, in memory made at boot, and let go only when the
//! device has returned them or has confirmed a reset (DESIGN section 2, rule 8).

use crate::area::Area;
use crate::memory::Hold;
use crate::ring::{DESCRIPTOR, Layout, Ring};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use microkernel::sync::CoreSection;

/// What the transfers of a queue look like; fixed per kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Most bytes of the driver's own data per transfer (headers, status), both directions together.
    pub side: usize,
    /// Most contiguous pieces of one transfer, the driver's own included.
    pub pieces: u16,
    /// Most segments of one transfer.
    pub segments: usize,
    /// Descriptors wanted where the driver may choose.
    pub depth: u16,
    /// Whether slots are to have tables, so that each transfer takes one descriptor of the ring.
    pub tables: bool,
}

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const FULL: u8 = 2;

/// A place for one [`Hold`] that is sound whoever comes when. Both ways are core sections, so that no driver dies
/// half-way.
pub(crate) struct HoldCell {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<Hold>>,
}

// SAFETY: `value` is touched only between a successful EMPTY -> BUSY or FULL -> BUSY exchange and the
// store that ends BUSY, so by one thread at a time; `Hold` may be dropped on any thread.
unsafe impl Sync for HoldCell {}
// SAFETY: as for `Sync`.
unsafe impl Send for HoldCell {}

impl HoldCell {
    fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Whether a hold can be put.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.load(Ordering::Acquire) == EMPTY
    }

    /// Puts a hold; gives it back when there is one already.
    pub(crate) fn put(&self, hold: Hold) -> Result<(), Hold> {
        let _section = CoreSection::enter();
        if self.state.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(hold);
        }
        // SAFETY: the exchange gave this thread the only access to `value`.
        unsafe { (*self.value.get()).write(hold) };
        self.state.store(FULL, Ordering::Release);
        Ok(())
    }

    /// Lets go of the hold, if there is one.
    pub(crate) fn clear(&self) {
        let _section = CoreSection::enter();
        if self.state.compare_exchange(FULL, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: the exchange gave this thread the only access to `value`, and FULL says that it is
        // initialised; it is taken out here and becomes EMPTY before anybody reads again.
        let hold = unsafe { (*self.value.get()).assume_init_read() };
        self.state.store(EMPTY, Ordering::Release);
        drop(hold);
    }
}

/// The lasting part of one queue.
pub(crate) struct QueueStore {
    /// Descriptors and rings; behind them, per slot, the driver's own data and the indirect table if
    /// there is one.
    pub area: Area,
    /// Number of descriptors, a power of two.
    pub size: u16,
    /// What transfers look like.
    pub shape: Shape,
    /// Whether each slot has an indirect table.
    pub indirect: bool,
    holds: Box<[HoldCell]>,
}

/// Bytes per slot behind the rings.
fn stride(shape: Shape, indirect: bool) -> usize {
    let table = if indirect { usize::from(shape.pieces) * DESCRIPTOR } else { 0 };
    shape.side.next_multiple_of(DESCRIPTOR) + table
}

/// Where the slots' own memory begins in a queue of `size`.
fn side_start(size: u16) -> usize {
    Layout { size }.bytes().next_multiple_of(DESCRIPTOR)
}

impl QueueStore {
    /// Memory for a queue of `size` descriptors; `area` makes areas. `None`: no memory left.
    pub(crate) fn new(shape: Shape, size: u16, indirect: bool, area: &dyn Fn(usize) -> Option<Area>) -> Option<Self> {
        let cells = usize::from(size) * shape.segments;
        Some(Self {
            area: area(side_start(size) + usize::from(size) * stride(shape, indirect))?,
            size,
            shape,
            indirect,
            holds: core::iter::repeat_with(HoldCell::new).take(cells).collect(),
        })
    }

    /// The rings.
    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring { area: &self.area, layout: Layout { size: self.size } }
    }

    /// Offset of slot `slot`'s own memory in `area`.
    pub(crate) fn side_of(&self, slot: u16) -> usize {
        side_start(self.size) + usize::from(slot) * stride(self.shape, self.indirect)
    }

    /// Offset of the indirect table of slot `slot` in `area`.
    pub(crate) fn table_of(&self, slot: u16) -> usize {
        self.side_of(slot) + self.shape.side.next_multiple_of(DESCRIPTOR)
    }

    /// The holds of slot `slot`.
    pub(crate) fn holds(&self, slot: u16) -> &[HoldCell] {
        let from = usize::from(slot) * self.shape.segments;
        self.holds.get(from..from + self.shape.segments).unwrap_or(&[])
    }

    /// Lets go of everything and empties the rings. Only after a confirmed reset.
    pub(crate) fn release_all(&self) {
        self.holds.iter().for_each(HoldCell::clear);
        self.area.clear();
    }
}

/// The lasting part of one device.
pub(crate) struct Store {
    /// Its queues, by number.
    pub queues: Vec<QueueStore>,
    /// Counts the drivers that took the device; an older one can do nothing any more.
    generation: AtomicU32,
}

impl Store {
    /// For these queues.
    pub(crate) fn new(queues: Vec<QueueStore>) -> Self {
        Self { queues, generation: AtomicU32::new(0) }
    }

    /// Makes the caller the one driver.
    pub(crate) fn take_over(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// The driver that took the device last.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether `generation` still drives.
    pub(crate) fn is_current(&self, generation: u32) -> bool {
        self.generation() == generation
    }

    /// Lets go of everything. Only after a confirmed reset.
    pub(crate) fn release_all(&self) {
        self.queues.iter().for_each(QueueStore::release_all);
    }
}
