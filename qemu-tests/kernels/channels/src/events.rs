//! Event sets: tags that coalesce.

use crate::support::{says, sleep_ns};
use microkernel::channel::EventSet;
use microkernel::{thread, time};

/// Notification bit of the checking thread: a tag.
const TAG: u64 = 8;
const TAGS: u32 = 5000;

pub fn check() {
    let set = EventSet::new(TAGS as usize, thread::current(), TAG);
    assert_eq!(set.take(), None);
    (0..1000).for_each(|_| set.signal(7));
    assert_eq!((set.take(), set.take()), (Some(7), None));
    says("a tag that is signalled a thousand times is taken once");
    let wanted = (0..TAGS).step_by(3);
    wanted.clone().for_each(|tag| set.signal(tag));
    set.signal(2 * TAGS);
    set.signal(u32::MAX);
    let mut seen = [false; TAGS as usize];
    while let Some(tag) = set.take() {
        assert!(!core::mem::replace(&mut seen[tag as usize], true), "{tag} twice");
    }
    assert!(seen.iter().enumerate().all(|(tag, &seen)| seen == (tag % 3 == 0)));
    says("each of many tags is taken once, and tags beyond the set are ignored");
    assert_eq!(thread::wait_for(TAG, Some(time::now_ns())), TAG);
    sleep_ns(1000);
    assert_eq!(thread::wait_for(TAG, Some(time::now_ns())), 0, "the notification coalesces too");
    set.clone().signal(1);
    assert_eq!(thread::wait_for(TAG, None), TAG);
    says("a signal notifies the set's thread");
}
