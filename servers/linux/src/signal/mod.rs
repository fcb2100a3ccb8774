//! Signals: sending, state, and what the rest of the front end needs of them.
//!
//! Actions and process-wide pending signals are in [`SharedSignals`], masks and thread-directed ones in
//! [`ThreadSignals`]; the shared lock is taken first. Delivery ([`deliver`]) happens on the thread itself, right before
//! it returns to the program; sending only queues, and [wants](LinuxThread::want) a thread that can take the signal.

mod calls;
mod deliver;
mod fault;
mod frame;
mod set;
mod stack;

pub(crate) use calls::{
    kill, pause, rt_sigaction, rt_sigpending, rt_sigprocmask, rt_sigqueueinfo, rt_sigsuspend, rt_sigtimedwait,
    rt_tgsigqueueinfo, tgkill, tkill,
};
pub(crate) use deliver::{deliver, rt_sigreturn};
pub(crate) use fault::on_fault;
pub(crate) use frame::frame_bytes_max;
pub(crate) use set::SigSet;
pub(crate) use stack::sigaltstack;

use crate::block::bits;
use crate::context::Context;
use crate::events::Sink;
use crate::process::{Process, process};
use crate::remote::Token;
use crate::thread::{LinuxThread, PID, end_process};
use alloc::sync::Arc;
use linux_abi::Errno;
use linux_abi::signal::number::{
    SIGCHLD, SIGCONT, SIGKILL, SIGRTMAX, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};
use linux_abi::signal::{AltStack, SIG_DFL, SIG_IGN, SS_DISABLE, SigAction, SigInfo, code};
use microkernel::task::thread;
use protocol::control::{self, Await, Command};
use set::Queue;
use spin::Mutex;

/// Actions, and signals for the process as a whole.
pub(crate) struct SharedSignals {
    state: Mutex<Shared>,
}

pub(in crate::signal) struct Shared {
    actions: [SigAction; SIGRTMAX as usize],
    pending: Queue,
}

impl Default for SharedSignals {
    fn default() -> Self {
        let actions = [SigAction::default(); SIGRTMAX as usize];
        Self { state: Mutex::new(Shared { actions, pending: Queue::default() }) }
    }
}

impl Shared {
    /// The action of `signo`, 1..=64.
    fn action(&self, signo: u32) -> SigAction {
        self.actions.get(signo as usize - 1).copied().unwrap_or_default()
    }
}

/// A thread's own signal state.
pub(crate) struct ThreadSignals {
    state: Mutex<Own>,
}

pub(in crate::signal) struct Own {
    mask: SigSet,
    /// Mask to go back to after delivery (`sigsuspend`, `ppoll`).
    saved_mask: Option<SigSet>,
    /// What `sigtimedwait` waits for.
    awaited: SigSet,
    pending: Queue,
    alt_stack: AltStack,
    /// Vector, error code and address of the last fault, for the frame.
    last_fault: (u64, u64, u64),
}

/// No alternate stack.
const NO_STACK: AltStack = AltStack { base: 0, flags: SS_DISABLE, size: 0 };

impl Default for ThreadSignals {
    fn default() -> Self {
        Self::with_mask(SigSet::default())
    }
}

impl ThreadSignals {
    fn with_mask(mask: SigSet) -> Self {
        let own = Own {
            mask,
            saved_mask: None,
            awaited: SigSet::default(),
            pending: Queue::default(),
            alt_stack: NO_STACK,
            last_fault: (0, 0, 0),
        };
        Self { state: Mutex::new(own) }
    }

    /// State of a thread that this one creates: same mask, nothing pending, no alternate stack.
    pub(crate) fn for_new_thread(&self) -> Self {
        Self::with_mask(self.mask())
    }

    /// Blocked signals.
    pub(crate) fn mask(&self) -> SigSet {
        self.state.lock().mask
    }
}

