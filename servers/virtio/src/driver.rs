//! What all drivers have in common: taking a device over, its queues, its failure, its end.

use crate::queue::{Broken, Chain, Completion, Queue};
use crate::store::{QueueStore, Store};
use crate::transport::{self, Areas, Transport, status};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use rt::device::{DeviceError, Tag};

/// Feature bits of the queue and the interface (VIRTIO 1.2 section 6).
pub(crate) mod feature {
    /// Old: any layout of headers. New devices always allow it.
    pub(crate) const ANY_LAYOUT: u64 = 1 << 27;
    /// Tables of descriptors.
    pub(crate) const INDIRECT: u64 = 1 << 28;
    /// Notifications and interrupts by index.
    pub(crate) const EVENT_INDEX: u64 = 1 << 29;
    /// VIRTIO 1.0 or later.
    pub(crate) const VERSION_1: u64 = 1 << 32;
    /// Memory accesses may be restricted; without an IOMMU driver it is taken as "not restricted".
    pub(crate) const ACCESS_PLATFORM: u64 = 1 << 33;

    /// Those that every driver here takes.
    pub(crate) const COMMON: u64 = ANY_LAYOUT | INDIRECT | EVENT_INDEX | VERSION_1;
}

/// Why a device could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is of another kind.
    WrongKind,
    /// It does not answer, or did not confirm a reset.
    NoAnswer,
    /// It did not accept the features that we can use.
    Features,
    /// It lacks a queue, or one could not be set up.
    Queue,
    /// Its interrupt could not be bound to the thread.
    Interrupt,
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::WrongKind => "the device is of another kind",
            Self::NoAnswer => "the device does not answer or did not confirm a reset",
            Self::Features => "the device refuses the features that this driver can use",
            Self::Queue => "a queue of the device could not be set up",
            Self::Interrupt => "the interrupt of the device could not be bound",
        })
    }
}

/// Lets the next interrupt of a device through.
pub(crate) trait Interrupts {
    /// Directs interrupts at a notification bit of the calling thread. `false`: not possible.
    fn bind(&self, bit: u8) -> bool;
    /// After an interrupt of a level-triggered line.
    fn acknowledge(&self);
}

/// The lasting parts of a device that a driver works with.
#[derive(Clone)]
pub(crate) struct Parts {
    /// Queue memory and holds.
    pub store: Arc<Store>,
    /// The device's interrupt.
    pub interrupts: Arc<dyn Interrupts + Send + Sync>,
}

/// A device in the hands of one driver.
pub(crate) struct Driver {
    parts: Parts,
    transport: Box<dyn Transport>,
    queues: Box<[Queue]>,
    generation: u32,
    /// Features agreed on.
    pub features: u64,
    bit: u8,
    running: bool,
    /// Transfers that were under way when the device failed: queue and tag.
    lost: VecDeque<(usize, Tag)>,
}

impl Driver {
    /// Resets the device, lets go of what a former driver left, and agrees on features and queues.
    /// The device runs after [`Driver::start`].
    pub(crate) fn open(
        parts: Parts,
        mut transport: Box<dyn Transport>,
        wanted: u64,
        bit: u8,
    ) -> Result<Self, OpenError> {
        let generation = parts.store.take_over();
        if !transport::reset(transport.as_mut()) {
            return Err(OpenError::NoAnswer);
        }
        parts.store.release_all();
        let features = negotiate(transport.as_mut(), wanted)?;
        let event_index = features & feature::EVENT_INDEX != 0;
        let queues = parts.store.queues.iter().map(|store| Queue::new(store, event_index)).collect();
        for (number, store) in (0..).zip(&parts.store.queues) {
            let limit = transport.queue_limit(number);
            if limit < store.size || !transport.enable_queue(number, Areas::of(store)) {
                return Err(OpenError::Queue);
            }
        }
        if !parts.interrupts.bind(bit) {
            return Err(OpenError::Interrupt);
        }
        Ok(Self { parts, transport, queues, generation, features, bit, running: true, lost: VecDeque::new() })
    }

    /// Tells the device to begin.
    pub(crate) fn start(&mut self) {
        let status = self.transport.status() | status::DRIVER_OK;
        self.transport.set_status(status);
    }

    /// Whether feature bits were agreed on.
    pub(crate) fn has(&self, features: u64) -> bool {
        self.features & features == features
    }

    /// The device's registers, for its configuration.
    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// The notification bit that was bound.
    pub(crate) fn bit(&self) -> u8 {
        self.bit
    }

    /// Number of queues.
    pub(crate) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Descriptors of a queue; 0 if there is no such queue.
    pub(crate) fn depth(&self, queue: usize) -> u16 {
        self.parts.store.queues.get(queue).map_or(0, |store| store.size)
    }

    /// Whether a transfer on this queue takes a single descriptor of the ring.
    pub(crate) fn is_indirect(&self, queue: usize) -> bool {
        self.parts.store.queues.get(queue).is_some_and(|store| store.indirect)
    }

