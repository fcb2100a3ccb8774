//! When which part of the stack wants to be looked at.
//!
//! Timers are lazy: one that moves to a later time stays where it is and is set anew when it fires, so that the usual
//! case (each packet pushes the retransmission timer back) touches no tree.

use alloc::collections::BTreeSet;

/// Who is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A connection.
    Conn(u32),
    /// A datagram socket.
    Datagram(u32),
    /// Address configuration.
    Dhcp,
}

/// All timers.
#[derive(Default)]
pub struct Timers(BTreeSet<(u64, Key)>);

impl Timers {
    /// Sees to it that `key` is looked at by `wanted_ns`; `armed` is where its timer stands.
    pub fn arm(&mut self, key: Key, armed: &mut Option<u64>, wanted_ns: Option<u64>) {
        let Some(wanted_ns) = wanted_ns else { return };
        match *armed {
            Some(at) if at <= wanted_ns => return,
            Some(at) => {
                self.0.remove(&(at, key));
            }
            None => {}
        }
        self.0.insert((wanted_ns, key));
        *armed = Some(wanted_ns);
    }

    /// Forgets the timer of `key`.
    pub fn disarm(&mut self, key: Key, armed: &mut Option<u64>) {
        if let Some(at) = armed.take() {
            self.0.remove(&(at, key));
        }
    }

    /// Takes one that is due. Its `armed` must be cleared by whoever holds it.
    pub fn due(&mut self, now_ns: u64) -> Option<Key> {
        let &(at, _) = self.0.first()?;
        if at > now_ns {
            return None;
        }
        self.0.pop_first().map(|(_, key)| key)
    }

    /// When the next one is due.
    pub fn next_ns(&self) -> Option<u64> {
        self.0.first().map(|&(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_moves_back_stays_and_one_that_moves_forward_is_set_anew() {
        let (mut timers, mut armed) = (Timers::default(), None);
        timers.arm(Key::Conn(1), &mut armed, Some(100));
        timers.arm(Key::Conn(1), &mut armed, Some(200));
        assert_eq!((armed, timers.next_ns()), (Some(100), Some(100)));
        timers.arm(Key::Conn(1), &mut armed, Some(50));
        assert_eq!((armed, timers.due(49)), (Some(50), None));
        assert_eq!(timers.due(50), Some(Key::Conn(1)));
        assert_eq!(timers.next_ns(), None);
    }

    #[test]
    fn a_disarmed_timer_does_not_fire() {
        let (mut timers, mut armed) = (Timers::default(), None);
        timers.arm(Key::Dhcp, &mut armed, Some(1));
        timers.disarm(Key::Dhcp, &mut armed);
        assert_eq!((armed, timers.due(u64::MAX)), (None, None));
    }
}
