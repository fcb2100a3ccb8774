//! What a handler is given and returns.
//!
//! A handler is `pub(crate) fn name(cx: &mut Context, a: A, ..) -> SysResult` with up to six typed arguments
//! ([`Argument`]); `table.rs` turns it into a uniform entry with [`Handler`], so that decoding happens once.

use crate::process::Process;
use crate::thread::LinuxThread;
use alloc::sync::Arc;
use linux_abi::Errno;
use microkernel::trap::UserContext;

/// A handler's value for `rax`, or the errno.
pub(crate) type SysResult = Result<u64, Errno>;

/// One system call in progress.
pub(crate) struct Context<'a> {
    /// The program's registers; the result goes into `rax` after the handler has returned.
    pub regs: &'a mut UserContext,
    /// The calling thread.
    pub thread: &'a Arc<LinuxThread>,
    /// What all threads share.
    pub process: &'static Process,
}

impl Context<'_> {
    /// Raw argument `index` (0..6) as the psABI passes it.
    pub(crate) fn raw(&self, index: usize) -> u64 {
        let regs = &*self.regs;
        match index {
            0 => regs.rdi,
            1 => regs.rsi,
            2 => regs.rdx,
            3 => regs.r10,
            4 => regs.r8,
            _ => regs.r9,
        }
    }
}

/// A type that a register decodes into. Narrow types ignore the upper bits, as Linux does.
pub(crate) trait Argument: Copy {
    /// Decodes one register.
    fn decode(raw: u64) -> Self;
}

macro_rules! plain_arguments {
    ($($type:ty),*) => {
        $(impl Argument for $type {
            fn decode(raw: u64) -> Self {
                raw as $type
            }
        })*
    };
}
plain_arguments!(u64, i64, usize, isize, u32, i32, u16, u8);

/// A function that serves a system call; `M` is the tuple of its argument types.
pub(crate) trait Handler<M> {
    /// Decodes the arguments and runs the function.
    fn invoke(self, cx: &mut Context) -> SysResult;
}

macro_rules! handlers {
    ($( ($($type:ident $index:literal),*) )*) => {
        $(impl<Func, $($type: Argument),*> Handler<($($type,)*)> for Func
        where
            Func: Fn(&mut Context, $($type),*) -> SysResult,
        {
            fn invoke(self, cx: &mut Context) -> SysResult {
                self(cx, $($type::decode(cx.raw($index))),*)
            }
        })*
    };
}
handlers! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