    /// Makes pieces on this queue no longer than `bytes`.
    pub(crate) fn limit_pieces(&mut self, queue: usize, bytes: u32) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.limit_pieces(bytes);
        }
    }

    fn is_mine(&self) -> bool {
        self.running && self.parts.store.is_current(self.generation)
    }

    /// Queues a transfer. Errors: as [`Queue::submit`], and `Failed` when the device has failed or was taken.
    pub(crate) fn submit(&mut self, queue: usize, chain: &Chain<'_>) -> Result<Tag, DeviceError> {
        if !self.is_mine() {
            return Err(DeviceError::Failed);
        }
        let store = self.parts.store.queues.get(queue).ok_or(DeviceError::BadRequest)?;
        let queue = self.queues.get_mut(queue).ok_or(DeviceError::BadRequest)?;
        queue.submit(store, chain)
    }

    /// Tells the device about what was queued, if it wants to know.
    pub(crate) fn kick(&mut self, queue: usize) {
        if !self.is_mine() {
            return;
        }
        let Some(store) = self.parts.store.queues.get(queue) else { return };
        if self.queues.get_mut(queue).is_some_and(|queue| queue.needs_notification(store)) {
            self.transport.notify(queue as u16);
        }
    }

    /// Queues a transfer and tells the device. Errors: as [`Driver::submit`].
    pub(crate) fn send(&mut self, queue: usize, chain: &Chain<'_>) -> Result<Tag, DeviceError> {
        let tag = self.submit(queue, chain)?;
        self.kick(queue);
        Ok(tag)
    }

    /// Takes one finished or lost transfer of a queue.
    pub(crate) fn complete(&mut self, queue: usize) -> Option<Completion> {
        self.complete_by(queue, Queue::complete)
    }

    /// As [`Driver::complete`], with fewer interrupts: see [`Queue::complete_lazily`].
    pub(crate) fn complete_lazily(&mut self, queue: usize) -> Option<Completion> {
        self.complete_by(queue, Queue::complete_lazily)
    }

    fn complete_by(
        &mut self,
        queue: usize,
        take: impl FnOnce(&mut Queue, &QueueStore) -> Result<Option<Completion>, Broken>,
    ) -> Option<Completion> {
        if self.is_mine() {
            let store = self.parts.store.queues.get(queue)?;
            match take(self.queues.get_mut(queue)?, store) {
                Ok(completion) => return completion,
                Err(Broken) => self.fail(),
            }
        }
        let place = self.lost.iter().position(|(of, _)| *of == queue)?;
        let (_, tag) = self.lost.remove(place)?;
        Some(Completion { tag, written: 0, trail: 0, lost: true })
    }

    /// Copies what the device wrote in front of the segments of a transfer that has ended.
    pub(crate) fn lead(&self, queue: usize, tag: Tag, out: &mut [u8]) {
        if let (Some(queue), Some(store)) = (self.queues.get(queue), self.parts.store.queues.get(queue)) {
            queue.lead(store, tag, out);
        }
    }

    /// Lets the next interrupt through. Returns whether the device's configuration has changed.
    pub(crate) fn acknowledge(&mut self) -> bool {
        if !self.is_mine() {
            return false;
        }
        let changed = self.transport.acknowledge();
        self.parts.interrupts.acknowledge();
        if changed && self.transport.status() & status::NEEDS_RESET != 0 {
            self.fail();
        }
        changed
    }

    /// Gives a device up that broke the rules; what was under way is reported as lost.
    fn fail(&mut self) {
        let lost: Vec<_> = (0..)
            .zip(&self.queues)
            .flat_map(|(number, queue)| queue.under_way().map(move |tag| (number, tag)))
            .collect();
        self.stop();
        self.lost.extend(lost);
    }

    /// Stops the device and gives all memory back.
    pub(crate) fn stop(&mut self) {
        self.lost.clear();
        if !self.is_mine() {
            return;
        }
        self.running = false;
        // A device that does not confirm may still write: its memory stays held until a reset succeeds.
        if transport::reset(self.transport.as_mut()) {
            self.parts.store.release_all();
        } else {
            core::mem::forget(self.parts.store.clone());
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes a device away from a driver that has died, if it still is the driver.
pub(crate) fn stop_orphan(parts: &Parts, generation: u32, mut transport: Box<dyn Transport>) {
    if parts.store.is_current(generation) {
        parts.store.take_over();
        // Without a confirmation the memory stays held, until the successor's reset succeeds.
        if transport::reset(transport.as_mut()) {
            parts.store.release_all();
        }
    }
}

/// Agrees on features (VIRTIO 1.2 section 3.1.1, steps 2 to 6).
fn negotiate(transport: &mut dyn Transport, wanted: u64) -> Result<u64, OpenError> {
    transport.set_status(status::ACKNOWLEDGE);
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
    let offered = transport.device_features();
    let features = offered & (wanted | feature::COMMON | feature::ACCESS_PLATFORM);
    transport.set_driver_features(features);
    if transport.is_legacy() {
        return Ok(features);
    }
    if features & feature::VERSION_1 == 0 {
        return Err(OpenError::Features);
    }
    let accepted = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
    transport.set_status(accepted);
    if transport.status() & status::FEATURES_OK == 0 {
        return Err(OpenError::Features);
    }
    Ok(features)
}
