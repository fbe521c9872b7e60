//! One lease as its worker sees it.

use crate::{
    context::Context,
    effect::Run,
    input::{Executed, RunId},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{BlobId, Bytes, Hash, Job, JobId, LeaseId, PeerId, Price, TaskIndex, TaskInput, limits};
use pocketmesh_wire::{
    Message, envelope,
    message::{Assigned, Claim, Claimed, Commit, Committed, Lease, Offer, verdict::commitment},
};

/// Results under one signature. Measured: past 64 a signature's share of a task's cost no longer matters.
const BATCH_TASKS_MAX: usize = 256;
/// Tasks held under one lease, whatever the requester sends.
const TASKS_HELD_MAX: usize = 4 * limits::TASKS_PER_MESSAGE_MAX;

/// How a fetch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetching {
    /// It is under way.
    Under,
    /// The blob is here.
    Here,
    /// It is not to be had.
    Failed,
}

/// One lease as its worker sees it.
#[derive(Debug)]
pub struct WorkLease {
    /// Who granted it.
    pub requester: PeerId,
    /// The job.
    pub job: Job,
    /// The job's id.
    pub job_id: JobId,
    /// What is paid.
    pub price: Price,
    /// How often a sign of life is due.
    pub heartbeat: Duration,
    /// Whether the program is here.
    pub program: Fetching,
    commit_first: bool,
    queue: VecDeque<Assigned>,
    /// Inputs under way, and the tasks that wait for them.
    awaited: BTreeMap<BlobId, Vec<Assigned>>,
    running: BTreeSet<TaskIndex>,
    done: BTreeMap<TaskIndex, Executed>,
    to_commit: BTreeSet<TaskIndex>,
    to_claim: BTreeSet<TaskIndex>,
}

/// Whether a lease keeps what the offer, and our bid for it, said.
pub fn is_as_offered(context: &Context, offer: &Offer, lease: &Lease) -> bool {
    let job = &lease.job;
    lease.worker == context.config.me
        && lease.price >= context.config.ask
        && JobId(envelope::id(&job.clone().into())) == offer.job
        && (job.program, job.program_len, job.profile, job.limits)
            == (offer.program, offer.program_len, offer.profile, offer.limits)
}

impl WorkLease {
    /// A lease just taken; its program is being fetched.
    pub fn new(requester: PeerId, lease: Lease) -> Self {
        Self {
            requester,
            job_id: JobId(envelope::id(&lease.job.clone().into())),
            job: lease.job,
            price: lease.price,
            heartbeat: Duration::from_millis(u64::from(lease.heartbeat_ms)),
            program: Fetching::Under,
            commit_first: lease.commit_first,
            queue: VecDeque::new(),
            awaited: BTreeMap::new(),
            running: BTreeSet::new(),
            done: BTreeMap::new(),
            to_commit: BTreeSet::new(),
            to_claim: BTreeSet::new(),
        }
    }

    /// Takes tasks, and says which inputs are to be fetched. A task that is done is answered again.
    pub fn take_tasks(&mut self, tasks: Vec<Assigned>) -> Vec<(BlobId, u64)> {
        let mut fetches = Vec::new();
        for assigned in tasks {
            let task = assigned.task;
            if task >= self.job.tasks || self.holds(task) || self.held() >= TASKS_HELD_MAX {
                continue;
            }
            if self.done.contains_key(&task) {
                self.announce(task);
                continue;
            }
            match assigned.input {
                TaskInput::Blob(blob, len) => {
                    let waiting = self.awaited.entry(blob).or_default();
                    if waiting.is_empty() {
                        fetches.push((blob, len));
                    }
                    waiting.push(assigned);
                }
                _ => self.queue.push_back(assigned),
            }
        }
        fetches
    }

    /// An input is here: its tasks are ready. If it is not to be had, these tasks are lost.
    pub fn on_input(&mut self, blob: &BlobId, found: bool) -> Vec<TaskIndex> {
        let tasks = self.awaited.remove(blob).unwrap_or_default();
        if found {
            self.queue.extend(tasks);
            return Vec::new();
        }
        tasks.iter().map(|assigned| assigned.task).collect()
    }

    /// Whether a task could run at once.
    pub fn has_ready_task(&self) -> bool {
        self.program == Fetching::Here && !self.queue.is_empty()
    }

    /// Takes the next task and says how it is to be run.
    pub fn start(&mut self, run: RunId) -> Option<(TaskIndex, Run)> {
        let assigned = self.queue.pop_front()?;
        self.running.insert(assigned.task);
        Some((assigned.task, run_of(run, &self.job, &self.job_id, assigned.task, assigned.input)))
    }

    /// A task came to an outcome.
    pub fn finish(&mut self, task: TaskIndex, executed: Executed) {
        if self.running.remove(&task) {
            self.done.insert(task, executed);
            self.announce(task);
        }
    }

