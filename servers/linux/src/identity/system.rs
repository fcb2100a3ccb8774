//! uname(2), sysinfo(2) and the names they show.

use crate::context::{Context, SysResult};
use crate::user;
use alloc::vec::Vec;
use linux_abi::Errno;
use linux_abi::process::{Sysinfo, Utsname};
use linux_abi::time::NANOSECONDS;
use microkernel::mm::{PAGE_SIZE, frame};

/// Longest host or domain name (`__NEW_UTS_LEN`).
pub(super) const NAME_MAX: usize = 64;
/// The Linux whose interface is offered: programs compare it with what they need.
pub(crate) const RELEASE: &str = "6.1.0-skiff";

fn field(text: &[u8]) -> [u8; 65] {
    let mut field = [0; 65];
    let len = text.len().min(NAME_MAX);
    field[..len].copy_from_slice(&text[..len]);
    field
}

/// uname(2).
pub(crate) fn uname(cx: &mut Context, out: u64) -> SysResult {
    let names = {
        let names = cx.process.identity.names.lock();
        Utsname {
            system: field(b"Linux"),
            node: field(&names.host),
            release: field(RELEASE.as_bytes()),
            version: field(b"#1 SMP Skiff"),
            machine: field(b"x86_64"),
            domain: field(&names.domain),
        }
    };
    user::write_struct(out, &names)?;
    Ok(0)
}

fn read_name(addr: u64, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len <= NAME_MAX).ok_or(Errno::EINVAL)?;
    let mut name = alloc::vec![0; len];
    user::copy_in(addr, &mut name)?;
    Ok(name)
}

/// sethostname(2).
pub(crate) fn sethostname(cx: &mut Context, addr: u64, len: i32) -> SysResult {
    let name = read_name(addr, len)?;
    cx.process.identity.names.lock().host = name;
    Ok(0)
}

/// setdomainname(2).
pub(crate) fn setdomainname(cx: &mut Context, addr: u64, len: i32) -> SysResult {
    let name = read_name(addr, len)?;
    cx.process.identity.names.lock().domain = name;
    Ok(0)
}

/// sysinfo(2).
pub(crate) fn sysinfo(cx: &mut Context, out: u64) -> SysResult {
    let frames = frame::stats();
    let (cached, _) = cx.process.fs.cached_pages();
    let info = Sysinfo {
        uptime: (microkernel::time::now_ns() / NANOSECONDS).cast_signed(),
        total_ram: (frames.total_frames * PAGE_SIZE) as u64,
        free_ram: (frames.free_frames * PAGE_SIZE) as u64,
        buffer_ram: (cached * PAGE_SIZE) as u64,
        processes: cx.process.threads.count().min(usize::from(u16::MAX)) as u16,
        unit: 1,
        ..Sysinfo::default()
    };
    user::write_struct(out, &info)?;
    Ok(0)
}
