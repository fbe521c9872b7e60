//! `report.json`: what a result folder says about how its result came to be.

use crate::{Cost, JobState, Promise, Spending, WorkerRow};
use pocketmesh_types::{BlobId, Credits, Fuel, JobId, PeerId, ProfileId, UnixTime, outcome::Output};
use serde::{Deserialize, Serialize};

/// The account of a finished job, or of one with a provisional result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The job.
    pub job: JobId,
    /// Its name for people.
    pub name: String,
    /// `complete` or `partial`; of a provisional result, where the job stood.
    pub state: JobState,
    /// One sentence on how it ended.
    pub message: String,
    /// Who asked.
    pub requester: PeerId,
    /// The program.
    pub program: BlobId,
    /// Its arguments, `{index}` not filled in.
    pub args: Vec<String>,
    /// The reduce program, if there was one.
    pub reduce: Option<BlobId>,
    /// The profile under which outcomes were compared.
    pub profile: ProfileId,
    /// Whether some of the results were not final when this was written.
    pub provisional: bool,
    /// What its owner may rely on.
    pub promise: Promise,
    /// What that took.
    pub cost: Cost,
    /// What it cost its owner.
    pub spending: Spending,
    /// Tasks in all.
    pub tasks: u32,
    /// Tasks with an accepted outcome.
    pub done: u32,
    /// Tasks whose result is here and not final.
    pub held: u32,
    /// Claims declared void.
    pub voided: u32,
    /// Executions by all workers, voided ones included.
    pub executions: u64,
    /// Fuel of the accepted outcomes together.
    pub fuel: Fuel,
    /// What all workers together are owed.
    pub owed: Credits,
    /// When it was submitted.
    pub created: UnixTime,
    /// When it became final; of a provisional result, when this was written.
    pub finished: UnixTime,
    /// The standard output of the result: name and length.
    pub stdout: Output,
    /// How many files the tasks left under `/out`, all together.
    pub files: u64,
    /// Who worked.
    pub workers: Vec<WorkerRow>,
    /// Tasks without a success, the first thousand.
    pub failed: Vec<FailedTask>,
}

/// A task that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTask {
    /// Its index in the job, from 0.
    pub index: u32,
    /// How it ended, one line.
    pub exit: String,
}
