//! The standard streams over the `console` protocol: little travels in the message, much by lease.
//!
//! They are no terminal: `TCGETS` answers `ENOTTY`, so that libc buffers as for a pipe. Input is read ahead by one
//! standing call, so that poll(2) can tell whether some is there.

use crate::context::Context;
use crate::errno::from_console;
use crate::eventfd::patiently;
use crate::events;
use crate::fs::description::{File, Patience};
use crate::fs::node::Result;
use crate::fs::server::frame;
use crate::fs::transfer::{Sink, Source, partial};
use crate::pipe::Bytes;
use crate::remote::{Remote, Token, lend};
use crate::wait::{READABLE, WRITABLE, WaitQueue};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_abi::Errno;
use linux_abi::file::Events;
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::console::{Console, PUT_BYTES, Put, Read, Stream, Write};
use protocol::{Bytes as Inline, LeaseId};
use spin::Mutex;

/// Pages of one large write.
const WRITE_PAGES: usize = 16;

/// Input that arrived, and the call that waits for more.
struct Input {
    state: Mutex<InputState>,
    queue: WaitQueue,
    server: Arc<Remote<Console>>,
}

struct InputState {
    bytes: Bytes,
    posted: Option<(Token, Frame)>,
    /// Nothing more will come: the end of input, or an error (told once).
    over: Option<core::result::Result<(), Errno>>,
}

impl Input {
    fn new(server: Arc<Remote<Console>>) -> Arc<Self> {
        let state = InputState { bytes: Bytes::new(2 * PAGE_SIZE), posted: None, over: None };
        Arc::new(Self { state: Mutex::new(state), queue: WaitQueue::new(), server })
    }

    /// Asks for input unless there is some, or it was asked for, or none will come.
    fn ask(self: &Arc<Self>) -> Result<()> {
        {
            let state = self.state.lock();
            if state.bytes.len() > 0 || state.posted.is_some() || state.over.is_some() {
                return Ok(());
            }
        }
        let frame = frame()?;
        let request = Read { stream: Stream::Stdin, len: PAGE_SIZE as u32, dest: LeaseId(0) };
        let lent = lend(alloc::vec![frame.clone()], 0, PAGE_SIZE, true);
        let mut state = self.state.lock();
        if state.posted.is_some() {
            return Ok(());
        }
        let token = self.server.start(request, [lent], self.clone()).ok_or(Errno::EIO)?;
        state.posted = Some((token, frame));
        Ok(())
    }
}

impl events::Sink for Input {
    fn signalled(&self) {
        let mut state = self.state.lock();
        let Some((token, frame)) = state.posted.take() else { return };
        match self.server.finish::<Read>(token) {
            None => state.posted = Some((token, frame)),
            Some(Ok(0)) => state.over = Some(Ok(())),
            Some(Ok(len)) => {
                let mut bytes = alloc::vec![0; (len as usize).min(PAGE_SIZE)];
                if frame.read(0, &mut bytes).is_ok() {
                    // The queue has room for two pages and was empty: no byte is refused, and copies in the front end never fault.
                    let _ = state.bytes.take_from(&mut Source::memory(&bytes), usize::MAX);
                }
            }
            Some(Err(protocol::console::Error::NoStream)) => state.over = Some(Ok(())),
            Some(Err(error)) => state.over = Some(Err(from_console(error))),
        }
        drop(state);
        self.queue.wake(READABLE);
    }
}

/// One or both directions of the console.
pub(super) struct ConsoleFile {
    input: Option<Arc<Input>>,
    output: Option<Stream>,
    server: Arc<Remote<Console>>,
    /// Orders the parts of large writes.
    order: crate::wait::Gate,
}

impl ConsoleFile {
    /// Standard input.
    pub(super) fn input(server: &Arc<Remote<Console>>) -> Arc<dyn File> {
        let input = Some(Input::new(server.clone()));
        Arc::new(Self { input, output: None, server: server.clone(), order: crate::wait::Gate::new() })
    }

    /// Standard output or error.
    pub(super) fn output(server: &Arc<Remote<Console>>, stream: Stream) -> Arc<dyn File> {
        Arc::new(Self { input: None, output: Some(stream), server: server.clone(), order: crate::wait::Gate::new() })
    }

