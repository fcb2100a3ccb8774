//! The Linux front end: hosts one unmodified x86-64 Linux program.
//!
//! Every thread of the program is a core thread of the task `linux`; a system call runs on that thread's
//! kernel stack and may wait there. The core enters through three injected handlers (see [`syscall`]):
//! system call, fault, attention. Everything the program shares lives in one [`Process`].
//!
//! Two halves: the *process side* (memory, threads, futexes, signals, time, identity, exec) and the
//! *files side* (names, page cache, descriptors, pipes, epoll, sockets, `/proc`, `/dev`). They meet in
//! [`mm::MappedFile`] (pages of a file for a mapping), [`user`] (copies from and to the program),
//! [`block`] (how a handler waits) and [`events`] (what wakes it from outside).
//!
//! Lock order, outermost first: `mm` regions, then descriptors, then one file, then page cache, then signal
//! state, then thread list, then timers, then futex bucket. Nothing waits, calls a server or touches user
//! memory with a spin lock held.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

// ---- both sides ----
mod block; // how a handler waits: bits, deadlines, interruption
mod context; // Context, SysResult, typed arguments of handlers
mod errno; // protocol errors -> errno
mod events; // the helper thread that bells, timers and standing calls wake
mod process; // Process: all that the program's threads share
mod remote; // typed calls to servers
#[macro_use]
mod report; // what we lack, named once on the log
mod setup; // what root hands over; start()
mod syscall; // dispatch, the three handlers
mod table; // one row per system call number
mod user; // user memory: copies with faulting in, strings, vectors

// ---- process side ----
mod exec; // ELF loading, stack, auxiliary vector
mod futex;
mod identity; // ids, uname, limits, prctl, getrandom
mod mm; // regions, mapping calls, page faults
mod sched;
mod signal;
mod thread; // LinuxThread, clone, exit
mod time; // clocks, sleeping, timers
mod vdso; // places the core's vDSO image into the program

// ---- files side ----
mod dev;
mod dir;
mod epoll;
mod eventfd;
mod file;
mod fs;
mod net;
mod pipe;
mod poll;
mod proc;
mod read_write;
mod signalfd;
mod stat;
mod timerfd;
mod wait; // wait queues
mod xattr;

pub use process::{Process, process};
pub use setup::{MountPoint, Setup, start};
pub use table::{ROWS, Row, Support};
