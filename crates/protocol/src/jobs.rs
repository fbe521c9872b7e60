//! The requester's side: a job's life from submission to its end. specs/jobs.md.
//!
//! A job is on disk before it is offered, and a result counts only once it is on disk: everything here waits for
//! [`Stored`](crate::Input::Stored) before it tells anybody. [`market`] finds workers, [`leases`] keeps an eye on them,
//! [`seating`] gives them tasks, [`judging`] turns what they say into decisions, [`auditing`] has some of these checked after
//! delivery, [`parts`] has their inputs read; this file holds what they share.

pub mod active;
pub mod auditing;
pub mod judging;
pub mod leases;
pub mod market;
pub mod order;
pub mod parts;
pub mod paying;
pub mod regime;
pub mod seating;
pub mod trial;
pub mod view;

use crate::{
    context::Context,
    effect::{Effect, LeaseOver, Reply},
    input::{Command, CommandId, Executed, Inputs, Item, NoOutcome, RecordId, RunId},
    record::{End, Record},
    timers::Timer,
    verification::windows::{Window, WindowId},
};
use active::{Active, Phase};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use pocketmesh_types::{Bytes, ClaimId, Hash, Job, JobId, LeaseId, PeerId, TaskIndex, TaskInput};
use pocketmesh_wire::{
    envelope,
    message::{Bid, Claim, Commit, Decline, EndReason, HandBack, Heartbeat, LeaseEnd},
};

/// The jobs of this peer.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: BTreeMap<JobId, Active>,
    /// Those that are not at rest: nothing happens to the others any more.
    awake: BTreeSet<JobId>,
    runs: BTreeMap<RunId, (JobId, TaskIndex)>,
    storing: BTreeMap<RecordId, Storing>,
}

