//! Between the stack and `nic`: standing receives, transmit buffers, and what happens when the nic dies.

use crate::Addressing;
use crate::lan::Lan;
use crate::ops::Net;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;
use protocol::LeaseId;
use protocol::nic::{Error, Info, Nic, NicInfo, Receive, Transmit};
use rt::Link;
use rt::executor::Event;
use rt::sys::{Attachment, Memory};

/// Frames that may wait in the nic for us, at most.
pub const RECEIVES: usize = 64;

/// Frames under way to the nic, at most.
pub const TRANSMITS: usize = 64;

/// Smallest MTU that IPv4 works with (RFC 791).
const MIN_MTU: u16 = 576;

/// Ethernet header, in bytes.
const HEADER_BYTES: usize = 14;

/// First pause before a dead nic is asked again; it doubles up to [`MAX_PAUSE_NS`].
const PAUSE_NS: u64 = 1_000_000;
const MAX_PAUSE_NS: u64 = 1_000_000_000;

/// The connection to the nic.
pub struct Driver {
    net: Net,
    nic: Link<Nic>,
    addressing: Addressing,
    /// Bytes of a frame with everything before it.
    buffer_bytes: Cell<usize>,
    headroom: Cell<usize>,
    /// Notified when a call has shown that the nic is gone, and when it is back.
    changed: Event,
    up: Cell<bool>,
}

impl Driver {
    /// Starts to talk to `nic`.
    pub fn start(net: &Net, nic: Link<Nic>, addressing: Addressing) {
        let driver = Rc::new(Self {
            net: net.clone(),
            nic,
            addressing,
            buffer_bytes: Cell::new(0),
            headroom: Cell::new(0),
            changed: Event::default(),
            up: Cell::new(false),
        });
        net.runtime.spawn(async move { driver.supervise().await });
    }

    /// Asks the nic what it is, starts the jobs, and asks again each time that it was lost.
    async fn supervise(self: Rc<Self>) {
        let mut pause_ns = PAUSE_NS;
        let mut started = false;
        loop {
            match self.nic.call(0, Info {}, &[]).await {
                Ok(info) if !is_usable(&info) => {
                    return self.log(format_args!("net: the nic's address or MTU cannot be used: {info:?}"));
                }
                Ok(info) if !started => {
                    started = true;
                    pause_ns = PAUSE_NS;
                    if !self.clone().begin(info) {
                        return self.log(format_args!("net: no memory for the nic's buffers"));
                    }
                }
                Ok(info) => {
                    pause_ns = PAUSE_NS;
                    self.resume(info);
                }
                Err(_) => {
                    self.net.runtime.sleep(pause_ns).await;
                    pause_ns = (pause_ns * 2).min(MAX_PAUSE_NS);
                    continue;
                }
            }
            self.wait_while(true).await;
        }
    }

    fn log(&self, line: core::fmt::Arguments<'_>) {
        self.net.runtime.machine().log(line);
    }

    /// Makes the interface and all buffers; says whether memory sufficed.
    fn begin(self: Rc<Self>, info: NicInfo) -> bool {
        self.headroom.set(info.headroom.into());
        self.buffer_bytes.set(usize::from(info.headroom) + HEADER_BYTES + usize::from(info.mtu));
        let pages = |count| (0..count).map(|_| self.page()).collect::<Option<Vec<_>>>();
        let receives = usize::from(info.receive_depth).clamp(1, RECEIVES);
        let Some((rx, tx)) = pages(receives).zip(pages(TRANSMITS)) else { return false };
        let (seed, now_ns) = (self.net.runtime.machine().random(), self.net.now_ns());
        let lan = Lan::new(info, tx.clone(), self.addressing, seed, now_ns);
        self.set_up(true);
        self.net.touch().attach(lan);
        for page in rx {
            let driver = self.clone();
            self.net.runtime.spawn(async move { driver.receive(page).await });
        }
        for (index, page) in tx.into_iter().enumerate() {
            let driver = self.clone();
            self.net.runtime.spawn(async move { driver.transmit(index, page).await });
        }
        true
    }

    fn page(&self) -> Option<Rc<dyn Memory>> {
        self.net.runtime.machine().pages(self.buffer_bytes.get())
    }

    /// The nic is back. Buffers stay as they are: the successor drives the same device.
    fn resume(&self, info: NicInfo) {
        if let Some(lan) = &mut self.net.stack.borrow_mut().lan {
            lan.info = info;
        }
        self.set_up(true);
    }

    fn set_up(&self, up: bool) {
        self.up.set(up);
        if let Some(lan) = &mut self.net.touch().lan {
            lan.link.outlet.set_up(up);
        }
        self.changed.notify();
    }

    fn lost(&self) {
        if self.up.get() {
            self.log(format_args!("net: the nic is gone; waiting for its successor"));
            self.set_up(false);
        }
    }

    async fn wait_while(&self, up: bool) {
        while self.up.get() == up {
            self.changed.wait().await;
        }
    }

    /// Keeps one receive posted for ever.
    async fn receive(&self, page: Rc<dyn Memory>) {
        let lease = [Attachment::Write(page.clone())];
        let mut frame = alloc::vec![0; self.buffer_bytes.get() - self.headroom.get()];
        loop {
            match self.nic.call(0, Receive { buffer: LeaseId(0) }, &lease).await {
                Ok(len) => self.received(&*page, &mut frame, len as usize),
                Err(Error::PeerGone) => {
                    self.lost();
                    self.wait_while(false).await;
                }
                Err(Error::Io | Error::Busy) => self.net.runtime.sleep(MAX_PAUSE_NS).await,
                Err(error) => return self.log(format_args!("net: the nic refuses a receive buffer: {error:?}")),
            }
        }
    }

    fn received(&self, page: &dyn Memory, frame: &mut [u8], len: usize) {
        let Some(frame) = frame.get_mut(..len) else { return };
        if page.read(self.headroom.get(), frame).is_ok() {
            let now_ns = self.net.now_ns();
            self.net.touch().ingress_lan(frame, now_ns);
        }
    }

    /// Sends whatever stands in one transmit buffer, for ever. What the nic does not take is lost, as on a wire.
    async fn transmit(&self, index: usize, page: Rc<dyn Memory>) {
        let lease = [Attachment::Write(page)];
        loop {
            let filled = poll_fn(|cx| match &mut self.net.stack.borrow_mut().lan {
                Some(lan) => lan.link.outlet.poll_filled(index, cx.waker()),
                None => Poll::Pending,
            });
            let len = filled.await as u32;
            if self.nic.call(0, Transmit { len, frame: LeaseId(0) }, &lease).await == Err(Error::PeerGone) {
                self.lost();
            }
            self.sent(index);
        }
    }

    fn sent(&self, index: usize) {
        let mut stack = self.net.stack.borrow_mut();
        if stack.lan.as_mut().is_some_and(|lan| lan.link.outlet.sent(index)) {
            stack.feed_starved();
            self.net.touched.notify();
        }
    }
}

fn is_usable(info: &NicInfo) -> bool {
    let [first, ..] = info.mac;
    first & 1 == 0 && info.mac != [0; 6] && info.mtu >= MIN_MTU
}
