//! The network server: serves `net` with smoltcp over `nic`, and over a loopback of its own.
//!
//! Owns: sockets, connections, ports, addresses. Calls: nic. Called by: linux. Waits: in the executor for requests, frames, bells of
//! rings, and timers; nothing is polled.
//!
//! A packet's way in: a standing receive returns (`driver`), the flow is read from the frame (`ingress`), smoltcp processes it with
//! the set of that one connection, and the payload moves into the connection's ring (`conn`). Its way out: the bell of a ring marks the connection,
//! [`Stack::work`](stack::Stack::work) moves the ring's bytes into smoltcp's buffer, and segments leave through the `outlet`.
//!
//! IPv4 only. A V6 socket that is not V6-only speaks IPv4 with mapped addresses; groups and fragments are not supported.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod checksum;
mod conn;
mod datagram;
mod driver;
mod frame;
mod ingress;
mod lan;
mod link;
mod ops;
mod outlet;
mod pool;
mod ports;
mod rest;
mod slab;
mod socket;
mod stack;
mod stream;
#[cfg(test)]
mod tests;
mod timers;

use alloc::rc::Rc;
use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
pub use driver::{RECEIVES, TRANSMITS};
pub use lan::{FALLBACK, Lease};
pub use ops::Net;
use protocol::nic::Nic;
use rt::service::net::Server;
use rt::sys::{BELL_BIT, Ports};
use rt::{Link, Runtime};
use stack::Stack;

/// Calls to the nic that are under way at most: its port must be at least this deep.
pub const NIC_DEPTH: usize = RECEIVES + TRANSMITS + 1;

/// Where the network interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// From the arguments.
    Static(Lease),
    /// From DHCP; when nobody has answered after `wait_ns` nanoseconds, from `fallback`, until somebody does.
    Dhcp {
        /// Taken when nobody answers.
        fallback: Option<Lease>,
        /// Time to wait for an answer.
        wait_ns: u64,
    },
}

impl Default for Addressing {
    fn default() -> Self {
        Self::Dhcp { fallback: Some(FALLBACK), wait_ns: 3_000_000_000 }
    }
}

impl Net {
    /// A stack on this executor, with a network interface if there is a nic.
    pub fn new(runtime: &Runtime, nic: Option<Link<Nic>>, addressing: Addressing) -> Self {
        let machine = runtime.machine();
        let stack = Rc::new(RefCell::new(Stack::new(machine.random(), machine.now_ns())));
        let net = Self { runtime: runtime.clone(), stack, touched: Rc::default(), generations: Rc::default() };
        if let Addressing::Static(lease) = addressing
            && !lease.is_usable()
        {
            machine.log(format_args!("net: the static address cannot be an interface's, asking DHCP: {lease:?}"));
        }
        if let Some(nic) = nic {
            driver::Driver::start(&net, nic, addressing);
        }
        let belled = net.clone();
        runtime.on_bit(BELL_BIT, move || belled.collect_bells());
        let worker = net.clone();
        runtime.spawn(async move { worker.work().await });
        let teller = net.clone();
        runtime.spawn(async move { teller.tell().await });
        net
    }

    /// Logs each change of the network's configuration.
    async fn tell(&self) {
        let configured = self.stack.borrow().configured.clone();
        let mut told = None;
        loop {
            let changed = configured.wait();
            let lease = self.stack.borrow().lease();
            if lease != told {
                told = lease;
                match lease {
                    Some(lease) => self.runtime.note(0, format_args!("eth0 is {lease}")),
                    None => self.runtime.machine().log(format_args!("net: eth0 has lost its address")),
                }
            }
            changed.await;
        }
    }

    fn collect_bells(&self) {
        let mut stack = self.touch();
        while let Some(tag) = self.runtime.machine().next_bell() {
            stack.bell(tag);
        }
    }

    /// Works whenever something was touched or is due.
    async fn work(&self) {
        // The alarm stays where it is as long as it does not ring too late: most timers only move back.
        let mut alarm = pin!(self.runtime.sleep_until(0));
        let mut rings_ns = 0;
        loop {
            let touched = self.touched.wait();
            let now_ns = self.now_ns();
            let (more, due_ns) = {
                let mut stack = self.stack.borrow_mut();
                (stack.work(now_ns), stack.timers.next_ns())
            };
            if more {
                self.touched.notify();
            }
            if let Some(due_ns) = due_ns
                && (due_ns < rings_ns || rings_ns <= now_ns)
            {
                rings_ns = due_ns;
                alarm.set(self.runtime.sleep_until(due_ns));
            }
            if rings_ns > now_ns || due_ns.is_some() {
                either(touched, alarm.as_mut()).await;
            } else {
                touched.await;
            }
        }
    }
}

/// Ends when one of the two ends.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(cx),
    })
    .await;
}

/// Entry of the task; `ports.links` holds the nic, if there is one.
pub fn run(ports: Ports, addressing: Addressing) -> ! {
    let runtime = Runtime::new(ports.machine);
    let nic = ports.links.first().map(|outbox| Link::new(&runtime, outbox.clone(), ports.generation));
    let net = Net::new(&runtime, nic, addressing);
    rt::serve(&runtime, ports.inbox, ports.generation, Rc::new(Server(net)));
    runtime.run()
}
