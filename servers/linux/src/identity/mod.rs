//! Who the program is: ids, names, limits, prctl, random numbers.
//!
//! The program is process 1, alone, and root; ids can be changed and are remembered, but nothing is denied by them.

mod limits;
mod process_control;
mod random;
mod system;
mod users;

pub(crate) use limits::{getrlimit, prlimit64, setrlimit};
pub(crate) use process_control::{
    capget, capset, getpgid, getpgrp, getpid, getppid, getsid, personality, prctl, rseq, seccomp, setpgid, setsid,
    wait4, waitid,
};
pub(crate) use random::{fill_random, getrandom};
pub(crate) use system::{RELEASE, setdomainname, sethostname, sysinfo, uname};
pub(crate) use users::{
    getegid, geteuid, getgid, getgroups, getresgid, getresuid, getuid, setfsgid, setfsuid, setgid, setgroups, setregid,
    setresgid, setresuid, setreuid, setuid,
};

use alloc::vec::Vec;
use limits::Limits;
use linux_abi::process::rlimit;
use spin::Mutex;

/// Ids, names and limits of the process.
pub(crate) struct Identity {
    users: Mutex<users::Users>,
    limits: Limits,
    names: Mutex<Names>,
    control: process_control::Control,
    random: random::Generator,
    cpus: u32,
}

/// Names that uname(2) gives.
struct Names {
    host: Vec<u8>,
    domain: Vec<u8>,
}

/// Host name where root gives none.
const DEFAULT_HOST: &[u8] = b"skiff";

impl Identity {
    /// The identity of a fresh program.
    pub(crate) fn new(hostname: &[u8], cpus: u32) -> Self {
        let host = if hostname.is_empty() { DEFAULT_HOST } else { hostname };
        let host = host.get(..host.len().min(system::NAME_MAX)).unwrap_or_default().to_vec();
        Self {
            users: Mutex::default(),
            limits: Limits::new(),
            names: Mutex::new(Names { host, domain: b"(none)".to_vec() }),
            control: Default::default(),
            random: random::Generator::new(),
            cpus: cpus.max(1),
        }
    }

    /// CPUs that may run the program's threads.
    pub(crate) fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Soft limit of resource `which` (`RLIMIT_*`); unlimited for an unknown one.
    pub(crate) fn limit(&self, which: u32) -> u64 {
        self.limits.get(which).map_or(rlimit::INFINITY, |limit| limit.current)
    }

    /// Soft and hard limits in the order of their numbers (`/proc/self/limits`).
    pub(crate) fn limits(&self) -> [linux_abi::process::Rlimit; rlimit::COUNT] {
        self.limits.all()
    }

    /// Host name (`/proc/sys/kernel/hostname`).
    pub(crate) fn hostname(&self) -> Vec<u8> {
        self.names.lock().host.clone()
    }

    /// Real, effective and saved user id, then the same of the group (`/proc/self/status`).
    pub(crate) fn ids(&self) -> [u32; 6] {
        self.users.lock().ids()
    }
}

/// Soft limit of open files, as a number of table entries.
pub(crate) fn open_files_limit() -> usize {
    usize::try_from(crate::process::process().identity.limit(rlimit::NOFILE)).unwrap_or(usize::MAX)
}
