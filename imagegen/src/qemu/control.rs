//! The host's end of the control port: frames of `protocol::control` over a byte stream.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use protocol::control::{Command, FRAME_BYTES, Frame, FromHost, ToHost, emit_frame, parse_frame};

/// Milliseconds that the program has to end itself after SIGTERM.
pub const STOP_DEADLINE_MS: u32 = 10_000;

/// The sending side; empty until QEMU has connected.
#[derive(Clone, Default)]
pub struct Sender(Arc<Mutex<Option<UnixStream>>>);

impl Sender {
    /// From now on commands go to `stream`.
    pub fn attach(&self, stream: UnixStream) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(stream);
        }
    }

    /// Asks the guest to stop its program. Errors: `NotConnected`, and those of the socket.
    pub fn stop(&self) -> io::Result<()> {
        let mut frame = [0; 64];
        let command = FromHost::Command(Command::Stop { deadline_ms: STOP_DEADLINE_MS });
        let len = emit_frame(&mut frame, &command).ok_or(io::ErrorKind::InvalidData)?;
        let slot = self.0.lock().map_err(|_| io::ErrorKind::NotConnected)?;
        let mut stream = slot.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(frame.get(..len).unwrap_or_default())
    }
}

/// Reads frames until the stream ends or cannot be followed any more, and hands each to `deliver`.
pub fn receive(mut stream: impl Read, mut deliver: impl FnMut(ToHost)) {
    let mut bytes = Vec::new();
    let mut chunk = [0; FRAME_BYTES];
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(chunk.get(..len).unwrap_or_default());
        loop {
            let used = match parse_frame::<ToHost>(&bytes) {
                Frame::Incomplete => break,
                Frame::Lost => return,
                Frame::Unknown(used) => used,
                Frame::Whole(frame, used) => {
                    deliver(frame);
                    used
                }
            };
            bytes.drain(..used.min(bytes.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let mut stream = Vec::new();
        for frame in [ToHost::Hello, ToHost::Refused, ToHost::Exit { status: 7 }] {
            let mut buffer = [0; 64];
            let len = emit_frame(&mut buffer, &frame).unwrap();
            stream.extend_from_slice(&buffer[..len]);
        }
        for cut in 0..stream.len() {
            let mut seen = Vec::new();
            receive((&stream[..cut]).chain(&stream[cut..]), |frame| seen.push(frame));
            assert_eq!(seen, [ToHost::Hello, ToHost::Refused, ToHost::Exit { status: 7 }]);
        }
    }

    #[test]
    fn a_frame_of_another_version_is_skipped_and_a_senseless_length_ends_the_stream() {
        let mut hello = [0; 64];
        let len = emit_frame(&mut hello, &ToHost::Hello).unwrap();
        let unknown = [2, 0, 0, 0, 99, 0];
        let lost = [0xff; 4];
        let mut seen = 0;
        receive((&unknown[..]).chain(&hello[..len]).chain(&lost[..]).chain(&hello[..len]), |_| seen += 1);
        assert_eq!(seen, 1);
    }

    #[test]
    fn nothing_can_be_sent_before_the_guest_is_there() {
        assert_eq!(Sender::default().stop().unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
