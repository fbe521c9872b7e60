//! One lease as its worker sees it. specs/leases.md §3.

use crate::{
    burnt::Burnt,
    context::Context,
    effect::Run,
    input::{Executed, Item, RunId},
    offers::Held,
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{mem, time::Duration};
use pocketmesh_types::{
    BlobId, Bytes, ClaimId, Fuel, Hash, Instant, Job, JobId, LeaseId, Outcome, PeerId, TaskIndex, TaskInput, limits,
};
use pocketmesh_wire::{
    Message, envelope,
    message::{Assigned, Claim, Claimed, Commit, Committed, DeclineReason, Lease, Offer, verdict::commitment},
};

/// Results under one signature. Measured: past 64 a signature's share of a task's cost no longer matters.
const BATCH_TASKS_MAX: usize = 256;
/// Tasks kept under one lease, done or not, whatever the requester sends: twice what a fair one leaves open.
const TASKS_KEPT_MAX: usize = 4 * limits::TASKS_PER_MESSAGE_MAX;
/// Claims remembered, to be defended: an audit window, and what comes in while it is audited.
const STATED_MAX: usize = 2 * limits::WINDOW_RESULTS_MAX as usize;
/// Claims remembered until they are acknowledged: a round trip's worth of tiny ones.
const CLAIMS_KEPT_MAX: usize = 1024;

/// One task of a lease, until its claim is acknowledged.
#[derive(Debug)]
enum Work {
    /// Its input is under way.
    Waiting(TaskInput),
    /// It can be run.
    Ready(TaskInput),
    /// It runs, on this input.
    Running(On),
    /// It came to an outcome.
    Done(Done),
}

/// A finished task.
#[derive(Debug)]
struct Done {
    executed: Executed,
    /// What it was run on.
    input: On,
    /// Whether nothing is to be attached to its claim.
    bare: bool,
}

impl Done {
    fn stated(&self) -> Stated {
        Stated { outcome: self.executed.outcome, input: self.input, accepted: false }
    }
}

/// What is kept of an input: what claims state, and receipts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct On {
    /// Its name, if there is one.
    pub id: Option<BlobId>,
    /// Its length in bytes.
    pub len: u64,
}

/// What was claimed of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// What it came to.
    pub outcome: Outcome,
    /// The input that it was run on.
    pub input: On,
    accepted: bool,
}

/// One lease as its worker sees it.
#[derive(Debug)]
pub struct WorkLease {
    /// Who granted it.
    pub requester: PeerId,
    /// Where that can be reached.
    pub contacts: Vec<Bytes>,
    /// The job.
    pub job: Job,
    /// The job's id.
    pub job_id: JobId,
    /// How often a sign of life is due.
    pub heartbeat: Duration,
    /// What of the program and the files that it reads is not here yet.
    pub missing: BTreeSet<Item>,
    /// Why no more tasks are taken, if so; the lease is given up once all results are delivered.
    pub leaving: Option<DeclineReason>,
    /// What a task burns, as the offer said.
    expected_fuel: Option<Fuel>,
    /// What those that were run have burnt.
    burnt: Burnt,
    /// When something was last asked of it.
    pub asked: Instant,
    commit_first: bool,
    tasks: BTreeMap<TaskIndex, Work>,
    undone: usize,
    queue: VecDeque<TaskIndex>,
    /// Inputs under way, and the tasks that wait for them.
    awaited: BTreeMap<BlobId, Vec<TaskIndex>>,
    to_commit: BTreeSet<TaskIndex>,
    to_claim: BTreeSet<TaskIndex>,
    /// Claims that were not acknowledged yet.
    claims: BTreeMap<ClaimId, Vec<TaskIndex>>,
    /// Tasks claimed and acknowledged, the last of them.
    stated: BTreeMap<TaskIndex, Stated>,
}

/// Whether a lease keeps what the offer, our bid for it and the auction said.
pub fn is_as_offered(context: &Context, held: &Held, lease: &Lease) -> bool {
    let (job, offer) = (&lease.job, &held.offer);
    lease.worker == context.config.me
        && lease.price >= held.due.unwrap_or(context.config.ask)
        && JobId(envelope::id(&job.clone().into())) == offer.job
        && (job.program, job.program_len, job.profile, job.limits)
            == (offer.program, offer.program_len, offer.profile, offer.limits)
        && job.per_gib == offer.per_gib
}

