//! Audits after delivery: what is drawn, who executes it once more, what becomes of the window. specs/verification.md §4.
//!
//! A result that one seat has delivered is on disk, but not final: it is *held*, in a window with others of its worker.
//! An audit is a ballot like any other, so that its worker cannot tell it from other work.

use crate::{
    context::Context,
    jobs::{
        active::{Active, Phase},
        judging::{OWN_FAILURES_MAX, Refutation, UNDONE_MAX},
        regime::by_others,
    },
    record::{FinalTask, Record},
    reputation::Windows,
    verification::{
        Audit, Ballot, Regime, Step,
        sizing::{self, Ppb, Ppm},
        windows::{Window, WindowId},
    },
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_ledger::slices::Row;
use pocketmesh_types::{Auditors, ClaimId, LeaseId, Outcome, PeerId, Target, TaskIndex, limits};

/// Audits of a window where two seats agree on every result. verification.md §3.3 for 10⁻⁴ at f = 20 %.
const AUDITS_BESIDE_TWO: u32 = 10;
/// How long an audit waits for somebody who may sit in it, if the owner wants others to do it.
const AUDITOR_WAIT: Duration = Duration::from_secs(30);
/// Results that are held for a job at once: some 200 bytes each.
const HELD_MAX: u32 = 1 << 20;

/// A result on its way into a window.
#[derive(Debug)]
pub struct Delivery {
    /// Under which lease.
    pub lease: LeaseId,
    /// Whose.
    pub worker: PeerId,
    /// The claim that states it.
    pub claim: ClaimId,
    /// The result.
    pub result: FinalTask,
}

/// A result in a window.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The window.
    pub window: WindowId,
    /// Under which lease it was delivered; none that is known if that was before a restart.
    pub lease: LeaseId,
    /// Who agreed with it, and under which lease, if there was a second seat.
    pub beside: Option<(LeaseId, PeerId)>,
    /// The claim that states it.
    pub claim: ClaimId,
    /// What it is.
    pub outcome: Outcome,
    /// The length of its input, in bytes.
    pub input_len: u64,
}

impl Held {
    /// The leases under which it was stated.
    pub fn seats(&self) -> impl Iterator<Item = LeaseId> + use<> {
        [Some(self.lease), self.beside.map(|(lease, _)| lease)].into_iter().flatten()
    }

    /// What each of them is owed for.
    pub fn row(&self, task: TaskIndex) -> Row {
        Row::of(task, &self.outcome, self.input_len)
    }
}

impl Active {
    /// Our own host brings a task that nobody disputes to no outcome: others check it then. Says whether they can.
    pub(super) fn leave_to_others(&mut self, context: &mut Context, task: TaskIndex) -> bool {
        let rule = self.rule();
        let Some(ballot) = self.ballots.get_mut(&task).filter(|ballot| !ballot.is_disputed()) else { return false };
        match &mut ballot.audit {
            Some(audit) => {
                audit.own = false;
                self.rate_want(task);
                true
            }
            None if rule.confirms && self.job.policy.target().is_some() => {
                self.outgrow_small(context);
                true
            }
            None => {
                ballot.hears_late = true;
                let to_others = ballot.undone < UNDONE_MAX && rule.step(ballot) != Step::RunHere;
                if to_others {
                    self.steps(context, &[task]);
                }
                to_others
            }
        }
    }

    /// Results that were delivered go into their workers' windows.
    pub(super) fn take_delivered(&mut self, context: &mut Context) -> Vec<Record> {
        let mut batches: BTreeMap<(WindowId, ClaimId), (PeerId, Vec<FinalTask>)> = BTreeMap::new();
        for delivery in core::mem::take(&mut self.delivered) {
            if self.excluded.contains(&delivery.worker) {
                self.reopen(context, delivery.result.task);
            } else if let Some(window) = self.hold(context, &delivery) {
                let batch = batches.entry((window, delivery.claim)).or_insert((delivery.worker, Vec::new()));
                batch.1.push(delivery.result);
            }
        }
        let job = self.id;
        let record = |((window, claim), (worker, tasks))| Record::Delivered { job, window, worker, claim, tasks };
        batches.into_iter().map(record).collect()
    }

