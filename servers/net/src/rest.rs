//! TIME-WAIT: flows that are over and must not come back too soon, without the buffers of a connection.

use crate::frame::Flow;
use alloc::collections::VecDeque;
use hashbrown::HashMap;

/// How long a flow rests (Linux's TCP_TIMEWAIT_LEN).
const REST_NS: u64 = 60_000_000_000;

/// Most flows that rest; the oldest give way.
const LIMIT: usize = 16_384;

/// All resting flows.
#[derive(Default)]
pub struct Resting {
    until_ns: HashMap<Flow, u64>,
    order: VecDeque<(u64, Flow)>,
}

impl Resting {
    /// Lays a flow to rest; returns another one that had to give way.
    pub fn insert(&mut self, flow: Flow, now_ns: u64) -> Option<Flow> {
        let until_ns = now_ns + REST_NS;
        self.until_ns.insert(flow, until_ns);
        self.order.push_back((until_ns, flow));
        if self.until_ns.len() > LIMIT { self.take_oldest() } else { None }
    }

    /// Whether the flow rests.
    pub fn contains(&self, flow: &Flow) -> bool {
        self.until_ns.contains_key(flow)
    }

    /// Ends the rest of a flow early; says whether it rested.
    pub fn remove(&mut self, flow: &Flow) -> bool {
        self.until_ns.remove(flow).is_some()
    }

    /// Takes a flow that has rested long enough.
    pub fn expired(&mut self, now_ns: u64) -> Option<Flow> {
        while self.order.front().is_some_and(|&(until_ns, _)| until_ns <= now_ns) {
            let (until_ns, flow) = self.order.pop_front()?;
            if self.take_if(until_ns, &flow) {
                return Some(flow);
            }
        }
        None
    }

    fn take_oldest(&mut self) -> Option<Flow> {
        while let Some((until_ns, flow)) = self.order.pop_front() {
            if self.take_if(until_ns, &flow) {
                return Some(flow);
            }
        }
        None
    }

    /// An entry of the order counts only if the flow was not woken and laid down again since.
    fn take_if(&mut self, until_ns: u64, flow: &Flow) -> bool {
        self.until_ns.get(flow) == Some(&until_ns) && self.until_ns.remove(flow).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, SocketAddrV4};

    fn flow(port: u16) -> Flow {
        let end = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        Flow { local: end(port), remote: end(1) }
    }

    #[test]
    fn a_flow_rests_for_a_minute() {
        let mut resting = Resting::default();
        resting.insert(flow(1), 0);
        assert_eq!(resting.expired(REST_NS - 1), None);
        assert!(resting.contains(&flow(1)));
        assert_eq!(resting.expired(REST_NS), Some(flow(1)));
        assert!(!resting.contains(&flow(1)));
    }

    #[test]
    fn a_flow_that_was_woken_and_rests_again_rests_its_full_time() {
        let mut resting = Resting::default();
        resting.insert(flow(1), 0);
        assert!(resting.remove(&flow(1)));
        resting.insert(flow(1), 10);
        assert_eq!(resting.expired(REST_NS), None);
        assert_eq!(resting.expired(REST_NS + 10), Some(flow(1)));
    }

    #[test]
    fn the_oldest_give_way() {
        let mut resting = Resting::default();
        for port in 0..LIMIT as u16 {
            assert_eq!(resting.insert(flow(port), port.into()), None);
        }
        assert_eq!(resting.insert(flow(LIMIT as u16), 1 << 20), Some(flow(0)));
    }
}