/// What the default action of a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signal) enum DefaultAction {
    /// Ends the process.
    End,
    /// Nothing.
    Ignore,
    /// Would stop the process; there is nobody to continue it, so it is ignored and reported.
    Stop,
}

pub(in crate::signal) fn default_of(signo: u32) -> DefaultAction {
    match signo {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::End,
    }
}

/// Whether a signal with this action has no effect when it is not blocked.
fn is_ignored(signo: u32, action: &SigAction) -> bool {
    match action.handler {
        SIG_IGN => signo != SIGKILL && signo != SIGSTOP,
        SIG_DFL => default_of(signo) != DefaultAction::End,
        _ => false,
    }
}

/// Sends a signal to the process. Errors: `EAGAIN` (queue of real-time signals full).
pub(crate) fn send_to_process(process: &Process, info: SigInfo) -> Result<(), Errno> {
    let signo = info.signo.cast_unsigned();
    let threads = process.threads.all();
    let mut shared = process.signals.state.lock();
    let takes = |thread: &&Arc<LinuxThread>| {
        let own = thread.signals.state.lock();
        !own.mask.contains(signo) || own.awaited.contains(signo)
    };
    let taker = threads.iter().find(takes);
    if taker.is_some_and(|taker| !taker.signals.state.lock().awaited.contains(signo))
        && is_ignored(signo, &shared.action(signo))
    {
        report_stop(signo);
        return Ok(());
    }
    shared.pending.push(info).map_err(|set::Full| Errno::EAGAIN)?;
    drop(shared);
    if let Some(taker) = taker {
        taker.want();
        taker.notify(bits::SIGNAL);
    }
    process.fs.signal_arrived();
    Ok(())
}

/// Sends a signal to one thread. Errors: `EAGAIN` (queue of real-time signals full).
pub(crate) fn send_to_thread(process: &Process, thread: &LinuxThread, info: SigInfo) -> Result<(), Errno> {
    let signo = info.signo.cast_unsigned();
    let shared = process.signals.state.lock();
    let mut own = thread.signals.state.lock();
    let open = !own.mask.contains(signo);
    if open && !own.awaited.contains(signo) && is_ignored(signo, &shared.action(signo)) {
        report_stop(signo);
        return Ok(());
    }
    own.pending.push(info).map_err(|set::Full| Errno::EAGAIN)?;
    let takes = open || own.awaited.contains(signo);
    drop(own);
    drop(shared);
    if takes {
        thread.want();
        thread.notify(bits::SIGNAL);
    }
    process.fs.signal_arrived();
    Ok(())
}

/// Signal for an error of the thread's own doing in a system call (SIGPIPE).
pub(crate) fn send_self(cx: &Context, signo: u32) {
    let info = SigInfo::from_sender(signo, code::USER, PID, 0);
    // A standard signal always finds room.
    let _ = send_to_thread(cx.process, cx.thread, info);
}

/// Signals that a signalfd(2) could read now: pending for the thread or the process.
pub(crate) fn pending(cx: &Context) -> SigSet {
    let shared = cx.process.signals.state.lock().pending.set();
    cx.thread.signals.state.lock().pending.set().or(shared)
}

/// Takes a pending member of `wanted`, blocked or not (signalfd, sigtimedwait).
pub(crate) fn take_pending(cx: &Context, wanted: SigSet) -> Option<SigInfo> {
    let mut shared = cx.process.signals.state.lock();
    let own = cx.thread.signals.state.lock().pending.take(wanted);
    own.or_else(|| shared.pending.take(wanted))
}

/// Puts `mask` in force until the handler returns to the program (ppoll, pselect, epoll_pwait, sigsuspend).
///
/// The old mask comes back after delivery, or at once with [`end_temporary_mask`].
pub(crate) fn set_temporary_mask(cx: &Context, mask: SigSet) {
    let mut own = cx.thread.signals.state.lock();
    let old = own.mask;
    own.saved_mask.get_or_insert(old);
    own.mask = mask.without(SigSet::UNBLOCKABLE);
    drop(own);
    look_again(cx);
}