    fn hold(&mut self, context: &mut Context, delivery: &Delivery) -> Option<WindowId> {
        let (task, lease) = (delivery.result.task, delivery.lease);
        let (outcome, input_len) = (delivery.result.outcome?, delivery.result.input_len);
        let window = self.windows.of(delivery.worker);
        if !self.windows.deliver(window, task..task + 1) {
            return None;
        }
        let agreeing = self.ballots.get(&task).map(|ballot| ballot.agreeing(&outcome)).unwrap_or_default();
        let beside = agreeing.into_iter().find(|&(other, _)| other != lease);
        let held = Held { window, lease, beside, claim: delivery.claim, outcome, input_len };
        self.held.insert(task, held);
        self.owe_held(context, task, &held);
        for seat in held.seats() {
            self.unseat(task, &seat);
        }
        // A hedge is still waited for, and is owed for if it is right.
        if self.ballots.get(&task).is_some_and(|ballot| ballot.seats.is_empty()) {
            self.forget(task);
        }
        Some(window)
    }

    /// A task whose result counts no more is to be done again.
    fn reopen(&mut self, context: &mut Context, task: TaskIndex) {
        let ballot = self.ballots.entry(task).or_default();
        (ballot.audit, ballot.decided, ballot.settled) = (None, None, None);
        let gone: Vec<LeaseId> = ballot
            .seats
            .iter()
            .filter(|(_, seat)| self.excluded.contains(&seat.worker))
            .map(|(&lease, _)| lease)
            .collect();
        for lease in &gone {
            self.unseat(task, lease);
        }
        self.steps(context, &[task]);
    }

    /// A result is in a window no more: it is decided by other means, or not at all.
    pub(super) fn release(&mut self, task: TaskIndex) {
        if let Some(held) = self.held.remove(&task) {
            self.windows.take_out(held.window, task);
        }
    }

    /// Closes windows that are full, or whose workers have nothing more to deliver, and draws from them.
    pub(super) fn take_drawn(&mut self, context: &mut Context) -> Vec<(Record, WindowId, bool)> {
        let Some(target) = self.job.policy.target().filter(|_| self.phase == Phase::Running) else {
            return Vec::new();
        };
        let is_handed_out = (self.wanting.is_empty() && self.peek_new(context).is_none()) || self.is_broke(context);
        let size = self.window_size();
        let (seen, workers) = (context.reputation.windows(), self.live.len());
        let is_due = |window: &Window| {
            let len = window.results().len();
            len >= size || (len > 0 && is_handed_out && self.has_delivered(&window.owner()))
        };
        let due: Vec<(WindowId, u32)> = self
            .windows
            .filling()
            .filter(|(_, window)| is_due(window))
            .map(|(id, window)| (id, window.results().len()))
            .collect();
        let mut records = Vec::new();
        for (window, len) in due {
            let (count, own) = self.audits_of(seen, workers, len, target);
            let below = |bound: u32| u32::try_from(context.below(bound as usize)).expect("below a u32");
            let audits = self.windows.draw(window, count, below);
            self.counts.audits += audits.len() as u64;
            self.owe_drawn(context, window, &audits);
            self.drawing.insert(window);
            records.push((Record::Drawn { job: self.id, window, audits, own }, window, own));
        }
        records
    }

    /// When a window is full: as late as possible, since audits cost the less the more results they are for. But what is
    /// left for the next one must be worth its audits.
    fn window_size(&self) -> u32 {
        let workers = u32::try_from(self.live.len().max(1)).unwrap_or(u32::MAX);
        let (each, most) = self.audit_window(workers);
        let left = (self.job.tasks - self.next) / workers;
        if left < each / 2 { most } else { each }
    }

    /// How many results a window has if so many workers share the job, and how many it may have.
    pub fn audit_window(&self, workers: u32) -> (u32, u32) {
        let most = (HELD_MAX / workers.max(1)).clamp(1, limits::WINDOW_RESULTS_MAX);
        ((self.job.tasks / workers.max(1)).clamp(1, most), most)
    }

    /// Whether a worker has no task of which a first result is still to come.
    fn has_delivered(&self, worker: &PeerId) -> bool {
        let of_worker = self.live().filter(|(_, granted)| granted.worker == *worker);
        let mut seats = of_worker.flat_map(|(_, granted)| &granted.seats);
        seats.all(|task| self.held.contains_key(task) || self.finals.contains(*task))
    }

    /// How many of so many results are drawn if so many workers share the job, and whether we audit them ourselves.
    pub fn audits_of(&self, seen: Windows, workers: usize, results: u32, target: Target) -> (u32, bool) {
        if self.regime == Regime::Middle {
            return (AUDITS_BESIDE_TWO.min(results), true);
        }
        let aim = aim(seen, target);
        let others = by_others(workers, target);
        let size = |by| sizing::audits(results, aim, by);
        match size(sizing::By::Seats).filter(|_| others) {
            Some(count) => (count, false),
            None => (size(sizing::By::Own).unwrap_or(results), true),
        }
    }

