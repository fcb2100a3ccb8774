//! brk(2).

use super::region::{Label, PAGE, Region};
use super::{Mm, STACK_GUARD, State, round_up};
use crate::context::{Context, SysResult};
use crate::user::USER_END;
use linux_abi::memory::Prot;
use linux_abi::process::rlimit;

/// brk(2): never an errno; answers the end of the heap that is now in force.
pub(crate) fn brk(cx: &mut Context, wanted: u64) -> SysResult {
    let mm = &cx.process.mm;
    let mut state = mm.lock();
    if wanted >= state.brk_start && mm.move_brk(&mut state, wanted).is_some() {
        state.brk = wanted;
    }
    Ok(state.brk)
}

impl Mm {
    /// Maps or unmaps what lies between the old end and `wanted`; `None` leaves all as it was.
    fn move_brk(&self, state: &mut State, wanted: u64) -> Option<()> {
        let limits = &crate::process::process().identity;
        let old_end = round_up(state.brk)?;
        let new_end = round_up(wanted)?;
        if new_end <= old_end {
            self.remove(state, new_end, old_end);
            return Some(());
        }
        let len = new_end - old_end;
        let near_stack = state
            .regions
            .at_or_above(new_end)
            .is_some_and(|next| next.grows_down && new_end > next.start.saturating_sub(STACK_GUARD));
        if new_end > USER_END
            || wanted - state.brk_start > limits.limit(rlimit::DATA)
            || state.regions.bytes().saturating_add(len) > limits.limit(rlimit::AS)
            || !state.regions.is_free(old_end, new_end.checked_add(PAGE)?)
            || near_stack
            || !state.may_promise(len)
        {
            return None;
        }
        let mut region = Region::anonymous(old_end, new_end, Prot::READ | Prot::WRITE);
        region.label = Label::Heap;
        region.locked = state.lock_future;
        state.account_on(&region);
        state.regions.insert(region);
        Some(())
    }
}
