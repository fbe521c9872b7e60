//! From what workers say to what is final. specs/verification.md §3-5.

use crate::{
    burnt::Burnt,
    context::Context,
    effect::Event,
    input::{Executed, Item, NoOutcome},
    jobs::{
        active::{Active, Phase},
        auditing::Delivery,
    },
    record::{FinalTask, Record},
    verification::{AskTerms, ClaimError, ClaimTerms, Committing, Stage, Step},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{BlobId, Bytes, ClaimId, LeaseId, Outcome, Output, PeerId, TaskIndex, limits};
use pocketmesh_wire::message::{Claim, ClaimAck, Committed, EndReason, HandBack, HandBackReason, Reveal, Void};

/// How often a task may come back without an outcome, or without its input, before it is run here.
pub(super) const UNDONE_MAX: u8 = 3;
/// Own runs that may come to no outcome before the task is given up.
pub(super) const OWN_FAILURES_MAX: u8 = 2;
/// Tasks that wait to be run here beyond which none is added that others could decide.
const UNDISPUTED_MAX: usize = 32;

/// A claim that our own run refutes.
#[derive(Debug, Clone, Copy)]
pub struct Refutation {
    /// Whose.
    pub worker: PeerId,
    /// Under which lease, the last known.
    pub lease: LeaseId,
    /// Which.
    pub claim: ClaimId,
    /// What it says.
    pub claimed: Outcome,
    /// What our own run came to.
    pub outcome: Outcome,
}

/// An output that is being fetched.
#[derive(Debug, Default)]
pub struct Awaited {
    /// Who was asked for it.
    asked: BTreeSet<PeerId>,
    /// The tasks that wait for it.
    tasks: BTreeSet<TaskIndex>,
}

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

    /// From when on a task is slow: the 95th percentile; while too few were seen for that, four times the longest.
    pub fn slow(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        if sorted.len() < DURATIONS.1 {
            return sorted.last().map(|&longest| longest * 4);
        }
        sorted.get(sorted.len() * 95 / 100).copied()
    }
}

impl Active {
    /// Digests of finished tasks, still hidden. Whoever is bound to another one already is out.
    pub(super) fn on_commit(&mut self, context: &mut Context, lease: LeaseId, commits: &[Committed]) {
        let (mut touched, mut broke) = (Vec::new(), false);
        for row in commits {
            if self.hear_commitment(context, row.task, lease) {
                continue;
            }
            match self.ballots.get_mut(&row.task).map(|ballot| ballot.commit(lease, row.commitment)) {
                Some(Committing::Taken) => touched.push(row.task),
                Some(Committing::Equivocates) => broke = true,
                Some(Committing::Known) | None => {}
            }
        }
        self.note_done(context, lease, &touched);
        self.steps(context, &touched);
        if broke {
            self.break_with(context, lease, "two commitments for one task");
        } else {
            self.fill(context, lease);
        }
    }

    /// Outcomes, stated for good. Whoever reveals something else than it committed to is out.
    pub(super) fn on_claim(&mut self, context: &mut Context, id: ClaimId, claim: &Claim, attached: Vec<Bytes>) {
        let Some(worker) = self.leases.get(&claim.lease).map(|granted| granted.worker) else { return };
        context.send(worker, ClaimAck { lease: claim.lease, claim: id });
        if claim.job != self.id || claim.profile != self.job.profile {
            self.break_with(context, claim.lease, "a claim about another job or profile");
            return;
        }
        let attached: BTreeMap<BlobId, Bytes> = attached.into_iter().map(|bytes| (BlobId::of(&bytes), bytes)).collect();
        let (output_max, commits_first) = (self.job.limits.output, self.rule().commits_first);
        let (mut touched, mut broke) = (Vec::new(), false);
        for row in &claim.results {
            if self.hear_witness(context, row.task, claim.lease, &row.outcome) {
                continue;
            }
            // What was not given to anybody cannot be claimed by anybody.
            let Some(input) = self.input_name(row.task) else { continue };
            let Some(ballot) = self.ballots.get_mut(&row.task) else { continue };
            let terms = ClaimTerms { input, output_max, commits_first };
            match ballot.claim(&self.id, claim.lease, id, row, &terms) {
                Ok(()) => {
                    ballot.keep_inline(&row.outcome, &attached);
                    touched.push(row.task);
                }
                Err(ClaimError::NotDue) => {}
                Err(_) => broke = true,
            }
        }
        self.note_done(context, claim.lease, &touched);
        self.steps(context, &touched);
        self.settle_late(context, &touched);
        if broke {
            self.break_with(context, claim.lease, "a claim that is not what was committed to");
        } else {
            self.fill(context, claim.lease);
        }
    }