    /// `/dev/console`: reads standard input, writes standard output.
    pub(super) fn both() -> Arc<dyn File> {
        let server = super::server();
        let input = Some(Input::new(server.clone()));
        Arc::new(Self { input, output: Some(Stream::Stdout), server, order: crate::wait::Gate::new() })
    }

    fn put(&self, stream: Stream, source: &mut Source) -> Result<usize> {
        let mut bytes = [0; PUT_BYTES];
        let want = source.remaining().min(PUT_BYTES);
        let count = source.get(bytes.get_mut(..want).unwrap_or_default())?;
        let mut done = 0;
        while done < count {
            let inline = Inline::new(bytes.get(done..count).unwrap_or_default()).ok_or(Errno::EIO)?;
            let taken = self.server.call(Put { stream, bytes: inline }, []).map_err(from_console)? as usize;
            if taken == 0 {
                return Err(Errno::EIO);
            }
            done += taken;
        }
        Ok(count)
    }

    fn write_pages(&self, stream: Stream, source: &mut Source) -> Result<usize> {
        let mut frames = Vec::new();
        let mut len = 0;
        while frames.len() < WRITE_PAGES && source.remaining() > 0 {
            let page = frame()?;
            let want = PAGE_SIZE.min(source.remaining());
            let count = match source.get_frame(&page, 0, want) {
                Ok(count) => count,
                Err(errno) if len == 0 => return Err(errno),
                Err(_) => break,
            };
            len += count;
            frames.push(page);
            if count < want {
                break;
            }
        }
        let mut done = 0;
        while done < len {
            let request = Write { stream, len: (len - done) as u32, src: LeaseId(0) };
            let lent = lend(frames.clone(), done, len - done, false);
            let taken = self.server.call(request, [lent]).map_err(from_console)? as usize;
            if taken == 0 {
                return Err(Errno::EIO);
            }
            done += taken;
        }
        Ok(len)
    }
}

impl File for ConsoleFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, patience: Patience, sink: &mut Sink) -> Result<usize> {
        let input = self.input.as_ref().ok_or(Errno::EBADF)?;
        if sink.remaining() == 0 {
            return Ok(0);
        }
        input.ask()?;
        loop {
            patiently(cx, patience, &input.queue, READABLE, || {
                let mut state = input.state.lock();
                if state.bytes.len() > 0 {
                    return Some(Ok(()));
                }
                match state.over {
                    Some(Err(errno)) => {
                        state.over = Some(Ok(()));
                        Some(Err(errno))
                    }
                    Some(Ok(())) => Some(Ok(())),
                    None => None,
                }
            })?;
            let before = sink.done();
            let outcome = input.state.lock().bytes.give_to(sink, None);
            match outcome {
                Ok(count) => return Ok(count),
                Err(_) if sink.done() > before => return Ok(sink.done() - before),
                Err(missing) => Sink::bring_in(missing)?,
            }
        }
    }
    fn write(&self, _cx: &Context, _patience: Patience, source: &mut Source) -> Result<usize> {
        let stream = self.output.ok_or(Errno::EBADF)?;
        let start = source.done();
        let _inside = (source.remaining() > PUT_BYTES).then(|| self.order.pass());
        while source.remaining() > 0 {
            let step = if source.remaining() <= PUT_BYTES {
                self.put(stream, source)
            } else {
                self.write_pages(stream, source)
            };
            if step.is_err() {
                return partial(source.done() - start, step.map(drop));
            }
        }
        Ok(source.done() - start)
    }
    fn ready(&self) -> Events {
        let mut events = if self.output.is_some() { WRITABLE } else { Events::empty() };
        if let Some(input) = &self.input {
            // Who polls wants to hear of input, so it is asked for.
            let asked = input.ask();
            let state = input.state.lock();
            events.set(READABLE, asked.is_err() || state.bytes.len() > 0 || state.over.is_some());
        }
        events
    }
    fn queue(&self) -> Option<&WaitQueue> {
        Some(self.input.as_ref().map_or(&OUTPUT_QUEUE, |input| &input.queue))
    }
}

/// Output is always ready, so nobody ever waits here.
static OUTPUT_QUEUE: WaitQueue = WaitQueue::new();
