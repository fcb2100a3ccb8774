//! TCP blocks: one smoltcp socket with its buffers in a set of its own, kept for reuse.
//!
//! Buffers shrink as connections grow in number, so that memory is bounded by what is open at once.

use alloc::vec::Vec;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Duration;

/// Bytes of each of the two buffers, by class, and the number of connections up to which the class is given out.
const CLASSES: [(usize, usize); 4] = [(65_536, 64), (32_768, 256), (16_384, 1024), (8192, usize::MAX)];

/// Blocks of each class that are kept.
const SPARE: usize = 64;

/// Longest time that an acknowledgement waits for data to travel with (RFC 9293 allows 500 ms).
const ACK_DELAY: Duration = Duration::from_millis(10);

/// A TCP socket alone in its set.
pub struct Block {
    /// The set.
    pub set: SocketSet<'static>,
    handle: SocketHandle,
    class: usize,
}

impl Block {
    fn new(class: usize) -> Option<Self> {
        let len = CLASSES[class].0;
        let (rx, tx) = (bytes(len)?, bytes(len)?);
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(Socket::new(SocketBuffer::new(rx), SocketBuffer::new(tx)));
        Some(Self { set, handle, class })
    }

    /// The socket.
    pub fn socket(&self) -> &Socket<'static> {
        self.set.get(self.handle)
    }

    /// The socket.
    pub fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Everything as if newly made; smoltcp itself starts the rest anew with `listen` and `connect`.
    fn renew(&mut self) {
        let socket = self.socket_mut();
        socket.abort();
        socket.set_timeout(None);
        socket.set_keep_alive(None);
        socket.set_hop_limit(None);
        socket.set_nagle_enabled(true);
        socket.set_ack_delay(Some(ACK_DELAY));
        socket.set_congestion_control(CongestionControl::Reno);
    }
}

fn bytes(len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    bytes.resize(len, 0);
    Some(bytes)
}

/// Blocks for reuse.
#[derive(Default)]
pub struct Pool {
    spare: [Vec<Block>; CLASSES.len()],
}

impl Pool {
    /// A block for one more connection beside `open` ones; `None` when memory is used up.
    pub fn take(&mut self, open: usize) -> Option<Block> {
        let class = CLASSES.iter().position(|&(_, limit)| open < limit)?;
        let mut block = match self.spare[class].pop() {
            Some(block) => block,
            None => Block::new(class)?,
        };
        block.renew();
        Some(block)
    }

    /// Takes a block back.
    pub fn give(&mut self, block: Block) {
        let spare = &mut self.spare[block.class];
        if spare.len() < SPARE {
            spare.push(block);
        }
    }
}
