//! Files of the process and of its threads: `/proc/self/...`, `/proc/self/task/<tid>/...`.

use super::decimal;
use super::maps::maps;
use crate::fs::mounts::Record;
use crate::fs::names::{Dentry, Place};
use crate::fs::node::{Kind, Result};
use crate::fs::resolve::Last;
use crate::fs::synthetic::{Dynamic, Item};
use crate::process::process;
use crate::signal;
use crate::thread::{LinuxThread, PID};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use linux_abi::Errno;
use linux_abi::process::rlimit;

/// Ticks of a second in `/proc` (`USER_HZ`).
pub(super) const TICKS: u64 = 100;

static FD_LINK: Item = Item::Magic(descriptor_place);
static FD_INFO: Item = Item::Text(fd_info);
static TASK: Item = Item::Directory(TASK_ENTRIES);

const TASK_ENTRIES: &[(&str, Item)] = &[
    ("cmdline", Item::Text(|_| Ok(joined(&process().started.arguments)))),
    ("comm", Item::Setting(comm, set_comm)),
    ("stat", Item::Text(stat)),
    ("statm", Item::Text(|_| Ok(statm()))),
    ("status", Item::Text(status)),
    ("maps", Item::Text(|_| Ok(maps()))),
];

/// The folder of the process; its key is the thread that the folder describes.
pub(super) static PROCESS: Item = Item::Directory(&[
    ("cmdline", Item::Text(|_| Ok(joined(&process().started.arguments)))),
    ("environ", Item::Text(|_| Ok(joined(&process().started.environment)))),
    ("comm", Item::Setting(comm, set_comm)),
    ("stat", Item::Text(stat)),
    ("statm", Item::Text(|_| Ok(statm()))),
    ("status", Item::Text(status)),
    ("maps", Item::Text(|_| Ok(maps()))),
    ("limits", Item::Text(|_| Ok(limits()))),
    ("mounts", Item::Text(|_| Ok(mounts()))),
    ("mountinfo", Item::Text(|_| Ok(mountinfo()))),
    ("cgroup", Item::Text(|_| Ok(b"0::/\n".to_vec()))),
    ("oom_score_adj", Item::Setting(|_| Ok(b"0\n".to_vec()), |_, _| Ok(()))),
    ("exe", Item::Magic(|_| executable())),
    ("cwd", Item::Magic(|_| Ok(process().fs.cwd()))),
    ("root", Item::Magic(|_| Ok(process().fs.root()))),
    ("fd", Item::Dynamic(&Dynamic { fixed: &[], find: find_fd, names: fd_names, kind: Kind::Link })),
    ("fdinfo", Item::Dynamic(&Dynamic { fixed: &[], find: find_fd_info, names: fd_names, kind: Kind::File })),
    ("task", Item::Dynamic(&Dynamic { fixed: &[], find: find_task, names: task_names, kind: Kind::Directory })),
    ("net", Item::Directory(&[("dev", Item::Text(|_| Ok(crate::net::interface_table())))])),
]);

fn joined(words: &[Vec<u8>]) -> Vec<u8> {
    words.iter().flat_map(|word| word.iter().copied().chain([0])).collect()
}

fn thread(tid: u64) -> Result<Arc<LinuxThread>> {
    let found = u32::try_from(tid).ok().and_then(|tid| process().threads.find(tid));
    // The first thread may have ended while the process lives on.
    found.or_else(|| process().threads.all().into_iter().next()).ok_or(Errno::ESRCH)
}

/// `/proc/thread-self`: the calling thread's folder.
pub(super) fn thread_self() -> Vec<u8> {
    let tid = crate::thread::current_tid();
    format!("{PID}/task/{tid}").into_bytes()
}

fn executable() -> Result<Place> {
    let files = &process().fs;
    files.find(&files.root(), &process().started.program, Last::Follow)
}

