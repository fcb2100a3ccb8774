//! Processes and threads: clone, limits, usage, system information, auxiliary vector.

use crate::layout;
use crate::time::Timeval;
use bitflags::bitflags;

layout! {
    /// `struct clone_args` (all three published sizes: 64, 80, 88).
    pub struct CloneArgs: 88 {
        /// `CLONE_*`.
        0 flags: u64,
        /// Where to put a pidfd.
        8 pidfd: u64,
        /// Where the child's id goes in the child.
        16 child_tid: u64,
        /// Where the child's id goes in the parent.
        24 parent_tid: u64,
        /// Signal at exit.
        32 exit_signal: u64,
        /// Lowest byte of the stack.
        40 stack: u64,
        /// Bytes of the stack.
        48 stack_size: u64,
        /// Thread-local storage.
        56 tls: u64,
        /// Wanted ids.
        64 set_tid: u64,
        /// Their number.
        72 set_tid_size: u64,
        /// Control group.
        80 cgroup: u64,
    }

    /// `struct robust_list_head`.
    pub struct RobustListHead: 24 {
        /// First entry.
        0 next: u64,
        /// From an entry to its futex word.
        8 futex_offset: i64,
        /// Entry in the course of being locked or unlocked.
        16 pending: u64,
    }

    /// `struct rlimit`.
    pub struct Rlimit: 16 {
        /// Soft limit.
        0 current: u64,
        /// Hard limit.
        8 maximum: u64,
    }

    /// `struct rusage`.
    pub struct Rusage: 144 {
        /// User time.
        0 user: Timeval,
        /// System time.
        16 system: Timeval,
        /// Largest resident set, KiB.
        32 max_resident_kib: i64,
        /// Faults without I/O.
        64 minor_faults: i64,
        /// Faults with I/O.
        72 major_faults: i64,
        /// Voluntary switches.
        128 voluntary_switches: i64,
        /// Involuntary switches.
        136 involuntary_switches: i64,
    }

    /// `struct sysinfo`.
    pub struct Sysinfo: 112 {
        /// Seconds since boot.
        0 uptime: i64,
        /// Load averages, 16 fraction bits.
        8 loads: [u64; 3],
        /// Bytes of memory.
        32 total_ram: u64,
        /// Free bytes.
        40 free_ram: u64,
        /// Shared bytes.
        48 shared_ram: u64,
        /// Buffer bytes.
        56 buffer_ram: u64,
        /// Swap.
        64 total_swap: u64,
        /// Free swap.
        72 free_swap: u64,
        /// Threads.
        80 processes: u16,
        /// High memory.
        88 total_high: u64,
        /// Free high memory.
        96 free_high: u64,
        /// Unit of the sizes.
        104 unit: u32,
    }

    /// `struct new_utsname`.
    pub struct Utsname: 390 {
        /// Operating system.
        0 system: [u8; 65],
        /// Host name.
        65 node: [u8; 65],
        /// Release.
        130 release: [u8; 65],
        /// Version.
        195 version: [u8; 65],
        /// Machine.
        260 machine: [u8; 65],
        /// Domain.
        325 domain: [u8; 65],
    }

    /// `struct sched_param`.
    pub struct SchedParam: 4 {
        /// Real-time priority.
        0 priority: i32,
    }

    /// `struct __user_cap_header_struct`.
    pub struct CapHeader: 8 {
        /// `_LINUX_CAPABILITY_VERSION_*`.
        0 version: u32,
        /// Process.
        4 pid: i32,
    }

    /// `struct __user_cap_data_struct`.
    pub struct CapData: 12 {
        /// Effective.
        0 effective: u32,
        /// Permitted.
        4 permitted: u32,
        /// Inheritable.
        8 inheritable: u32,
    }
}

bitflags! {
    /// Flags of `clone(2)`; the low byte of the old call is the exit signal.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CloneFlags: u64 {
        /// Share memory.
        const VM = 0x100;
        /// Share root and working directory.
        const FS = 0x200;
        /// Share descriptors.
        const FILES = 0x400;
        /// Share signal handlers.
        const SIGHAND = 0x800;
        /// Give a pidfd.
        const PIDFD = 0x1000;
        /// Be traced as well.
        const PTRACE = 0x2000;
        /// The parent waits until the child lets go of its memory.
        const VFORK = 0x4000;
        /// Same parent as the caller.
        const PARENT = 0x8000;
        /// A thread of the same process.
        const THREAD = 0x1_0000;
        /// New mount namespace.
        const NEWNS = 0x2_0000;
        /// Share semaphore undo lists.
        const SYSVSEM = 0x4_0000;
        /// Set thread-local storage.
        const SETTLS = 0x8_0000;
        /// Store the id in the parent.
        const PARENT_SETTID = 0x10_0000;
        /// Clear the id at exit.
        const CHILD_CLEARTID = 0x20_0000;
        /// Ignored.
        const DETACHED = 0x40_0000;
        /// May not be traced.
        const UNTRACED = 0x80_0000;
        /// Store the id in the child.
        const CHILD_SETTID = 0x100_0000;
        /// New control group namespace.
        const NEWCGROUP = 0x200_0000;
        /// New UTS namespace.
        const NEWUTS = 0x400_0000;
        /// New IPC namespace.
        const NEWIPC = 0x800_0000;
        /// New user namespace.
        const NEWUSER = 0x1000_0000;
        /// New process namespace.
        const NEWPID = 0x2000_0000;
        /// New network namespace.
        const NEWNET = 0x4000_0000;
        /// Share the I/O context.
        const IO = 0x8000_0000;
        /// Reset handlers (clone3).
        const CLEAR_SIGHAND = 0x1_0000_0000;
        /// Into a control group (clone3).
        const INTO_CGROUP = 0x2_0000_0000;
    }
}

