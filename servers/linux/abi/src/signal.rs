//! Signals: numbers, actions, information, and the frame on the program's stack (`asm/signal.h`, `asm/sigcontext.h`).

use crate::layout;
use bitflags::bitflags;

layout! {
    /// `struct sigaction` of the kernel (`rt_sigaction`), not libc's.
    pub struct SigAction: 32 {
        /// `SIG_DFL` (0), `SIG_IGN` (1), or an address.
        0 handler: u64,
        /// `SA_*`.
        8 flags: u64,
        /// Return trampoline.
        16 restorer: u64,
        /// Blocked while the handler runs.
        24 mask: u64,
    }

    /// `stack_t`.
    pub struct AltStack: 24 {
        /// Lowest byte.
        0 base: u64,
        /// `SS_*`.
        8 flags: i32,
        /// Bytes.
        16 size: u64,
    }

    /// `siginfo_t`: the head and the raw union behind it.
    pub struct SigInfo: 128 {
        /// Signal number.
        0 signo: i32,
        /// Errno, always 0 here.
        4 errno: i32,
        /// Why it was sent.
        8 code: i32,
        /// Union of the details; see the constructors.
        16 detail: [u64; 14],
    }

    /// `struct sigcontext_64`, inside the frame's `ucontext`.
    pub struct SigContext: 256 {
        /// r8 to r15.
        0 r8_to_r15: [u64; 8],
        /// rdi.
        64 rdi: u64,
        /// rsi.
        72 rsi: u64,
        /// rbp.
        80 rbp: u64,
        /// rbx.
        88 rbx: u64,
        /// rdx.
        96 rdx: u64,
        /// rax.
        104 rax: u64,
        /// rcx.
        112 rcx: u64,
        /// rsp.
        120 rsp: u64,
        /// rip.
        128 rip: u64,
        /// rflags.
        136 rflags: u64,
        /// Code segment.
        144 cs: u16,
        /// Unused.
        146 gs: u16,
        /// Unused.
        148 fs: u16,
        /// Stack segment.
        150 ss: u16,
        /// Error code of the exception.
        152 error: u64,
        /// Vector of the exception.
        160 trap: u64,
        /// Low word of the signal mask (legacy).
        168 old_mask: u64,
        /// Faulting address.
        176 cr2: u64,
        /// Address of the vector state in the frame; 0 if absent.
        184 fpstate: u64,
    }

    /// `struct ucontext` up to and with the signal mask.
    pub struct Ucontext: 304 {
        /// `UC_*`.
        0 flags: u64,
        /// Unused.
        8 link: u64,
        /// Alternate stack in force.
        16 stack: AltStack,
        /// Registers.
        40 registers: SigContext,
        /// Signal mask to restore.
        296 mask: u64,
    }

    /// `struct _fpx_sw_bytes`, at byte 464 of the vector state in a frame.
    pub struct FpxSwBytes: 48 {
        /// `FP_XSTATE_MAGIC1`.
        0 magic1: u32,
        /// Bytes with the trailing magic.
        4 extended_size: u32,
        /// Saved components.
        8 features: u64,
        /// Bytes of the XSAVE image.
        16 xstate_size: u32,
    }
}

impl SigInfo {
    /// A signal sent by a process (`kill`, `tgkill`): `_kill` fields.
    #[must_use]
    pub fn from_sender(signo: u32, code: i32, pid: u32, uid: u32) -> Self {
        let mut info = Self { signo: signo.cast_signed(), code, ..Self::default() };
        info.detail[0] = u64::from(pid) | u64::from(uid) << 32;
        info
    }

    /// A synchronous fault: `_sigfault` fields.
    #[must_use]
    pub fn from_fault(signo: u32, code: i32, address: u64) -> Self {
        let mut info = Self { signo: signo.cast_signed(), code, ..Self::default() };
        info.detail[0] = address;
        info
    }

    /// A POSIX timer: `_timer` fields.
    #[must_use]
    pub fn from_timer(signo: u32, timer: u32, overrun: u32, value: u64) -> Self {
        let mut info = Self { signo: signo.cast_signed(), code: code::TIMER, ..Self::default() };
        info.detail[0] = u64::from(timer) | u64::from(overrun) << 32;
        info.detail[1] = value;
        info
    }
}

bitflags! {
    /// `SA_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ActionFlags: u64 {
        /// No SIGCHLD when children stop.
        const NOCLDSTOP = 0x1;
        /// No zombies.
        const NOCLDWAIT = 0x2;
        /// Handler takes three arguments.
        const SIGINFO = 0x4;
        /// `restorer` is valid.
        const RESTORER = 0x0400_0000;
        /// On the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Restart interrupted calls.
        const RESTART = 0x1000_0000;
        /// Do not block the signal itself.
        const NODEFER = 0x4000_0000;
        /// Back to default on delivery.
        const RESETHAND = 0x8000_0000;
    }
}

