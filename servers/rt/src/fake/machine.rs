//! A machine whose clock jumps to the next timer instead of sleeping.

use super::HeapMemory;
use crate::executor::Runtime;
use crate::sys::{Bits, Machine, Memory};
use crate::trace::Event;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;

/// The machine of a host test.
pub struct FakeMachine {
    now_ns: Cell<u64>,
    pending: Rc<Cell<Bits>>,
    keep: Rc<HeapMemory>,
    random: Cell<u64>,
    bells: Rc<RefCell<Vec<u32>>>,
    log: RefCell<Vec<String>>,
}

impl FakeMachine {
    /// A machine at time 0, with `keep_bytes` of keep pages.
    pub fn new(keep_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            now_ns: Cell::new(0),
            pending: Rc::default(),
            keep: HeapMemory::zeroed(keep_bytes),
            random: Cell::new(0x9e37_79b9_7f4a_7c15),
            bells: Rc::default(),
            log: RefCell::default(),
        })
    }

    /// Sets notification bits, as an interrupt would.
    pub fn raise(&self, bits: Bits) {
        self.pending.set(self.pending.get() | bits);
    }

    /// The word behind [`FakeMachine::raise`], for fakes that raise bits themselves.
    pub fn pending(&self) -> Rc<Cell<Bits>> {
        self.pending.clone()
    }

    /// Tags of rings whose bells were rung.
    pub fn bells(&self) -> Rc<RefCell<Vec<u32>>> {
        self.bells.clone()
    }

    /// Lets time pass.
    pub fn advance(&self, ns: u64) {
        self.now_ns.set(self.now_ns.get() + ns);
    }

    /// What was logged.
    pub fn lines(&self) -> Vec<String> {
        self.log.borrow().clone()
    }
}

impl Machine for FakeMachine {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
    fn wall_ns(&self) -> u64 {
        1_700_000_000_000_000_000 + self.now_ns.get()
    }
    fn wait(&self, deadline_ns: Option<u64>) -> Bits {
        let bits = self.pending.replace(0);
        if bits == 0 {
            let deadline = deadline_ns.expect("the executor waits for ever: a deadlock in the test");
            self.now_ns.set(self.now_ns.get().max(deadline));
        }
        bits
    }
    fn pages(&self, bytes: usize) -> Option<Rc<dyn Memory>> {
        Some(HeapMemory::zeroed(bytes.next_multiple_of(4096)))
    }
    fn keep(&self) -> Rc<dyn Memory> {
        self.keep.clone()
    }
    fn next_bell(&self) -> Option<u32> {
        self.bells.borrow_mut().pop()
    }
    fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }
    fn log(&self, line: core::fmt::Arguments<'_>) {
        self.log.borrow_mut().push(line.to_string());
    }
    fn tracing(&self) -> bool {
        false
    }
    fn trace(&self, event: &Event<'_>) {
        self.log.borrow_mut().push(event.to_string());
    }
}

/// Runs the executor until `job` has ended.
///
/// # Panics
///
/// When nothing can make progress any more.
pub fn block_on<T: 'static>(runtime: &Runtime, job: impl Future<Output = T> + 'static) -> T {
    let result = Rc::new(RefCell::new(None));
    let place = result.clone();
    runtime.spawn(async move {
        let value = job.await;
        *place.borrow_mut() = Some(value);
    });
    loop {
        runtime.run_ready();
        if let Some(value) = result.borrow_mut().take() {
            return value;
        }
        let bits = runtime.machine().wait(runtime.next_deadline());
        runtime.notify(bits);
    }
}
