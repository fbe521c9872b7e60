//! From what workers say to what is final. specs/verification.md §3-5, specs/jobs.md §5.

use crate::{
    context::Context,
    effect::Event,
    input::{Executed, NoOutcome},
    jobs::active::{Active, Phase},
    record::{FinalTask, Record},
    timers::Timer,
    verification::{Ballot, ClaimError, Rule, Stage, Step},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{BlobId, Bytes, ClaimId, LeaseId, Outcome, Output, PeerId, TaskIndex, limits};
use pocketmesh_wire::message::{Claim, ClaimAck, Committed, EndReason, HandBack, HandBackReason, Reveal, Void};

/// How often seats are looked over.
pub const SWEEP: Duration = Duration::from_millis(250);
/// A disconnected worker may come back within this.
pub const GRACE: Duration = Duration::from_secs(3);
/// What was committed to must be revealed within this; then it is void, and nobody waits. specs/verification.md §2.
const REVEAL_WITHIN: Duration = Duration::from_secs(5);
/// Beyond a task's own wall-clock limit, what queueing and transport may take.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Hosts that may come to no outcome before the task is run here.
const WITHOUT_OUTCOME_MAX: u8 = 3;
/// Own runs that may come to no outcome before the task is given up.
const OWN_RUNS_MAX: u8 = WITHOUT_OUTCOME_MAX + 2;

/// How long tasks took lately, from assignment to commitment.
#[derive(Debug, Default)]
pub struct Durations {
    recent: VecDeque<Duration>,
}

/// How many are remembered, and how many it takes to say anything.
const DURATIONS: (usize, usize) = (128, 8);

impl Durations {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        if self.recent.len() == DURATIONS.0 {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
    }

    /// The 95th percentile, once enough were seen.
    pub fn p95(&self) -> Option<Duration> {
        if self.recent.len() < DURATIONS.1 {
            return None;
        }
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 95 / 100).copied()
    }
}

impl Active {
    /// Digests of finished tasks, still hidden.
    pub(super) fn on_commit(&mut self, context: &mut Context, lease: LeaseId, commits: &[Committed]) {
        let mut touched = Vec::new();
        for row in commits {
            if let Some(ballot) = self.ballots.get_mut(&row.task)
                && ballot.commit(lease, row.commitment)
            {
                touched.push(row.task);
            }
        }
        self.note_done(context, lease, &touched);
        self.steps(context, &touched);
        self.fill(context, lease);
    }

    /// Outcomes, stated for good. Whoever reveals something else than it committed to is out.
    pub(super) fn on_claim(&mut self, context: &mut Context, id: ClaimId, claim: &Claim, attached: Vec<Bytes>) {
        let Some(worker) = self.leases.get(&claim.lease).map(|granted| granted.worker) else { return };
        context.send(worker, ClaimAck { lease: claim.lease, claim: id });
        if claim.job != self.id || claim.profile != self.job.profile {
            self.shun(context, worker, "a claim about another job or profile");
            return;
        }
        let attached: BTreeMap<BlobId, Bytes> = attached.into_iter().map(|bytes| (BlobId::of(&bytes), bytes)).collect();
        let (output_max, commits_first) = (self.job.limits.output, self.rule().commits_first());
        let (mut touched, mut broke) = (Vec::new(), false);
        for row in &claim.results {
            let Some(ballot) = self.ballots.get_mut(&row.task) else { continue };
            match ballot.claim(&self.id, claim.lease, id, row, output_max, commits_first) {
                Ok(()) => {
                    ballot.keep_inline(&row.outcome, &attached);
                    touched.push(row.task);
                }
                Err(ClaimError::NotDue) => {}
                Err(ClaimError::NotAsCommitted | ClaimError::TooLarge) => broke = true,
            }
        }
        if !commits_first {
            self.note_done(context, claim.lease, &touched);
        }
        self.steps(context, &touched);
        self.pay_late(context, &touched);
        if broke {
            self.shun(context, worker, "a claim that does not open its commitment");
            self.end_lease(context, claim.lease, EndReason::Refuted);
        } else {
            self.fill(context, claim.lease);
        }
    }

    /// Takes finished tasks off a worker's window, and learns how long they took.
    fn note_done(&mut self, context: &mut Context, lease: LeaseId, tasks: &[TaskIndex]) {
        let Some(granted) = self.leases.get_mut(&lease) else { return };
        let mut longest = Duration::ZERO;
        for task in tasks {
            granted.running.remove(task);
            if let Some(seat) = self.ballots.get(task).and_then(|ballot| ballot.seats.get(&lease)) {
                let took = context.now.since(seat.assigned);
                self.durations.add(took);
                longest = longest.max(took);
            }
        }
        granted.done += tasks.len() as u64;
        self.counts.executions += tasks.len() as u64;
        if !tasks.is_empty() {
            Self::adapt_window(granted, longest);
        }
    }