impl WorkLease {
    /// A lease just taken; its program, and the files that it reads, are being fetched.
    pub fn new(requester: PeerId, offer: &Offer, lease: Lease, now: Instant) -> Self {
        let mut missing = BTreeSet::from([Item::Blob(lease.job.program)]);
        if lease.job.files.len > 0 {
            missing.insert(Item::Tree(lease.job.files.id));
        }
        Self {
            requester,
            contacts: offer.contacts.clone(),
            expected_fuel: offer.expected_fuel,
            burnt: Burnt::default(),
            job_id: JobId(envelope::id(&lease.job.clone().into())),
            job: lease.job,
            heartbeat: Duration::from_millis(u64::from(lease.heartbeat_ms)),
            missing,
            leaving: None,
            asked: now,
            commit_first: lease.commit_first,
            tasks: BTreeMap::new(),
            undone: 0,
            queue: VecDeque::new(),
            awaited: BTreeMap::new(),
            to_commit: BTreeSet::new(),
            to_claim: BTreeSet::new(),
            claims: BTreeMap::new(),
            stated: BTreeMap::new(),
        }
    }

    /// Takes tasks, and says which inputs are to be fetched. A task that is done is answered again.
    pub fn take_tasks(&mut self, tasks: Vec<Assigned>) -> Vec<(BlobId, u64)> {
        let mut fetches = Vec::new();
        for Assigned { task, input } in tasks {
            match self.tasks.get(&task) {
                Some(Work::Done(..)) => self.announce(task),
                None if task < self.job.tasks && self.tasks.len() < TASKS_KEPT_MAX => {
                    fetches.extend(self.add(task, input));
                }
                Some(_) | None => {}
            }
        }
        fetches
    }

    fn add(&mut self, task: TaskIndex, input: TaskInput) -> Option<(BlobId, u64)> {
        self.undone += 1;
        let TaskInput::Blob(blob, len) = input else {
            self.tasks.insert(task, Work::Ready(input));
            self.queue.push_back(task);
            return None;
        };
        self.tasks.insert(task, Work::Waiting(input));
        let waiting = self.awaited.entry(blob).or_default();
        waiting.push(task);
        (waiting.len() == 1).then_some((blob, len))
    }

    /// How many tasks could be run if this input were here.
    pub fn held_up_by(&self, blob: &BlobId) -> usize {
        if self.missing.is_empty() { self.awaited.get(blob).map_or(0, Vec::len) } else { 0 }
    }

    /// An input is here: its tasks are ready. If it is not to be had, these tasks cannot be done.
    pub fn on_input(&mut self, blob: &BlobId, found: bool) -> Vec<TaskIndex> {
        let tasks = self.awaited.remove(blob).unwrap_or_default();
        if !found {
            return tasks;
        }
        for task in tasks {
            if let Some(work) = self.tasks.get_mut(&task)
                && let Work::Waiting(input) = work
            {
                *work = Work::Ready(mem::take(input));
                self.queue.push_back(task);
            }
        }
        Vec::new()
    }

    /// The next task, if one could run at once.
    pub fn next_ready(&self) -> Option<TaskIndex> {
        if self.missing.is_empty() { self.queue.front().copied() } else { None }
    }

    /// Takes the next task and says how it is to be run.
    pub fn start(&mut self, run: RunId) -> Option<(TaskIndex, Run)> {
        let task = self.queue.pop_front()?;
        let work = self.tasks.get_mut(&task)?;
        let Work::Ready(input) = work else { unreachable!("what is queued is ready") };
        let input = mem::take(input);
        *work = Work::Running(On { id: input.id(), len: input.len() });
        Some((task, run_of(run, &self.job, &self.job_id, task, input)))
    }

    /// A task came to an outcome.
    pub fn finish(&mut self, task: TaskIndex, executed: Executed) {
        if let Some(work) = self.tasks.get_mut(&task)
            && let Work::Running(input) = *work
        {
            self.burnt.add(executed.outcome.fuel);
            *work = Work::Done(Done { executed, input, bare: false });
            self.undone -= 1;
            self.announce(task);
        }
    }

    /// These were committed to and are now asked for, with what can be attached or without.
    pub fn reveal(&mut self, tasks: &[TaskIndex], bare: bool) {
        for task in tasks {
            if let Some(Work::Done(done)) = self.tasks.get_mut(task) {
                done.bare = bare;
                self.to_claim.insert(*task);
            }
        }
    }

    /// The requester has this claim: its results need not be kept.
    pub fn on_ack(&mut self, claim: &ClaimId) {
        for task in self.claims.remove(claim).unwrap_or_default() {
            self.drop_output(task);
        }
    }

