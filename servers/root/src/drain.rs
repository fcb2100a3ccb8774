//! Carries Skiff's log to the console server's log stream.
//!
//! A thread of its own, less important than the console: the watcher must never wait for a server.

use crate::instances::system;
use crate::system::Kind;
use alloc::vec::Vec;
use microkernel::channel::{Connection, Wait};
use microkernel::{log, thread};
use protocol::console::{PUT_BYTES, Put, Request, Stream};
use protocol::{Bytes, Envelope, MESSAGE_BYTES};

const LOG_BIT: u8 = 0;
const PRIORITY: u8 = 3;

/// Starts the thread.
pub fn spawn() {
    thread::spawn_kernel("log", PRIORITY, run, 0).expect("memory at boot");
}

fn run(_: usize) {
    let console = system().first(Kind::Console).expect("there is always a console");
    let console = Connection::new(&console.port, thread::current(), 0);
    log::attach_reader(1 << LOG_BIT);
    loop {
        carry(&console);
        thread::wait_for(1 << LOG_BIT, None);
    }
}

fn carry(console: &Connection) {
    let mut bytes = [0; PUT_BYTES];
    loop {
        let len = log::take(&mut bytes);
        if len == 0 {
            return;
        }
        if !put(console, &bytes[..len]) {
            // No console: the UART is what is left.
            log::uart(&bytes[..len]);
        }
    }
}

fn put(console: &Connection, words: &[u8]) -> bool {
    let Some(bytes) = Bytes::new(words) else { return false };
    let request = Request::from(Put { stream: Stream::Log, bytes });
    let mut message = [0; MESSAGE_BYTES];
    let Ok(len) = protocol::encode(&mut message, Envelope::new(1, 0), &request) else { return false };
    let mut reply = [0; MESSAGE_BYTES];
    match console.call(&message[..len], Vec::new(), &mut reply, Wait::ForReply) {
        Ok(len) => matches!(protocol::decode::<protocol::console::Result<u32>>(&reply[..len]), Ok((_, Ok(_)))),
        Err(_) => false,
    }
}

/// Waits until what was logged so far is with the host; from a thread that is less important than the log's.
pub fn finish() {
    let console = system().first(Kind::Console).expect("there is always a console");
    let console = Connection::new(&console.port, thread::current(), 0);
    carry(&console);
}
