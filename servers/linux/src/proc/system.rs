//! Files of the machine: `/proc/cpuinfo`, `/proc/meminfo`, `/proc/sys/...`.

use super::process::TICKS;
use crate::fs::node::Result;
use crate::fs::synthetic::Item;
use crate::process::process;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use microkernel::time::now_ns;
use spin::Once;

/// Release that uname(2) and `/proc/sys/kernel/osrelease` give.
fn release() -> &'static str {
    crate::identity::RELEASE
}

/// `0-3`, or `0`: the CPUs.
pub(super) fn cpu_range() -> Vec<u8> {
    match process().identity.cpus() {
        0 | 1 => b"0\n".to_vec(),
        cpus => format!("0-{}\n", cpus - 1).into_bytes(),
    }
}

pub(super) fn cpuinfo() -> Vec<u8> {
    let cpu = microkernel::cpu::describe();
    let cpus = process().identity.cpus();
    let mut text = String::new();
    for number in 0..cpus {
        let _ = write!(text, "processor\t: {number}\nvendor_id\t: {}\ncpu family\t: {}\n", cpu.vendor(), cpu.family);
        let _ = write!(text, "model\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n", cpu.model, cpu.brand(), cpu.stepping);
        let _ = write!(text, "cpu MHz\t\t: {}.{:03}\n", cpu.khz / 1000, cpu.khz % 1000);
        let _ = write!(text, "physical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {number}\ncpu cores\t: {cpus}\n");
        let _ = write!(text, "fpu\t\t: yes\nfpu_exception\t: yes\nwp\t\t: yes\nflags\t\t: {}\n", cpu.flags());
        let _ = write!(text, "clflush size\t: 64\ncache_alignment\t: 64\n\n");
    }
    text.into_bytes()
}

