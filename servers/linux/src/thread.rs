//! Threads: creation, ids, and the end of a thread and of the process.

use crate::context::{Context, SysResult};
use crate::futex;
use crate::process::{Process, process};
use crate::signal::ThreadSignals;
use crate::user::{self, USER_END};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use linux_abi::process::{CloneArgs, CloneFlags, arch};
use linux_abi::{Errno, Layout};
use microkernel::power;
use microkernel::task::thread::{self, Thread};
use microkernel::trap::UserContext;
use protocol::{console, control};
use spin::{Mutex, Once};

/// Process id of the program, also the thread id of its first thread.
pub(crate) const PID: u32 = 1;
/// Highest thread id (`kernel.pid_max` on 64-bit Linux).
const TID_MAX: u32 = 1 << 22;
/// Most threads (`kernel.threads-max`); each has a kernel stack.
const THREADS_MAX: usize = 32 * 1024;

/// What a handler left behind to go on after an interruption (`restart_syscall(2)`).
pub(crate) type Restart = Box<dyn FnOnce(&mut Context) -> SysResult + Send>;

/// One thread of the program.
pub(crate) struct LinuxThread {
    /// Thread id.
    pub tid: u32,
    /// Signal mask, pending signals, alternate stack.
    pub signals: ThreadSignals,
    /// First 15 bytes and NUL of its name (`PR_SET_NAME`).
    pub name: Mutex<[u8; 16]>,
    core: Once<Thread>,
    /// Cleared and woken at the end (`set_tid_address`); 0 for none.
    clear_tid: AtomicU64,
    robust_list: AtomicU64,
    /// Something is to be done before the next instruction of the program.
    wanted: AtomicBool,
    /// The process ends and this thread with it.
    dying: AtomicBool,
    restart: Mutex<Option<Restart>>,
}

impl LinuxThread {
    fn new(tid: u32, signals: ThreadSignals, name: [u8; 16]) -> Self {
        Self {
            tid,
            signals,
            name: Mutex::new(name),
            core: Once::new(),
            clear_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            dying: AtomicBool::new(false),
            restart: Mutex::new(None),
        }
    }

    /// Whether a signal or the end of the process waits for this thread. One load: on every path to the program.
    pub(crate) fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether a wait shall end early.
    pub(crate) fn interrupted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Whether the process ends.
    pub(crate) fn dying(&self) -> bool {
        self.dying.load(Ordering::SeqCst)
    }

    /// Wants the thread to look at its signals, wherever it is.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        if let Some(core) = self.core.get() {
            core.attention();
        }
    }

    /// All that was wanted has been dealt with. Call before looking at the signals.
    pub(crate) fn clear_wanted(&self) {
        self.wanted.store(self.dying(), Ordering::SeqCst);
    }

    /// Sets notification bits, if the thread has started.
    pub(crate) fn notify(&self, bits: u64) {
        if let Some(core) = self.core.get() {
            core.notify(bits);
        }
    }

    /// CPU time used, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.core.get().map_or(0, Thread::cpu_ns)
    }

    /// Leaves `restart` for `restart_syscall(2)`; the handler returns the code that asks for it.
    pub(crate) fn restart_with(&self, restart: Restart) -> Errno {
        *self.restart.lock() = Some(restart);
        Errno::ERESTART_RESTARTBLOCK
    }
}

/// Every thread of the program.
#[derive(Default)]
pub(crate) struct Threads {
    live: Mutex<BTreeMap<u32, Arc<LinuxThread>>>,
    last_tid: AtomicU32,
    /// The process ends; who set it runs [`end_process`].
    ending: AtomicBool,
    /// CPU time of threads that have ended, in nanoseconds.
    past_cpu_ns: AtomicU64,
    /// Status that the first thread gave to exit(2).
    first_status: AtomicU32,
}

impl Threads {
    /// The thread with id `tid`.
    pub(crate) fn find(&self, tid: u32) -> Option<Arc<LinuxThread>> {
        self.live.lock().get(&tid).cloned()
    }

    /// All threads, by id.
    pub(crate) fn all(&self) -> Vec<Arc<LinuxThread>> {
        self.live.lock().values().cloned().collect()
    }

