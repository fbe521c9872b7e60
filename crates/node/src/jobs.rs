//! What the daemon knows of its jobs beside the protocol: the reduce step, and what happened lately.

use crate::{clock::wall, reduce::Plan};
use pocketmesh_api::JobEvent;
use pocketmesh_protocol::{Event, effect::LeaseOver, jobs::Jobs};
use pocketmesh_types::{JobId, PeerId, TaskIndex};
use pocketmesh_wire::message::{DeclineReason, EndReason};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
};

/// Events kept of a job.
const EVENTS_MAX: usize = 256;
/// Refuted claims kept of a job.
const REFUTED_MAX: usize = 1024;

/// What is known of all jobs.
#[derive(Debug, Default)]
pub struct Ledger {
    jobs: BTreeMap<JobId, Notes>,
    /// Levels of reduce trees, and whose they are.
    levels: BTreeMap<JobId, JobId>,
}

/// What is known of one job.
#[derive(Debug, Default)]
pub struct Notes {
    /// The reduce step, if there is one.
    pub reduce: Option<Plan>,
    /// Whether a step of it is being taken.
    pub reducing: bool,
    /// Claims that were refuted, oldest first; a bounded number of them.
    pub refuted: Vec<Refuted>,
    /// What happened lately, and how many events there were before.
    pub events: VecDeque<JobEvent>,
    /// Events that the ring has let go.
    pub dropped: usize,
}

/// A claim that our own run refuted.
#[derive(Debug)]
pub struct Refuted {
    /// Whose.
    pub worker: PeerId,
    /// On which task.
    pub task: TaskIndex,
    /// Where its proof is, if one is written.
    pub proof: Option<PathBuf>,
}

impl Notes {
    /// Takes note of a refuted claim. The first of a worker has a proof: more would prove no more.
    pub fn refute(&mut self, worker: PeerId, task: TaskIndex, place: PathBuf) -> Option<&PathBuf> {
        let is_first = !self.refuted.iter().any(|refuted| refuted.worker == worker);
        if self.refuted.len() >= REFUTED_MAX {
            return None;
        }
        self.refuted.push(Refuted { worker, task, proof: is_first.then_some(place) });
        self.refuted.last()?.proof.as_ref()
    }
}

impl Ledger {
    /// The notes of a job.
    pub fn of(&self, job: &JobId) -> Option<&Notes> {
        self.jobs.get(job)
    }

    /// The notes of a job, made if there are none.
    pub fn of_mut(&mut self, job: JobId) -> &mut Notes {
        self.jobs.entry(job).or_default()
    }

    /// The same, unless it is what was noted last.
    pub fn note_once(&mut self, job: JobId, text: String) {
        if self.of(&job).and_then(|notes| notes.events.back()).is_none_or(|last| last.text != text) {
            self.note(job, text);
        }
    }

    /// A job is the next level of another one's reduce tree. It may be said twice: a level that did not get to the disk is made again.
    pub fn add_level(&mut self, job: JobId, level: JobId) {
        self.levels.insert(level, job);
        if let Some(plan) = &mut self.of_mut(job).reduce
            && !plan.levels.contains(&level)
        {
            plan.levels.push(level);
        }
    }

    /// The level of a job's reduce tree that is under way.
    pub fn level_under_way(&self, job: &JobId, jobs: &Jobs) -> Option<JobId> {
        let level = *self.of(job)?.reduce.as_ref()?.levels.last()?;
        jobs.get(&level).filter(|level| level.closed_at.is_none()).map(|level| level.id)
    }

    /// Of which job's reduce tree this one is a level.
    pub fn parent_of(&self, level: &JobId) -> Option<JobId> {
        self.levels.get(level).copied()
    }

    /// Takes note of something that happened.
    pub fn note(&mut self, job: JobId, text: String) {
        tracing::info!(job = %job.short(), "{text}");
        let notes = self.of_mut(job);
        if notes.events.len() == EVENTS_MAX {
            notes.events.pop_front();
            notes.dropped += 1;
        }
        notes.events.push_back(JobEvent { time: wall(), text });
    }
}

/// What an event of the protocol says about a job of ours, if it does.
pub fn line_of(event: &Event) -> Option<(JobId, String)> {
    let (job, text) = match event {
        Event::Offered { job, seats, peers, .. } => {
            (job, format!("offered to {peers} {} for up to {seats} leases", plural(*peers, "neighbour")))
        }
        Event::AuctionClosed { job, bids, leases } => {
            (job, format!("auction closed: {bids} {}, {leases} {}", plural(*bids, "bid"), plural(*leases, "lease")))
        }
        Event::Leased { job, worker, price } => {
            (job, format!("{} works for {} nano-credits per gigafuel", worker.short(), price.0))
        }
        Event::LeaseOver { job, worker, reason } => (job, format!("{} {}", worker.short(), farewell(*reason))),
        Event::Disputed { job, task } => (job, format!("task {task}: claims differ, so it is run here")),
        Event::Refuted { job, task, worker } => {
            (job, format!("task {task}: the claim of {} is refuted and void", worker.short()))
        }
        Event::Convicted { job, task, worker } => {
            (job, format!("task {task}: a second run and a witness agree: {} is convicted", worker.short()))
        }
        Event::NotConvicted { job, task, worker } => {
            (job, format!("task {task}: a witness disagrees, so {} is not convicted", worker.short()))
        }
        Event::NotDeterministic { job, task } => {
            (job, format!("task {task}: two runs here came to two outcomes: nobody is to blame"))
        }
        Event::BudgetSpent { job } => (job, "another task could cost more than is left of the budget".into()),
        Event::JobClosed { job, end } => (job, format!("all tasks are over: {end:?}").to_lowercase()),
        _ => return None,
    };
    Some((*job, text))
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.into() } else { format!("{noun}s") }
}

fn farewell(reason: LeaseOver) -> &'static str {
    match reason {
        LeaseOver::Ended(EndReason::JobDone) => "has served its lease to the end",
        LeaseOver::Ended(EndReason::JobStopped) => "is told that the job is stopped",
        LeaseOver::Ended(EndReason::Silent) => "was silent too long: its tasks go to others",
        LeaseOver::Ended(EndReason::Refuted) => "is out: all its open claims are void",
        LeaseOver::Ended(EndReason::Unknown) => "has no lease any more",
        LeaseOver::Declined(DeclineReason::DearerThanOffered) => {
            "gave its lease up: tasks burn far more than the offer said"
        }
        LeaseOver::Declined(_) => "turned its lease down",
        LeaseOver::Disconnected => "is gone: its tasks go to others",
    }
}