/// Resources of `prlimit64(2)`.
pub mod rlimit {
    #![allow(missing_docs)] // names of asm-generic/resource.h
    pub const CPU: u32 = 0;
    pub const FSIZE: u32 = 1;
    pub const DATA: u32 = 2;
    pub const STACK: u32 = 3;
    pub const CORE: u32 = 4;
    pub const RSS: u32 = 5;
    pub const NPROC: u32 = 6;
    pub const NOFILE: u32 = 7;
    pub const MEMLOCK: u32 = 8;
    pub const AS: u32 = 9;
    pub const LOCKS: u32 = 10;
    pub const SIGPENDING: u32 = 11;
    pub const MSGQUEUE: u32 = 12;
    pub const NICE: u32 = 13;
    pub const RTPRIO: u32 = 14;
    pub const RTTIME: u32 = 15;
    pub const COUNT: usize = 16;
    pub const INFINITY: u64 = u64::MAX;
}

/// Types of the auxiliary vector (`linux/auxvec.h`, `asm/auxvec.h`).
pub mod auxv {
    #![allow(missing_docs)] // names of linux/auxvec.h
    pub const NULL: u64 = 0;
    pub const PHDR: u64 = 3;
    pub const PHENT: u64 = 4;
    pub const PHNUM: u64 = 5;
    pub const PAGESZ: u64 = 6;
    pub const BASE: u64 = 7;
    pub const FLAGS: u64 = 8;
    pub const ENTRY: u64 = 9;
    pub const UID: u64 = 11;
    pub const EUID: u64 = 12;
    pub const GID: u64 = 13;
    pub const EGID: u64 = 14;
    pub const PLATFORM: u64 = 15;
    pub const HWCAP: u64 = 16;
    pub const CLKTCK: u64 = 17;
    pub const SECURE: u64 = 23;
    pub const RANDOM: u64 = 25;
    pub const HWCAP2: u64 = 26;
    pub const EXECFN: u64 = 31;
    pub const SYSINFO_EHDR: u64 = 33;
    pub const MINSIGSTKSZ: u64 = 51;
}

/// Operations of `futex(2)` and the bits of a futex word (`linux/futex.h`).
pub mod futex {
    #![allow(missing_docs)] // names of linux/futex.h
    pub const WAIT: u32 = 0;
    pub const WAKE: u32 = 1;
    pub const FD: u32 = 2;
    pub const REQUEUE: u32 = 3;
    pub const CMP_REQUEUE: u32 = 4;
    pub const WAKE_OP: u32 = 5;
    pub const LOCK_PI: u32 = 6;
    pub const UNLOCK_PI: u32 = 7;
    pub const TRYLOCK_PI: u32 = 8;
    pub const WAIT_BITSET: u32 = 9;
    pub const WAKE_BITSET: u32 = 10;
    pub const WAIT_REQUEUE_PI: u32 = 11;
    pub const CMP_REQUEUE_PI: u32 = 12;
    pub const LOCK_PI2: u32 = 13;
    pub const PRIVATE: u32 = 128;
    pub const CLOCK_REALTIME: u32 = 256;
    pub const WAITERS: u32 = 0x8000_0000;
    pub const OWNER_DIED: u32 = 0x4000_0000;
    pub const TID_MASK: u32 = 0x3fff_ffff;
    pub const BITSET_ANY: u32 = u32::MAX;
    /// Most entries of a robust list that are looked at (`ROBUST_LIST_LIMIT`).
    pub const ROBUST_LIMIT: usize = 2048;
}

/// Sub-functions of `arch_prctl(2)`.
pub mod arch {
    #![allow(missing_docs)] // names of asm/prctl.h
    pub const SET_GS: u32 = 0x1001;
    pub const SET_FS: u32 = 0x1002;
    pub const GET_FS: u32 = 0x1003;
    pub const GET_GS: u32 = 0x1004;
    pub const GET_CPUID: u32 = 0x1011;
    pub const SET_CPUID: u32 = 0x1012;
}

/// Operations of `prctl(2)`.
pub mod prctl {
    #![allow(missing_docs)] // names of linux/prctl.h
    pub const SET_PDEATHSIG: u32 = 1;
    pub const GET_PDEATHSIG: u32 = 2;
    pub const GET_DUMPABLE: u32 = 3;
    pub const SET_DUMPABLE: u32 = 4;
    pub const GET_KEEPCAPS: u32 = 7;
    pub const SET_KEEPCAPS: u32 = 8;
    pub const SET_NAME: u32 = 15;
    pub const GET_NAME: u32 = 16;
    pub const GET_SECCOMP: u32 = 21;
    pub const SET_SECCOMP: u32 = 22;
    pub const CAPBSET_READ: u32 = 23;
    pub const CAPBSET_DROP: u32 = 24;
    pub const GET_TIMERSLACK: u32 = 30;
    pub const SET_TIMERSLACK: u32 = 29;
    pub const SET_CHILD_SUBREAPER: u32 = 36;
    pub const GET_CHILD_SUBREAPER: u32 = 37;
    pub const SET_NO_NEW_PRIVS: u32 = 38;
    pub const GET_NO_NEW_PRIVS: u32 = 39;
    pub const SET_THP_DISABLE: u32 = 41;
    pub const GET_THP_DISABLE: u32 = 42;
    pub const CAP_AMBIENT: u32 = 47;
    pub const SET_VMA: u32 = 0x5356_4d41;
}