    /// Number of threads.
    pub(crate) fn count(&self) -> usize {
        self.live.lock().len()
    }

    /// CPU time of the whole process, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let live: u64 = self.all().iter().map(|thread| thread.cpu_ns()).sum();
        self.past_cpu_ns.load(Ordering::Relaxed) + live
    }

    /// Reserves an id and enters a thread made by `make`. Errors: `EAGAIN` (too many threads).
    fn enter(&self, make: impl FnOnce(u32) -> LinuxThread) -> Result<Arc<LinuxThread>, Errno> {
        let mut live = self.live.lock();
        if live.len() >= THREADS_MAX {
            return Err(Errno::EAGAIN);
        }
        let mut tid = self.last_tid.load(Ordering::Relaxed) + 1;
        while tid >= TID_MAX || live.contains_key(&tid) {
            tid = if tid >= TID_MAX { PID + 1 } else { tid + 1 };
        }
        self.last_tid.store(tid, Ordering::Relaxed);
        let thread = Arc::new(make(tid));
        live.insert(tid, thread.clone());
        Ok(thread)
    }

    /// Takes a thread out; whether it was the last.
    fn leave(&self, thread: &LinuxThread) -> bool {
        self.past_cpu_ns.fetch_add(thread.cpu_ns(), Ordering::Relaxed);
        let mut live = self.live.lock();
        let gone = live.remove(&thread.tid);
        let last = live.is_empty();
        drop(live);
        drop(gone);
        last
    }
}

/// Starts the program's first thread. Errors: `ENOMEM`, `EAGAIN`.
pub(crate) fn start_first(process: &Process, context: UserContext, name: [u8; 16]) -> Result<(), Errno> {
    let thread = process.threads.enter(|tid| LinuxThread::new(tid, ThreadSignals::default(), name))?;
    let core = thread::spawn_user("program", context, 0, false, Box::new(thread.clone())).map_err(|_| Errno::ENOMEM)?;
    thread.core.call_once(|| core);
    Ok(())
}

/// clone(2), for threads. A new process is refused with `ENOSYS` and said once.
pub(crate) fn clone(cx: &mut Context, flags: u64, stack: u64, parent_tid: u64, child_tid: u64, tls: u64) -> SysResult {
    let args = CloneArgs {
        flags: flags & !0xff,
        stack,
        parent_tid,
        child_tid,
        tls,
        exit_signal: flags & 0xff,
        ..CloneArgs::default()
    };
    start_thread(cx, &args, stack)
}

/// clone3(2), for threads.
pub(crate) fn clone3(cx: &mut Context, addr: u64, size: u64) -> SysResult {
    /// `CLONE_ARGS_SIZE_VER0`.
    const SMALLEST: u64 = 64;
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    if size < SMALLEST {
        return Err(Errno::EINVAL);
    }
    let mut bytes = alloc::vec![0; size as usize];
    user::copy_in(addr, &mut bytes)?;
    if bytes.get(CloneArgs::BYTES..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0)) {
        return Err(Errno::E2BIG);
    }
    let args = CloneArgs::from_bytes(&bytes);
    let flags = CloneFlags::from_bits(args.flags).ok_or(Errno::EINVAL)?;
    if flags.contains(CloneFlags::DETACHED) || args.exit_signal > 64 || (args.stack == 0) != (args.stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) && args.exit_signal != 0 {
        return Err(Errno::EINVAL);
    }
    if args.stack.checked_add(args.stack_size).is_none_or(|top| top > USER_END) {
        return Err(Errno::EINVAL);
    }
    start_thread(cx, &args, args.stack + args.stack_size)
}

/// fork(2), vfork(2): there is one process.
pub(crate) fn fork(_cx: &mut Context) -> SysResult {
    lacking!("fork: this VM runs one process (ENOSYS); start the other program in a VM of its own");
    Err(Errno::ENOSYS)
}

/// execve(2), execveat(2): the program stays what it is.
pub(crate) fn execve(_cx: &mut Context) -> SysResult {
    lacking!("execve: this VM runs one program (ENOSYS); start the other program in a VM of its own");
    Err(Errno::ENOSYS)
}

