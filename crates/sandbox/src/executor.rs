//! What runs tasks, as the rest of the daemon sees it: sealed processes, or threads of this one.

use crate::blob::Blob;
use crate::deadline::StopFlag;
use crate::engine::LoadError;
use crate::task::{Executed, Failure, Kept, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Output, ProfileId};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Opens a program, or a file of a task's tree. Not called for a program that is already compiled.
pub type Loader = Arc<dyn Fn(BlobId) -> io::Result<Blob> + Send + Sync>;

/// Saves so many bytes of a task's output, or fails where not all of them can be read.
pub type Saver = Arc<dyn Fn(&mut dyn Read, u64) -> io::Result<Output> + Send + Sync>;

/// Told how a task ended, once, on a thread of the executor. It must not block.
pub type OnDone = Box<dyn FnOnce(Result<Executed<Kept>, Failure>) + Send>;

/// Told whether a program is ready, once, on a thread of the executor. It must not block.
pub type OnPrepared = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// A task that is to be run.
pub struct Submission {
    /// The task.
    pub task: Task,
    /// Whom to tell.
    pub on_done: OnDone,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission").field("task", &self.task).finish_non_exhaustive()
    }
}

/// The executor has as much to do as it takes on. Nothing was called; try again when a task is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the executor's queue is full")]
pub struct QueueFull;

/// Runs tasks.
pub trait Executor: Send + Sync {
    /// The profile that its outcomes are comparable under.
    fn profile(&self) -> ProfileId;

    /// Whether this is a program that tasks with these limits can run. Takes as long as compiling it.
    fn check(&self, program: BlobId, limits: &TaskLimits) -> Result<(), LoadError>;

    /// Gets a program compiled ahead of its first task.
    fn prepare(&self, program: BlobId, on_prepared: OnPrepared) -> Result<(), QueueFull>;

    /// Queues a task. If there is no room it comes back, and nobody is told anything.
    fn submit(&self, submission: Submission) -> Result<Ticket, Box<Submission>>;
}

/// A hold on a submitted task. Dropping it changes nothing.
#[derive(Clone)]
pub struct Ticket {
    stop: StopFlag,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Ticket {
    pub(crate) fn new(stop: StopFlag, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { stop, wake }
    }

    /// Stops the task, queued or running: it ends as [`Failure::Stopped`] unless it has ended already.
    pub fn stop(&self) {
        self.stop.raise();
        (self.wake)();
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ticket").field(&self.stop).finish()
    }
}

/// Turns a panic into a failure of the one task that it came with.
pub(crate) fn unless_panicked<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(Failure::Panicked(text.unwrap_or("a panic without a message").into()))
    })
}

/// Calls back; the caller's fault is not ours.
pub(crate) fn tell(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("whoever waited for a task panicked when it was done");
    }
}
