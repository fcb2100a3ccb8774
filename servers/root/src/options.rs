//! The manifest's options, asked from the root volume's server: `skiff.option.NAME` attributes of its root directory.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use microkernel::channel::memory::gather;
use microkernel::channel::{Attached, CallError, Connection, Wait};
use microkernel::mm::PAGE_SIZE;
use microkernel::mm::frame::Frame;
use protocol::fs::{Attach, Error, FileHandle, GetXattr, Request};
use protocol::{Bytes, Call, Envelope, LeaseId, MESSAGE_BYTES};

/// Longest option, in pages.
const PAGES: usize = 16;

/// Why the options cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// The server of `/` has no volume; its log line says why.
    NoVolume,
    /// The server died.
    Gone,
    /// No pages for the answer.
    NoMemory,
}

/// Reader of root options.
pub struct Options<'a> {
    server: &'a Connection,
    root: FileHandle,
}

fn call<'c, C: Call<'c>>(server: &Connection, call: C, attached: Vec<Attached>) -> Result<C::Reply, OptionsError>
where
    Request<'c>: From<C>,
{
    let mut message = [0; MESSAGE_BYTES];
    let request = Request::from(call);
    let len = protocol::encode(&mut message, Envelope::new(1, 0), &request).map_err(|_| OptionsError::Gone)?;
    let mut reply = [0; MESSAGE_BYTES];
    let len = server.call(&message[..len], attached, &mut reply, Wait::ForReply).map_err(|error| match error {
        CallError::Gone | CallError::Interrupted => OptionsError::Gone,
    })?;
    protocol::decode(&reply[..len]).map(|(_, reply)| reply).map_err(|_| OptionsError::Gone)
}

impl<'a> Options<'a> {
    /// Attaches to the root volume. Errors: `NoVolume`, `Gone`.
    pub fn open(server: &'a Connection) -> Result<Self, OptionsError> {
        let attached = call(server, Attach {}, Vec::new())?.map_err(|_| OptionsError::NoVolume)?;
        Ok(Self { server, root: attached.root })
    }

    /// The raw value of an option; `None` if it is not there.
    pub fn raw(&self, name: &str) -> Result<Option<Vec<u8>>, OptionsError> {
        let mut frames = Vec::new();
        for _ in 0..PAGES {
            frames.push(Frame::alloc_zeroed().ok_or(OptionsError::NoMemory)?);
        }
        let full = alloc::format!("skiff.option.{name}");
        let Some(name) = Bytes::new(full.as_bytes()) else { return Ok(None) };
        let request = GetXattr { node: self.root, name, dest: Some(LeaseId(0)) };
        let lent = Attached::Frames { frames: gather(frames.clone()), at: 0, len: PAGES * PAGE_SIZE, write: true };
        let len = match call(self.server, request, [lent].into())? {
            Ok(len) => (len as usize).min(PAGES * PAGE_SIZE),
            Err(Error::NoAttribute) => return Ok(None),
            Err(_) => return Err(OptionsError::NoVolume),
        };
        let mut value = vec![0; len];
        for (part, frame) in value.chunks_mut(PAGE_SIZE).zip(&frames) {
            frame.read(0, part).expect("a part fits in a frame");
        }
        Ok(Some(value))
    }

    /// The elements of a vector or tuple option, each `value` or `name=value`.
    pub fn list(&self, name: &str) -> Result<Vec<Vec<u8>>, OptionsError> {
        let raw = self.raw(name)?.unwrap_or_default();
        let parts = raw.split(|&byte| byte == 0).map(Vec::from);
        let mut list: Vec<_> = parts.collect();
        // Every element is ended by NUL, so that the last part is empty.
        list.pop();
        Ok(list)
    }

    /// A text option.
    pub fn text(&self, name: &str) -> Result<Option<String>, OptionsError> {
        Ok(self.raw(name)?.map(|raw| String::from_utf8_lossy(&raw).into_owned()))
    }
}
