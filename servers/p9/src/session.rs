//! The session with the host: requests out, checked replies in.
//!
//! A [`Host`] is the session as one call sees it: it carries the request id for traces. [`Host::send`] queues a
//! request and gives a [`Pending`]; several are sent before the first is waited for, and reach the host in one
//! notification.

use crate::channel::{Channel, Flight};
use crate::convert::{self, Failure, Outcome};
use crate::fid::{Fid, Fids};
use crate::slot::{Pool, REPLY_ROOM, REQUEST_ROOM, Slot};
use alloc::rc::Rc;
use alloc::vec;
use core::cell::Cell;
use core::fmt;
use p9_wire::{
    IO_REPLY_HEAD, READ_REPLY, READDIR_REPLY, ReadHead, Reply, Request, WRITE_REQUEST_HEAD, WriteHead, flags,
};
use protocol::fs::{Attr, Error};
use rt::device::{DeviceError, Segment};
use rt::trace::Event;
use rt::{Memory, Runtime};

/// Room for replies without a string: the longest is Rwalk with 16 qids, 217 bytes.
const SHORT_REPLY: usize = 512;
/// Most requests fit; the others take a buffer from the heap.
const SHORT_REQUEST: usize = 1024;

/// A session, attached to the root of the host's tree.
pub(crate) struct Session {
    pub(crate) runtime: Runtime,
    channel: Rc<Channel>,
    pool: Rc<Pool>,
    pub(crate) fids: Rc<Fids>,
    /// Most bytes of one Tread, Twrite or Treaddir.
    pub(crate) io_bytes: Cell<u32>,
    /// Whether the host carries requests out in the order sent, as far as we have seen.
    pub(crate) ordered: Cell<bool>,
    /// Whether a bad reply was logged already; further ones are only traced.
    complained: Cell<bool>,
}

impl Session {
    /// A session without agreement yet; see `run.rs` for the first requests.
    pub(crate) fn new(runtime: &Runtime, channel: Rc<Channel>) -> Self {
        Self {
            runtime: runtime.clone(),
            channel,
            pool: Pool::new(runtime.machine().clone()),
            fids: Rc::default(),
            io_bytes: Cell::new(0),
            ordered: Cell::new(true),
            complained: Cell::new(false),
        }
    }

    /// Most memory pieces of one exchange.
    pub(crate) fn max_pieces(&self) -> u32 {
        self.channel.max_pieces()
    }

    /// The session as the call with this request id sees it.
    pub(crate) fn host(&self, request: u64) -> Host<'_> {
        Host { session: self, request }
    }

    /// Clunks dropped fids, for ever.
    pub(crate) async fn clunk_dropped(self: Rc<Self>) {
        let host = self.host(0);
        loop {
            let numbers = self.fids.dropped().await;
            let mut pending = vec![];
            for fid in numbers {
                pending.push((fid, host.send(&Request::Clunk { fid }).await));
            }
            for (fid, sent) in pending {
                let Ok(sent) = sent else { continue };
                // Whether the host minds is nobody's business any more; nonsense is traced by `reply`.
                let _ = host.clunked(fid, sent).await;
            }
        }
    }
}

/// `Some` where a reply is the expected one and says nothing more.
pub(crate) fn is(expected: bool) -> Option<()> {
    expected.then_some(())
}

/// The session, seen by one call.
#[derive(Clone, Copy)]
pub(crate) struct Host<'s> {
    pub(crate) session: &'s Session,
    request: u64,
}

impl<'s> Host<'s> {
    /// A fid that the host does not know yet.
    pub(crate) fn reserve(&self) -> Outcome<Fid> {
        self.session.fids.reserve().ok_or(Failure::Here(Error::TooManyFiles))
    }