    /// A worker broke the protocol: nothing that it says counts in this job.
    fn break_with(&mut self, context: &mut Context, lease: LeaseId, reason: &'static str) {
        let Some(worker) = self.leases.get(&lease).map(|granted| granted.worker) else { return };
        context.reputation.failed(worker);
        // Nothing waits for this record: what it voids is audited again if it is lost.
        context.store(Record::BrokeOff { job: self.id, worker });
        self.end_lease_as_refuted(context, lease, worker);
        self.shun(context, worker, reason);
    }

    pub(super) fn end_lease_as_refuted(&mut self, context: &mut Context, lease: LeaseId, worker: PeerId) {
        // First, so that what it loses does not come back to it.
        self.excluded.insert(worker);
        self.void_windows(context, &worker);
        self.end_lease(context, lease, EndReason::Refuted);
    }

    /// Takes finished tasks off a worker's window, and learns how long they took.
    fn note_done(&mut self, context: &mut Context, lease: LeaseId, tasks: &[TaskIndex]) {
        let Some(granted) = self.leases.get_mut(&lease) else { return };
        // Whoever has committed was done then.
        let done: Vec<&TaskIndex> = tasks.iter().filter(|task| granted.running.remove(task)).collect();
        if done.is_empty() {
            return;
        }
        for task in &done {
            if let Some(seat) = self.ballots.get(task).and_then(|ballot| ballot.seats.get(&lease)) {
                let took = context.now.since(seat.assigned);
                self.durations.add(took);
                context.reputation.claimed(granted.worker, took);
            }
        }
        granted.done += done.len() as u64;
        self.counts.executions += done.len() as u64;
        Self::adapt_window(granted, context.now, done.len());
    }

    /// Claims on tasks that our own run has decided, or that are final: late, and refuted or owed all the same.
    fn settle_late(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        for &task in tasks {
            if let Some(own) = self.ballots.get(&task).and_then(|ballot| ballot.own) {
                self.refute_dissenters(context, task, own);
            }
        }
        self.hear_late(context, tasks);
        self.pay(context, tasks, true);
    }

    /// Does with each task what its rule says; what is asked of one worker goes in one message.
    pub(super) fn steps(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        let mut asks: BTreeMap<(LeaseId, bool), Vec<TaskIndex>> = BTreeMap::new();
        for &task in tasks {
            let Some(step) = self.next_step(task) else { continue };
            match step {
                Step::Wait | Step::Seat => {}
                Step::Ask(leases) => {
                    let (wanted, is_here) = (usize::from(self.rule().seats), self.finals.contains(task));
                    let Some(ballot) = self.ballots.get_mut(&task) else { continue };
                    let terms = AskTerms { wanted, is_here, now: context.now };
                    let leases = in_turn(leases, task);
                    let bare = ballot.ask(&leases, &terms);
                    for lease in leases {
                        asks.entry((lease, bare.contains(&lease))).or_default().push(task);
                    }
                }
                Step::RunHere => self.check_here(task),
                Step::Decide(own) if self.is_held(task) => self.on_audited_here(context, task, own),
                Step::Decide(outcome) => self.decide(context, task, outcome),
                Step::Agree => self.agree(context, task),
            }
            self.rate_want(task);
        }
        for ((lease, bare), tasks) in asks {
            self.ask(context, lease, bare, &tasks);
        }
        self.stir();
    }

