//! One job of ours: what is known of it, and its way from the first task to the end. specs/jobs.md.

use crate::{
    auction::Book,
    burnt::Burnt,
    context::Context,
    effect::{Effect, Event},
    execution::lease::run_of,
    input::{Inputs, Item, RunId},
    jobs::{
        auditing::{Delivery, Held},
        judging::{Awaited, Durations},
        leases::Granted,
        order::Order,
        parts::Parts,
        regime::OwnTime,
        trial::Trial,
    },
    lottery::Turnout,
    record::{End, FinalTask, Record},
    timers::Timer,
    verification::{
        Ballot, Regime, Rule,
        windows::{WindowId, Windows},
    },
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_ledger::slices::Row;
use pocketmesh_types::{
    Arch, Fuel, Instant, Job, JobId, LeaseId, OfferId, Outcome, PeerId, RangeSet, TaskIndex, UnixTime, limits,
};
use pocketmesh_wire::message::{EndReason, OfferClosed, Verdicts};

/// Disputed tasks that are run here at once: refuting one claim drops its worker's others, and with them most disputes.
const CHECKS_AT_ONCE: usize = 2;
/// The same where every result is run here in any case: as many as keep an executor's batches full.
const CONFIRMATIONS_AT_ONCE: usize = 16;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Under way.
    Running,
    /// Decided to be over; the record of it is to be written.
    Closing(End),
    /// The record is on its way to the disk.
    Storing(End),
    /// Over, on disk. Late seats may still be heard.
    Over(End),
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seats that came to a claim or a commitment.
    pub executions: u64,
    /// Claims refuted by our own run.
    pub refuted: u64,
    /// Claims dropped because another claim of the same worker was refuted.
    pub dropped: u64,
    /// Our own runs.
    pub own_runs: u64,
    /// Results drawn for audits.
    pub audits: u64,
    /// Audit windows that became final.
    pub windows: u32,
    /// Audit windows that were voided.
    pub voided_windows: u32,
    /// Workers convicted.
    pub convicted: u32,
    /// Tasks of which our own host came to two outcomes.
    pub contradictions: u32,
    /// Final tasks whose program did not end well.
    pub unsuccessful: u32,
    /// Final tasks without an outcome.
    pub unresolved: u32,
}

/// A bidder's device, by its own word.
#[derive(Debug, Clone, Copy, Default)]
pub struct Device {
    /// How many tasks it runs at once.
    pub slots: u16,
    /// Its architecture.
    pub arch: Arch,
}

/// An offer of ours, while its auction is open and, for late bids, until the next one.
#[derive(Debug)]
pub struct Offering {
    /// The offer's id.
    pub offer: OfferId,
    /// The bids.
    pub book: Book,
    /// Who answered, for the next offer's fraction.
    pub turnout: Turnout,
    /// How many tasks each bidder runs at once, and on what, as it says.
    pub devices: BTreeMap<PeerId, Device>,
    /// Stale after this.
    pub expires: UnixTime,
    /// When it was published.
    pub opened: Instant,
}

impl Offering {
    /// Tells those who heard the offer that bids are no longer taken.
    pub(super) fn closed(&self) -> Effect {
        let depth = self.turnout.reach().depth;
        let closed = OfferClosed { offer: self.offer, depth, expires: self.expires };
        Effect::Publish { message: closed.into(), near: self.offer, depth }
    }
}

/// What one offer came to, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auctioned {
    /// Bids that counted.
    pub bids: usize,
    /// Leases granted.
    pub leases: usize,
    /// How long it was open.
    pub open_for: Duration,
}

