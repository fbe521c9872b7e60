//! One job of ours, and the leases under which others work on it.

use crate::{
    auction::Book,
    context::Context,
    effect::{Effect, Event, LeaseOver},
    execution::lease::run_of,
    input::{Inputs, Prefix, RunId},
    jobs::judging::Durations,
    lottery::Turnout,
    record::{End, FinalTask, Record},
    timers::Timer,
    verification::{Ballot, Replicas, Stage, rule_of},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{
    BlobId, Credits, Instant, Job, JobId, LeaseId, OfferId, PeerId, Price, RangeSet, TaskIndex, UnixTime, limits,
};
use pocketmesh_wire::message::{EndReason, LeaseEnd, Reveal, Verdicts};

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
    /// Final tasks whose program did not end well.
    pub unsuccessful: u32,
    /// Final tasks without an outcome.
    pub unresolved: u32,
}

/// An offer whose auction is open.
#[derive(Debug)]
pub struct Offering {
    /// The offer's id.
    pub offer: OfferId,
    /// The bids.
    pub book: Book,
    /// Who answered, for the next offer's fraction.
    pub turnout: Turnout,
    /// How many tasks each bidder runs at once, as it says.
    pub slots: BTreeMap<PeerId, u16>,
    /// Bidders whose claims were refuted before.
    pub distrusted: BTreeSet<PeerId>,
    /// Stale after this.
    pub expires: UnixTime,
    /// When it was published.
    pub opened: Instant,
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

/// A lease that we granted.
#[derive(Debug)]
pub struct Granted {
    /// To whom.
    pub worker: PeerId,
    /// Its public prefix.
    pub prefix: Option<Prefix>,
    /// At which price.
    pub price: Price,
    /// When.
    pub since: Instant,
    /// The last sign of life.
    pub heard: Instant,
    /// Since when it is disconnected.
    pub gone: Option<Instant>,
    /// Tasks assigned and not heard of since.
    pub running: BTreeSet<TaskIndex>,
    /// How many of these it may hold.
    pub window: usize,
    /// The least it holds: what keeps its slots busy.
    pub window_min: usize,
    /// Seats that came to a commitment or claim.
    pub done: u64,
    /// Seats whose outcome is final.
    pub accepted: u64,
    /// Claims that were refuted, or dropped because of that.
    pub voided: u64,
    /// Accepted seats that came after the task was decided without them.
    pub late: u64,
    /// What is owed for the accepted ones.
    pub owed: Credits,
    /// Why it is over, if it is.
    pub over: Option<LeaseOver>,
}

/// A job of ours.
#[derive(Debug)]
pub struct Active {
    /// Its id.
    pub id: JobId,
    /// What was signed.
    pub job: Job,
    /// The tasks' inputs.
    pub inputs: Inputs,
    /// When it was submitted.
    pub submitted_at: UnixTime,
    /// When it was closed.
    pub closed_at: Option<UnixTime>,
    /// How far it is.
    pub phase: Phase,
    /// Tasks that are final, on disk.
    pub finals: RangeSet,
    /// The first task that never had a seat.
    pub next: TaskIndex,
    /// Tasks that are not final, or about which somebody is still to be heard.
    pub ballots: BTreeMap<TaskIndex, Ballot>,
    /// Those of them that want another seat.
    pub wanting: BTreeSet<TaskIndex>,
    /// All leases ever granted.
    pub leases: BTreeMap<LeaseId, Granted>,
    /// Workers that get no more seats of this job.
    pub excluded: BTreeSet<PeerId>,
    /// The open auction.
    pub offering: Option<Offering>,
    /// What earlier offers came to.
    pub auctions: Vec<Auctioned>,
    /// The lottery's fraction for the next offer.
    pub fraction: Option<u64>,
    /// How long tasks take from assignment to commitment.
    pub durations: Durations,
    /// What was counted.
    pub counts: Counts,
    pub(super) decided: Vec<FinalTask>,
    pub(super) on_disk_soon: BTreeSet<TaskIndex>,
    pub(super) checks: Vec<TaskIndex>,
    pub(super) awaited: BTreeMap<BlobId, BTreeSet<TaskIndex>>,
    pub(super) here: BTreeMap<TaskIndex, BTreeSet<BlobId>>,
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
            leases: BTreeMap::new(),
            excluded: BTreeSet::new(),
            offering: None,
            auctions: Vec::new(),
            fraction: None,
            durations: Durations::default(),
            counts: Counts::default(),
            decided: Vec::new(),
            on_disk_soon: BTreeSet::new(),
            checks: Vec::new(),
            awaited: BTreeMap::new(),
            here: BTreeMap::new(),
            stirred: true,
        }
    }

    /// A task was final before the restart.
    pub fn restore_final(&mut self, task: &FinalTask) {
        if self.finals.insert(task.task) {
            self.count_final(task);
        }
    }

    pub(super) fn count_final(&mut self, task: &FinalTask) {
        match task.outcome {
            None => self.counts.unresolved += 1,
            Some(outcome) if !outcome.is_success() => self.counts.unsuccessful += 1,
            Some(_) => {}
        }
    }

    /// How results of this job are checked.
    pub fn rule(&self) -> Replicas {
        rule_of(self.job.policy)
    }

    /// Leases that are not over.
    pub fn live(&self) -> impl Iterator<Item = (&LeaseId, &Granted)> {
        self.leases.iter().filter(|(_, granted)| granted.over.is_none())
    }

    /// The ids of leases that are not over.
    pub fn live_ids(&self) -> Vec<LeaseId> {
        self.live().map(|(&id, _)| id).collect()
    }

    /// Whether `worker` holds this lease, and it is not over.
    pub fn holds_lease(&self, lease: &LeaseId, worker: &PeerId) -> bool {
        self.leases.get(lease).is_some_and(|granted| granted.worker == *worker && granted.over.is_none())
    }

    /// A sign of life.
    pub fn heard_from(&mut self, lease: &LeaseId, now: Instant) {
        if let Some(granted) = self.leases.get_mut(lease) {
            granted.heard = now;
        }
        self.stir();
    }

    /// Something has changed that [`Jobs`](super::Jobs) is to look at.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    pub(super) fn take_stirred(&mut self) -> bool {
        core::mem::take(&mut self.stirred)
    }

    pub(super) fn take_checks(&mut self) -> Vec<TaskIndex> {
        let checks = core::mem::take(&mut self.checks);
        self.counts.own_runs += checks.len() as u64;
        checks
    }

    pub(super) fn run_of(&self, run: RunId, task: TaskIndex) -> crate::effect::Run {
        run_of(run, &self.job, &self.id, task, self.inputs.of(task))
    }

    pub(super) fn take_decided(&mut self) -> Option<(Record, Vec<TaskIndex>)> {
        if self.decided.is_empty() {
            return None;
        }
        let tasks = core::mem::take(&mut self.decided);
        let indices: Vec<TaskIndex> = tasks.iter().map(|task| task.task).collect();
        self.on_disk_soon.extend(&indices);
        tasks.iter().for_each(|task| self.count_final(task));
        Some((Record::Final { job: self.id, tasks }, indices))
    }

    pub(super) fn take_end(&mut self) -> Option<End> {
        if self.phase == Phase::Running && self.finals.len() == self.job.tasks {
            let end = if self.counts.unresolved == 0 { End::Complete } else { End::Partial };
            self.phase = Phase::Closing(end);
        }
        let Phase::Closing(end) = self.phase else { return None };
        self.phase = Phase::Storing(end);
        Some(end)
    }

    /// Decided tasks are on disk: their workers are told, and are owed for them.
    pub(super) fn on_finals_stored(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        let mut accepted: BTreeMap<LeaseId, Vec<TaskIndex>> = BTreeMap::new();
        for &task in tasks {
            self.on_disk_soon.remove(&task);
            self.finals.insert(task);
            for lease in self.pay(task, false) {
                accepted.entry(lease).or_default().push(task);
            }
        }
        self.tell_accepted(context, accepted);
        self.stir();
    }

    /// Marks as accepted every seat that agrees with the decision and was not accepted before; says whose they are.
    pub(super) fn pay(&mut self, task: TaskIndex, late: bool) -> Vec<LeaseId> {
        let Some(ballot) = self.ballots.get_mut(&task) else { return Vec::new() };
        let Some(outcome) = ballot.decided else { return Vec::new() };
        let mut paid = Vec::new();
        for (lease, _) in ballot.agreeing(&outcome) {
            ballot.seats.remove(&lease);
            if let Some(granted) = self.leases.get_mut(&lease) {
                granted.accepted += 1;
                granted.late += u64::from(late);
                let owed = granted.owed.checked_add(granted.price.cost(outcome.fuel));
                granted.owed = owed.unwrap_or(granted.owed);
                paid.push(lease);
            }
        }
        if !ballot.is_open() {
            self.ballots.remove(&task);
            self.here.remove(&task);
        }
        paid
    }

    pub(super) fn tell_accepted(&mut self, context: &mut Context, accepted: BTreeMap<LeaseId, Vec<TaskIndex>>) {
        for (lease, tasks) in accepted {
            let Some(granted) = self.leases.get(&lease) else { continue };
            for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
                let verdicts = Verdicts { job: self.id, lease, accepted: chunk.to_vec(), owed: granted.owed };
                context.send(granted.worker, verdicts);
            }
        }
        if matches!(self.phase, Phase::Over(_)) {
            self.release_idle(context, EndReason::JobDone);
        }
    }

    /// The end is on disk.
    pub(super) fn on_close_stored(&mut self, context: &mut Context) {
        let Phase::Storing(end) = self.phase else { return };
        self.phase = Phase::Over(end);
        self.closed_at = Some(context.wall());
        self.offering = None;
        context.timers.cancel(Timer::OfferAgain(self.id));
        context.timers.cancel(Timer::AuctionCloses(self.id));
        context.notify(Event::JobClosed { job: self.id, end });
        if end == End::Stopped {
            for lease in self.live_ids() {
                self.end_lease(context, lease, EndReason::JobStopped);
            }
            self.ballots.clear();
            self.wanting.clear();
        } else {
            self.release_idle(context, EndReason::JobDone);
        }
    }

    /// Ends the leases that have nothing left to say; one with a late seat stays until that is heard.
    fn release_idle(&mut self, context: &mut Context, reason: EndReason) {
        let idle = |(_, granted): &(&LeaseId, &Granted)| granted.running.is_empty();
        let done: Vec<LeaseId> = self.live().filter(idle).map(|(&id, _)| id).collect();
        for lease in done {
            let unheard = self.ballots.values().any(|ballot| ballot.seats.contains_key(&lease));
            if !unheard {
                self.end_lease(context, lease, reason);
            }
        }
    }

    /// Ends a lease and tells its worker.
    pub(super) fn end_lease(&mut self, context: &mut Context, lease: LeaseId, reason: EndReason) {
        if let Some(granted) = self.leases.get(&lease) {
            context.send(granted.worker, LeaseEnd { lease, reason });
        }
        self.lease_over(context, lease, LeaseOver::Ended(reason));
    }

    /// A lease is over: what its worker has not claimed goes to others. Claims of a worker whose claim was refuted
    /// go too.
    pub(super) fn lease_over(&mut self, context: &mut Context, lease: LeaseId, why: LeaseOver) {
        let Some(granted) = self.leases.get_mut(&lease).filter(|granted| granted.over.is_none()) else { return };
        granted.over = Some(why);
        granted.running.clear();
        let worker = granted.worker;
        match why {
            LeaseOver::Ended(EndReason::JobDone | EndReason::JobStopped) => context.reputation.served(worker),
            LeaseOver::Ended(EndReason::Silent) | LeaseOver::Disconnected => context.reputation.failed(worker),
            _ => {}
        }
        let refuted = why == LeaseOver::Ended(EndReason::Refuted);
        let (mut touched, mut dropped) = (Vec::new(), 0);
        for (&task, ballot) in &mut self.ballots {
            let Some(seat) = ballot.seats.get(&lease) else { continue };
            let claimed = matches!(seat.stage, Stage::Claimed(..));
            if !claimed || refuted {
                ballot.seats.remove(&lease);
                dropped += u64::from(claimed);
                touched.push(task);
            }
        }
        self.count_dropped(lease, dropped);
        context.notify(Event::LeaseOver { job: self.id, worker, reason: why });
        for task in touched {
            self.refresh(context, task);
        }
        self.fill_all(context);
        self.want_workers(context);
        self.stir();
    }

    fn count_dropped(&mut self, lease: LeaseId, dropped: u64) {
        self.counts.dropped += dropped;
        if let Some(granted) = self.leases.get_mut(&lease) {
            granted.voided += dropped;
        }
    }

    /// A worker is back: whatever it may have missed is said again.
    pub(super) fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        let held: Vec<LeaseId> = self.live().filter(|(_, g)| g.worker == peer).map(|(&id, _)| id).collect();
        for lease in held {
            if let Some(granted) = self.leases.get_mut(&lease) {
                (granted.gone, granted.heard) = (None, context.now);
            }
            self.assign_again(context, lease);
            let asked = |(&task, ballot): (&TaskIndex, &Ballot)| {
                matches!(ballot.seats.get(&lease)?.stage, Stage::Asked(..)).then_some(task)
            };
            let tasks: Vec<TaskIndex> = self.ballots.iter().filter_map(asked).collect();
            for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
                context.send(peer, Reveal { lease, tasks: chunk.to_vec() });
            }
        }
        if self.phase == Phase::Running {
            self.want_workers(context);
        }
    }

    /// A worker is gone, perhaps for a moment.
    pub(super) fn on_disconnected(&mut self, context: &mut Context, peer: PeerId) {
        let now = context.now;
        for granted in self.leases.values_mut().filter(|granted| granted.worker == peer && granted.over.is_none()) {
            granted.gone = Some(now);
            context.timers.set_sooner(Timer::Overdue(self.id), now + super::judging::GRACE);
        }
    }

    /// Lets the network rest from a peer that broke the protocol.
    pub(super) fn shun(&mut self, context: &mut Context, peer: PeerId, reason: &'static str) {
        self.excluded.insert(peer);
        context.emit(Effect::Disconnect { peer, reason });
    }
}
