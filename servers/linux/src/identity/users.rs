//! User and group ids.

use crate::context::{Context, SysResult};
use crate::user;
use alloc::vec::Vec;
use linux_abi::Errno;

/// "Leave as it is" in the set calls.
const KEEP: u32 = u32::MAX;
/// Most supplementary groups (`NGROUPS_MAX`).
const GROUPS_MAX: usize = 65_536;

/// Real, effective, saved and filesystem id of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ids {
    real: u32,
    effective: u32,
    saved: u32,
    fs: u32,
}

impl Ids {
    fn has(self, id: u32) -> bool {
        id == KEEP || [self.real, self.effective, self.saved].contains(&id)
    }
}

/// All ids of the process; everything starts as root.
#[derive(Default)]
pub(super) struct Users {
    user: Ids,
    group: Ids,
    groups: Vec<u32>,
}

/// User or group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

impl Users {
    pub(super) fn ids(&self) -> [u32; 6] {
        let Self { user, group, .. } = self;
        [user.real, user.effective, user.saved, group.real, group.effective, group.saved]
    }

    /// Root (by effective user id) may become anybody.
    fn is_privileged(&self) -> bool {
        self.user.effective == 0
    }

    fn of(&mut self, kind: Kind) -> &mut Ids {
        match kind {
            Kind::User => &mut self.user,
            Kind::Group => &mut self.group,
        }
    }

    /// setresuid(2) and setresgid(2). Errors: `EPERM`.
    fn set_all(&mut self, kind: Kind, real: u32, effective: u32, saved: u32) -> Result<(), Errno> {
        let privileged = self.is_privileged();
        let ids = self.of(kind);
        if !privileged && ![real, effective, saved].iter().all(|&id| ids.has(id)) {
            return Err(Errno::EPERM);
        }
        let pick = |new, old| if new == KEEP { old } else { new };
        ids.real = pick(real, ids.real);
        ids.effective = pick(effective, ids.effective);
        ids.saved = pick(saved, ids.saved);
        ids.fs = ids.effective;
        Ok(())
    }

    /// setuid(2) and setgid(2). Errors: `EPERM`, `EINVAL`.
    fn set_one(&mut self, kind: Kind, id: u32) -> Result<(), Errno> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if self.is_privileged() { self.set_all(kind, id, id, id) } else { self.set_all(kind, KEEP, id, KEEP) }
    }

    /// setreuid(2) and setregid(2). Errors: `EPERM`.
    fn set_two(&mut self, kind: Kind, real: u32, effective: u32) -> Result<(), Errno> {
        let old = *self.of(kind);
        let new_effective = if effective == KEEP { old.effective } else { effective };
        let keeps_saved = real == KEEP && (effective == KEEP || effective == old.real);
        self.set_all(kind, real, effective, KEEP)?;
        if !keeps_saved {
            self.of(kind).saved = new_effective;
        }
        Ok(())
    }

    /// setfsuid(2) and setfsgid(2): answers the id before, whatever happened.
    fn set_fs(&mut self, kind: Kind, id: u32) -> u32 {
        let privileged = self.is_privileged();
        let ids = self.of(kind);
        let before = ids.fs;
        if id != KEEP && (privileged || ids.has(id) || ids.fs == id) {
            ids.fs = id;
        }
        before
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident => $kind:ident . $field:ident;)*) => {
        $($(#[$doc])*
        pub(crate) fn $name(cx: &mut Context) -> SysResult {
            Ok(u64::from(cx.process.identity.users.lock().$kind.$field))
        })*
    };
}
getters! {
    /// getuid(2).
    getuid => user.real;
    /// geteuid(2).
    geteuid => user.effective;
    /// getgid(2).
    getgid => group.real;
    /// getegid(2).
    getegid => group.effective;
}

/// setuid(2).
pub(crate) fn setuid(cx: &mut Context, id: u32) -> SysResult {
    cx.process.identity.users.lock().set_one(Kind::User, id).map(|()| 0)
}

