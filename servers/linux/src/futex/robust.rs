//! Robust lists: locks whose owner has ended are marked, and one waiter of each is woken.

use super::wake_address;
use crate::mm::Wanted;
use crate::user;
use linux_abi::process::{RobustListHead, futex as op};
use microkernel::mm::user as words;

/// Marks the locks on a robust list as abandoned and wakes a waiter of each (`Documentation/locking/robust-futexes`).
///
/// The list is the program's own: every step is checked, and a broken or endless list ends the walk.
pub(crate) fn leave_robust_list(head_addr: u64, tid: u32) {
    if head_addr == 0 {
        return;
    }
    let Ok(head) = user::read_struct::<RobustListHead>(head_addr) else { return };
    let mut entry = head.next;
    for _ in 0..op::ROBUST_LIMIT {
        if entry & !1 == head_addr {
            break;
        }
        // The next pointer is read first: the owner of a released lock may free the entry.
        let next = user::read_u64(entry & !1);
        if entry != head.pending {
            abandon((entry & !1).wrapping_add_signed(head.futex_offset), tid, false);
        }
        let Ok(next) = next else { return };
        entry = next;
    }
    if head.pending != 0 {
        abandon((head.pending & !1).wrapping_add_signed(head.futex_offset), tid, true);
    }
}

fn abandon(addr: u64, tid: u32, pending: bool) {
    loop {
        let Ok(now) = user::with_word(Wanted::Read, || words::load_u32(addr)) else { return };
        // The owner died between releasing the lock and waking: the wake-up is made up for.
        if pending && now == 0 {
            wake_address(addr, 1);
            return;
        }
        if now & op::TID_MASK != tid {
            return;
        }
        let new = now & op::WAITERS | op::OWNER_DIED;
        match user::with_word(Wanted::Write, || words::compare_exchange_u32(addr, now, new)) {
            Ok(found) if found == now => {
                if now & op::WAITERS != 0 {
                    wake_address(addr, 1);
                }
                return;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