    /// What is next for a task. Where nothing is disputed and too much waits to be run here already, others are heard instead.
    fn next_step(&mut self, task: TaskIndex) -> Option<Step> {
        let (rule, is_busy) = (self.rule(), self.checks.len() >= UNDISPUTED_MAX);
        let ballot = self.ballots.get_mut(&task)?;
        let step = rule.step(ballot);
        if step != Step::RunHere || !is_busy || ballot.checking || ballot.is_disputed() {
            return Some(step);
        }
        ballot.hears_late = true;
        Some(rule.step(ballot))
    }

    /// Asks a worker for claims, with what it can attach to them or without.
    pub(super) fn ask(&self, context: &mut Context, lease: LeaseId, bare: bool, tasks: &[TaskIndex]) {
        let Some(granted) = self.leases.get(&lease) else { return };
        for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
            context.send(granted.worker, Reveal { lease, tasks: chunk.to_vec(), bare });
        }
    }

    pub(super) fn check_here(&mut self, task: TaskIndex) {
        if let Some(ballot) = self.ballots.get_mut(&task)
            && !ballot.checking
        {
            ballot.checking = true;
            self.checks.push_back(task);
        }
    }

    /// Whether a task that waits to be run here still has to be: a dispute may have been resolved by another.
    pub(super) fn still_wants_check(&mut self, task: TaskIndex) -> bool {
        let rule = self.rule();
        let Some(ballot) = self.ballots.get_mut(&task) else { return false };
        let undecided = ballot.undone >= UNDONE_MAX && ballot.decided.is_none();
        ballot.checking = undecided || rule.step(ballot) == Step::RunHere;
        ballot.checking
    }

    /// Our own run of a task decides it, whatever others say.
    pub(super) fn on_own_run(&mut self, context: &mut Context, task: TaskIndex, result: Result<Executed, NoOutcome>) {
        self.checking = self.checking.saturating_sub(1);
        self.stir();
        self.note_own_time(context);
        if self.on_trial_run(context, task, &result) {
            return;
        }
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        ballot.checking = false;
        match result {
            Ok(executed) => {
                ballot.own = Some(executed.outcome);
                let inline = executed.inline.into_iter().map(|bytes| (BlobId::of(&bytes), bytes));
                ballot.inline.extend(inline);
                self.steps(context, &[task]);
                self.settle_late(context, &[task]);
            }
            Err(_) => {
                ballot.own_failures += 1;
                if ballot.own_failures < OWN_FAILURES_MAX {
                    self.check_here(task);
                } else if !self.leave_to_others(context, task) {
                    self.give_up(task);
                }
            }
        }
    }

    /// Neither the workers nor we could decide this task. If it is final already, it stays what it is.
    pub(super) fn give_up(&mut self, task: TaskIndex) {
        let is_settled = self.ballots.get(&task).is_some_and(|ballot| ballot.settled.is_some());
        self.release(task);
        self.forget(task);
        if !is_settled {
            self.decided.push(FinalTask {
                task,
                outcome: None,
                stdout: None,
                stderr: None,
                workers: Vec::new(),
                input_len: 0,
            });
        }
    }

    /// Whoever claimed something else is refuted: the evidence goes to disk and to the worker.
    fn refute_dissenters(&mut self, context: &mut Context, task: TaskIndex, outcome: Outcome) {
        let Some(ballot) = self.ballots.get(&task) else { return };
        for (lease, claim, claimed) in ballot.dissenters(&outcome) {
            let Some(worker) = self.unseat(task, &lease).map(|seat| seat.worker) else { continue };
            self.refute(context, task, &Refutation { worker, lease, claim, claimed, outcome });
        }
    }

    /// A claim is refuted by our own run.
    pub(super) fn refute(&mut self, context: &mut Context, task: TaskIndex, refutation: &Refutation) {
        let &Refutation { worker, lease, claim, claimed, outcome } = refutation;
        self.counts.refuted += 1;
        context.reputation.refuted(worker);
        context.outcasts.push(worker);
        self.open_trial(context, task, refutation);
        // Nothing waits for this record: it is evidence, and the verdict is told in any case.
        context.store(Record::Refuted { job: self.id, task, worker, claim, claimed, outcome });
        context.notify(Event::Refuted { job: self.id, task, worker });
        context.send(worker, Void { job: self.id, lease, task, claim, input: self.input_here(task), outcome });
        if let Some(granted) = self.leases.get_mut(&lease) {
            granted.voided += 1;
        }
        self.end_lease_as_refuted(context, lease, worker);
    }

    /// An outcome is found. Its outputs are brought here before it counts.
    fn decide(&mut self, context: &mut Context, task: TaskIndex, outcome: Outcome) {
        if let Some(ballot) = self.ballots.get_mut(&task) {
            ballot.decided = Some(outcome);
            self.settle_or_fetch(context, task, &outcome);
        }
    }

    /// Settles a decided task whose outputs are here, and has the others brought here.
    fn settle_or_fetch(&mut self, context: &mut Context, task: TaskIndex, outcome: &Outcome) {
        let missing = self.missing_outputs(task, outcome);
        if missing.is_empty() {
            self.settle(task, outcome);
            return;
        }
        let Some(ballot) = self.ballots.get(&task) else { return };
        let files_max = self.job.limits.output;
        for (item, output) in missing {
            let awaited = self.awaited.entry(item).or_default();
            if awaited.tasks.is_empty() {
                let from = ballot.holders(outcome, &item, output.len);
                awaited.asked.extend(&from);
                match item {
                    Item::Blob(blob) => context.fetch(blob, output.len, from),
                    Item::Tree(_) => context.fetch_tree(output, files_max, from),
                }
            }
            awaited.tasks.insert(task);
        }
    }

    /// Outputs that are neither empty, nor attached to a claim, nor in our store.
    fn missing_outputs(&self, task: TaskIndex, outcome: &Outcome) -> Vec<(Item, Output)> {
        let Some(ballot) = self.ballots.get(&task) else { return Vec::new() };
        let here = self.here.get(&task);
        let is_here = |(item, output): &(Item, Output)| {
            output.len == 0
                || ballot.own.is_some()
                || here.is_some_and(|here| here.contains(item))
                || matches!(item, Item::Blob(blob) if ballot.inline.contains_key(blob))
        };
        let Outcome { stdout, stderr, files, .. } = *outcome;
        let outputs = [(Item::Blob(stdout.id), stdout), (Item::Blob(stderr.id), stderr), (Item::Tree(files.id), files)];
        outputs.into_iter().filter(|output| !is_here(output)).collect()
    }

    /// An output that was fetched is here, or is not to be had: then those who were asked for it did not deliver.
    pub(super) fn on_output(&mut self, context: &mut Context, item: Item, found: bool) {
        let Some(awaited) = self.awaited.remove(&item) else { return };
        self.stir();
        for task in awaited.tasks {
            let Some(outcome) = self.ballots.get(&task).and_then(|ballot| ballot.decided) else { continue };
            if found {
                self.here.entry(task).or_default().insert(item);
            } else {
                self.undelivered(context, task, &outcome, &awaited.asked);
            }
            if self.ballots.get(&task).is_some_and(|ballot| ballot.decided == Some(outcome)) {
                self.settle_or_fetch(context, task, &outcome);
            }
        }
    }

    /// Takes away the seats of those who claimed this outcome, were asked for its outputs and did not deliver. Who is
    /// connected and does not deliver gets no more.
    fn undelivered(&mut self, context: &mut Context, task: TaskIndex, outcome: &Outcome, asked: &BTreeSet<PeerId>) {
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        let seats: Vec<(LeaseId, PeerId)> =
            ballot.agreeing(outcome).into_iter().filter(|(_, worker)| asked.contains(worker)).collect();
        if seats.is_empty() {
            return;
        }
        ballot.decided = None;
        for (lease, worker) in seats {
            self.unseat(task, &lease);
            if context.peers.contains_key(&worker) {
                self.avoid(context.now, worker);
                self.end_lease(context, lease, EndReason::Silent);
            }
        }
        self.steps(context, &[task]);
        self.fill_all(context);
    }

    /// A decided task with its outputs: it goes to disk with the others of this input. What is final already changes
    /// only if our own run says so, while the job is under way.
    fn settle(&mut self, task: TaskIndex, outcome: &Outcome) {
        let input_len = self.input_len(task);
        let Some(ballot) = self.ballots.get_mut(&task).filter(|ballot| ballot.settled != Some(*outcome)) else {
            return;
        };
        if let Some(wrong) = ballot.settled {
            if self.phase != Phase::Running {
                return;
            }
            self.counts.unsuccessful -= u32::from(!wrong.is_success());
        }
        ballot.settled = Some(*outcome);
        let inline = |output: &Output| ballot.inline.get(&output.id).cloned();
        let result = FinalTask {
            task,
            outcome: Some(*outcome),
            stdout: inline(&outcome.stdout),
            stderr: inline(&outcome.stderr),
            workers: ballot.agreeing(outcome).into_iter().map(|(_, worker)| worker).collect(),
            input_len,
        };
        match ballot.delivery(outcome) {
            Some((lease, worker, claim)) if self.job.policy.target().is_some() => {
                self.delivered.push(Delivery { lease, worker, claim, result });
            }
            _ => {
                // What a claim has delivered at this very moment counts no more.
                self.delivered.retain(|delivery| delivery.result.task != task);
                self.decided.push(result);
            }
        }
    }

    /// Tasks that a worker could not or would not do.
    pub(super) fn on_hand_back(&mut self, context: &mut Context, back: &HandBack) {
        let failed = matches!(back.reason, HandBackReason::NoOutcome | HandBackReason::InputUnavailable);
        if back.reason == HandBackReason::DearerThanOffered {
            // What was measured so far does not hold for what is left: it is measured anew.
            (self.expected_fuel, self.burnt) = (None, Burnt::default());
        }
        let mut touched = Vec::new();
        for &task in &back.tasks {
            let seat = self.ballots.get(&task).and_then(|ballot| ballot.seats.get(&back.lease));
            if seat.is_none_or(|seat| seat.stage != Stage::Running) {
                continue;
            }
            self.unseat(task, &back.lease);
            touched.push(task);
            if failed {
                self.count_undone(task, &back.lease);
            }
        }
        if let Some(granted) = self.leases.get_mut(&back.lease)
            && !failed
        {
            granted.rest();
        }
        self.steps(context, &touched);
        touched.iter().for_each(|&task| self.forget_if_heard(task));
        self.fill_all(context);
        self.want_workers(context);
    }

    fn count_undone(&mut self, task: TaskIndex, lease: &LeaseId) {
        if let Some(granted) = self.leases.get_mut(lease) {
            granted.count_undone();
        }
        if let Some(ballot) = self.ballots.get_mut(&task) {
            ballot.undone = ballot.undone.saturating_add(1);
            if ballot.undone >= UNDONE_MAX && ballot.decided.is_none() {
                self.check_here(task);
            }
        }
    }
}

/// Leases in an order that begins with another one for the next task, so that who is first is not always the same.
fn in_turn(mut leases: Vec<LeaseId>, task: TaskIndex) -> Vec<LeaseId> {
    let first = task as usize % leases.len().max(1);
    leases.rotate_left(first);
    leases
}