/// A job of ours.
#[derive(Debug)]
pub struct Active {
    /// Its id.
    pub id: JobId,
    /// What was signed.
    pub job: Job,
    /// The tasks' inputs, as far as the job does not say it.
    pub inputs: Inputs,
    /// When it was submitted.
    pub submitted_at: UnixTime,
    /// When it was closed.
    pub closed_at: Option<UnixTime>,
    /// How far it is.
    pub phase: Phase,
    /// Tasks that are final, on disk.
    pub finals: RangeSet,
    /// The first place in the order of the tasks whose task never had a seat.
    pub next: TaskIndex,
    /// Tasks that are not final, or about which somebody is still to be heard.
    pub ballots: BTreeMap<TaskIndex, Ballot>,
    /// Those of them that want another seat, audits apart.
    pub wanting: BTreeSet<TaskIndex>,
    /// Audits that want a seat.
    pub audits_wanting: BTreeSet<TaskIndex>,
    /// How large the job is, for its audits.
    pub regime: Regime,
    /// The most leases with which its audits stay cheap.
    pub leases_max: usize,
    /// Audit windows.
    pub windows: Windows,
    /// The results in them.
    pub held: BTreeMap<TaskIndex, Held>,
    /// Refuted claims that may become convictions.
    pub trials: BTreeMap<TaskIndex, Trial>,
    /// Who was asked to be a witness of which task: of a second trial about it somebody else is.
    pub witnesses: BTreeSet<(TaskIndex, PeerId)>,
    /// The leases granted so far.
    pub leases: BTreeMap<LeaseId, Granted>,
    /// Workers that get no more seats of this job.
    pub excluded: BTreeSet<PeerId>,
    /// Workers that were silent over what they owed: how often, and until when they get no lease.
    pub avoided: BTreeMap<PeerId, (u32, Instant)>,
    /// The open auction.
    pub offering: Option<Offering>,
    /// What earlier offers came to.
    pub auctions: Vec<Auctioned>,
    /// The offer before, for late bids.
    pub closed: Option<Offering>,
    /// How long tasks take from assignment to commitment.
    pub durations: Durations,
    /// What was counted.
    pub counts: Counts,
    /// What tasks that are final have burnt, since somebody last handed some back because of it.
    pub burnt: Burnt,
    /// What a task burns, as the last job with the same program has shown.
    pub(super) expected_fuel: Option<Fuel>,
    pub(super) live: BTreeSet<LeaseId>,
    pub(super) attempts: u32,
    pub(super) decided: Vec<FinalTask>,
    pub(super) delivered: Vec<Delivery>,
    pub(super) agreed: BTreeMap<WindowId, Vec<TaskIndex>>,
    /// Windows whose draw is on its way to the disk.
    pub(super) drawing: BTreeSet<WindowId>,
    /// Windows that were drawn before the restart, and whether we audit them ourselves.
    pub(super) restored: Vec<(WindowId, bool)>,
    pub(super) order: Order,
    pub(super) own_time: OwnTime,
    pub(super) on_disk_soon: BTreeMap<TaskIndex, u8>,
    pub(super) checks: VecDeque<TaskIndex>,
    pub(super) checking: usize,
    pub(super) awaited: BTreeMap<Item, Awaited>,
    pub(super) here: BTreeMap<TaskIndex, BTreeSet<Item>>,
    pub(super) parts: Parts,
    /// When everybody was last paid what was due.
    pub(super) paid_at: Instant,
    /// The last lease of each worker before the restart.
    pub(super) granted_before: BTreeMap<PeerId, LeaseId>,
    stirred: bool,
}

impl Active {
    /// A job that was just submitted, or read back.
    pub fn new(id: JobId, job: Job, inputs: Inputs, submitted_at: UnixTime) -> Self {
        Self {
            id,
            job,
            inputs,
            submitted_at,
            closed_at: None,
            phase: Phase::Running,
            finals: RangeSet::default(),
            next: 0,
            ballots: BTreeMap::new(),
            wanting: BTreeSet::new(),
            audits_wanting: BTreeSet::new(),
            regime: Regime::default(),
            leases_max: limits::LEASES_PER_JOB_MAX,
            windows: Windows::default(),
            held: BTreeMap::new(),
            trials: BTreeMap::new(),
            witnesses: BTreeSet::new(),
            leases: BTreeMap::new(),
            excluded: BTreeSet::new(),
            avoided: BTreeMap::new(),
            offering: None,
            auctions: Vec::new(),
            closed: None,
            durations: Durations::default(),
            counts: Counts::default(),
            burnt: Burnt::default(),
            expected_fuel: None,
            live: BTreeSet::new(),
            attempts: 0,
            decided: Vec::new(),
            delivered: Vec::new(),
            agreed: BTreeMap::new(),
            drawing: BTreeSet::new(),
            restored: Vec::new(),
            order: Order::default(),
            own_time: OwnTime::default(),
            on_disk_soon: BTreeMap::new(),
            checks: VecDeque::new(),
            checking: 0,
            awaited: BTreeMap::new(),
            here: BTreeMap::new(),
            parts: Parts::default(),
            paid_at: Instant::default(),
            granted_before: BTreeMap::new(),
            stirred: true,
        }
    }