pub(super) fn meminfo() -> Vec<u8> {
    let frames = microkernel::mm::frame::stats();
    let (cached, dirty) = process().fs.cached_pages();
    let kib = |pages: usize| pages * 4;
    let available = frames.free_frames + cached.saturating_sub(dirty);
    let mut text = String::new();
    for (name, pages) in [
        ("MemTotal", frames.total_frames),
        ("MemFree", frames.free_frames),
        ("MemAvailable", available.min(frames.total_frames)),
        ("Buffers", 0),
        ("Cached", cached),
        ("SwapCached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", dirty),
        ("Writeback", 0),
        ("AnonPages", (process().mm.resident_bytes() / 4096) as usize),
        ("Shmem", 0),
        ("CommitLimit", frames.total_frames),
    ] {
        let _ = writeln!(text, "{:<16}{:8} kB", format!("{name}:"), kib(pages));
    }
    text.push_str("HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
    text.into_bytes()
}

pub(super) fn stat() -> Vec<u8> {
    let used = process().threads.cpu_ns() / (1_000_000_000 / TICKS);
    let cpus = process().identity.cpus();
    let all = now_ns() / (1_000_000_000 / TICKS) * u64::from(cpus);
    let idle = all.saturating_sub(used);
    let mut text = format!("cpu  {used} 0 0 {idle} 0 0 0 0 0 0\n");
    for number in 0..cpus {
        let (used, idle) = (used / u64::from(cpus), idle / u64::from(cpus));
        let _ = writeln!(text, "cpu{number} {used} 0 0 {idle} 0 0 0 0 0 0");
    }
    let booted = microkernel::time::wall_ns().saturating_sub(now_ns()) / 1_000_000_000;
    let threads = process().threads.count();
    let _ = write!(text, "intr 0\nctxt 0\nbtime {booted}\nprocesses {threads}\nprocs_running 1\nprocs_blocked 0\n");
    text.into_bytes()
}

pub(super) fn uptime() -> Vec<u8> {
    let hundredths = |ns: u64| (ns / 1_000_000_000, ns / 10_000_000 % 100);
    let up = hundredths(now_ns());
    let idle = hundredths(now_ns().saturating_sub(process().threads.cpu_ns()));
    format!("{}.{:02} {}.{:02}\n", up.0, up.1, idle.0, idle.1).into_bytes()
}

pub(super) fn version() -> Vec<u8> {
    format!("Linux version {} (skiff) #1 SMP\n", release()).into_bytes()
}

pub(super) fn loadavg() -> Vec<u8> {
    let threads = process().threads.count();
    format!("0.00 0.00 0.00 1/{threads} {threads}\n").into_bytes()
}

pub(super) fn filesystems() -> Vec<u8> {
    b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\t9p\n\ttfs\n".to_vec()
}

/// A random UUID in text form.
fn uuid() -> Vec<u8> {
    let mut bytes = [0; 16];
    crate::identity::fill_random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text.into_bytes()
}

/// The same for the whole life of the VM.
static BOOT_ID: Once<Vec<u8>> = Once::new();

fn hostname() -> Vec<u8> {
    let mut name = process().identity.hostname();
    name.push(b'\n');
    name
}

fn accepted(_key: u64, _bytes: &[u8]) -> Result<()> {
    Ok(())
}

/// `/proc/sys`.
pub(super) const SYSCTL: Item = Item::Directory(&[
    (
        "kernel",
        Item::Directory(&[
            ("ostype", Item::Text(|_| Ok(b"Linux\n".to_vec()))),
            ("osrelease", Item::Text(|_| Ok(format!("{}\n", release()).into_bytes()))),
            ("version", Item::Text(|_| Ok(b"#1 SMP\n".to_vec()))),
            ("hostname", Item::Text(|_| Ok(hostname()))),
            ("pid_max", Item::Text(|_| Ok(b"4194304\n".to_vec()))),
            ("threads-max", Item::Text(|_| Ok(b"32768\n".to_vec()))),
            ("cap_last_cap", Item::Text(|_| Ok(b"40\n".to_vec()))),
            ("ngroups_max", Item::Text(|_| Ok(b"65536\n".to_vec()))),
            ("randomize_va_space", Item::Text(|_| Ok(b"2\n".to_vec()))),
            (
                "random",
                Item::Directory(&[
                    ("boot_id", Item::Text(|_| Ok(BOOT_ID.call_once(uuid).clone()))),
                    ("uuid", Item::Text(|_| Ok(uuid()))),
                    ("entropy_avail", Item::Text(|_| Ok(b"256\n".to_vec()))),
                    ("poolsize", Item::Text(|_| Ok(b"256\n".to_vec()))),
                ]),
            ),
        ]),
    ),
    (
        "vm",
        Item::Directory(&[
            ("overcommit_memory", Item::Setting(|_| Ok(b"1\n".to_vec()), accepted)),
            ("max_map_count", Item::Setting(|_| Ok(b"65530\n".to_vec()), accepted)),
            ("swappiness", Item::Setting(|_| Ok(b"0\n".to_vec()), accepted)),
            ("mmap_min_addr", Item::Text(|_| Ok(b"65536\n".to_vec()))),
        ]),
    ),
    (
        "fs",
        Item::Directory(&[
            ("file-max", Item::Text(|_| Ok(b"1048576\n".to_vec()))),
            ("nr_open", Item::Text(|_| Ok(b"1048576\n".to_vec()))),
            ("file-nr", Item::Text(|_| Ok(format!("{}\t0\t1048576\n", process().fs.table.used()).into_bytes()))),
            ("pipe-max-size", Item::Text(|_| Ok(b"1048576\n".to_vec()))),
            ("epoll", Item::Directory(&[("max_user_watches", Item::Text(|_| Ok(b"1048576\n".to_vec())))])),
        ]),
    ),
    (
        "net",
        Item::Directory(&[
            (
                "core",
                Item::Directory(&[
                    ("somaxconn", Item::Setting(|_| Ok(b"4096\n".to_vec()), accepted)),
                    ("rmem_max", Item::Text(|_| Ok(b"212992\n".to_vec()))),
                    ("wmem_max", Item::Text(|_| Ok(b"212992\n".to_vec()))),
                ]),
            ),
            (
                "ipv4",
                Item::Directory(&[
                    ("ip_local_port_range", Item::Text(|_| Ok(b"32768\t60999\n".to_vec()))),
                    ("tcp_fin_timeout", Item::Text(|_| Ok(b"60\n".to_vec()))),
                    ("tcp_keepalive_time", Item::Text(|_| Ok(b"7200\n".to_vec()))),
                    ("tcp_rmem", Item::Text(|_| Ok(b"4096\t131072\t6291456\n".to_vec()))),
                    ("tcp_wmem", Item::Text(|_| Ok(b"4096\t16384\t4194304\n".to_vec()))),
                ]),
            ),
        ]),
    ),
]);
