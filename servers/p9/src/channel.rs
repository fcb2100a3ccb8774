//! Byte messages to the device and back: many under way, one notification of the host for all that were queued
//! together.
//!
//! [`Channel::submit`] only queues; a job of its own kicks the device once every ready handler has had its turn, so
//! that a batch of one handler, or of several, costs one exit to the host.

use crate::slot::Slot;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use rt::Runtime;
use rt::device::p9::P9Device;
use rt::device::{DeviceError, Segment};
use rt::executor::Event;

/// The device with its exchanges under way.
pub(crate) struct Channel {
    device: Rc<dyn P9Device>,
    /// By device tag.
    flights: RefCell<Vec<Option<Rc<Flight>>>>,
    under_way: Cell<usize>,
    /// Something completed: there is room again.
    room: Event,
    /// Something was queued.
    queued: Event,
    unkicked: Cell<bool>,
}

impl Channel {
    /// Takes the device over and starts the job that kicks it.
    pub(crate) fn start(runtime: &Runtime, device: Rc<dyn P9Device>) -> Rc<Self> {
        let channel = Rc::new(Self {
            device,
            flights: RefCell::default(),
            under_way: Cell::new(0),
            room: Event::default(),
            queued: Event::default(),
            unkicked: Cell::new(false),
        });
        let collector = channel.clone();
        runtime.on_bit(channel.device.bit(), move || collector.collect());
        let kicker = channel.clone();
        runtime.spawn(async move {
            loop {
                let more = kicker.queued.wait();
                if kicker.unkicked.replace(false) {
                    kicker.device.kick();
                }
                more.await;
            }
        });
        channel
    }

    /// Most memory pieces of one exchange.
    pub(crate) fn max_pieces(&self) -> u32 {
        self.device.max_pieces()
    }

    /// Queues one exchange, waiting while the device is full. The flight keeps `slot` until the host is done with it.
    ///
    /// Errors: `BadMemory`, `BadRequest`, `Failed`.
    pub(crate) async fn submit(
        &self,
        slot: Slot,
        request: &[Segment],
        reply: &[Segment],
    ) -> Result<Rc<Flight>, DeviceError> {
        loop {
            let room = self.room.wait();
            match self.device.submit(request, reply) {
                Ok(tag) => return Ok(self.take_off(usize::from(tag), slot)),
                Err(DeviceError::Full) if self.under_way.get() > 0 => room.await,
                Err(DeviceError::Full) => return Err(DeviceError::Failed),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_off(&self, tag: usize, slot: Slot) -> Rc<Flight> {
        let flight = Rc::new(Flight { slot, landed: Cell::new(None), waiter: Cell::new(None) });
        let mut flights = self.flights.borrow_mut();
        if flights.len() <= tag {
            flights.resize(tag + 1, None);
        }
        flights[tag] = Some(flight.clone());
        self.under_way.set(self.under_way.get() + 1);
        self.unkicked.set(true);
        self.queued.notify();
        flight
    }

    fn collect(&self) {
        self.device.acknowledge();
        while let Some((tag, len)) = self.device.completed() {
            let flight = self.flights.borrow_mut().get_mut(usize::from(tag)).and_then(Option::take);
            if let Some(flight) = flight {
                self.under_way.set(self.under_way.get() - 1);
                flight.land(len);
            }
        }
        self.room.notify();
    }
}

/// One exchange under way. It owns its buffers: they go back to the pool when host and handler are both done.
pub(crate) struct Flight {
    slot: Slot,
    landed: Cell<Option<usize>>,
    waiter: Cell<Option<Waker>>,
}

impl Flight {
    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    fn land(&self, len: usize) {
        self.landed.set(Some(len));
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Ends when the reply is there, with the bytes that the device says it wrote.
    pub(crate) fn landed(&self) -> Landed<'_> {
        Landed(self)
    }
}

/// Future of [`Flight::landed`].
pub(crate) struct Landed<'a>(&'a Flight);

impl Future for Landed<'_> {
    type Output = usize;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        match self.0.landed.get() {
            Some(len) => Poll::Ready(len),
            None => {
                self.0.waiter.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}
