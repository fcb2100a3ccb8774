//! `supervisor`: starts the task table and speaks for it. Served by `supervisor`; called by `control`.
//!
//! No handles; tasks are named as in the task table (`tfs:/`, `p9:/static`, `block:0`). Calls do not wait.
//! Full queue: the sender waits.

use crate::{Bytes, Failure};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Error {
    /// No task of that name or index.
    NoTask,
    /// The task is part of the front end or of the supervisor itself.
    NotAllowed,
    /// The server died with this call in hand.
    PeerGone,
    /// The message could not be decoded.
    Malformed,
}

impl Failure for Error {
    const PEER_GONE: Self = Self::PeerGone;
    const MALFORMED: Self = Self::Malformed;
}

/// Shorthand for replies of this protocol.
pub type Result<T> = core::result::Result<T, Error>;

/// Longest task name, in bytes.
pub const TASK_NAME_BYTES: usize = 64;

/// A task name that a reply owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName(pub heapless::String<TASK_NAME_BYTES>);

impl MaxSize for TaskName {
    const POSTCARD_MAX_SIZE: usize = TASK_NAME_BYTES + 1;
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum State {
    /// Runs, or waits for work.
    Running,
    /// Died and is about to be started anew.
    Restarting,
    /// Ended, or gave up after too many deaths.
    Dead,
}

/// Figures of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct TaskInfo {
    /// Its name.
    pub name: TaskName,
    /// What it does.
    pub state: State,
    /// Times started; the first start is 1.
    pub generation: u32,
    /// CPU time used, in nanoseconds.
    pub cpu_ns: u64,
    /// Heap in use, in bytes.
    pub heap_bytes: u64,
    /// Messages received.
    pub messages: u64,
}

/// Asks for the `index`-th task of the table. Errors: `NoTask` (behind the last).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Task {
    /// Counted from 0.
    pub index: u32,
}

/// Kills a task; the restart policy of the table decides what follows. Errors: `NoTask`, `NotAllowed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Kill<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Bytes<'a, TASK_NAME_BYTES>,
}

/// Every request, in wire order: appended to, never reordered.
#[allow(missing_docs)] // each variant is documented at its struct
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request<'a> {
    Task(Task),
    Kill(#[serde(borrow)] Kill<'a>),
}

/// Hands the list of calls to `$apply`.
#[macro_export]
macro_rules! supervisor_calls {
    ($apply:path) => {
        $apply! { 'a Supervisor supervisor "supervisor" Request<'a> {
            Task(Task) task<> -> Result<TaskInfo>, Idempotent;
            Kill(Kill<'a>) kill<'a> -> Result<()>, Idempotent;
        } }
    };
}

pub(crate) type Static = Request<'static>;

supervisor_calls!(crate::calls::implement_calls);