fn find_fd(_key: u64, name: &[u8]) -> Option<(&'static Item, u64)> {
    let fd = decimal(name)?;
    process().fs.table.get(i32::try_from(fd).ok()?).ok()?;
    Some((&FD_LINK, fd))
}

fn find_fd_info(key: u64, name: &[u8]) -> Option<(&'static Item, u64)> {
    find_fd(key, name).map(|(_, fd)| (&FD_INFO, fd))
}

fn fd_names(_key: u64) -> Vec<(u64, Vec<u8>)> {
    let numbers = process().fs.table.numbers(0, usize::MAX);
    numbers.into_iter().map(|fd| (fd as u64, format!("{fd}").into_bytes())).collect()
}

fn descriptor_place(fd: u64) -> Result<Place> {
    let fd = i32::try_from(fd).map_err(|_| Errno::ENOENT)?;
    let file = process().fs.table.get(fd).map_err(|_| Errno::ENOENT)?;
    match (file.place(), file.file().node()) {
        (Some(place), _) => Ok(place.clone()),
        (None, Some(node)) => Ok(Dentry::anonymous(node, b"anon_inode:[unknown]")),
        (None, None) => Err(Errno::ENOENT),
    }
}

fn fd_info(fd: u64) -> Result<Vec<u8>> {
    let fd = i32::try_from(fd).map_err(|_| Errno::ENOENT)?;
    let file = process().fs.table.get(fd).map_err(|_| Errno::ENOENT)?;
    let mut text = format!("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t1\n", file.position(), file.flags().bits()).into_bytes();
    text.extend_from_slice(&file.file().describe());
    Ok(text)
}

fn find_task(_key: u64, name: &[u8]) -> Option<(&'static Item, u64)> {
    let tid = decimal(name)?;
    process().threads.find(u32::try_from(tid).ok()?)?;
    Some((&TASK, tid))
}

fn task_names(_key: u64) -> Vec<(u64, Vec<u8>)> {
    let threads = process().threads.all();
    threads.iter().map(|thread| (u64::from(thread.tid), format!("{}", thread.tid).into_bytes())).collect()
}

fn name_of(thread: &LinuxThread) -> String {
    let name = *thread.name.lock();
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..len).unwrap_or_default()).into_owned()
}

fn comm(tid: u64) -> Result<Vec<u8>> {
    Ok(format!("{}\n", name_of(&*thread(tid)?)).into_bytes())
}

fn set_comm(tid: u64, bytes: &[u8]) -> Result<()> {
    let thread = thread(tid)?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().take(15).zip(bytes) {
        *to = *from;
    }
    *thread.name.lock() = name;
    Ok(())
}

fn pages(bytes: u64) -> u64 {
    bytes / 4096
}

fn statm() -> Vec<u8> {
    let (mapped, data) = process().mm.sizes();
    let resident = process().mm.resident_bytes();
    format!("{} {} 0 0 0 {} 0\n", pages(mapped), pages(resident), pages(data)).into_bytes()
}