    /// These were committed to and are now asked for.
    pub fn reveal(&mut self, tasks: &[TaskIndex]) {
        self.to_claim.extend(tasks.iter().filter(|task| self.done.contains_key(task)));
    }

    /// These are accepted and need not be kept; says how many were.
    pub fn settle(&mut self, tasks: &[TaskIndex]) -> u64 {
        tasks.iter().filter(|task| self.done.remove(task).is_some()).count() as u64
    }

    /// The next message with results, if there is one: at most a batch, and no more bytes than a message carries.
    pub fn next_batch(&mut self, id: LeaseId, context: &Context) -> Option<(Message, Vec<Bytes>)> {
        if !self.to_commit.is_empty() {
            return Some((self.commit_batch(id, context), Vec::new()));
        }
        if self.to_claim.is_empty() { None } else { Some(self.claim_batch(id, context)) }
    }

    fn commit_batch(&mut self, id: LeaseId, context: &Context) -> Message {
        let mut commits = Vec::new();
        while commits.len() < BATCH_TASKS_MAX
            && let Some(task) = self.to_commit.pop_first()
        {
            if let Some(executed) = self.done.get(&task) {
                let salt = salt(context, &self.job_id, &id, task);
                let commitment = commitment(&salt, &self.job_id, &context.config.me, task, &executed.outcome);
                commits.push(Committed { task, commitment });
            }
        }
        Commit { job: self.job_id, lease: id, commits }.into()
    }

    fn claim_batch(&mut self, id: LeaseId, context: &Context) -> (Message, Vec<Bytes>) {
        let (mut results, mut attached, mut bytes) = (Vec::new(), Vec::new(), 0);
        while results.len() < BATCH_TASKS_MAX
            && bytes < limits::MESSAGE_BYTES_TARGET
            && let Some(task) = self.to_claim.pop_first()
        {
            if let Some(executed) = self.done.get(&task) {
                let salt = self.commit_first.then(|| salt(context, &self.job_id, &id, task));
                results.push(Claimed { task, outcome: executed.outcome, salt });
                bytes += executed.inline.iter().map(|blob| blob.len()).sum::<usize>();
                attached.extend(executed.inline.iter().cloned());
            }
        }
        (Claim { job: self.job_id, lease: id, profile: context.config.profile, results }.into(), attached)
    }

    /// Whether there is nothing left to run or to wait for.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty() && self.awaited.is_empty()
    }

    /// Whether a batch is full.
    pub fn has_full_batch(&self) -> bool {
        self.to_commit.len() + self.to_claim.len() >= BATCH_TASKS_MAX
    }

    /// Tasks that are still to be run.
    pub fn backlog(&self) -> u32 {
        u32::try_from(self.held()).unwrap_or(u32::MAX)
    }

    /// The tasks that have come to no outcome yet.
    pub fn undone(&mut self) -> Vec<TaskIndex> {
        let waiting = self.awaited.values().flatten().chain(&self.queue).map(|assigned| assigned.task);
        waiting.chain(self.running.iter().copied()).collect()
    }

    /// Forgets tasks that are given back.
    pub fn forget(&mut self, tasks: &BTreeSet<TaskIndex>) {
        self.queue.retain(|assigned| !tasks.contains(&assigned.task));
        self.awaited.retain(|_, waiting| {
            waiting.retain(|assigned| !tasks.contains(&assigned.task));
            !waiting.is_empty()
        });
        self.running.retain(|task| !tasks.contains(task));
    }

    fn announce(&mut self, task: TaskIndex) {
        if self.commit_first {
            self.to_commit.insert(task)
        } else {
            self.to_claim.insert(task)
        };
    }

    fn holds(&self, task: TaskIndex) -> bool {
        self.running.contains(&task)
            || self.queue.iter().any(|assigned| assigned.task == task)
            || self.awaited.values().flatten().any(|assigned| assigned.task == task)
    }

    fn held(&self) -> usize {
        self.running.len() + self.queue.len() + self.awaited.values().map(Vec::len).sum::<usize>()
    }
}

/// How a task is run: the same on every peer.
pub fn run_of(run: RunId, job: &Job, id: &JobId, task: TaskIndex, stdin: TaskInput) -> Run {
    Run {
        run,
        program: job.program,
        name: job.name.clone(),
        args: job.args_of(task),
        env: job.env.clone(),
        stdin,
        limits: job.limits,
        epoch: job.epoch,
        seed: Hash::of_parts("pocketmesh task seed 1", &[id.as_bytes(), &task.to_le_bytes()]).0,
    }
}

/// The salt of a commitment. It is derived, not drawn, so that a restarted worker commits alike.
fn salt(context: &Context, job: &JobId, lease: &LeaseId, task: TaskIndex) -> Hash {
    let parts: [&[u8]; 4] = [&context.config.salt_key, job.as_bytes(), lease.as_bytes(), &task.to_le_bytes()];
    Hash::of_parts("pocketmesh commitment salt 1", &parts)
}