    /// A task was final before the restart.
    pub fn restore_final(&mut self, context: &mut Context, task: &FinalTask) {
        self.restore_owed(context, None, task);
        self.release(task.task);
        self.forget(task.task);
        if self.finals.insert(task.task) {
            self.count_outcome(task.outcome.as_ref());
        }
    }

    pub(super) fn count_outcome(&mut self, outcome: Option<&Outcome>) {
        outcome.iter().for_each(|outcome| self.burnt.add(outcome.fuel));
        match outcome {
            None => self.counts.unresolved += 1,
            Some(outcome) if !outcome.is_success() => self.counts.unsuccessful += 1,
            Some(_) => {}
        }
    }

    /// What makes an outcome of what workers say about a task.
    pub fn rule(&self) -> Rule {
        Rule::of(self.job.policy, self.regime)
    }

    /// Something has changed that [`Jobs`](super::Jobs) is to look at.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    pub(super) fn take_stirred(&mut self) -> bool {
        core::mem::take(&mut self.stirred)
    }

    /// The next task to be run here, if one may be started and its dispute was not resolved meanwhile.
    pub(super) fn next_check(&mut self) -> Option<TaskIndex> {
        if let Some(task) = self.next_trial_run() {
            self.checking += 1;
            self.counts.own_runs += 1;
            return Some(task);
        }
        let at_once = if self.rule().confirms { CONFIRMATIONS_AT_ONCE } else { CHECKS_AT_ONCE };
        while self.checking < at_once {
            let task = self.next_readable_check()?;
            if self.still_wants_check(task) {
                self.checking += 1;
                self.counts.own_runs += 1;
                return Some(task);
            }
        }
        None
    }

    pub(super) fn run_of(&self, run: RunId, task: TaskIndex) -> crate::effect::Run {
        run_of(run, &self.job, &self.id, task, self.input_here(task))
    }

    pub(super) fn take_decided(&mut self) -> Option<(Record, Vec<TaskIndex>)> {
        if self.decided.is_empty() {
            return None;
        }
        let tasks = core::mem::take(&mut self.decided);
        let indices: Vec<TaskIndex> = tasks.iter().map(|task| task.task).collect();
        indices.iter().for_each(|&task| *self.on_disk_soon.entry(task).or_default() += 1);
        tasks.iter().for_each(|task| self.count_outcome(task.outcome.as_ref()));
        Some((Record::Final { job: self.id, tasks }, indices))
    }

    pub(super) fn take_end(&mut self, context: &mut Context) -> Option<End> {
        if self.phase == Phase::Running && self.finals.len() == self.job.tasks {
            let end = if self.counts.unresolved == 0 { End::Complete } else { End::Partial };
            self.phase = Phase::Closing(end);
        }
        let Phase::Closing(end) = self.phase else { return None };
        self.phase = Phase::Storing(end);
        if let Some(offering) = self.offering.take() {
            context.emit(offering.closed());
        }
        context.timers.cancel(Timer::OfferAgain(self.id));
        context.timers.cancel(Timer::AuctionCloses(self.id));
        Some(end)
    }

    /// Decided tasks are on disk: their workers are told, and are owed for them.
    pub(super) fn on_finals_stored(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        for &task in tasks {
            self.finals.insert(task);
            // A task may be on its way twice: a dispute has corrected it.
            match self.on_disk_soon.get_mut(&task) {
                Some(times) if *times > 1 => *times -= 1,
                _ => drop(self.on_disk_soon.remove(&task)),
            }
        }
        self.pay(context, tasks, false);
        self.stir();
    }

    /// Tells every worker whose claim agrees with what is final, and was not accepted before, what it is owed.
    pub(super) fn pay(&mut self, context: &mut Context, tasks: &[TaskIndex], late: bool) {
        let mut accepted: BTreeMap<LeaseId, Vec<Row>> = BTreeMap::new();
        for &task in tasks {
            if !self.finals.contains(task) || self.on_disk_soon.contains_key(&task) {
                continue;
            }
            let input_len = self.input_len(task);
            let Some(ballot) = self.ballots.get_mut(&task) else { continue };
            for (lease, outcome) in ballot.pay() {
                accepted.entry(lease).or_default().push(Row::of(task, &outcome, input_len));
            }
            self.forget_if_heard(task);
        }
        self.tell_accepted(context, accepted, late);
    }

    /// Tells workers what of theirs is accepted now, and what they are owed so far.
    pub(super) fn tell_accepted(&mut self, context: &mut Context, accepted: BTreeMap<LeaseId, Vec<Row>>, late: bool) {
        for (lease, seats) in accepted {
            let Some(granted) = self.leases.get_mut(&lease) else { continue };
            let tariff = self.job.tariff(granted.price);
            for row in &seats {
                context.money.on_accepted(&lease, *row);
                granted.accepted += 1;
                granted.late += u64::from(late);
                let owed = granted.owed.checked_add(tariff.cost(row.work()));
                granted.owed = owed.unwrap_or(granted.owed);
            }
            context.reputation.accepted(granted.worker, seats.len() as u64, late);
            let tasks: Vec<TaskIndex> = seats.into_iter().map(|row| row.task).collect();
            for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
                let verdicts = Verdicts { job: self.id, lease, accepted: chunk.to_vec(), owed: granted.owed };
                context.send(granted.worker, verdicts);
            }
        }
    }

    /// Forgets a final task once nobody is to be heard or paid about it.
    pub(super) fn forget_if_heard(&mut self, task: TaskIndex) {
        if self.finals.contains(task) && self.ballots.get(&task).is_some_and(|ballot| !ballot.is_open()) {
            self.forget(task);
        }
    }

    /// Forgets all that is known of a task beyond whether it is final.
    pub(super) fn forget(&mut self, task: TaskIndex) {
        let seats = self.ballots.remove(&task).map(|ballot| ballot.seats).unwrap_or_default();
        for lease in seats.keys() {
            if let Some(granted) = self.leases.get_mut(lease) {
                granted.seats.remove(&task);
                granted.running.remove(&task);
            }
        }
        self.wanting.remove(&task);
        self.audits_wanting.remove(&task);
        self.here.remove(&task);
        self.drop_part(task);
    }

    /// The end is on disk.
    pub(super) fn on_close_stored(&mut self, context: &mut Context) {
        let Phase::Storing(end) = self.phase else { return };
        self.phase = Phase::Over(end);
        self.closed_at = Some(context.wall());
        self.closed = None;
        context.notify(Event::JobClosed { job: self.id, end });
        if end == End::Stopped {
            context.money.on_stopped(self.id);
            self.ballots.clear();
            self.wanting.clear();
            self.audits_wanting.clear();
            for lease in self.live_ids() {
                self.end_lease(context, lease, EndReason::JobStopped);
            }
        }
        self.stir();
    }

    /// Whether the job is over and nobody is to be heard any more; then only what people may ask about is kept.
    pub(super) fn is_at_rest(&mut self) -> bool {
        let at_rest = matches!(self.phase, Phase::Over(_)) && self.live.is_empty() && !self.tries_on();
        if at_rest {
            self.parts = Parts::default();
            self.durations = Durations::default();
            self.windows = Windows::default();
            self.held.clear();
            self.trials.clear();
            self.witnesses.clear();
            self.ballots.clear();
            self.awaited.clear();
            self.here.clear();
            self.checks.clear();
            self.checking = 0;
        }
        at_rest
    }

    /// Lets the network rest from a peer that broke the protocol.
    pub(super) fn shun(&mut self, context: &mut Context, peer: PeerId, reason: &'static str) {
        self.excluded.insert(peer);
        context.emit(Effect::Disconnect { peer, reason });
    }
}
