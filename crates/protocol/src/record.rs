//! What goes into the journal: facts that a restart must not lose. specs/jobs.md §2 has them as a table.

use crate::{input::Inputs, verification::windows::WindowId};
use alloc::vec::Vec;
use pocketmesh_types::{
    Bytes, ClaimId, Credits, Job, JobId, LeaseId, Outcome, PeerId, Price, TaskIndex, UnixTime, bytes,
};
use serde::{Deserialize, Serialize};

/// One fact. A record is written before anything that relies on it leaves the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A job of ours; its program and inputs are in the blob store.
    Submitted {
        /// The job.
        job: Job,
        /// The tasks' inputs, as far as the job does not say it.
        inputs: Inputs,
        /// When, by the wall clock.
        at: UnixTime,
    },
    /// A lease was granted: what work under it costs.
    Granted {
        /// Which job.
        job: JobId,
        /// Which lease.
        lease: LeaseId,
        /// To whom.
        worker: PeerId,
        /// At which price.
        price: Price,
        /// What is paid beside its work.
        fee: Credits,
    },
    /// Tasks whose outcome is final.
    Final {
        /// Which job.
        job: JobId,
        /// The tasks.
        tasks: Vec<FinalTask>,
    },
    /// Results of one worker that are here and go into an audit window: not final yet.
    Delivered {
        /// Which job.
        job: JobId,
        /// Which of its windows.
        window: WindowId,
        /// Whose.
        worker: PeerId,
        /// The claim that states them.
        claim: ClaimId,
        /// The results.
        tasks: Vec<FinalTask>,
    },
    /// A window takes no more results, and these of it are audited.
    Drawn {
        /// Which job.
        job: JobId,
        /// Which of its windows.
        window: WindowId,
        /// The tasks that are executed once more.
        audits: Vec<TaskIndex>,
        /// By this peer itself; else by other workers.
        own: bool,
    },
    /// Audits of a window that agreed with it.
    Agreed {
        /// Which job.
        job: JobId,
        /// Which of its windows.
        window: WindowId,
        /// The tasks.
        tasks: Vec<TaskIndex>,
    },
    /// All audits of a window have agreed: its results are final.
    WindowFinal {
        /// Which job.
        job: JobId,
        /// Which of its windows.
        window: WindowId,
    },
    /// A claim that this peer refuted by its own run. What else its worker has delivered for the job, and is not final,
    /// is void with it.
    Refuted {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
        /// Whose claim.
        worker: PeerId,
        /// The claim.
        claim: ClaimId,
        /// What it claimed.
        claimed: Outcome,
        /// What our own run came to.
        outcome: Outcome,
    },
    /// A worker whose claim was refuted twice by this peer's own runs, and by an unrelated peer of its architecture.
    Convicted {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
        /// Whose claim.
        worker: PeerId,
        /// The claim.
        claim: ClaimId,
        /// Who came to the same as we did.
        witness: PeerId,
    },
    /// A requester has voided a claim of ours for which we stand: it is not served any more.
    Contested {
        /// Who.
        requester: PeerId,
        /// In which job of its.
        job: JobId,
        /// On which task.
        task: TaskIndex,
    },
    /// A worker broke the protocol: what it has delivered for the job, and is not final, is void.
    BrokeOff {
        /// Which job.
        job: JobId,
        /// Whose.
        worker: PeerId,
    },
    /// A job is over.
    Closed {
        /// Which.
        job: JobId,
        /// How.
        end: End,
        /// When, by the wall clock.
        at: UnixTime,
    },
}

/// A task that is done for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalTask {
    /// Which.
    pub task: TaskIndex,
    /// What it came to; nothing if it could not be decided.
    pub outcome: Option<Outcome>,
    /// Standard output, if it is small; else it is a blob, unless it is empty.
    pub stdout: Option<Bytes>,
    /// Standard error, likewise.
    pub stderr: Option<Bytes>,
    /// Whose claims agreed with it.
    pub workers: Vec<PeerId>,
    /// The length of its input, which is paid for with what it came to, in bytes.
    #[serde(default, skip_serializing_if = "bytes::is_zero")]
    pub input_len: u64,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Every task has a final outcome.
    Complete,
    /// Some tasks could not be decided.
    Partial,
    /// Its owner stopped it.
    Stopped,
}
