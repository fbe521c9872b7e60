//! What goes into an execution and what comes out of it.

use crate::LoadError;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Exit, Fuel, Outcome, Output, UnixTime};

/// One task, with everything that its outcome depends on besides the profile.
#[derive(Debug, Clone)]
pub struct Task {
    /// The program.
    pub program: BlobId,
    /// What the program is called: its argument 0.
    pub name: String,
    /// Its arguments from 1 on.
    pub args: Vec<String>,
    /// Its environment, in this order.
    pub env: Vec<(String, String)>,
    /// Its standard input.
    pub stdin: Vec<u8>,
    /// What it may use.
    pub limits: TaskLimits,
    /// What its clock shows at the start.
    pub epoch: UnixTime,
    /// What its random numbers are drawn from: the hash of job and task.
    pub seed: [u8; 32],
}

/// A task that came to an outcome, with its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// How it ended: what replicas are compared by.
    pub outcome: Outcome,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Executed {
    pub(crate) fn new(exit: Exit, fuel: Fuel, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        let outcome = Outcome { exit, fuel, stdout: Output::of(&stdout), stderr: Output::of(&stderr) };
        Self { outcome, stdout, stderr }
    }
}

/// Why a task came to no outcome. Nothing may be claimed about it: elsewhere, or later, it may end otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program could not be had.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Recursion too deep for the stack. How deep that is differs between machines.
    #[error("the program's call stack is too deep: reduce its recursion")]
    StackExhausted,
    /// The wall-clock limit.
    #[error("the task took longer than its time limit: raise the limit or cut the work into smaller tasks")]
    WallClock,
    /// Somebody asked for it to be stopped.
    #[error("the task was stopped")]
    Stopped,
    /// This machine could not give what the limits promise.
    #[error("this machine failed the task: {0}")]
    Host(String),
    /// A fault of ours.
    #[error("the sandbox failed: {0}")]
    Panicked(String),
}
