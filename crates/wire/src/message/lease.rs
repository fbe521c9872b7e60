//! Leases, the tasks streamed into them, and all the ways out of them. specs/leases.md.

use super::{BoundError, Check, Ext, bounded};
use alloc::vec::Vec;
use pocketmesh_types::{Credits, Job, LeaseId, OfferId, PeerId, Price, Tariff, TaskIndex, TaskInput, limits};
use serde::{Deserialize, Serialize};

/// The right to work on a job at a price, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The offer that was bid for.
    pub offer: OfferId,
    /// To whom.
    pub worker: PeerId,
    /// The job; its id is the one that was offered.
    pub job: Job,
    /// The price paid.
    pub price: Price,
    /// A sign of life is due this often, in milliseconds.
    pub heartbeat_ms: u32,
    /// Results are kept hidden until they are asked for.
    pub commit_first: bool,
    /// Results that are paid together. specs/settlement.md §4.
    pub slice_tasks: u32,
    /// Results at the end of a window that are paid once it is final.
    pub hold_back_tasks: u32,
    /// What is paid beside the work, with the first slice: fetching and compiling the program.
    pub fee: Credits,
    /// Later versions' fields.
    pub ext: Ext,
}

impl Lease {
    /// What work under it is paid by.
    pub fn tariff(&self) -> Tariff {
        self.job.tariff(self.price)
    }
}

impl Check for Lease {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the job", self.job.check().is_ok())?;
        bounded("the heartbeat", (100..=600_000).contains(&self.heartbeat_ms))
    }
}

/// A lease turned down: no stain on the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// Which lease.
    pub lease: LeaseId,
    /// Why.
    pub reason: DeclineReason,
}

/// Why a lease is turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclineReason {
    /// Its slots went to others meanwhile.
    Busy,
    /// The device may not work now.
    DevicePaused,
    /// The lease or the job in it is not what was offered.
    NotAsOffered,
    /// The program, or the files that it reads, could not be fetched.
    ProgramUnavailable,
    /// The program is not one that this profile runs.
    ProgramRefused,
    /// The requester has no credit left with the worker, or does not pay.
    NoCredit,
    /// The requester has voided a claim for which the worker stands.
    Unjust,
    /// Its tasks burn far more than its offer said.
    DearerThanOffered,
    /// No such lease is held: the worker has been restarted, or has given it up.
    Unknown,
}

impl Check for Decline {
    fn check(&self) -> Result<(), BoundError> {
        Ok(())
    }
}

/// Tasks for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assign {
    /// Which lease.
    pub lease: LeaseId,
    /// The tasks.
    pub tasks: Vec<Assigned>,
}

/// One task and its input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Which task.
    pub task: TaskIndex,
    /// Its standard input.
    pub input: TaskInput,
}

impl Check for Assign {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.tasks.len() <= limits::TASKS_PER_MESSAGE_MAX)?;
        let fits = |input: &TaskInput| match input {
            TaskInput::Inline(bytes) => bytes.len() <= limits::INLINE_BYTES_MAX,
            TaskInput::None | TaskInput::Blob(..) => true,
        };
        // A worker holds thousands of them until their tasks have run.
        bounded("the length of an input", self.tasks.iter().all(|assigned| fits(&assigned.input)))
    }
}

/// Tasks given back undone: no stain on the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBack {
    /// Which lease.
    pub lease: LeaseId,
    /// Which tasks.
    pub tasks: Vec<TaskIndex>,
    /// Why.
    pub reason: HandBackReason,
}

/// Why tasks are handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandBackReason {
    /// The device may not work now.
    DevicePaused,
    /// The daemon is being stopped.
    Stopping,
    /// The input could not be fetched.
    InputUnavailable,
    /// The program could not be fetched.
    ProgramUnavailable,
    /// The program is not one that this profile runs.
    ProgramRefused,
    /// The tasks of this lease burn far more than its offer said.
    DearerThanOffered,
    /// The execution came to no outcome on this host.
    NoOutcome,
}

impl Check for HandBack {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", self.tasks.len() <= limits::TASKS_PER_MESSAGE_MAX)
    }
}

/// The worker is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The leases it holds of the receiver, and how many tasks it has still to run in each.
    pub leases: Vec<(LeaseId, u32)>,
}

impl Check for Heartbeat {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of leases", self.leases.len() <= limits::LEASES_PER_WORKER_MAX)
    }
}

/// The requester ends a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseEnd {
    /// Which lease.
    pub lease: LeaseId,
    /// Why.
    pub reason: EndReason,
}

/// Why a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The job is complete.
    JobDone,
    /// Its owner stopped it.
    JobStopped,
    /// The worker was silent too long.
    Silent,
    /// A claim of the worker was refuted.
    Refuted,
    /// The requester knows no such lease, or knows it no more.
    Unknown,
}

impl Check for LeaseEnd {
    fn check(&self) -> Result<(), BoundError> {
        Ok(())
    }
}
