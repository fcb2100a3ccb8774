//! The supervisor over tasks that die on demand.

use super::*;
use alloc::format;
use alloc::vec;
use core::cell::Cell;
use protocol::supervisor::{State, TaskName};
use rt::fake::{FakeMachine, block_on};

/// Tasks that die when they are told to.
#[derive(Default)]
struct FakeSystem {
    policies: Vec<Restart>,
    dead: RefCell<Vec<bool>>,
    started: RefCell<Vec<u32>>,
    ended: Cell<bool>,
}

impl System for FakeSystem {
    fn count(&self) -> u32 {
        self.policies.len() as u32
    }
    fn name(&self, index: u32) -> String {
        format!("task:{index}")
    }
    fn policy(&self, index: u32) -> Restart {
        self.policies[index as usize]
    }
    fn start(&self, index: u32) -> bool {
        self.started.borrow_mut()[index as usize] += 1;
        true
    }
    fn death(&self, index: u32) -> Option<String> {
        self.dead.borrow()[index as usize].then(|| String::from("killed"))
    }
    fn reap(&self, index: u32) {
        self.dead.borrow_mut()[index as usize] = false;
    }
    fn kill(&self, index: u32) {
        self.dead.borrow_mut()[index as usize] = true;
    }
    fn info(&self, index: u32) -> TaskInfo {
        let name = TaskName(self.name(index).as_str().try_into().expect("short"));
        TaskInfo { name, state: State::Running, generation: 1, cpu_ns: 0, heap_bytes: 0, messages: 0 }
    }
    fn end(&self) {
        self.ended.set(true);
    }
}

fn start(policies: &[Restart]) -> (Runtime, Supervisor, Rc<FakeSystem>) {
    let count = policies.len();
    let system = Rc::new(FakeSystem {
        policies: policies.to_vec(),
        dead: RefCell::new(vec![false; count]),
        started: RefCell::new(vec![0; count]),
        ended: Cell::new(false),
    });
    let runtime = Runtime::new(FakeMachine::new(0));
    let supervisor = Supervisor::new(&runtime, system.clone());
    supervisor.start_all();
    (runtime, supervisor, system)
}

fn pass(runtime: &Runtime, ns: u64) {
    let clock = runtime.clone();
    block_on(runtime, async move { clock.sleep(ns).await });
}

#[test]
fn every_task_of_the_table_is_started_once() {
    let (_, _, system) = start(&[Restart::Anew, Restart::EndVm]);
    assert_eq!(*system.started.borrow(), [1, 1]);
}

#[test]
fn a_dead_driver_is_started_anew_and_the_others_are_left_alone() {
    let (runtime, supervisor, system) = start(&[Restart::Anew, Restart::Anew]);
    system.kill(1);
    supervisor.look();
    runtime.run_ready();
    assert_eq!(*system.started.borrow(), [1, 2]);
    assert!(!system.ended.get());
}

#[test]
fn a_task_whose_state_is_lost_ends_the_vm() {
    let (_, supervisor, system) = start(&[Restart::EndVm]);
    system.kill(0);
    supervisor.look();
    assert!(system.ended.get());
}

#[test]
fn restarts_are_paced_and_a_task_that_always_dies_is_given_up() {
    let (runtime, supervisor, system) = start(&[Restart::Anew]);
    for death in 1..DEATHS as u32 {
        system.kill(0);
        supervisor.look();
        runtime.run_ready();
        assert_eq!(system.started.borrow()[0], if death == 1 { 2 } else { death });
        pass(&runtime, WINDOW_NS / 100);
        assert_eq!(system.started.borrow()[0], death + 1);
    }
    system.kill(0);
    supervisor.look();
    assert!(system.ended.get());
}

#[test]
fn deaths_long_ago_do_not_count() {
    let (runtime, supervisor, system) = start(&[Restart::Anew]);
    for _ in 0..2 * DEATHS {
        system.kill(0);
        supervisor.look();
        pass(&runtime, WINDOW_NS);
    }
    assert!(!system.ended.get());
}

#[test]
fn an_unknown_task_cannot_be_killed() {
    let (runtime, supervisor, system) = start(&[Restart::Anew]);
    let reply = block_on(&runtime, async move {
        let cx = Context::new(1, 1, 0, &[]);
        let name = |text| protocol::Bytes::new(text).expect("short");
        let unknown = supervisor.kill(&cx, Kill { name: name(b"task:9") }).await;
        (unknown, supervisor.kill(&cx, Kill { name: name(b"task:0") }).await)
    });
    assert_eq!(reply, (Err(Error::NoTask), Ok(())));
    assert!(system.dead.borrow()[0]);
}