/// What a thread shares with its creator in every threads library.
const THREAD_FLAGS: CloneFlags =
    CloneFlags::VM.union(CloneFlags::FS).union(CloneFlags::FILES).union(CloneFlags::SIGHAND).union(CloneFlags::THREAD);

/// Checks in the order of Linux' `copy_process`.
fn check_flags(flags: CloneFlags, args: &CloneArgs) -> Result<(), Errno> {
    let both = |a, b| flags.contains(CloneFlags::union(a, b));
    if both(CloneFlags::NEWNS, CloneFlags::FS)
        || both(CloneFlags::NEWUSER, CloneFlags::FS)
        || flags.contains(CloneFlags::THREAD) && !flags.contains(CloneFlags::SIGHAND)
        || flags.contains(CloneFlags::SIGHAND) && !flags.contains(CloneFlags::VM)
        || both(CloneFlags::CLEAR_SIGHAND, CloneFlags::SIGHAND)
        || flags.contains(CloneFlags::PIDFD) && both(CloneFlags::PIDFD, CloneFlags::DETACHED)
    {
        return Err(Errno::EINVAL);
    }
    if !flags.contains(CloneFlags::THREAD) {
        lacking!(
            "clone of a process (fork): this VM runs one process (ENOSYS); start the other program in a VM of its own"
        );
        return Err(Errno::ENOSYS);
    }
    if !flags.contains(THREAD_FLAGS) || flags.contains(CloneFlags::PIDFD) || args.set_tid_size != 0 {
        lacking!(
            "clone of a thread with its own files or directory, pidfd or chosen id: flags {:#x} (EINVAL)",
            flags.bits()
        );
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn start_thread(cx: &mut Context, args: &CloneArgs, stack_top: u64) -> SysResult {
    let flags = CloneFlags::from_bits_truncate(args.flags);
    check_flags(flags, args)?;
    let mut regs = *cx.regs;
    regs.rax = 0;
    if stack_top != 0 {
        regs.rsp = stack_top;
    }
    let fs_base = if flags.contains(CloneFlags::SETTLS) { args.tls } else { thread::fs_base() };
    if fs_base >= USER_END {
        return Err(Errno::EPERM);
    }
    let creator = cx.thread;
    let name = *creator.name.lock();
    let new = cx.process.threads.enter(|tid| LinuxThread::new(tid, creator.signals.for_new_thread(), name))?;
    let tid = new.tid;
    if flags.contains(CloneFlags::CHILD_CLEARTID) {
        new.clear_tid.store(args.child_tid, Ordering::Relaxed);
    }
    // As in Linux, ids that cannot be stored are no error; the memory is shared, so the creator stores both.
    if flags.contains(CloneFlags::PARENT_SETTID) {
        let _ = user::write_u32(args.parent_tid, tid);
    }
    if flags.contains(CloneFlags::CHILD_SETTID) {
        let _ = user::write_u32(args.child_tid, tid);
    }
    match thread::spawn_user("program", regs, fs_base, true, Box::new(new.clone())) {
        Ok(core) => {
            new.core.call_once(|| core);
            if new.dying() || cx.process.threads.ending.load(Ordering::SeqCst) {
                new.dying.store(true, Ordering::SeqCst);
                new.want();
            }
            Ok(u64::from(tid))
        }
        Err(_) => {
            cx.process.threads.leave(&new);
            Err(Errno::EAGAIN)
        }
    }
}

/// set_tid_address(2).
pub(crate) fn set_tid_address(cx: &mut Context, addr: u64) -> SysResult {
    cx.thread.clear_tid.store(addr, Ordering::Relaxed);
    Ok(u64::from(cx.thread.tid))
}

/// set_robust_list(2).
pub(crate) fn set_robust_list(cx: &mut Context, head: u64, len: u64) -> SysResult {
    if len != linux_abi::process::RobustListHead::BYTES as u64 {
        return Err(Errno::EINVAL);
    }
    cx.thread.robust_list.store(head, Ordering::Relaxed);
    Ok(0)
}

/// get_robust_list(2).
pub(crate) fn get_robust_list(cx: &mut Context, tid: i32, head: u64, len: u64) -> SysResult {
    let list = match tid {
        0 => cx.thread.robust_list.load(Ordering::Relaxed),
        _ => {
            let thread = u32::try_from(tid).ok().and_then(|tid| cx.process.threads.find(tid)).ok_or(Errno::ESRCH)?;
            thread.robust_list.load(Ordering::Relaxed)
        }
    };
    user::write_u64(len, linux_abi::process::RobustListHead::BYTES as u64)?;
    user::write_u64(head, list)?;
    Ok(0)
}

/// arch_prctl(2).
pub(crate) fn arch_prctl(_cx: &mut Context, code: u32, addr: u64) -> SysResult {
    match code {
        arch::SET_FS | arch::SET_GS if addr >= USER_END => Err(Errno::EPERM),
        arch::SET_FS => {
            thread::set_fs_base(addr);
            Ok(0)
        }
        arch::SET_GS => {
            thread::set_gs_base(addr);
            Ok(0)
        }
        arch::GET_FS => user::write_u64(addr, thread::fs_base()).map(|()| 0),
        arch::GET_GS => user::write_u64(addr, thread::gs_base()).map(|()| 0),
        arch::GET_CPUID => Ok(1),
        arch::SET_CPUID => Err(Errno::ENODEV),
        _ => Err(Errno::EINVAL),
    }
}

/// restart_syscall(2): goes on with what was interrupted.
pub(crate) fn restart_syscall(cx: &mut Context) -> SysResult {
    let restart = cx.thread.restart.lock().take();
    restart.map_or(Err(Errno::EINTR), |restart| restart(cx))
}

/// exit(2): ends the calling thread; with the last one the process.
pub(crate) fn exit(cx: &mut Context, status: i32) -> SysResult {
    let status = status as u8;
    if cx.thread.tid == PID {
        cx.process.threads.first_status.store(u32::from(status), Ordering::Relaxed);
    }
    futex::leave_robust_list(cx.thread.robust_list.load(Ordering::Relaxed), cx.thread.tid);
    let clear_tid = cx.thread.clear_tid.load(Ordering::Relaxed);
    if clear_tid != 0 && user::write_u32(clear_tid, 0).is_ok() {
        futex::wake_address(clear_tid, 1);
    }
    if cx.process.threads.leave(cx.thread) {
        let first = cx.process.threads.first_status.load(Ordering::Relaxed) as u8;
        end_process(first);
    }
    crate::signal::reassign(cx.process, cx.thread);
    thread::exit()
}

/// exit_group(2): ends the process.
pub(crate) fn exit_group(_cx: &mut Context, status: i32) -> SysResult {
    end_process(status as u8)
}

/// Ends the process and the VM with `status`; the first call counts, later ones only end their thread.
pub(crate) fn end_process(status: u8) -> ! {
    let process = process();
    if process.threads.ending.swap(true, Ordering::SeqCst) {
        thread::exit();
    }
    let me = thread::current();
    for other in process.threads.all() {
        if other.core.get() != Some(&me) {
            other.dying.store(true, Ordering::SeqCst);
            other.want();
        }
    }
    // What cannot be written now is lost either way; the servers have it on the log.
    let _ = process.fs.sync_all();
    for stream in [console::Stream::Stdout, console::Stream::Stderr] {
        let _: console::Result<()> = process.fs.console.call(console::Drain { stream }, []);
    }
    // Without a control port nobody wants to know; the power-off carries the status as well.
    let _: control::Result<()> = process.control.call(control::Exit { status }, []);
    power::exit(status)
}

/// Ends a thread of a process that ends.
pub(crate) fn end_dying() -> ! {
    thread::exit()
}

/// Id of the running thread; for files that show themselves (`/proc/thread-self`).
pub(crate) fn current_tid() -> u32 {
    thread::current_data::<Arc<LinuxThread>>().map_or(PID, |thread| thread.tid)
}

/// gettid(2).
pub(crate) fn gettid(cx: &mut Context) -> SysResult {
    Ok(u64::from(cx.thread.tid))
}