    /// What was drawn is on disk: now it may be executed once more.
    pub(super) fn on_drawn_stored(&mut self, context: &mut Context, window: WindowId, own: bool) {
        self.drawing.remove(&window);
        self.start_audits(context, window, own);
        self.fill_all(context);
        self.want_workers(context);
    }

    fn start_audits(&mut self, context: &mut Context, id: WindowId, own: bool) {
        let Some(window) = self.windows.get(id) else { return };
        let (owner, tasks): (PeerId, Vec<TaskIndex>) = (window.owner(), window.open_audits().collect());
        for task in &tasks {
            let Some(held) = self.held.get(task) else { continue };
            let audit = Audit { window: id, owner, outcome: held.outcome, own, agreed: false, since: context.now };
            self.ballots.entry(*task).or_default().audit = Some(audit);
        }
        self.steps(context, &tasks);
    }

    /// Whether our own run of this task tells whether a held result is right.
    pub(super) fn is_held(&self, task: TaskIndex) -> bool {
        self.held.contains_key(&task)
    }

    /// Somebody else came to the same.
    pub(super) fn agree(&mut self, context: &mut Context, task: TaskIndex) {
        let input_len = self.input_len(task);
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        let Some(audit) = &mut ballot.audit else { return };
        audit.agreed = true;
        let audit = *audit;
        ballot.decided = Some(audit.outcome);
        // Its auditor has done its part: what it waits for is the window, and that is no reason to give it less.
        for (lease, _) in ballot.agreeing(&audit.outcome) {
            if let Some(granted) = self.leases.get_mut(&lease) {
                granted.seats.remove(&task);
            }
            context.money.on_accepted(&lease, Row::of(task, &audit.outcome, input_len));
        }
        context.money.on_agreed(self.id, audit.owner, audit.window.0, task);
        self.windows.agree(audit.window, task);
        self.agreed.entry(audit.window).or_default().push(task);
        self.stir();
    }

    /// We have run a task whose result is held: either it is right, or its worker loses all that is not final.
    pub(super) fn on_audited_here(&mut self, context: &mut Context, task: TaskIndex, own: Outcome) {
        let Some(&held) = self.held.get(&task) else { return };
        if own == held.outcome {
            return self.agree(context, task);
        }
        let owner = self.windows.get(held.window).map(Window::owner);
        self.release(task);
        if let Some(ballot) = self.ballots.get_mut(&task) {
            (ballot.audit, ballot.settled) = (None, None);
        }
        if let Some(worker) = owner {
            let Held { lease, claim, outcome: claimed, .. } = held;
            self.refute(context, task, &Refutation { worker, lease, claim, claimed, outcome: own });
        }
        self.steps(context, &[task]);
    }

    /// A worker is found out: what it has delivered and is not final is void, and is done again by others.
    pub(super) fn void_windows(&mut self, context: &mut Context, worker: &PeerId) {
        context.money.on_void(self.id, *worker);
        for (id, window) in self.windows.void(worker) {
            self.agreed.remove(&id);
            if window.results().is_empty() {
                continue;
            }
            self.counts.voided_windows += 1;
            context.reputation.window_over(*worker, true);
            for task in window.results().iter() {
                let Some(held) = self.held.remove(&task) else { continue };
                self.counts.dropped += 1;
                if let Some(granted) = self.leases.get_mut(&held.lease) {
                    granted.voided += 1;
                }
                self.reopen(context, task);
            }
        }
    }

    /// Takes out the windows of which all audits have agreed, to be made final.
    pub(super) fn take_passed(&mut self) -> Vec<(Record, WindowId, Window)> {
        let passed: Vec<WindowId> =
            self.windows.iter().filter(|(_, window)| window.has_passed()).map(|(id, _)| id).collect();
        let mut taken = Vec::new();
        for id in passed.into_iter().filter(|id| !self.drawing.contains(id)) {
            self.agreed.remove(&id);
            let window = self.windows.take_passed(id).expect("it has passed");
            taken.push((Record::WindowFinal { job: self.id, window: id }, id, window));
        }
        taken
    }

    /// Audits that have agreed, for the journal: a restart does not repeat them.
    pub(super) fn take_agreed(&mut self) -> Vec<Record> {
        let job = self.id;
        let agreed = core::mem::take(&mut self.agreed).into_iter();
        agreed.map(|(window, tasks)| Record::Agreed { job, window, tasks }).collect()
    }

