//! `/dev/null`, `/dev/zero`, `/dev/full`, `/dev/random`.

use crate::context::Context;
use crate::fs::description::{File, Patience};
use crate::fs::node::Result;
use crate::fs::transfer::{Sink, Source};
use core::any::Any;
use linux_abi::Errno;

/// Bytes made at a time.
const STEP: usize = 256;

/// One of the memory devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Swallows everything and has nothing.
    Null,
    /// Swallows everything and has zeros.
    Zero,
    /// Has zeros and no room.
    Full,
    /// Has random bytes.
    Random,
}

impl File for Memory {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, cx: &Context, _patience: Patience, sink: &mut Sink) -> Result<usize> {
        if *self == Self::Null {
            return Ok(0);
        }
        let start = sink.done();
        let mut step = [0; STEP];
        while sink.remaining() > 0 {
            if *self == Self::Random {
                crate::identity::fill_random(&mut step);
            }
            match sink.put(&step) {
                Ok(0) => break,
                Ok(_) => {}
                Err(errno) if sink.done() == start => return Err(errno),
                Err(_) => break,
            }
            if cx.thread.dying() {
                break;
            }
        }
        Ok(sink.done() - start)
    }
    fn write(&self, _cx: &Context, _patience: Patience, source: &mut Source) -> Result<usize> {
        match self {
            Self::Full => Err(Errno::ENOSPC),
            Self::Null | Self::Zero | Self::Random => {
                let count = source.remaining();
                source.advance(count);
                Ok(count)
            }
        }
    }
}
