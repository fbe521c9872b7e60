//! The requester's side: a job's life from submission to its end. specs/jobs.md.
//!
//! A job is on disk before it is offered, and a result counts only once it is on disk: everything here waits for
//! [`Stored`](crate::Input::Stored) before it tells anybody. [`market`] finds workers, [`seating`] gives them tasks,
//! [`judging`] turns what they say into decisions; this file holds what they share.

pub mod active;
pub mod judging;
pub mod market;
pub mod seating;
pub mod view;

use crate::{
    context::Context,
    effect::{Effect, Event, LeaseOver, Reply},
    input::{Command, CommandId, Executed, Inputs, NoOutcome, RecordId, RunId},
    record::{End, Record},
    timers::Timer,
};
use active::{Active, Phase};
use alloc::{collections::BTreeMap, format, vec::Vec};
use pocketmesh_types::{BlobId, Job, JobId, LeaseId, PeerId, TaskIndex, limits};
use pocketmesh_wire::{
    envelope,
    message::{Claim, Commit, Decline, EndReason, HandBack, Heartbeat, LeaseEnd},
};

/// The jobs of this peer.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: BTreeMap<JobId, Active>,
    runs: BTreeMap<RunId, (JobId, TaskIndex)>,
    storing: BTreeMap<RecordId, Storing>,
}

/// What waits for a record.
#[derive(Debug)]
enum Storing {
    Submission(CommandId, JobId),
    Finals(JobId, Vec<TaskIndex>),
    Close(JobId),
}

impl Jobs {
    /// All jobs.
    pub fn iter(&self) -> impl Iterator<Item = &Active> {
        self.jobs.values()
    }

    /// One job.
    pub fn get(&self, id: &JobId) -> Option<&Active> {
        self.jobs.get(id)
    }