fn stat(tid: u64) -> Result<Vec<u8>> {
    let thread = thread(tid)?;
    let (mapped, _) = process().mm.sizes();
    let resident = pages(process().mm.resident_bytes());
    let whole = tid == u64::from(PID);
    let cpu_ns = if whole { process().threads.cpu_ns() } else { thread.cpu_ns() };
    let ticks = cpu_ns / (1_000_000_000 / TICKS);
    let threads = process().threads.count();
    // Fields in the order of proc_pid_stat(5); what the VM has no counterpart of is 0.
    let mut text =
        format!("{tid} ({}) R 0 {PID} {PID} 0 -1 4194560 0 0 0 0 {ticks} 0 0 0 20 0 {threads} 0 1 ", name_of(&thread));
    let _ = write!(text, "{mapped} {resident} {} ", u64::MAX);
    text.push_str("1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    Ok(text.into_bytes())
}

fn status(tid: u64) -> Result<Vec<u8>> {
    let thread = thread(tid)?;
    let process = process();
    let (mapped, data) = process.mm.sizes();
    let resident = process.mm.resident_bytes();
    let [uid, euid, suid, gid, egid, sgid] = process.identity.ids();
    let [own, shared, blocked, ignored, caught] = signal::sets(process, &thread);
    let cpus = process.identity.cpus();
    let mask = (1u128 << cpus.min(127)) - 1;
    let mut text = String::new();
    let _ = write!(text, "Name:\t{}\nUmask:\t{:04o}\nState:\tR (running)\n", name_of(&thread), process.fs.umask());
    let _ = write!(text, "Tgid:\t{PID}\nNgid:\t0\nPid:\t{}\nPPid:\t0\nTracerPid:\t0\n", thread.tid);
    let _ = write!(text, "Uid:\t{uid}\t{euid}\t{suid}\t{euid}\nGid:\t{gid}\t{egid}\t{sgid}\t{egid}\n");
    let _ = write!(text, "FDSize:\t{}\nGroups:\t\n", process.fs.table.capacity());
    for (name, bytes) in
        [("VmPeak", mapped), ("VmSize", mapped), ("VmHWM", resident), ("VmRSS", resident), ("VmData", data)]
    {
        let _ = writeln!(text, "{name}:\t{:8} kB", bytes / 1024);
    }
    let _ = write!(text, "VmSwap:\t       0 kB\nThreads:\t{}\n", process.threads.count());
    let queued = process.identity.limit(rlimit::SIGPENDING);
    let _ = writeln!(text, "SigQ:\t0/{queued}");
    for (name, set) in
        [("SigPnd", own), ("ShdPnd", shared), ("SigBlk", blocked), ("SigIgn", ignored), ("SigCgt", caught)]
    {
        let _ = writeln!(text, "{name}:\t{:016x}", set.0);
    }
    text.push_str("CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n");
    text.push_str("CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n");
    let _ = write!(
        text,
        "Cpus_allowed:\t{mask:x}\nCpus_allowed_list:\t{}",
        String::from_utf8_lossy(&super::system::cpu_range())
    );
    text.push_str(
        "Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
    );
    Ok(text.into_bytes())
}

/// Rows of `/proc/self/limits`: name and unit, by resource number.
const LIMITS: [(&str, &str); rlimit::COUNT] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

fn limits() -> Vec<u8> {
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    let show = |limit: u64| if limit == rlimit::INFINITY { String::from("unlimited") } else { format!("{limit}") };
    for ((name, unit), limit) in LIMITS.iter().zip(process().identity.limits()) {
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", show(limit.current), show(limit.maximum));
    }
    text.into_bytes()
}

fn options(record: &Record) -> &'static str {
    if record.read_only { "ro,relatime" } else { "rw,relatime" }
}

/// Blanks in mount paths stand as octal escapes.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for &byte in path {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\\') {
            let _ = write!(text, "\\{byte:03o}");
        } else {
            text.push(char::from(byte));
        }
    }
    text
}

fn mounts() -> Vec<u8> {
    let records = process().fs.mounts.all();
    let line = |record: &Record| {
        let (source, path) = (escaped(&record.source), escaped(&record.path));
        format!("{source} {path} {} {} 0 0\n", record.type_name, options(record))
    };
    records.iter().map(line).collect::<String>().into_bytes()
}

fn mountinfo() -> Vec<u8> {
    let records = process().fs.mounts.all();
    let line = |(id, record): (usize, &Record)| {
        let (source, path) = (escaped(&record.source), escaped(&record.path));
        let (major, minor) = (record.device >> 8 & 0xfff, record.device & 0xff);
        let rights = if record.read_only { "ro" } else { "rw" };
        let parent = if id == 1 { 0 } else { 1 };
        format!("{id} {parent} {major}:{minor} / {path} {} - {} {source} {rights}\n", options(record), record.type_name)
    };
    (1..).zip(&records).map(line).collect::<String>().into_bytes()
}