    /// A window is final on disk: its workers are told, and those who audited it.
    pub(super) fn on_window_stored(&mut self, context: &mut Context, id: WindowId, window: &Window) {
        context.money.on_final(self.id, window.owner(), id.0);
        let mut accepted: BTreeMap<LeaseId, Vec<Row>> = BTreeMap::new();
        let tasks = self.make_final(window);
        for (task, held) in &tasks {
            for lease in held.seats() {
                accepted.entry(lease).or_default().push(held.row(*task));
            }
        }
        context.reputation.window_over(window.owner(), false);
        self.tell_accepted(context, accepted, false);
        let audited: Vec<TaskIndex> =
            tasks.iter().map(|(task, _)| *task).filter(|task| self.ballots.contains_key(task)).collect();
        self.pay(context, &audited, false);
        self.stir();
    }

    fn make_final(&mut self, window: &Window) -> Vec<(TaskIndex, Held)> {
        self.counts.windows += 1;
        let mut tasks = Vec::new();
        for task in window.results().iter() {
            // What our own run has corrected meanwhile is not held any more.
            let Some(held) = self.held.remove(&task) else { continue };
            self.finals.insert(task);
            self.count_outcome(Some(&held.outcome));
            tasks.push((task, held));
        }
        tasks
    }

    /// Audits for which there is nobody are done here.
    pub(super) fn audit_here_what_nobody_can(&mut self, context: &Context) {
        let patience = match self.job.policy.target().map(|target| target.by) {
            Some(Auditors::Mesh) => AUDITOR_WAIT,
            _ => Duration::ZERO,
        };
        let can_serve = |lease: &&LeaseId| {
            self.leases.get(lease).is_some_and(|granted| {
                granted.window > 0 && granted.gone.is_none() && !self.excluded.contains(&granted.worker)
            })
        };
        let can_pay = |lease: &&LeaseId| self.affordable(context, lease) > 0;
        let auditors: Vec<LeaseId> = self.live.iter().filter(can_serve).filter(can_pay).copied().collect();
        let is_stuck = |task: &&TaskIndex| {
            let can_run = |ballot: &&Ballot| ballot.own_failures < OWN_FAILURES_MAX;
            let audit = self.ballots.get(task).filter(can_run).and_then(|ballot| ballot.audit);
            audit.is_some_and(|audit| context.now.since(audit.since) >= patience)
                && !auditors.iter().any(|lease| self.may_seat(task, lease))
        };
        let stuck: BTreeSet<TaskIndex> = self.audits_wanting.iter().filter(is_stuck).copied().collect();
        for task in stuck {
            if let Some(audit) = self.ballots.get_mut(&task).and_then(|ballot| ballot.audit.as_mut()) {
                audit.own = true;
            }
            self.check_here(task);
            self.rate_want(task);
            self.stir();
        }
    }
}

/// The target, for the share of saboteurs that was assumed, or for a larger one that was seen.
pub fn aim(seen: Windows, target: Target) -> sizing::Target {
    let saboteurs = sizing::observed(Ppm(target.saboteurs_ppm), seen.voided, seen.ended);
    sizing::Target { error: Ppb(target.error_ppb), saboteurs }
}

/// What was before a restart.
impl Active {
    /// A result was delivered. The last word on a task counts.
    pub(super) fn restore_delivered(
        &mut self,
        context: &mut Context,
        window: WindowId,
        worker: PeerId,
        claim: ClaimId,
        task: &FinalTask,
    ) {
        let Some(outcome) = task.outcome.filter(|_| !self.excluded.contains(&worker)) else { return };
        self.release(task.task);
        self.forget(task.task);
        self.windows.restore(window, worker);
        if self.windows.deliver(window, task.task..task.task + 1) {
            let (lease, input_len) = (LeaseId::default(), task.input_len);
            let beside = task.workers.iter().find(|&&other| other != worker).map(|&other| (lease, other));
            self.restore_owed(context, Some((window, worker)), task);
            self.held.insert(task.task, Held { window, lease, beside, claim, outcome, input_len });
        }
    }

    /// A window was final; whose it was, and how many results it had.
    pub(super) fn restore_window_final(&mut self, window: WindowId) -> Option<(PeerId, usize)> {
        let window = self.windows.remove(window)?;
        Some((window.owner(), self.make_final(&window).len()))
    }

    /// Goes on with the audits that were under way: the same, and only those that had not agreed.
    pub(super) fn resume_audits(&mut self, context: &mut Context) {
        for (window, own) in core::mem::take(&mut self.restored) {
            self.start_audits(context, window, own);
        }
    }
}