/// What waits for a record.
#[derive(Debug)]
enum Storing {
    /// Not a job before it is on disk.
    Submission(CommandId, Box<Active>),
    Finals(JobId, Vec<TaskIndex>),
    Drawn(JobId, WindowId, bool),
    Window(JobId, WindowId, Box<Window>),
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
            Record::Submitted { job, inputs, at } => {
                let id = JobId(envelope::id(&job.clone().into()));
                self.jobs.insert(id, Active::new(id, job, inputs, at));
            }
            Record::Granted { job, lease, worker, price, fee } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.restore_granted(context, lease, worker, price, fee);
                }
            }
            Record::Final { job, tasks } => {
                for worker in tasks.iter().flat_map(|task| &task.workers) {
                    context.reputation.accepted(*worker, 1, false);
                }
                if let Some(active) = self.jobs.get_mut(&job) {
                    tasks.iter().for_each(|task| active.restore_final(context, task));
                }
            }
            Record::Delivered { job, window, worker, claim, tasks } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    tasks.iter().for_each(|task| active.restore_delivered(context, window, worker, claim, task));
                }
            }
            Record::Drawn { job, window, audits, own } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.restore_drawn(context, window, &audits, own);
                }
            }
            Record::Agreed { job, window, tasks } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    tasks.iter().for_each(|&task| active.restore_agreed(context, window, task));
                }
            }
            Record::WindowFinal { job, window } => {
                let restored = self.jobs.get_mut(&job).and_then(|active| active.restore_window_final(window));
                if let Some((owner, results)) = restored {
                    context.money.on_final(job, owner, window.0);
                    context.reputation.window_over(owner, false);
                    context.reputation.accepted(owner, results as u64, false);
                }
            }
            Record::Refuted { job, worker, .. } => {
                context.reputation.refuted(worker);
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.excluded.insert(worker);
                    active.counts.refuted += 1;
                    active.void_windows(context, &worker);
                }
            }
            Record::Convicted { worker, .. } => context.reputation.convicted(worker),
            Record::BrokeOff { job, worker } => {
                if let Some(active) = self.jobs.get_mut(&job) {
                    active.excluded.insert(worker);
                    active.void_windows(context, &worker);
                }
            }
            Record::Contested { requester, .. } => context.reputation.contested(requester),
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
        for active in self.jobs.values() {
            active.owe_after_restart(context);
        }
        for active in self.jobs.values_mut().filter(|active| active.phase == Phase::Running) {
            active.resume_audits(context);
            context.timers.set(Timer::OfferAgain(active.id), context.now);
            self.awake.insert(active.id);
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
                    active.stir();
                }
                context.emit(Effect::Reply { command, reply });
                self.after(context);
            }
        }
    }

    fn submit(&mut self, context: &mut Context, command: CommandId, job: Job, inputs: Inputs) {
        let id = JobId(envelope::id(&job.clone().into()));
        let is_known = self.jobs.contains_key(&id)
            || self.storing.values().any(|what| matches!(what, Storing::Submission(_, job) if job.id == id));
        let refusal = if is_known { Some("the job was submitted before".into()) } else { None };
        if let Some(reason) = refusal.or_else(|| refusal_of(context, &job, inputs)) {
            context.emit(Effect::Reply { command, reply: Reply::Refused(reason) });
            return;
        }
        let at = context.wall();
        let record = context.store(Record::Submitted { job: job.clone(), inputs, at });
        let active = Box::new(Active::new(id, job, inputs, at));
        self.storing.insert(record, Storing::Submission(command, active));
    }

    /// A job is taken to burn what the last one with its program did, until something of it is final.
    fn expect_as_before(&mut self, id: JobId) {
        let Some(program) = self.jobs.get(&id).map(|active| active.job.program) else { return };
        let alike = self.jobs.values().filter(|other| other.job.program == program && other.id != id);
        let means = alike.filter_map(|other| Some((other.submitted_at, other.burnt.mean()?)));
        let last = means.max_by_key(|&(at, _)| at).map(|(_, mean)| mean);
        if let Some(active) = self.jobs.get_mut(&id) {
            active.expected_fuel = last;
        }
    }

    /// A record is on the disk to stay: now what relies on it may be done.
    pub fn on_stored(&mut self, context: &mut Context, record: RecordId) {
        match self.storing.remove(&record) {
            Some(Storing::Submission(command, active)) => {
                let id = active.id;
                self.jobs.insert(id, *active);
                self.awake.insert(id);
                self.expect_as_before(id);
                context.emit(Effect::Reply { command, reply: Reply::Submitted(id) });
                context.timers.set(Timer::OfferAgain(id), context.now);
            }
            Some(Storing::Finals(id, tasks)) => self.with_job(context, id, |active, context| {
                active.on_finals_stored(context, &tasks);
            }),
            Some(Storing::Drawn(id, window, own)) => self.with_job(context, id, |active, context| {
                active.on_drawn_stored(context, window, own);
            }),
            Some(Storing::Window(id, number, window)) => self.with_job(context, id, |active, context| {
                active.on_window_stored(context, number, &window);
            }),
            Some(Storing::Close(id)) => {
                self.with_job(context, id, Active::on_close_stored);
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
    pub fn on_claim(&mut self, context: &mut Context, from: PeerId, id: ClaimId, claim: &Claim, attached: Vec<Bytes>) {
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
        let holds = |id: &&JobId| self.jobs.get(id).is_some_and(|active| active.holds_lease(&lease, &from));
        match self.awake.iter().find(holds).copied() {
            Some(id) => {
                self.with_job(context, id, |active, context| {
                    active.heard_from(&lease, context.now);
                    act(active, context);
                });
                self.after(context);
            }
            None => context.send(from, LeaseEnd { lease, reason: EndReason::Unknown }),
        }
    }

    /// Does something with one job, which is looked at afterwards.
    fn with_job(&mut self, context: &mut Context, id: JobId, act: impl FnOnce(&mut Active, &mut Context)) {
        if let Some(active) = self.jobs.get_mut(&id) {
            act(active, context);
            active.stir();
        }
    }

    /// Does something with every job that is not at rest.
    fn for_awake(&mut self, context: &mut Context, mut act: impl FnMut(&mut Active, &mut Context)) {
        for id in &self.awake {
            if let Some(active) = self.jobs.get_mut(id) {
                act(active, context);
            }
        }
        self.after(context);
    }

    /// Deals with the end of one of our own runs.
    pub fn on_finished(&mut self, context: &mut Context, run: RunId, result: Result<Executed, NoOutcome>) {
        let Some((job, task)) = self.runs.remove(&run) else { return };
        self.with_job(context, job, |active, context| active.on_own_run(context, task, result));
        self.after(context);
    }

    /// An output is here, or is not to be had.
    pub fn on_fetched(&mut self, context: &mut Context, item: Item, found: bool) {
        self.for_awake(context, |active, context| active.on_output(context, item, found));
    }

    /// Inputs were read.
    pub fn on_parts_read(&mut self, context: &mut Context, job: JobId, parts: Vec<(TaskIndex, Option<TaskInput>)>) {
        self.with_job(context, job, |active, context| active.on_parts_read(context, parts));
        self.after(context);
    }

    /// A peer is here, perhaps again: it is told again what may have been lost.
    pub fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        self.for_awake(context, |active, context| active.on_connected(context, peer));
    }

    /// A peer is gone, perhaps for good.
    pub fn on_disconnected(&mut self, context: &mut Context, peer: PeerId) {
        self.for_awake(context, |active, context| active.on_disconnected(context, peer));
    }

    /// Looks for leases that go wrong and seats that take too long.
    pub fn on_overdue(&mut self, context: &mut Context, job: JobId) {
        self.with_job(context, job, Active::on_overdue);
        self.after(context);
    }

    /// The auction of a job is over.
    pub fn on_auction_closes(&mut self, context: &mut Context, job: JobId) {
        self.with_job(context, job, Active::close_auction);
        self.after(context);
    }

    /// A job may look for workers again.
    pub fn on_offer_again(&mut self, context: &mut Context, job: JobId) {
        self.with_job(context, job, Active::offer);
    }

    /// A sealed bid for one of our offers.
    pub fn on_bid(&mut self, context: &mut Context, from: PeerId, id: Hash, bid: &Bid) {
        let offers = |job: &&JobId| self.jobs.get(job).is_some_and(|active| active.is_offering(&bid.offer));
        if let Some(job) = self.awake.iter().find(offers).copied() {
            self.with_job(context, job, |active, context| active.on_bid(context, from, id, bid));
            self.after(context);
        }
    }

    /// After every input: starts own runs, stores what was decided, closes what is complete, forgets what is over.
    fn after(&mut self, context: &mut Context) {
        let Self { jobs, awake, runs, storing } = self;
        for outcast in core::mem::take(&mut context.outcasts) {
            for id in awake.iter() {
                jobs.get_mut(id).into_iter().for_each(|active| active.cast_out(context, outcast));
            }
        }
        awake.retain(|id| {
            let Some(active) = jobs.get_mut(id) else { return false };
            if !active.take_stirred() {
                return true;
            }
            active.release_idle(context);
            active.read_for_checks(context);
            while let Some(task) = active.next_check() {
                let run = context.next_run();
                runs.insert(run, (active.id, task));
                active.note_check(context, task);
                context.emit(Effect::Execute(active.run_of(run, task)));
            }
            if let Some((record, tasks)) = active.take_decided() {
                let record = context.store(record);
                storing.insert(record, Storing::Finals(active.id, tasks));
            }
            // Nothing waits for these: a later record says what they come to.
            for record in active.take_delivered(context) {
                context.store(record);
            }
            for (record, window, own) in active.take_drawn(context) {
                let record = context.store(record);
                storing.insert(record, Storing::Drawn(active.id, window, own));
            }
            for (record, number, window) in active.take_passed() {
                let record = context.store(record);
                storing.insert(record, Storing::Window(active.id, number, Box::new(window)));
            }
            for record in active.take_agreed() {
                context.store(record);
            }
            active.release_parts(context);
            if let Some(end) = active.take_end(context) {
                let record = context.store(Record::Closed { job: active.id, end, at: context.wall() });
                storing.insert(record, Storing::Close(active.id));
            }
            let at_rest = active.is_at_rest();
            if at_rest {
                context.money.on_job_over(active.id);
                cancel_runs(context, runs, active.id);
            }
            !at_rest
        });
    }
}

/// Our own runs for a job that is at rest need not be finished.
fn cancel_runs(context: &mut Context, runs: &mut BTreeMap<RunId, (JobId, TaskIndex)>, id: JobId) {
    runs.retain(|&run, (job, _)| {
        if *job == id {
            context.emit(Effect::Cancel(run));
        }
        *job != id
    });
}

/// Why this peer does not take such a job, if it does not.
fn refusal_of(context: &Context, job: &Job, inputs: Inputs) -> Option<String> {
    if let Err(invalid) = job.check() {
        return Some(format!("{invalid}"));
    }
    if job.profile != context.config.profile {
        return Some("the job is for another profile".into());
    }
    let has_inputs = inputs != Inputs::None;
    (has_inputs != job.has_inputs()).then(|| "the job names no table of its inputs, or has none".into())
}
