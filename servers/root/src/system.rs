//! The task table: every kind of server with its priority, queue depth, memory, and the kinds it may call.
//!
//! Calls go only to more important tasks; a constant assertion checks that. A connection that this table does
//! not grant is never made, so a message outside it cannot be sent.

use supervisor::Restart;

/// A kind of task; its instances are named `kind:what`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A disk.
    Block,
    /// A network interface.
    Nic,
    /// The byte streams to the host.
    Console,
    /// TFS on a disk.
    Tfs,
    /// A folder of the host.
    P9,
    /// The network stack.
    Net,
    /// The host's window.
    Control,
    /// The front end with the program.
    Linux,
    /// Whoever starts and watches all others.
    Supervisor,
}

/// One line of the table.
pub struct Row {
    /// What it is about.
    pub kind: Kind,
    /// Instances are named with this word.
    pub word: &'static str,
    /// 1..=7, higher runs first.
    pub priority: u8,
    /// Calls that can be in hand at once.
    pub depth: u16,
    /// Most heap, in bytes.
    pub heap_bytes: usize,
    /// Stack, in bytes.
    pub stack_bytes: usize,
    /// Keep pages, in bytes.
    pub keep_bytes: usize,
    /// What follows its death.
    pub restart: Restart,
    /// Whom it may call.
    pub calls: &'static [Kind],
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The table.
pub const TABLE: [Row; 9] = [
    Row {
        kind: Kind::Block,
        word: "block",
        priority: 6,
        depth: 64,
        heap_bytes: 4 * MIB,
        stack_bytes: 32 * KIB,
        keep_bytes: 0,
        restart: Restart::Anew,
        calls: &[],
    },
    Row {
        kind: Kind::Nic,
        word: "nic",
        priority: 6,
        depth: 256,
        heap_bytes: 8 * MIB,
        stack_bytes: 32 * KIB,
        keep_bytes: 0,
        restart: Restart::Anew,
        calls: &[],
    },
    Row {
        kind: Kind::Console,
        word: "console",
        priority: 6,
        depth: 32,
        heap_bytes: 4 * MIB,
        stack_bytes: 32 * KIB,
        keep_bytes: 0,
        restart: Restart::Anew,
        calls: &[],
    },
    Row {
        kind: Kind::Tfs,
        word: "tfs",
        priority: 5,
        depth: 64,
        heap_bytes: 512 * MIB,
        stack_bytes: 64 * KIB,
        keep_bytes: 64 * KIB,
        restart: Restart::EndVm,
        calls: &[Kind::Block],
    },
    Row {
        kind: Kind::P9,
        word: "p9",
        priority: 5,
        depth: 64,
        heap_bytes: 64 * MIB,
        stack_bytes: 64 * KIB,
        keep_bytes: 0,
        restart: Restart::EndVm,
        calls: &[],
    },
    Row {
        kind: Kind::Net,
        word: "net",
        priority: 4,
        depth: 256,
        heap_bytes: 256 * MIB,
        stack_bytes: 64 * KIB,
        keep_bytes: 0,
        restart: Restart::EndVm,
        calls: &[Kind::Nic],
    },
    Row {
        kind: Kind::Control,
        word: "control",
        priority: 3,
        depth: 8,
        heap_bytes: MIB,
        stack_bytes: 32 * KIB,
        keep_bytes: 0,
        restart: Restart::Anew,
        calls: &[Kind::Console],
    },
    Row {
        kind: Kind::Linux,
        word: "linux",
        priority: 2,
        depth: 1,
        heap_bytes: 2048 * MIB,
        stack_bytes: 96 * KIB,
        keep_bytes: 0,
        restart: Restart::EndVm,
        calls: &[Kind::Tfs, Kind::P9, Kind::Net, Kind::Console, Kind::Control],
    },
    Row {
        kind: Kind::Supervisor,
        word: "supervisor",
        priority: 7,
        depth: 16,
        heap_bytes: MIB,
        stack_bytes: 64 * KIB,
        keep_bytes: 0,
        restart: Restart::EndVm,
        calls: &[],
    },
];

/// The line of a kind.
pub const fn row(kind: Kind) -> &'static Row {
    let mut index = 0;
    while index < TABLE.len() {
        if TABLE[index].kind as u8 == kind as u8 {
            return &TABLE[index];
        }
        index += 1;
    }
    panic!("every kind has a line")
}

const _: () = {
    let mut index = 0;
    while index < TABLE.len() {
        let mut call = 0;
        while call < TABLE[index].calls.len() {
            assert!(
                row(TABLE[index].calls[call]).priority > TABLE[index].priority,
                "calls go only to more important tasks"
            );
            call += 1;
        }
        index += 1;
    }
};
