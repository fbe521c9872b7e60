//! Commitments, claims, and what the requester makes of them. specs/verification.md.

use super::{BoundError, Check, bounded};
use alloc::vec::Vec;
use pocketmesh_types::{
    BlobId, ClaimId, Credits, Hash, JobId, LeaseId, Outcome, PeerId, ProfileId, TaskIndex, TaskInput, limits,
};
use serde::{Deserialize, Serialize};

/// Digests, hidden until everybody's are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Which job.
    pub job: JobId,
    /// Which lease.
    pub lease: LeaseId,
    /// One commitment a task.
    pub commits: Vec<Committed>,
}

/// The commitment for one task: see [`commitment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Which task.
    pub task: TaskIndex,
    /// The commitment.
    pub commitment: Hash,
}

impl Check for Commit {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.commits.len() <= limits::TASKS_PER_MESSAGE_MAX)
    }
}

/// `BLAKE3-keyed(salt, job ‖ own PeerId ‖ task ‖ digest)`. The digest covers fuel and exit; with the worker's own name in
/// it, a commitment is of no use to anybody who copies it. specs/verification.md §2.
pub fn commitment(salt: &Hash, job: &JobId, worker: &PeerId, task: TaskIndex, outcome: &Outcome) -> Hash {
    let mut hasher = blake3::Hasher::new_keyed(&salt.0);
    hasher.update(job.as_bytes());
    hasher.update(&worker.0);
    hasher.update(&task.to_le_bytes());
    hasher.update(&outcome.digest().0);
    Hash(*hasher.finalize().as_bytes())
}

/// The requester asks for what was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// Which lease.
    pub lease: LeaseId,
    /// Which tasks.
    pub tasks: Vec<TaskIndex>,
    /// Nothing is to be attached: the content comes from somebody else.
    pub bare: bool,
}

impl Check for Reveal {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.tasks.len() <= limits::TASKS_PER_MESSAGE_MAX)
    }
}

/// Outcomes, stated for good: one signature over many tasks. Small outputs are attached to the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which job.
    pub job: JobId,
    /// Which lease.
    pub lease: LeaseId,
    /// The profile they were run under.
    pub profile: ProfileId,
    /// One row a task.
    pub results: Vec<Claimed>,
}

/// The outcome of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Which task.
    pub task: TaskIndex,
    /// The name of the input that it was run on, if it had one: with the job's id, all that the outcome depends on.
    pub input: Option<BlobId>,
    /// What it came to.
    pub outcome: Outcome,
    /// What opens the commitment; nothing if none was asked for.
    pub salt: Option<Hash>,
}

impl Check for Claim {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.results.len() <= limits::TASKS_PER_MESSAGE_MAX)
    }
}

/// The requester has a claim; the worker need not send it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAck {
    /// Which lease.
    pub lease: LeaseId,
    /// Which claim.
    pub claim: ClaimId,
}

impl Check for ClaimAck {
    fn check(&self) -> Result<(), BoundError> {
        Ok(())
    }
}

/// Accepted work. It is on the requester's disk when this is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Which job.
    pub job: JobId,
    /// Which lease.
    pub lease: LeaseId,
    /// Tasks of which this worker's outcome is final.
    pub accepted: Vec<TaskIndex>,
    /// What all accepted work under this lease has come to so far.
    pub owed: Credits,
}

impl Check for Verdicts {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.accepted.len() <= limits::TASKS_PER_MESSAGE_MAX)
    }
}

/// A refuted claim: the requester ran the task itself and came to something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// Which job.
    pub job: JobId,
    /// Which lease.
    pub lease: LeaseId,
    /// Which task.
    pub task: TaskIndex,
    /// The claim that is refuted.
    pub claim: ClaimId,
    /// The task's input, for the worker to run it again.
    pub input: TaskInput,
    /// What the requester's own run came to.
    pub outcome: Outcome,
}

impl Check for Void {
    fn check(&self) -> Result<(), BoundError> {
        Ok(())
    }
}
