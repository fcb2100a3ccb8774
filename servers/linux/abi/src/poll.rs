//! Readiness: poll(2), select(2), epoll(7).

use bitflags::bitflags;

bitflags! {
    /// Readiness of a file, and the behaviour bits of epoll_ctl(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Events: u32 {
        /// Something can be read.
        const IN = 0x001;
        /// Urgent data.
        const PRI = 0x002;
        /// Something can be written.
        const OUT = 0x004;
        /// An error is pending; reported unasked.
        const ERR = 0x008;
        /// Both directions are closed; reported unasked.
        const HUP = 0x010;
        /// poll: the descriptor is not open.
        const NVAL = 0x020;
        /// As `IN`.
        const RDNORM = 0x040;
        /// Priority data.
        const RDBAND = 0x080;
        /// As `OUT`.
        const WRNORM = 0x100;
        /// Priority data.
        const WRBAND = 0x200;
        /// The peer has closed its writing side.
        const RDHUP = 0x2000;
        /// epoll: wake one of several.
        const EXCLUSIVE = 1 << 28;
        /// epoll: keep the machine awake.
        const WAKEUP = 1 << 29;
        /// epoll: report once, then disarm.
        const ONESHOT = 1 << 30;
        /// epoll: report changes only.
        const EDGE = 1 << 31;
    }
}

impl Events {
    /// What is reported though nobody asked.
    pub const ALWAYS: Self = Self::ERR.union(Self::HUP);
    /// Readable, in both spellings.
    pub const READABLE: Self = Self::IN.union(Self::RDNORM);
    /// Writable, in both spellings.
    pub const WRITABLE: Self = Self::OUT.union(Self::WRNORM);
    /// Behaviour bits of epoll.
    pub const BEHAVIOUR: Self = Self::EXCLUSIVE.union(Self::WAKEUP).union(Self::ONESHOT).union(Self::EDGE);
}

/// epoll_ctl: add.
pub const EPOLL_CTL_ADD: u32 = 1;
/// epoll_ctl: remove.
pub const EPOLL_CTL_DEL: u32 = 2;
/// epoll_ctl: change.
pub const EPOLL_CTL_MOD: u32 = 3;
/// epoll_create1: close-on-exec.
pub const EPOLL_CLOEXEC: u32 = 0o2000000;
/// Bytes of `struct epoll_event`, packed on x86-64.
pub const EPOLL_EVENT_BYTES: usize = 12;
/// Bytes of `struct pollfd`.
pub const POLLFD_BYTES: usize = 8;