    /// Seats that agree with what is final already: late, and owed all the same.
    fn pay_late(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        let mut accepted: BTreeMap<LeaseId, Vec<TaskIndex>> = BTreeMap::new();
        for &task in tasks {
            if self.finals.contains(task) {
                for lease in self.pay(task, true) {
                    accepted.entry(lease).or_default().push(task);
                }
            }
        }
        self.tell_accepted(context, accepted);
    }

    /// Does with each task what its rule says; what is asked of one worker goes in one message.
    fn steps(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        let mut asks: BTreeMap<LeaseId, Vec<TaskIndex>> = BTreeMap::new();
        for &task in tasks {
            let Some(step) = self.ballots.get(&task).map(|ballot| self.rule().step(ballot)) else { continue };
            match step {
                Step::Wait | Step::Seat => {}
                Step::Ask(leases) => {
                    if let Some(ballot) = self.ballots.get_mut(&task) {
                        ballot.asked(&leases, context.now);
                    }
                    for lease in leases {
                        asks.entry(lease).or_default().push(task);
                    }
                }
                Step::RunHere => self.check_here(task),
                Step::Decide(outcome) => self.decide(context, task, outcome),
            }
            self.rate_want(task);
        }
        for (lease, tasks) in asks {
            if let Some(granted) = self.leases.get(&lease) {
                for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
                    context.send(granted.worker, Reveal { lease, tasks: chunk.to_vec() });
                }
            }
        }
        self.stir();
    }

    /// Looks at one task again.
    pub(super) fn refresh(&mut self, context: &mut Context, task: TaskIndex) {
        self.steps(context, &[task]);
    }

    fn check_here(&mut self, task: TaskIndex) {
        if let Some(ballot) = self.ballots.get_mut(&task)
            && !ballot.checking
        {
            ballot.checking = true;
            self.checks.push(task);
        }
    }

    /// Our own run of a task decides it, whatever others say.
    pub(super) fn on_own_run(&mut self, context: &mut Context, task: TaskIndex, result: Result<Executed, NoOutcome>) {
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        ballot.checking = false;
        match result {
            Ok(executed) => {
                ballot.own = Some(executed.outcome);
                let inline = executed.inline.into_iter().map(|bytes| (BlobId::of(&bytes), bytes));
                ballot.inline.extend(inline);
                self.refute_dissenters(context, task, executed.outcome);
                self.refresh(context, task);
            }
            Err(_) => {
                ballot.without_outcome = ballot.without_outcome.saturating_add(1);
                if ballot.without_outcome >= OWN_RUNS_MAX {
                    self.give_up(task);
                } else {
                    self.check_here(task);
                }
            }
        }
        self.stir();
    }

    fn give_up(&mut self, task: TaskIndex) {
        self.ballots.remove(&task);
        self.wanting.remove(&task);
        self.decided.push(FinalTask { task, outcome: None, stdout: None, stderr: None, workers: Vec::new() });
    }

    /// Whoever claimed something else is refuted: the evidence goes to disk and to the worker.
    fn refute_dissenters(&mut self, context: &mut Context, task: TaskIndex, outcome: Outcome) {
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        for (lease, claim, claimed) in ballot.dissenters(&outcome) {
            let Some(seat) = self.ballots.get_mut(&task).and_then(|ballot| ballot.seats.remove(&lease)) else {
                continue;
            };
            let worker = seat.worker;
            self.counts.refuted += 1;
            context.reputation.refuted(worker);
            self.excluded.insert(worker);
            // Nothing waits for this record: it is evidence, and the verdict is told in any case.
            context.store(Record::Refuted { job: self.id, task, worker, claim, claimed, outcome });
            context.notify(Event::Refuted { job: self.id, task, worker });
            context.send(worker, Void { job: self.id, lease, task, claim, outcome });
            if let Some(granted) = self.leases.get_mut(&lease) {
                granted.voided += 1;
            }
            self.end_lease(context, lease, EndReason::Refuted);
        }
    }

    /// An outcome is found. Its outputs are brought here before it counts.
    fn decide(&mut self, context: &mut Context, task: TaskIndex, outcome: Outcome) {
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        ballot.decided = Some(outcome);
        self.wanting.remove(&task);
        let missing = self.missing_outputs(task, &outcome);
        if missing.is_empty() {
            self.settle(task, &outcome);
            return;
        }
        let Some(ballot) = self.ballots.get(&task) else { return };
        let from: Vec<PeerId> = ballot.agreeing(&outcome).into_iter().map(|(_, worker)| worker).collect();
        for output in missing {
            let waiting = self.awaited.entry(output.id).or_default();
            if waiting.is_empty() {
                context.fetch(output.id, output.len, from.clone());
            }
            waiting.insert(task);
        }
    }

    /// Outputs that are neither empty, nor attached to a claim, nor in our store.
    fn missing_outputs(&self, task: TaskIndex, outcome: &Outcome) -> Vec<Output> {
        let Some(ballot) = self.ballots.get(&task) else { return Vec::new() };
        let here = self.here.get(&task);
        let is_here = |output: &Output| {
            output.len == 0
                || ballot.own.is_some()
                || ballot.inline.contains_key(&output.id)
                || here.is_some_and(|here| here.contains(&output.id))
        };
        [outcome.stdout, outcome.stderr].into_iter().filter(|output| !is_here(output)).collect()
    }

    /// An output that was fetched is here, or is not to be had: then those who claimed it did not deliver.
    pub(super) fn on_output(&mut self, context: &mut Context, blob: &BlobId, found: bool) {
        for task in self.awaited.remove(blob).unwrap_or_default() {
            let Some(outcome) = self.ballots.get(&task).and_then(|ballot| ballot.decided) else { continue };
            if found {
                self.here.entry(task).or_default().insert(*blob);
                if self.missing_outputs(task, &outcome).is_empty() {
                    self.settle(task, &outcome);
                }
            } else {
                self.undelivered(context, task, &outcome);
            }
        }
        self.stir();
    }

    fn undelivered(&mut self, context: &mut Context, task: TaskIndex, outcome: &Outcome) {
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        ballot.decided = None;
        let seats = ballot.agreeing(outcome);
        for (lease, _) in &seats {
            ballot.seats.remove(lease);
        }
        for (lease, worker) in seats {
            self.excluded.insert(worker);
            self.end_lease(context, lease, EndReason::Silent);
        }
        self.refresh(context, task);
        self.fill_all(context);
        self.want_workers(context);
    }

    /// A decided task with its outputs: it goes to disk with the others of this input.
    fn settle(&mut self, task: TaskIndex, outcome: &Outcome) {
        let Some(ballot) = self.ballots.get(&task) else { return };
        if self.finals.contains(task) || self.on_disk_soon.contains(&task) {
            return;
        }
        let inline = |output: &Output| ballot.inline.get(&output.id).cloned();
        self.decided.push(FinalTask {
            task,
            outcome: Some(*outcome),
            stdout: inline(&outcome.stdout),
            stderr: inline(&outcome.stderr),
            workers: ballot.agreeing(outcome).into_iter().map(|(_, worker)| worker).collect(),
        });
    }

    /// Tasks that a worker could not or would not do.
    pub(super) fn on_hand_back(&mut self, context: &mut Context, back: &HandBack) {
        for &task in &back.tasks {
            if let Some(granted) = self.leases.get_mut(&back.lease) {
                granted.running.remove(&task);
            }
            let Some(ballot) = self.ballots.get_mut(&task) else { continue };
            let running = |ballot: &Ballot| ballot.seats.get(&back.lease).is_some_and(|s| s.stage == Stage::Running);
            if !running(ballot) {
                continue;
            }
            ballot.seats.remove(&back.lease);
            if back.reason == HandBackReason::NoOutcome {
                ballot.without_outcome = ballot.without_outcome.saturating_add(1);
            }
            if ballot.without_outcome >= WITHOUT_OUTCOME_MAX {
                self.check_here(task);
            }
            self.refresh(context, task);
        }
        self.fill_all(context);
        self.want_workers(context);
    }

    /// Looks over all seats: who is gone, silent, stalled, or withholds; and who could help a slow one.
    pub(super) fn on_overdue(&mut self, context: &mut Context) {
        let late: Vec<LeaseId> = self.live_ids().into_iter().filter(|lease| self.is_late(context, lease)).collect();
        for lease in late {
            self.end_lease(context, lease, EndReason::Silent);
        }
        for (lease, worker) in self.withholders(context) {
            self.excluded.insert(worker);
            self.end_lease(context, lease, EndReason::Silent);
        }
        self.fill_all(context);
        if self.phase == Phase::Running || self.live().next().is_some() {
            context.timers.set(Timer::Overdue(self.id), context.now + SWEEP);
        }
    }

    fn is_late(&self, context: &Context, lease: &LeaseId) -> bool {
        let Some(granted) = self.leases.get(lease) else { return false };
        let gone = granted.gone.is_some_and(|gone| context.now.since(gone) >= GRACE);
        let oldest = granted.running.iter().filter_map(|task| self.ballots.get(task)?.seats.get(lease));
        let oldest = oldest.map(|seat| seat.assigned).max();
        let patience = self.job.wall() + STALLED_AFTER;
        gone || granted.is_silent(context.now) || oldest.is_some_and(|since| context.now.since(since) > patience)
    }

    fn withholders(&self, context: &Context) -> BTreeSet<(LeaseId, PeerId)> {
        let seats = self.ballots.values().flat_map(|ballot| &ballot.seats);
        let overdue = seats.filter(|(_, seat)| match seat.stage {
            Stage::Asked(_, since) => context.now.since(since) > REVEAL_WITHIN,
            _ => false,
        });
        let live = overdue.filter(|(lease, _)| self.leases.get(lease).is_some_and(|g| g.over.is_none()));
        live.map(|(&lease, seat)| (lease, seat.worker)).collect()
    }
}
