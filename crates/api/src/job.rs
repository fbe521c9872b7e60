//! A job as its owner sees it: a summary, the details, and what happens to it.

use crate::{Cost, Promise, Regime, Spending};
use pocketmesh_types::{Credits, JobId, PeerId, Price, UnixTime};
use serde::{Deserialize, Serialize};

/// One job in one row. Also the progress snapshot of a running one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Tasks in all, the reduce not counted.
    pub tasks: u32,
    /// Tasks whose outcome is accepted: final.
    pub done: u32,
    /// Tasks whose result is here and not final: held until the audits of its window agree.
    pub held: u32,
    /// Tasks that some worker is executing or about to.
    pub running: u32,
    /// Claims declared void so far.
    pub voided: u32,
    /// Tasks whose accepted outcome is not exit code 0.
    pub failed_tasks: u32,
    /// Executions by all workers so far, voided ones included.
    pub executions: u64,
    /// Executions by this peer itself so far.
    pub own_runs: u64,
    /// By what means results are checked.
    pub regime: Regime,
    /// When it was submitted.
    pub created: UnixTime,
    /// When it became final.
    pub finished: Option<UnixTime>,
    /// One sentence: what it waits for, or how it ended ("waiting for bids: 3 peers heard the offer").
    pub message: String,
}

/// Where a job stands. Scripts may rely on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nobody works on it yet.
    Waiting,
    /// Workers execute tasks.
    Running,
    /// All tasks are done; the reduce program runs.
    Reducing,
    /// Final: every task has a verified outcome, and each of them is a success.
    Complete,
    /// Final: some tasks could not be decided, or failed; the result holds the rest.
    Partial,
    /// Final, without a result.
    Failed,
    /// Final: its owner stopped it.
    Stopped,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Partial | Self::Failed | Self::Stopped)
    }

    /// Whether there is something to fetch.
    pub fn has_result(self) -> bool {
        matches!(self, Self::Complete | Self::Partial)
    }

    /// The name as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Reducing => "reducing",
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// All about one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// The row of the list.
    pub summary: JobSummary,
    /// How many files its tasks left under `/out`; absent while it is not final, and where counting would take long.
    pub files: Option<u64>,
    /// What its owner may rely on.
    pub promise: Promise,
    /// What that took so far.
    pub cost: Cost,
    /// What it costs its owner.
    pub spending: Spending,
    /// Each worker that ever held a lease.
    pub workers: Vec<WorkerRow>,
    /// Each time it was offered.
    pub offers: Vec<OfferRow>,
    /// What happened lately, oldest first; a bounded ring.
    pub events: Vec<JobEvent>,
}

/// One worker's part in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Who.
    pub peer: PeerId,
    /// What it is paid, in nano-credits per gigafuel.
    pub price: Price,
    /// Tasks it delivered an outcome for.
    pub done: u32,
    /// Of those, accepted.
    pub accepted: u32,
    /// Of those, declared void.
    pub voided: u32,
    /// Tasks it executes now.
    pub running: u32,
    /// Tasks that it did not deliver in time.
    pub late: u32,
    /// What it is owed for accepted tasks.
    pub owed: Credits,
    /// Where it stands with this job.
    pub state: WorkerState,
    /// One sentence, where there is something to say: the verdict, why it left.
    pub note: Option<String>,
}

/// Where a worker stands with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It holds a lease.
    Active,
    /// Its leases ended in good order.
    Finished,
    /// It fell silent, or handed its work back.
    Gone,
    /// At least one of its claims is void: this peer re-ran the task and got another outcome.
    Caught,
}

impl WorkerState {
    /// The name as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Finished => "finished",
            Self::Gone => "gone",
            Self::Caught => "caught",
        }
    }
}

impl std::fmt::Display for WorkerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One auction of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRow {
    /// The how-manieth offer of the job, from 1.
    pub attempt: u32,
    /// Bids that came.
    pub bids: u32,
    /// Leases that were granted.
    pub leases: u32,
    /// Milliseconds from the offer to its close, or until now.
    pub waited_ms: u64,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// When.
    pub time: UnixTime,
    /// One line.
    pub text: String,
}

/// One line of a job's event stream. The stream begins with a progress snapshot, brings the events kept so far, goes on
/// with both as they come, and ends after the snapshot that is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// How far it is.
    Progress(JobSummary),
    /// What happened.
    Event(JobEvent),
}