    /// Takes a fact from before the restart. Nothing is sent yet.
    pub fn restore(&mut self, context: &mut Context, record: Record) {
        match record {
            Record::Submitted { job, parts, at } => {
                let id = JobId(envelope::id(&job.clone().into()));
                let inputs = if parts.is_empty() { Inputs::None } else { Inputs::Parts(parts) };
                self.jobs.insert(id, Active::new(id, job, inputs, at));
            }
            Record::Final { job, tasks } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    tasks.iter().for_each(|task| active.restore_final(task));
                }
            }
            Record::Refuted { job, worker, .. } => {
                context.reputation.refuted(worker);
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.excluded.insert(worker);
                    active.counts.refuted += 1;
                }
            }
            Record::Closed { job, end, at } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.phase = Phase::Over(end);
                    active.closed_at = Some(at);
                }
            }
        }
    }

    /// After the last of these facts: goes on where the jobs were.
    pub fn resume(&mut self, context: &mut Context) {
        for active in self.jobs.values_mut().filter(|active| active.phase == Phase::Running) {
            context.timers.set(Timer::OfferAgain(active.id), context.now);
        }
        self.after(context);
    }

    /// A command of the owner.
    pub fn on_command(&mut self, context: &mut Context, command: CommandId, what: Command) {
        match what {
            Command::Submit { job, inputs } => self.submit(context, command, *job, inputs),
            Command::Stop(id) => {
                let reply = if self.jobs.contains_key(&id) { Reply::Stopped } else { Reply::UnknownJob };
                if let Some(active) = self.jobs.get_mut(&id).filter(|active| active.phase == Phase::Running) {
                    active.phase = Phase::Closing(End::Stopped);
                }
                context.emit(Effect::Reply { command, reply });
                self.after(context);
            }
        }
    }

    fn submit(&mut self, context: &mut Context, command: CommandId, job: Job, inputs: Inputs) {
        let parts = match &inputs {
            Inputs::None => Vec::new(),
            Inputs::Parts(parts) => parts.clone(),
        };
        let refusal = match job.check() {
            Err(invalid) => Some(format!("{invalid}")),
            Ok(()) if job.profile != context.config.profile => Some("the job is for another profile".into()),
            Ok(()) if parts.len() > limits::PARTS_PER_JOB_MAX => Some("the job has too many inputs".into()),
            Ok(()) if !parts.is_empty() && parts.len() != job.tasks as usize => {
                Some("the job has not one input a task".into())
            }
            Ok(()) => None,
        };
        if let Some(reason) = refusal {
            context.emit(Effect::Reply { command, reply: Reply::Refused(reason) });
            return;
        }
        let (id, at) = (JobId(envelope::id(&job.clone().into())), context.wall());
        let record = context.store(Record::Submitted { job: job.clone(), parts, at });
        self.jobs.insert(id, Active::new(id, job, inputs, at));
        self.storing.insert(record, Storing::Submission(command, id));
    }

    /// A record is on the disk to stay: now what relies on it may be done.
    pub fn on_stored(&mut self, context: &mut Context, record: RecordId) {
        match self.storing.remove(&record) {
            Some(Storing::Submission(command, id)) => {
                context.emit(Effect::Reply { command, reply: Reply::Submitted(id) });
                context.timers.set(Timer::OfferAgain(id), context.now);
            }
            Some(Storing::Finals(id, tasks)) => {
                if let Some(active) = self.jobs.get_mut(&id) {
                    active.on_finals_stored(context, &tasks);
                }
            }
            Some(Storing::Close(id)) => {
                if let Some(active) = self.jobs.get_mut(&id) {
                    active.on_close_stored(context);
                }
            }
            None => {}
        }
        self.after(context);
    }

    /// A worker committed to digests.
    pub fn on_commit(&mut self, context: &mut Context, from: PeerId, commit: Commit) {
        let lease = commit.lease;
        self.with_lease(context, from, lease, |active, context| active.on_commit(context, lease, &commit.commits));
    }

    /// A worker states outcomes.
    pub fn on_claim(
        &mut self,
        context: &mut Context,
        from: PeerId,
        id: pocketmesh_types::ClaimId,
        claim: &Claim,
        attached: Vec<pocketmesh_types::Bytes>,
    ) {
        self.with_lease(context, from, claim.lease, |active, context| active.on_claim(context, id, claim, attached));
    }

    /// A worker turned a lease down.
    pub fn on_decline(&mut self, context: &mut Context, from: PeerId, decline: &Decline) {
        self.with_lease(context, from, decline.lease, |active, context| {
            active.lease_over(context, decline.lease, LeaseOver::Declined(decline.reason));
        });
    }

    /// A worker gives tasks back.
    pub fn on_hand_back(&mut self, context: &mut Context, from: PeerId, back: &HandBack) {
        self.with_lease(context, from, back.lease, |active, context| active.on_hand_back(context, back));
    }

    /// A worker is alive. Leases that are not known here are not known any more.
    pub fn on_heartbeat(&mut self, context: &mut Context, from: PeerId, heartbeat: &Heartbeat) {
        for &(lease, _) in &heartbeat.leases {
            self.with_lease(context, from, lease, |_, _| {});
        }
    }

    /// Finds the job of a lease that `from` holds; one that is not held is answered with its end.
    fn with_lease(
        &mut self,
        context: &mut Context,
        from: PeerId,
        lease: LeaseId,
        act: impl FnOnce(&mut Active, &mut Context),
    ) {
        match self.jobs.values_mut().find(|active| active.holds_lease(&lease, &from)) {
            Some(active) => {
                active.heard_from(&lease, context.now);
                act(active, context);
                self.after(context);
            }
            None => context.send(from, LeaseEnd { lease, reason: EndReason::Unknown }),
        }
    }

    /// Whether this run was one of our own checks; if so it is dealt with.
    pub fn on_finished(&mut self, context: &mut Context, run: RunId, result: Result<Executed, NoOutcome>) {
        let Some((job, task)) = self.runs.remove(&run) else { return };
        if let Some(active) = self.jobs.get_mut(&job) {
            active.on_own_run(context, task, result);
        }
        self.after(context);
    }

    /// An output is here, or is not to be had.
    pub fn on_blob(&mut self, context: &mut Context, blob: BlobId, found: bool) {
        for active in self.jobs.values_mut() {
            active.on_output(context, &blob, found);
        }
        self.after(context);
    }

    /// A peer is here, perhaps again: it is told again what may have been lost.
    pub fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        for active in self.jobs.values_mut() {
            active.on_connected(context, peer);
        }
    }

    /// A peer is gone, perhaps for good.
    pub fn on_disconnected(&mut self, context: &mut Context, peer: PeerId) {
        for active in self.jobs.values_mut() {
            active.on_disconnected(context, peer);
        }
    }

    /// Looks for seats that take too long.
    pub fn on_overdue(&mut self, context: &mut Context, job: JobId) {
        if let Some(active) = self.jobs.get_mut(&job) {
            active.on_overdue(context);
        }
        self.after(context);
    }

    /// The auction of a job is over.
    pub fn on_auction_closes(&mut self, context: &mut Context, job: JobId) {
        if let Some(active) = self.jobs.get_mut(&job) {
            active.close_auction(context);
        }
        self.after(context);
    }

    /// A job may look for workers again.
    pub fn on_offer_again(&mut self, context: &mut Context, job: JobId) {
        if let Some(active) = self.jobs.get_mut(&job) {
            active.offer(context);
        }
    }

    /// A sealed bid for one of our offers.
    pub fn on_bid(
        &mut self,
        context: &mut Context,
        from: PeerId,
        id: pocketmesh_types::Hash,
        bid: &pocketmesh_wire::message::Bid,
    ) {
        let open = |active: &&mut Active| active.is_offering(&bid.offer);
        if let Some(active) = self.jobs.values_mut().find(open) {
            active.on_bid(context, from, id, bid);
        }
        self.after(context);
    }

    /// After every input: starts own runs, stores what was decided, closes what is complete.
    fn after(&mut self, context: &mut Context) {
        for active in self.jobs.values_mut() {
            if !active.take_stirred() {
                continue;
            }
            for task in active.take_checks() {
                let run = context.next_run();
                self.runs.insert(run, (active.id, task));
                context.notify(Event::Disputed { job: active.id, task });
                context.emit(Effect::Execute(active.run_of(run, task)));
            }
            if let Some((record, tasks)) = active.take_decided() {
                let record = context.store(record);
                self.storing.insert(record, Storing::Finals(active.id, tasks));
            }
            if let Some(end) = active.take_end() {
                let record = context.store(Record::Closed { job: active.id, end, at: context.wall() });
                self.storing.insert(record, Storing::Close(active.id));
            }
        }
    }
}
