//! Trace events: what a server tells about itself when somebody looks.
//!
//! The server loop and the links record requests and replies by themselves; a server adds
//! [`Event::Note`]s for what happens inside. Off costs one branch per site.

use core::fmt;

/// Something that happened in a task.
pub enum Event<'a> {
    /// A request came in.
    Request {
        /// Request id from the envelope.
        request: u64,
        /// The request, as it prints.
        what: &'a dyn fmt::Debug,
    },
    /// The reply went out.
    Reply {
        /// Request id from the envelope.
        request: u64,
        /// The reply, as it prints.
        what: &'a dyn fmt::Debug,
        /// Nanoseconds since the request came in.
        took_ns: u64,
    },
    /// Something inside the server.
    Note {
        /// Request id, or 0.
        request: u64,
        /// What.
        what: fmt::Arguments<'a>,
    },
}

impl Event<'_> {
    /// The request id that the event belongs to, or 0.
    pub fn request(&self) -> u64 {
        match self {
            Self::Request { request, .. } | Self::Reply { request, .. } | Self::Note { request, .. } => *request,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { request, what } => write!(f, "{what:?} req={request}"),
            Self::Reply { request, what, took_ns } => write!(f, "-> {what:?} ({} us) req={request}", took_ns / 1000),
            Self::Note { request, what } => write!(f, "{what} req={request}"),
        }
    }
}