    /// Queues a request.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Outcome<Pending<'s>> {
        let slot = self.slot()?;
        let tag = slot.tag();
        self.send_tagged(slot, tag, request).await
    }

    /// Queues Tversion, whose tag is prescribed.
    pub(crate) async fn send_version(&self, request: &Request<'_>) -> Outcome<Pending<'s>> {
        self.send_tagged(self.slot()?, p9_wire::NO_TAG, request).await
    }

    async fn send_tagged(&self, slot: Slot, tag: u16, request: &Request<'_>) -> Outcome<Pending<'s>> {
        let out = self.place(&slot, tag, request)?;
        let room = if matches!(request, Request::Readlink { .. }) { REPLY_ROOM } else { SHORT_REPLY };
        let reply = slot.reply_segment(room);
        let flight = self.submit(slot, &[out], &[reply]).await?;
        Ok(Pending { host: *self, flight, tag, room })
    }

    /// Queues a request and waits for its reply.
    pub(crate) async fn call<T>(
        &self,
        request: &Request<'_>,
        take: impl FnOnce(&Reply<'_>) -> Option<T>,
    ) -> Outcome<T> {
        self.send(request).await?.reply(take).await
    }

    /// Gives a fid up, and says what the host says: for an extended attribute that is the verdict on setting it.
    pub(crate) async fn clunk(&self, fid: Fid) -> Outcome<()> {
        let fid = fid.into_number();
        let sent = self.send(&Request::Clunk { fid }).await?;
        self.clunked(fid, sent).await
    }

    /// Waits for an Rclunk. A refused one frees the fid too (clunk(5)); after anything else the number stays
    /// out of use.
    async fn clunked(&self, fid: u32, sent: Pending<'_>) -> Outcome<()> {
        let clunked = sent.reply(|reply| is(matches!(reply, Reply::Clunk {}))).await;
        if let Ok(()) | Err(Failure::Host(_)) = clunked {
            self.session.fids.release(fid);
        }
        clunked
    }

    /// Asks for attributes.
    pub(crate) async fn getattr(&self, fid: u32) -> Outcome<Pending<'s>> {
        self.send(&Request::Getattr { fid, mask: flags::getattr::BASIC }).await
    }

    /// Reads file data straight into `dest`; gives the bytes placed there.
    pub(crate) async fn read(&self, fid: u32, offset: u64, dest: Segment) -> Outcome<u32> {
        let count = self.io_len(dest.len)?;
        self.fetch(&Request::Read { fid, offset, count }, READ_REPLY, count, dest).await
    }

    /// Reads directory entries in wire form into `dest`; gives the bytes placed there.
    pub(crate) async fn readdir(&self, fid: u32, offset: u64, dest: Segment) -> Outcome<u32> {
        let count = self.io_len(dest.len)?;
        self.fetch(&Request::Readdir { fid, offset, count }, READDIR_REPLY, count, dest).await
    }

    /// Sends `request`; the head of the reply lands in our buffer, the payload in `dest` by DMA.
    async fn fetch(&self, request: &Request<'_>, kind: u8, asked: u32, dest: Segment) -> Outcome<u32> {
        let slot = self.slot()?;
        let tag = slot.tag();
        let out = self.place(&slot, tag, request)?;
        let head = slot.reply_segment(IO_REPLY_HEAD);
        let flight = self.submit(slot, &[out], &[head, dest]).await?;
        let written = flight.landed().await;
        let mut head = [0; IO_REPLY_HEAD];
        flight.slot().read_reply(&mut head).ok_or(Error::Io)?;
        let (replied, head) = ReadHead::parse(&head, kind, asked).map_err(|why| self.bad(format_args!("{why}")))?;
        match head {
            _ if replied != tag => Err(self.bad(format_args!("tag {replied} instead of {tag}"))),
            ReadHead::Refused { ecode } => Err(self.refused(ecode)),
            ReadHead::Data { count } if bytes(count).saturating_add(IO_REPLY_HEAD) > written => {
                Err(self.bad(format_args!("{written} bytes came, {count} of data announced")))
            }
            ReadHead::Data { count } => Ok(count),
        }
    }

    /// Writes file data straight from `src`; gives the bytes that the host took.
    pub(crate) async fn write(&self, fid: u32, offset: u64, src: Segment) -> Outcome<u32> {
        let count = self.io_len(src.len)?;
        let slot = self.slot()?;
        let tag = slot.tag();
        let mut head = [0; WRITE_REQUEST_HEAD];
        WriteHead { fid, offset, count }.emit(tag, &mut head).map_err(|_| Error::Invalid)?;
        let out = slot.write_request(&head).ok_or(Error::Io)?;
        let reply = slot.reply_segment(SHORT_REPLY);
        let flight = self.submit(slot, &[out, src], &[reply]).await?;
        let pending = Pending { host: *self, flight, tag, room: SHORT_REPLY };
        pending
            .reply(
                |reply| if let Reply::Write { count: took } = reply { (*took <= count).then_some(*took) } else { None },
            )
            .await
    }

    /// A length as one message may carry it.
    fn io_len(&self, len: usize) -> Outcome<u32> {
        let limit = self.session.io_bytes.get();
        u32::try_from(len).ok().filter(|&len| len <= limit).ok_or(Failure::Here(Error::Invalid))
    }

    fn slot(&self) -> Outcome<Slot> {
        self.session.pool.take().ok_or(Failure::Here(Error::NoMemory))
    }

    /// Writes the request into its buffer.
    fn place(&self, slot: &Slot, tag: u16, request: &Request<'_>) -> Outcome<Segment> {
        let mut short = [0; SHORT_REQUEST];
        let placed = match request.emit(tag, &mut short) {
            Ok(len) => short.get(..len).and_then(|bytes| slot.write_request(bytes)),
            Err(_) => {
                let mut long = vec![0; REQUEST_ROOM];
                let len = request.emit(tag, &mut long).map_err(|_| Error::NameTooLong)?;
                long.get(..len).and_then(|bytes| slot.write_request(bytes))
            }
        };
        placed.ok_or(Failure::Here(Error::Io))
    }

    async fn submit(&self, slot: Slot, request: &[Segment], reply: &[Segment]) -> Outcome<Rc<Flight>> {
        self.session.channel.submit(slot, request, reply).await.map_err(|error| match error {
            DeviceError::BadMemory => Failure::Here(Error::BadLease),
            other => {
                self.note(format_args!("9p device: {other:?}"));
                Failure::Here(Error::Io)
            }
        })
    }

    /// Records that the host sent nonsense; the call becomes `Io`. The first one is logged, all are traced.
    pub(crate) fn bad(&self, what: fmt::Arguments<'_>) -> Failure {
        if !self.session.complained.replace(true) {
            self.session
                .runtime
                .machine()
                .log(format_args!("9p: bad reply from the host: {what} (further ones only in the trace)"));
        }
        self.note(format_args!("bad reply: {what}"));
        Failure::Here(Error::Io)
    }

    /// An Rlerror. Zero is no error number.
    fn refused(&self, ecode: u32) -> Failure {
        if ecode == 0 { self.bad(format_args!("error number 0")) } else { Failure::Host(ecode) }
    }

    fn note(&self, what: fmt::Arguments<'_>) {
        let machine = self.session.runtime.machine();
        if machine.tracing() {
            machine.trace(&Event::Note { request: self.request, what });
        }
    }

    /// Pages of our own, for payload that is looked at here.
    pub(crate) fn pages(&self, len: usize) -> Outcome<Rc<dyn Memory>> {
        self.session.runtime.machine().pages(len).ok_or(Failure::Here(Error::NoMemory))
    }
}

/// A count from the wire as a length in memory.
pub(crate) fn bytes(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A request under way.
pub(crate) struct Pending<'s> {
    host: Host<'s>,
    flight: Rc<Flight>,
    tag: u16,
    room: usize,
}

impl Pending<'_> {
    /// Waits for the reply, checks it, and has `take` pick what is wanted; `None` from there is a bad reply.
    pub(crate) async fn reply<T>(self, take: impl FnOnce(&Reply<'_>) -> Option<T>) -> Outcome<T> {
        let written = self.flight.landed().await;
        if written > self.room {
            return Err(self.host.bad(format_args!("{written} bytes in a buffer of {}", self.room)));
        }
        if written <= SHORT_REPLY {
            self.decode(&mut [0; SHORT_REPLY], written, take)
        } else {
            self.decode(&mut vec![0; written], written, take)
        }
    }

    fn decode<T>(&self, copy: &mut [u8], written: usize, take: impl FnOnce(&Reply<'_>) -> Option<T>) -> Outcome<T> {
        let copy = copy.get_mut(..written).ok_or(Error::Io)?;
        self.flight.slot().read_reply(copy).ok_or(Error::Io)?;
        match Reply::parse(copy) {
            Err(why) => Err(self.host.bad(format_args!("{why}"))),
            Ok((tag, _)) if tag != self.tag => Err(self.host.bad(format_args!("tag {tag} instead of {}", self.tag))),
            Ok((_, Reply::Lerror { ecode })) => Err(self.host.refused(ecode)),
            Ok((_, reply)) => take(&reply).ok_or_else(|| self.host.bad(format_args!("unexpected {reply:?}"))),
        }
    }

    /// Waits for an Rgetattr and checks the attributes.
    pub(crate) async fn attr(self) -> Outcome<Attr> {
        self.reply(|reply| if let Reply::Getattr { attr } = reply { convert::attr(attr) } else { None }).await
    }
}
