//! Where frames leave, and the device that smoltcp sees: one incoming frame at most, and an outlet.
//!
//! An outlet is the loopback (frames queue up to come in again) or the nic's transmit buffers, which `driver` sends off.

use crate::checksum;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Poll, Waker};
use rt::sys::Memory;
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// MTU of the loopback, in bytes: several segments fit in a window.
pub const LOOPBACK_MTU: usize = 16_384 + 40;

/// Most frames under way in the loopback.
const LOOPBACK_FRAMES: usize = 1024;

/// Buffers of the loopback that are kept for reuse.
const LOOPBACK_SPARE: usize = 32;

/// Frames and bytes, in and out.
#[derive(Default)]
pub struct Counters {
    /// Frames in.
    pub frames_in: u64,
    /// Frames out.
    pub frames_out: u64,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
}

/// Where frames leave.
pub struct Outlet {
    caps: DeviceCapabilities,
    exit: Exit,
    /// What passed.
    pub counters: Counters,
    /// An IP packet has left, not only questions for a neighbour; cleared by who asks.
    pub sent_ip: bool,
}

enum Exit {
    Loopback(Loopback),
    Nic(NicBuffers),
}

#[derive(Default)]
struct Loopback {
    queue: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

struct Buffer {
    page: Rc<dyn Memory>,
    /// Bytes of the frame that waits to be sent.
    filled: Option<usize>,
    waker: Option<Waker>,
}

struct NicBuffers {
    headroom: usize,
    buffers: Vec<Buffer>,
    free: Vec<usize>,
    /// Where a frame is put together before it moves to its page.
    scratch: Vec<u8>,
    /// The nic is there; frames vanish while it is not.
    up: bool,
    /// Somebody found no free buffer.
    wanted: bool,
}

impl Outlet {
    /// The loopback. Its frames do not leave memory and need no checksums.
    pub fn loopback() -> Self {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = LOOPBACK_MTU;
        caps.checksum = ChecksumCapabilities::ignored();
        Self { caps, exit: Exit::Loopback(Loopback::default()), counters: Counters::default(), sent_ip: false }
    }

    /// A nic with `pages` as transmit buffers, each of `headroom` bytes and a frame.
    pub fn nic(mtu: usize, headroom: usize, pages: Vec<Rc<dyn Memory>>) -> Self {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = mtu + 14;
        // `checksum` does these two.
        caps.checksum.tcp = Checksum::None;
        caps.checksum.udp = Checksum::None;
        let free = (0..pages.len()).rev().collect();
        let buffers = pages.into_iter().map(|page| Buffer { page, filled: None, waker: None }).collect();
        let scratch = alloc::vec![0; mtu + 14];
        let exit = Exit::Nic(NicBuffers { headroom, buffers, free, scratch, up: true, wanted: false });
        Self { caps, exit, counters: Counters::default(), sent_ip: false }
    }

    /// Largest IP packet, in bytes.
    pub fn ip_mtu(&self) -> usize {
        self.caps.ip_mtu()
    }

    /// Whether a frame can be put now.
    pub fn has_room(&self) -> bool {
        match &self.exit {
            Exit::Loopback(loopback) => loopback.queue.len() < LOOPBACK_FRAMES,
            Exit::Nic(nic) => !nic.up || !nic.free.is_empty(),
        }
    }

    /// Sends a frame of `len` bytes that `fill` writes. Without room it is lost, as on a wire.
    pub fn put<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        self.counters.frames_out += 1;
        self.counters.bytes_out += len as u64;
        match &mut self.exit {
            Exit::Loopback(loopback) => {
                self.sent_ip = true;
                loopback.put(len, fill)
            }
            Exit::Nic(nic) => {
                let result = nic.put(len, fill);
                self.sent_ip |= nic.scratch.get(12..14) == Some(&[8, 0]);
                result
            }
        }
    }

    /// The next frame that comes back through the loopback; give it back with [`Outlet::recycle`].
    pub fn returned(&mut self) -> Option<Vec<u8>> {
        match &mut self.exit {
            Exit::Loopback(loopback) => loopback.queue.pop_front(),
            Exit::Nic(_) => None,
        }
    }

    /// Keeps the buffer of a frame for another one.
    pub fn recycle(&mut self, frame: Vec<u8>) {
        if let Exit::Loopback(loopback) = &mut self.exit
            && loopback.spare.len() < LOOPBACK_SPARE
        {
            loopback.spare.push(frame);
        }
    }

    /// Ends with the length of the next frame that waits in transmit buffer `index`.
    pub fn poll_filled(&mut self, index: usize, waker: &Waker) -> Poll<usize> {
        let Exit::Nic(nic) = &mut self.exit else { return Poll::Pending };
        let Some(buffer) = nic.buffers.get_mut(index) else { return Poll::Pending };
        match buffer.filled.take() {
            Some(len) => Poll::Ready(len),
            None => {
                buffer.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// The frame in transmit buffer `index` has left. Says whether somebody waits for a buffer.
    pub fn sent(&mut self, index: usize) -> bool {
        let Exit::Nic(nic) = &mut self.exit else { return false };
        nic.free.push(index);
        core::mem::take(&mut nic.wanted)
    }

    /// Notes whether the nic is there.
    pub fn set_up(&mut self, up: bool) {
        if let Exit::Nic(nic) = &mut self.exit {
            nic.up = up;
        }
    }

    /// Whether the nic is there; the loopback always is.
    pub fn is_up(&self) -> bool {
        match &self.exit {
            Exit::Loopback(_) => true,
            Exit::Nic(nic) => nic.up,
        }
    }

    /// Notes that somebody waits for room.
    pub fn want_room(&mut self) {
        if let Exit::Nic(nic) = &mut self.exit {
            nic.wanted = true;
        }
    }
}

impl Loopback {
    fn put<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.resize(len, 0);
        let result = fill(&mut frame);
        if self.queue.len() < LOOPBACK_FRAMES {
            self.queue.push_back(frame);
        }
        result
    }
}

impl NicBuffers {
    fn put<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
        let frame = &mut self.scratch[..len];
        let result = fill(frame);
        if !self.up {
            return result;
        }
        let Some(index) = self.free.pop() else { return result };
        checksum::complete(frame);
        let buffer = &mut self.buffers[index];
        if buffer.page.write(self.headroom, frame).is_err() {
            self.free.push(index);
            return result;
        }
        buffer.filled = Some(len);
        if let Some(waker) = buffer.waker.take() {
            waker.wake();
        }
        result
    }
}

/// The device that smoltcp sees during one call.
pub struct Wire<'a> {
    /// The frame that comes in.
    pub frame: Option<&'a [u8]>,
    /// Where frames leave.
    pub outlet: &'a mut Outlet,
}

/// The incoming frame.
pub struct Incoming<'a>(&'a [u8]);

/// The right to send one frame.
pub struct Outgoing<'a>(&'a mut Outlet);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.put(len, f)
    }
}

impl Device for Wire<'_> {
    type RxToken<'b>
        = Incoming<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let frame = self.frame.take()?;
        Some((Incoming(frame), Outgoing(self.outlet)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        if self.outlet.has_room() {
            return Some(Outgoing(self.outlet));
        }
        self.outlet.want_room();
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.outlet.caps.clone()
    }
}
