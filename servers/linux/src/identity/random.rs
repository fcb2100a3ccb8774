//! Random numbers for the program: ChaCha20 (RFC 8439) over a key from the core's generator.
//!
//! The key is replaced by output of the stream after every request, so that earlier output cannot be computed
//! from a later state, and fresh entropy is mixed in each time.

use crate::context::{Context, SysResult};
use crate::process::process;
use crate::user;
use linux_abi::Errno;
use linux_abi::file::RW_MAX;
use spin::Mutex;

/// Bytes of a ChaCha20 block.
const BLOCK: usize = 64;

/// The generator's key.
pub(super) struct Generator(Mutex<[u32; 8]>);

impl Generator {
    pub(super) fn new() -> Self {
        Self(Mutex::new([0; 8]))
    }

    /// A key for one request; the stored key moves on.
    fn fork(&self) -> [u32; 8] {
        let mut key = self.0.lock();
        for pair in key.chunks_exact_mut(2) {
            let fresh = microkernel::random::next();
            pair[0] ^= fresh as u32;
            pair[1] ^= (fresh >> 32) as u32;
        }
        let block = block(&key, u32::MAX);
        let mut forked = [0; 8];
        forked.copy_from_slice(&block[8..]);
        key.copy_from_slice(&block[..8]);
        forked
    }

    /// Fills `out`, calling `take` with each piece.
    fn stream(&self, len: usize, take: &mut dyn FnMut(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let key = self.fork();
        for (counter, at) in (0..len).step_by(BLOCK).enumerate() {
            let mut bytes = [0; BLOCK];
            let words = block(&key, counter as u32);
            words
                .iter()
                .zip(bytes.chunks_exact_mut(4))
                .for_each(|(word, out)| out.copy_from_slice(&word.to_le_bytes()));
            take(bytes.get(..BLOCK.min(len - at)).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    let mut step = |sum: usize, add: usize, mix: usize, turn: u32| {
        state[sum] = state[sum].wrapping_add(state[add]);
        state[mix] = (state[mix] ^ state[sum]).rotate_left(turn);
    };
    step(a, b, d, 16);
    step(c, d, b, 12);
    step(a, b, d, 8);
    step(c, d, b, 7);
}

/// One block with a nonce of zeros: every key is used for one stream only.
fn block(key: &[u32; 8], counter: u32) -> [u32; 16] {
    let mut start = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, counter, 0, 0, 0];
    start[4..12].copy_from_slice(key);
    let mut state = start;
    for _ in 0..10 {
        (0..4).for_each(|column| quarter(&mut state, column, column + 4, column + 8, column + 12));
        (0..4).for_each(|row| quarter(&mut state, row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4));
    }
    state.iter_mut().zip(start).for_each(|(word, start)| *word = word.wrapping_add(start));
    state
}

/// Fills `out` with random bytes (AT_RANDOM, `/dev/urandom`).
pub(crate) fn fill_random(out: &mut [u8]) {
    let mut rest = out;
    let len = rest.len();
    // The taker cannot fail.
    let _ = process().identity.random.stream(len, &mut |bytes| {
        let (head, tail) = core::mem::take(&mut rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        rest = tail;
        Ok(())
    });
}

const GRND_NONBLOCK: u32 = 1;
const GRND_RANDOM: u32 = 2;
const GRND_INSECURE: u32 = 4;

/// getrandom(2).
pub(crate) fn getrandom(cx: &mut Context, out: u64, len: usize, flags: u32) -> SysResult {
    if flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0
        || flags & (GRND_RANDOM | GRND_INSECURE) == GRND_RANDOM | GRND_INSECURE
    {
        return Err(Errno::EINVAL);
    }
    let len = len.min(RW_MAX);
    let mut done = 0;
    let result = cx.process.identity.random.stream(len, &mut |bytes| {
        user::copy_out(out + done, bytes)?;
        done += bytes.len() as u64;
        Ok(())
    });
    match result {
        Err(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn the_first_block_of_the_zero_key_is_the_published_one() {
        // RFC 8439, appendix A.1, test vector 1.
        let words = block(&[0; 8], 0);
        assert_eq!(words[..4], [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
        assert_eq!(words[15], 0x8665_eeb2);
    }
}
