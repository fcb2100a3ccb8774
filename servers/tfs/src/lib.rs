//! TFS server: serves `fs` from a TFS volume on the block server.
//!
//! Owns: the tree of tuples, open files, free space, the log's tail. Calls: block. Called by: linux.
//! Waits: for requests, for the disk, for a file's [`lock::Gate`] and for the flush timer; nowhere else.
//!
//! * [`mount`] finds the volume on its disk, replays the log, checks it, and says clearly why not if not;
//! * [`store`] is the mounted volume: tree and log (through `tfs-format`), inodes, changes;
//! * [`inode`], [`span`], [`storage`]: a file in use, where its blocks are, and room for new ones;
//! * [`flush`] makes changes durable: data first, then the log, then what was freed is free;
//! * `ops` has one function per request, [`server`] hands requests to them.
//!
//! **Order on disk.** File data is written before the record that names its sectors is appended. A flush
//! empties the disk's cache, writes the log so that its last sector switches all of it at once, and only
//! then gives freed sectors out again. A crash hence finds each change whole or not at all.
//!
//! **Concurrency.** One thread; state changes only where a handler awaits. No `RefCell` borrow is held
//! across an await. Transfers of one file run side by side under its gate's shared side; what takes
//! blocks away from it (truncate, punch) takes the exclusive side.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod convert;
pub mod disk;
pub mod flush;
pub mod handles;
pub mod inode;
pub mod join;
pub mod lock;
pub mod mount;
mod ops;
pub mod server;
pub mod span;
pub mod storage;
pub mod store;

use alloc::rc::Rc;
use rt::sys::Ports;
use rt::{Link, Runtime, service};

pub use mount::{MountError, Options, Partition};
pub use server::Server;

/// Entry of the task: mounts, says why if that fails, and serves for ever. The first link is the disk.
pub fn run(ports: Ports, options: Options) -> ! {
    let runtime = Runtime::new(ports.machine.clone());
    let serving = runtime.clone();
    runtime.spawn(async move {
        let server = match ports.links.first() {
            None => Err(MountError::NoDisk),
            Some(outbox) => {
                let link = Link::new(&serving, outbox.clone(), ports.generation);
                Server::mount(&serving, link, options).await
            }
        };
        let server = server.unwrap_or_else(|why| {
            ports.machine.log(format_args!("{}: cannot mount the volume: {why}", ports.name));
            Server::without_volume()
        });
        service::serve(&serving, ports.inbox.clone(), ports.generation, Rc::new(service::fs::Server(server)));
    });
    runtime.run()
}