/// Signal numbers.
pub mod number {
    #![allow(missing_docs)] // names of asm/signal.h
    pub const SIGHUP: u32 = 1;
    pub const SIGINT: u32 = 2;
    pub const SIGQUIT: u32 = 3;
    pub const SIGILL: u32 = 4;
    pub const SIGTRAP: u32 = 5;
    pub const SIGABRT: u32 = 6;
    pub const SIGBUS: u32 = 7;
    pub const SIGFPE: u32 = 8;
    pub const SIGKILL: u32 = 9;
    pub const SIGUSR1: u32 = 10;
    pub const SIGSEGV: u32 = 11;
    pub const SIGUSR2: u32 = 12;
    pub const SIGPIPE: u32 = 13;
    pub const SIGALRM: u32 = 14;
    pub const SIGTERM: u32 = 15;
    pub const SIGSTKFLT: u32 = 16;
    pub const SIGCHLD: u32 = 17;
    pub const SIGCONT: u32 = 18;
    pub const SIGSTOP: u32 = 19;
    pub const SIGTSTP: u32 = 20;
    pub const SIGTTIN: u32 = 21;
    pub const SIGTTOU: u32 = 22;
    pub const SIGURG: u32 = 23;
    pub const SIGXCPU: u32 = 24;
    pub const SIGXFSZ: u32 = 25;
    pub const SIGVTALRM: u32 = 26;
    pub const SIGPROF: u32 = 27;
    pub const SIGWINCH: u32 = 28;
    pub const SIGIO: u32 = 29;
    pub const SIGPWR: u32 = 30;
    pub const SIGSYS: u32 = 31;
    /// First real-time signal.
    pub const SIGRTMIN: u32 = 32;
    /// Highest signal number.
    pub const SIGRTMAX: u32 = 64;
}

/// `si_code` values.
pub mod code {
    #![allow(missing_docs)] // names of asm-generic/siginfo.h
    pub const USER: i32 = 0;
    pub const KERNEL: i32 = 0x80;
    pub const QUEUE: i32 = -1;
    pub const TIMER: i32 = -2;
    pub const TKILL: i32 = -6;
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_INTOVF: i32 = 2;
    pub const FPE_FLTDIV: i32 = 3;
    pub const FPE_FLTOVF: i32 = 4;
    pub const FPE_FLTUND: i32 = 5;
    pub const FPE_FLTRES: i32 = 6;
    pub const FPE_FLTINV: i32 = 7;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
    pub const TRAP_BRKPT: i32 = 1;
    pub const TRAP_TRACE: i32 = 2;
}

/// `SIG_DFL`.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`.
pub const SIG_IGN: u64 = 1;
/// `how` of `rt_sigprocmask`: add.
pub const SIG_BLOCK: i32 = 0;
/// `how` of `rt_sigprocmask`: remove.
pub const SIG_UNBLOCK: i32 = 1;
/// `how` of `rt_sigprocmask`: replace.
pub const SIG_SETMASK: i32 = 2;
/// `SS_ONSTACK`.
pub const SS_ONSTACK: i32 = 1;
/// `SS_DISABLE`.
pub const SS_DISABLE: i32 = 2;
/// `SS_AUTODISARM`.
pub const SS_AUTODISARM: i32 = i32::MIN;
/// Smallest alternate stack (`MINSIGSTKSZ`).
pub const MINSIGSTKSZ: u64 = 2048;
/// `UC_FP_XSTATE`: the frame holds an XSAVE image.
pub const UC_FP_XSTATE: u64 = 1;
/// `UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`: `ss` in the context is valid.
pub const UC_SIGCONTEXT_SS: u64 = 6;
/// `FP_XSTATE_MAGIC1`.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// `FP_XSTATE_MAGIC2`, behind the XSAVE image.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// `SIGEV_SIGNAL`.
pub const SIGEV_SIGNAL: i32 = 0;
/// `SIGEV_NONE`.
pub const SIGEV_NONE: i32 = 1;
/// `SIGEV_THREAD_ID`.
pub const SIGEV_THREAD_ID: i32 = 4;

layout! {
    /// `struct sigevent`.
    pub struct SigEvent: 64 {
        /// The program's own.
        0 value: u64,
        /// Signal number.
        8 signo: i32,
        /// `SIGEV_*`.
        12 notify: i32,
        /// Thread for `SIGEV_THREAD_ID`.
        16 tid: i32,
    }
}
