//! `/proc` and `/sys`: what programs look at to learn of themselves and the machine.
//!
//! [`process`] holds the files of the process and its threads, [`system`] those of the machine. `/sys` has what C libraries and
//! language runtimes read: the CPUs and the huge-page setting.

mod maps;
mod process;
mod system;

use crate::fs::node::{Kind, Node};
use crate::fs::synthetic::{self, Dynamic, Item};
use crate::thread::PID;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// `PROC_SUPER_MAGIC` (statfs(2)).
const PROC_MAGIC: u32 = 0x9fa0;
/// `SYSFS_MAGIC` (statfs(2)).
const SYS_MAGIC: u32 = 0x6265_6572;
/// Device numbers of the two volumes.
const PROC_DEVICE: u64 = 0x15;
const SYS_DEVICE: u64 = 0x16;

/// A number in decimal, without sign or leading zeros.
pub(super) fn decimal(name: &[u8]) -> Option<u64> {
    if name.len() > 1 && name.first() == Some(&b'0') {
        return None;
    }
    core::str::from_utf8(name).ok()?.parse().ok()
}

static ROOT: Item = Item::Dynamic(&Dynamic {
    fixed: &[
        ("self", Item::Link(|_| Ok(alloc::format!("{PID}").into_bytes()))),
        ("thread-self", Item::Link(|_| Ok(process::thread_self()))),
        ("cpuinfo", Item::Text(|_| Ok(system::cpuinfo()))),
        ("meminfo", Item::Text(|_| Ok(system::meminfo()))),
        ("stat", Item::Text(|_| Ok(system::stat()))),
        ("uptime", Item::Text(|_| Ok(system::uptime()))),
        ("version", Item::Text(|_| Ok(system::version()))),
        ("loadavg", Item::Text(|_| Ok(system::loadavg()))),
        ("filesystems", Item::Text(|_| Ok(system::filesystems()))),
        ("cmdline", Item::Text(|_| Ok(b"\n".to_vec()))),
        ("mounts", Item::Link(|_| Ok(b"self/mounts".to_vec()))),
        ("cgroups", Item::Text(|_| Ok(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec()))),
        ("net", Item::Link(|_| Ok(b"self/net".to_vec()))),
        ("sys", system::SYSCTL),
    ],
    find: |_, name| match decimal(name)? {
        pid if pid == u64::from(PID) => Some((&process::PROCESS, pid)),
        _ => None,
    },
    names: |_| Vec::from([(u64::from(PID), alloc::format!("{PID}").into_bytes())]),
    kind: Kind::Directory,
});

/// The root of `/proc`.
pub(crate) fn root() -> Arc<dyn Node> {
    synthetic::root(PROC_DEVICE, "proc", PROC_MAGIC, &ROOT)
}

static SYS_ROOT: Item = Item::Directory(&[
    (
        "devices",
        Item::Directory(&[(
            "system",
            Item::Directory(&[
                (
                    "cpu",
                    Item::Directory(&[
                        ("online", Item::Text(|_| Ok(system::cpu_range()))),
                        ("possible", Item::Text(|_| Ok(system::cpu_range()))),
                        ("present", Item::Text(|_| Ok(system::cpu_range()))),
                    ]),
                ),
                ("node", Item::Directory(&[("online", Item::Text(|_| Ok(b"0\n".to_vec())))])),
            ]),
        )]),
    ),
    (
        "kernel",
        Item::Directory(&[(
            "mm",
            Item::Directory(&[(
                "transparent_hugepage",
                Item::Directory(&[
                    ("enabled", Item::Text(|_| Ok(b"always [madvise] never\n".to_vec()))),
                    ("hpage_pmd_size", Item::Text(|_| Ok(b"2097152\n".to_vec()))),
                ]),
            )]),
        )]),
    ),
    ("fs", Item::Directory(&[("cgroup", Item::Directory(&[]))])),
    ("class", Item::Directory(&[("net", Item::Directory(&[]))])),
]);

/// The root of `/sys`.
pub(crate) fn sys_root() -> Arc<dyn Node> {
    synthetic::root(SYS_DEVICE, "sysfs", SYS_MAGIC, &SYS_ROOT)
}
