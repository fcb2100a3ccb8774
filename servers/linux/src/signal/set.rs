//! Sets of signals and queues of pending ones. Pure.

use alloc::collections::VecDeque;
use linux_abi::signal::SigInfo;
use linux_abi::signal::number::{
    SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGRTMAX, SIGRTMIN, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP,
};

/// A set of signals: bit `n - 1` is signal `n`, as in `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SigSet(pub u64);

impl SigSet {
    /// Only `signo`.
    pub(crate) const fn of(signo: u32) -> Self {
        Self(1 << (signo - 1))
    }

    /// SIGKILL and SIGSTOP, which nobody blocks.
    pub(crate) const UNBLOCKABLE: Self = Self(Self::of(SIGKILL).0 | Self::of(SIGSTOP).0);

    /// Signals that name a fault of the thread itself; they are delivered first.
    const SYNCHRONOUS: Self = Self(
        Self::of(SIGSEGV).0
            | Self::of(SIGBUS).0
            | Self::of(SIGILL).0
            | Self::of(SIGTRAP).0
            | Self::of(SIGFPE).0
            | Self::of(SIGSYS).0,
    );

    /// Whether `signo` is a member.
    pub(crate) const fn contains(self, signo: u32) -> bool {
        self.0 & Self::of(signo).0 != 0
    }

    /// Members of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Members of either.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Members of this set alone.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The member to deliver first: synchronous ones, then by number.
    pub(crate) const fn first(self) -> Option<u32> {
        let urgent = self.0 & Self::SYNCHRONOUS.0;
        match if urgent != 0 { urgent } else { self.0 } {
            0 => None,
            bits => Some(bits.trailing_zeros() + 1),
        }
    }
}

/// Pending signals with what is known of each.
#[derive(Default)]
pub(crate) struct Queue {
    set: SigSet,
    infos: VecDeque<SigInfo>,
}

/// Most queued signals of one queue (`RLIMIT_SIGPENDING` of a small machine).
const QUEUE_MAX: usize = 4096;

/// A real-time signal found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Queue {
    /// Which signals are pending.
    pub(crate) fn set(&self) -> SigSet {
        self.set
    }

    /// Adds a signal. A standard signal that is pending already stays one; real-time signals queue.
    pub(crate) fn push(&mut self, info: SigInfo) -> Result<(), Full> {
        let signo = info.signo.cast_unsigned();
        if signo == 0 || signo > SIGRTMAX || signo < SIGRTMIN && self.set.contains(signo) {
            return Ok(());
        }
        if self.infos.len() >= QUEUE_MAX && signo >= SIGRTMIN {
            return Err(Full);
        }
        self.set = self.set.or(SigSet::of(signo));
        self.infos.push_back(info);
        Ok(())
    }

    /// Takes the first pending member of `wanted`.
    pub(crate) fn take(&mut self, wanted: SigSet) -> Option<SigInfo> {
        let signo = self.set.and(wanted).first()?;
        let is_it = |info: &SigInfo| info.signo.cast_unsigned() == signo;
        let at = self.infos.iter().position(is_it)?;
        let info = self.infos.remove(at);
        if !self.infos.iter().any(is_it) {
            self.set = self.set.without(SigSet::of(signo));
        }
        info
    }

    /// Forgets all pending members of `gone`.
    pub(crate) fn discard(&mut self, gone: SigSet) {
        self.infos.retain(|info| !gone.contains(info.signo.cast_unsigned()));
        self.set = self.set.without(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::{Queue, SigSet};
    use linux_abi::signal::SigInfo;

    fn info(signo: u32, pid: u32) -> SigInfo {
        SigInfo::from_sender(signo, 0, pid, 0)
    }

    #[test]
    fn a_standard_signal_is_pending_once_and_a_real_time_one_queues() {
        let mut queue = Queue::default();
        for pid in 1..=2 {
            queue.push(info(10, pid)).unwrap();
            queue.push(info(40, pid)).unwrap();
        }
        let all = SigSet(u64::MAX);
        assert_eq!(queue.take(all).map(|info| info.detail[0]), Some(1));
        assert_eq!(queue.take(all).map(|info| info.detail[0]), Some(1));
        assert_eq!(queue.take(all).map(|info| (info.signo, info.detail[0])), Some((40, 2)));
        assert_eq!(queue.take(all), None);
    }

    #[test]
    fn faults_come_before_lower_numbers() {
        let set = SigSet::of(1).or(SigSet::of(11));
        assert_eq!(set.first(), Some(11));
        assert_eq!(set.without(SigSet::of(11)).first(), Some(1));
    }

    #[test]
    fn a_blocked_signal_stays_pending() {
        let mut queue = Queue::default();
        queue.push(info(10, 1)).unwrap();
        assert_eq!(queue.take(SigSet(u64::MAX).without(SigSet::of(10))), None);
        assert!(queue.set().contains(10));
        queue.discard(SigSet::of(10));
        assert_eq!(queue.set(), SigSet(0));
    }
}