    /// The requester is back and may have missed claims: they are stated again.
    pub fn claim_again(&mut self) {
        self.to_claim.extend(mem::take(&mut self.claims).into_values().flatten());
    }

    /// Of a finished task, only what was stated is kept.
    fn drop_output(&mut self, task: TaskIndex) {
        if let Some(Work::Done(done)) = self.tasks.get(&task) {
            let stated = done.stated();
            self.tasks.remove(&task);
            self.keep_stated(task, stated);
        }
    }

    fn keep_stated(&mut self, task: TaskIndex, stated: Stated) {
        self.stated.insert(task, stated);
        while self.stated.len() > STATED_MAX {
            self.stated.pop_first();
        }
    }

    /// What was claimed of a task, if it is still known.
    pub fn stated(&self, task: TaskIndex) -> Option<Stated> {
        match self.tasks.get(&task) {
            Some(Work::Done(done)) => Some(done.stated()),
            _ => self.stated.get(&task).copied(),
        }
    }

    /// These are accepted; says how many of them were not before.
    pub fn settle(&mut self, tasks: &[TaskIndex]) -> u64 {
        let mut settled = 0;
        for &task in tasks {
            self.drop_output(task);
            if let Some(stated) = self.stated.get_mut(&task).filter(|stated| !stated.accepted) {
                stated.accepted = true;
                settled += 1;
            }
        }
        settled
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
            if let Some(Work::Done(Done { executed, .. })) = self.tasks.get(&task) {
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
            if let Some(Work::Done(Done { executed, input, bare })) = self.tasks.get(&task) {
                let salt = self.commit_first.then(|| salt(context, &self.job_id, &id, task));
                results.push(Claimed { task, input: input.id, outcome: executed.outcome, salt });
                let inline = executed.inline.iter().filter(|_| !bare);
                bytes += inline.clone().map(|blob| blob.len()).sum::<usize>();
                attached.extend(inline.cloned());
            }
        }
        let tasks = results.iter().map(|row| row.task).collect();
        let claim = Claim { job: self.job_id, lease: id, profile: context.config.profile, results }.into();
        if self.claims.len() < CLAIMS_KEPT_MAX {
            self.claims.insert(ClaimId(envelope::id(&claim)), tasks);
        }
        (claim, attached)
    }

    /// Whether nothing is left to run or to wait for.
    pub fn is_idle(&self) -> bool {
        self.undone == 0
    }

    /// Whether nothing is left to deliver either.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether a batch is full.
    pub fn has_full_batch(&self) -> bool {
        self.to_commit.len() + self.to_claim.len() >= BATCH_TASKS_MAX
    }

    /// How many tasks are still to be run.
    pub fn backlog(&self) -> u32 {
        u32::try_from(self.undone).unwrap_or(u32::MAX)
    }

    /// Whether its tasks burn far more than the offer said.
    pub fn is_dearer_than_offered(&self) -> bool {
        self.expected_fuel.is_some_and(|expected| self.burnt.is_far_beyond(expected))
    }

    /// The tasks that were not begun.
    pub fn not_begun(&self) -> Vec<TaskIndex> {
        let waits = |work: &Work| matches!(work, Work::Waiting(_) | Work::Ready(_));
        self.tasks.iter().filter(|(_, work)| waits(work)).map(|(&task, _)| task).collect()
    }

    /// The tasks that have come to no outcome yet.
    pub fn undone(&self) -> Vec<TaskIndex> {
        self.tasks.iter().filter(|(_, work)| !matches!(work, Work::Done(..))).map(|(&task, _)| task).collect()
    }

    /// Forgets those of these tasks that are not done.
    pub fn forget(&mut self, tasks: &BTreeSet<TaskIndex>) {
        let (mut was_queued, mut was_awaited) = (false, false);
        for task in tasks {
            match self.tasks.get(task) {
                None | Some(Work::Done(..)) => continue,
                Some(Work::Ready(_)) => was_queued = true,
                Some(Work::Waiting(_)) => was_awaited = true,
                Some(Work::Running(_)) => {}
            }
            self.tasks.remove(task);
            self.undone -= 1;
        }
        if was_queued {
            self.queue.retain(|task| !tasks.contains(task));
        }
        if was_awaited {
            self.awaited.retain(|_, waiting| {
                waiting.retain(|task| !tasks.contains(task));
                !waiting.is_empty()
            });
        }
    }

    fn announce(&mut self, task: TaskIndex) {
        if self.commit_first {
            self.to_commit.insert(task)
        } else {
            self.to_claim.insert(task)
        };
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
        files: job.files,
        input_name: job.input_name.clone(),
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