/// setgid(2).
pub(crate) fn setgid(cx: &mut Context, id: u32) -> SysResult {
    cx.process.identity.users.lock().set_one(Kind::Group, id).map(|()| 0)
}

/// setreuid(2).
pub(crate) fn setreuid(cx: &mut Context, real: u32, effective: u32) -> SysResult {
    cx.process.identity.users.lock().set_two(Kind::User, real, effective).map(|()| 0)
}

/// setregid(2).
pub(crate) fn setregid(cx: &mut Context, real: u32, effective: u32) -> SysResult {
    cx.process.identity.users.lock().set_two(Kind::Group, real, effective).map(|()| 0)
}

/// setresuid(2).
pub(crate) fn setresuid(cx: &mut Context, real: u32, effective: u32, saved: u32) -> SysResult {
    cx.process.identity.users.lock().set_all(Kind::User, real, effective, saved).map(|()| 0)
}

/// setresgid(2).
pub(crate) fn setresgid(cx: &mut Context, real: u32, effective: u32, saved: u32) -> SysResult {
    cx.process.identity.users.lock().set_all(Kind::Group, real, effective, saved).map(|()| 0)
}

/// setfsuid(2).
pub(crate) fn setfsuid(cx: &mut Context, id: u32) -> SysResult {
    Ok(u64::from(cx.process.identity.users.lock().set_fs(Kind::User, id)))
}

/// setfsgid(2).
pub(crate) fn setfsgid(cx: &mut Context, id: u32) -> SysResult {
    Ok(u64::from(cx.process.identity.users.lock().set_fs(Kind::Group, id)))
}

/// getresuid(2).
pub(crate) fn getresuid(cx: &mut Context, real: u64, effective: u64, saved: u64) -> SysResult {
    let ids = cx.process.identity.users.lock().user;
    store_three(ids, real, effective, saved)
}

/// getresgid(2).
pub(crate) fn getresgid(cx: &mut Context, real: u64, effective: u64, saved: u64) -> SysResult {
    let ids = cx.process.identity.users.lock().group;
    store_three(ids, real, effective, saved)
}

fn store_three(ids: Ids, real: u64, effective: u64, saved: u64) -> SysResult {
    user::write_u32(real, ids.real)?;
    user::write_u32(effective, ids.effective)?;
    user::write_u32(saved, ids.saved)?;
    Ok(0)
}

/// getgroups(2).
pub(crate) fn getgroups(cx: &mut Context, size: i32, out: u64) -> SysResult {
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let groups = cx.process.identity.users.lock().groups.clone();
    if size == 0 {
        return Ok(groups.len() as u64);
    }
    if groups.len() > size {
        return Err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
    user::copy_out(out, &bytes)?;
    Ok(groups.len() as u64)
}

/// setgroups(2).
pub(crate) fn setgroups(cx: &mut Context, size: i32, list: u64) -> SysResult {
    if !cx.process.identity.users.lock().is_privileged() {
        return Err(Errno::EPERM);
    }
    let size = usize::try_from(size).ok().filter(|&size| size <= GROUPS_MAX).ok_or(Errno::EINVAL)?;
    let groups = user::read_array::<u32>(list, size)?;
    cx.process.identity.users.lock().groups = groups;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::{KEEP, Kind, Users};
    use linux_abi::Errno;

    #[test]
    fn root_may_drop_its_ids_and_not_get_them_back() {
        let mut users = Users::default();
        users.set_one(Kind::Group, 1000).unwrap();
        users.set_one(Kind::User, 1000).unwrap();
        assert_eq!(users.ids(), [1000; 6]);
        assert_eq!(users.set_one(Kind::User, 0), Err(Errno::EPERM));
        assert_eq!(users.set_all(Kind::User, KEEP, 1000, KEEP), Ok(()));
    }

    #[test]
    fn the_saved_id_lets_the_effective_one_come_back() {
        let mut users = Users::default();
        users.set_all(Kind::User, KEEP, 1000, KEEP).unwrap();
        assert_eq!(users.set_one(Kind::User, 0), Ok(()));
        assert_eq!(users.ids()[..3], [0, 0, 0]);
    }
}