/// Ends [`set_temporary_mask`] when no signal interrupted the call.
pub(crate) fn end_temporary_mask(cx: &Context) {
    let mut own = cx.thread.signals.state.lock();
    if let Some(mask) = own.saved_mask.take() {
        own.mask = mask;
    }
    drop(own);
    look_again(cx);
}

/// The mask has changed: what was blocked may be deliverable now.
pub(in crate::signal) fn look_again(cx: &Context) {
    if pending(cx).without(cx.thread.signals.mask()).first().is_some() {
        cx.thread.want();
    }
}

/// A thread has ended: process-wide signals that it was to take go to another one.
pub(crate) fn reassign(process: &Process, _gone: &LinuxThread) {
    let open = process.signals.state.lock().pending.set();
    let taker = |thread: &Arc<LinuxThread>| open.without(thread.signals.mask()).first().is_some();
    if let Some(taker) = process.threads.all().into_iter().find(taker) {
        taker.want();
    }
}

/// Signal sets of `/proc/self/status`: pending of the thread, of the process, blocked, ignored, caught.
pub(crate) fn sets(process: &Process, thread: &LinuxThread) -> [SigSet; 5] {
    let shared = process.signals.state.lock();
    let own = thread.signals.state.lock();
    let mut ignored = SigSet::default();
    let mut caught = SigSet::default();
    for (signo, action) in (1..).zip(&shared.actions) {
        match action.handler {
            SIG_DFL => {}
            SIG_IGN => ignored = ignored.or(SigSet::of(signo)),
            _ => caught = caught.or(SigSet::of(signo)),
        }
    }
    [own.pending.set(), shared.pending.set(), own.mask, ignored, caught]
}

fn report_stop(signo: u32) {
    if default_of(signo) == DefaultAction::Stop {
        lacking!("signal {signo} would stop the program; nobody could continue it, so it is ignored");
    }
}

/// Listens for the host's wish that the program end.
pub(crate) fn listen_for_stop(process: &Process) {
    Arc::new(StopListener { token: Mutex::new(None) }).post(process);
}

/// Keeps one `control::Await` posted.
struct StopListener {
    token: Mutex<Option<Token>>,
}

impl StopListener {
    /// Without a control server nobody will ever ask.
    fn post(self: Arc<Self>, process: &Process) {
        let mut token = self.token.lock();
        *token = process.control.start(Await {}, [], self.clone());
    }
}

impl Sink for StopListener {
    fn signalled(&self) {
        let Some(token) = self.token.lock().take() else { return };
        let process = process();
        match process.control.finish::<Await>(token) {
            Some(Ok(Command::Stop { deadline_ms })) => {
                stop(process, deadline_ms);
                listen_for_stop(process);
            }
            // A restarted control server is asked again; one without a port never answers.
            Some(Err(control::Error::PeerGone)) => listen_for_stop(process),
            Some(Err(control::Error::NoDevice | control::Error::Malformed)) | None => {}
        }
    }
}

/// SIGTERM now, SIGKILL after the deadline.
fn stop(process: &'static Process, deadline_ms: u32) {
    // A standard signal always finds room.
    let _ = send_to_process(process, SigInfo::from_sender(SIGTERM, code::USER, 0, 0));
    let deadline = microkernel::time::now_ns().saturating_add(u64::from(deadline_ms) * 1_000_000);
    process.times.arm(deadline, Arc::new(KillLater));
}

struct KillLater;

impl crate::time::Due for KillLater {
    fn due(&self, _now_ns: u64) {
        // On a thread of its own: the program's may all be waiting for a server, and this one must not wait.
        if thread::spawn_kernel("linux-end", thread::PROGRAM_PRIORITY, |_| end_process(128 + SIGKILL as u8), 0).is_err()
        {
            let _ = send_to_process(process(), SigInfo::from_sender(SIGKILL, code::USER, 0, 0));
        }
    }
}
