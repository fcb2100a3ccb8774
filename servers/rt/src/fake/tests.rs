//! The executor, links and server loop over the fakes.

use super::{FakeMachine, HeapMemory, block_on, loopback};
use crate::Runtime;
use crate::service::{Context, block};
use crate::sys::Attachment;
use alloc::rc::Rc;
use protocol::LeaseId;
use protocol::block::{Block, DiskInfo, Error, Flush, Info, Read, Result, Write};

/// A disk of zeros that answers reads late.
struct ZeroDisk(Runtime);

impl block::Handler for ZeroDisk {
    async fn info(&self, _: &Context, _: Info) -> Result<DiskInfo> {
        Ok(DiskInfo { sectors: 8, read_only: false, max_sectors: 8, has_cache: false })
    }
    async fn read(&self, cx: &Context, call: Read) -> Result<()> {
        let dest = cx.writable(call.dest, 512).map_err(|_| Error::BadLease)?;
        self.0.sleep(1000 * u64::from(8 - call.count)).await;
        dest.write(0, &[call.count as u8; 512]).map_err(|_| Error::BadLease)
    }
    async fn write(&self, _: &Context, _: Write) -> Result<()> {
        Err(Error::ReadOnly)
    }
    async fn flush(&self, _: &Context, _: Flush) -> Result<()> {
        Ok(())
    }
}

fn disk() -> (Runtime, crate::Link<Block>) {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let service = Rc::new(block::Server(ZeroDisk(runtime.clone())));
    let link = loopback(&runtime, machine.pending(), 2, 2, service);
    (runtime, link)
}

#[test]
fn a_call_travels_as_a_message_and_its_reply_comes_back() {
    let (runtime, link) = disk();
    let info = block_on(&runtime, async move { link.call(7, Info {}, &[]).await });
    assert_eq!(info.map(|info| info.sectors), Ok(8));
}

#[test]
fn more_calls_than_the_queue_is_deep_wait_and_all_are_answered() {
    let (runtime, link) = disk();
    let memories: [_; 5] = core::array::from_fn(|_| HeapMemory::zeroed(512));
    let count = Rc::new(core::cell::Cell::new(0));
    for (index, memory) in memories.iter().enumerate() {
        let (link, memory, count) = (link.clone(), memory.clone(), count.clone());
        runtime.spawn(async move {
            let read = Read { sector: 0, count: index as u32 + 1, dest: LeaseId(0), at: 0 };
            assert_eq!(link.call(0, read, &[Attachment::Write(memory)]).await, Ok(()));
            count.set(count.get() + 1);
        });
    }
    let sleeper = runtime.clone();
    block_on(&runtime, async move { sleeper.sleep(1_000_000).await });
    assert_eq!(count.get(), 5);
    for (index, memory) in memories.iter().enumerate() {
        assert_eq!(memory.to_vec()[511], index as u8 + 1);
    }
}

#[test]
fn a_lease_of_the_wrong_direction_is_refused() {
    let (runtime, link) = disk();
    let reply = block_on(&runtime, async move {
        let read = Read { sector: 0, count: 1, dest: LeaseId(0), at: 0 };
        link.call(0, read, &[Attachment::Read(HeapMemory::zeroed(512))]).await
    });
    assert_eq!(reply, Err(Error::BadLease));
}

#[test]
fn a_job_that_is_always_ready_keeps_nobody_from_being_heard() {
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let heard = Rc::new(core::cell::Cell::new(false));
    let flag = heard.clone();
    runtime.on_bit(5, move || flag.set(true));
    runtime.spawn(core::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        core::task::Poll::<()>::Pending
    }));
    machine.raise(1 << 5);
    assert!(runtime.run_batch(10));
    runtime.notify(crate::Machine::wait(&*machine, Some(0)));
    assert!(heard.get());
}
