//! The leases that we granted: their windows, their signs of life, their ends. specs/leases.md §2.

use crate::{
    context::Context,
    effect::{Event, LeaseOver},
    input::Prefix,
    jobs::active::{Active, Device, Phase},
    record::Record,
    timers::Timer,
    verification::{Seat, Stage},
};
use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;
use pocketmesh_types::{Arch, Credits, Instant, LeaseId, PeerId, Price, TaskIndex};
use pocketmesh_wire::message::{DeclineReason, EndReason, LeaseEnd};

/// A sign of life is due this often.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often leases are looked over.
pub const SWEEP: Duration = Duration::from_millis(250);
/// A disconnected worker may come back within this.
const GRACE: Duration = Duration::from_secs(3);
/// Beyond twice a task's own wall-clock limit (one task runs, one waits behind it), what transport may take.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// What was committed to must be revealed within this; then it is void, and nobody waits. specs/verification.md §2.
const REVEAL_WITHIN: Duration = Duration::from_secs(5);
/// How long a worker gets no lease of a job after it was silent over what it owed, at first; doubled each time. Guess.
const AVOIDED_AT_FIRST: Duration = Duration::from_secs(60);
/// How often that is doubled: up to an hour.
const AVOIDED_DOUBLED_MAX: u32 = 6;
/// A worker's own word for its slots counts up to this; its window then follows what it delivers. Guess.
const SLOTS_BELIEVED_MAX: u16 = 64;
/// How much larger than its slots a worker's first window is: tasks are on their way while others run.
const FIRST_WINDOW_PER_SLOT: usize = 2;
/// Tasks that may come back undone beyond those that were done, before a worker gets no more. Guess.
const UNDONE_MAX: u64 = 8;
/// Leases that came to nothing are kept for people to see, up to so many.
const LEASES_KEPT_MAX: usize = 1024;

/// A lease that we granted.
#[derive(Debug)]
pub struct Granted {
    /// To whom.
    pub worker: PeerId,
    /// Its public prefix.
    pub prefix: Option<Prefix>,
    /// Its architecture, as it says.
    pub arch: Arch,
    /// At which price.
    pub price: Price,
    /// The last sign of life.
    pub heard: Instant,
    /// Since when it is disconnected.
    pub gone: Option<Instant>,
    /// Tasks in which it has a seat.
    pub seats: BTreeSet<TaskIndex>,
    /// Those of them that it has not finished.
    pub running: BTreeSet<TaskIndex>,
    /// How many unfinished ones it may hold; none if it gets no more.
    pub window: usize,
    /// The least it holds: what keeps its slots busy.
    pub window_min: usize,
    /// Since when its pace is measured, and how many tasks it has done since.
    pub pace: (Instant, usize),
    /// Seats that came to a commitment or claim.
    pub done: u64,
    /// Tasks that came back undone.
    pub undone: u64,
    /// Seats whose outcome is final.
    pub accepted: u64,
    /// Claims that were refuted, or dropped because of that.
    pub voided: u64,
    /// Accepted seats that came after the task was final without them.
    pub late: u64,
    /// What is owed for the accepted ones.
    pub owed: Credits,
    /// Why it is over, if it is.
    pub over: Option<LeaseOver>,
}

impl Granted {
    pub(super) fn new(context: &Context, worker: PeerId, price: Price, device: Device) -> Self {
        let window = FIRST_WINDOW_PER_SLOT * usize::from(device.slots.clamp(1, SLOTS_BELIEVED_MAX));
        Self {
            worker,
            arch: device.arch,
            prefix: context.peers.get(&worker).copied().flatten(),
            price,
            heard: context.now,
            gone: (!context.peers.contains_key(&worker)).then_some(context.now),
            seats: BTreeSet::new(),
            running: BTreeSet::new(),
            window,
            window_min: window,
            pace: (context.now, 0),
            done: 0,
            undone: 0,
            accepted: 0,
            voided: 0,
            late: 0,
            owed: Credits::default(),
            over: None,
        }
    }

    /// Gives it no more tasks.
    pub(super) fn rest(&mut self) {
        (self.window, self.window_min) = (0, 0);
    }

    /// Counts a task that came back undone; whoever hands back most of what it gets, gets no more.
    pub(super) fn count_undone(&mut self) {
        self.undone += 1;
        if self.undone > self.done + UNDONE_MAX {
            self.rest();
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.since(self.heard) > HEARTBEAT * crate::execution::HEARTBEATS_MISSED_MAX
    }
}

impl Active {
    /// Leases that are not over.
    pub fn live(&self) -> impl Iterator<Item = (&LeaseId, &Granted)> {
        self.live.iter().filter_map(|lease| self.leases.get_key_value(lease))
    }

    pub(super) fn live_ids(&self) -> Vec<LeaseId> {
        self.live.iter().copied().collect()
    }

    /// Whether `worker` has a lease that is not over.
    pub(super) fn employs(&self, worker: &PeerId) -> bool {
        self.live().any(|(_, granted)| granted.worker == *worker)
    }

    /// Whether `worker` holds this lease, and it is not over.
    pub fn holds_lease(&self, lease: &LeaseId, worker: &PeerId) -> bool {
        self.live.contains(lease) && self.leases.get(lease).is_some_and(|granted| granted.worker == *worker)
    }

    pub(super) fn add_lease(&mut self, lease: LeaseId, granted: Granted) {
        if self.leases.len() >= LEASES_KEPT_MAX {
            self.leases.retain(|_, old| old.over.is_none() || old.done > 0);
        }
        self.leases.insert(lease, granted);
        self.live.insert(lease);
    }

    /// A sign of life.
    pub(super) fn heard_from(&mut self, lease: &LeaseId, now: Instant) {
        if let Some(granted) = self.leases.get_mut(lease) {
            granted.heard = now;
        }
    }

    /// Takes a worker's seat in a task away.
    pub(super) fn unseat(&mut self, task: TaskIndex, lease: &LeaseId) -> Option<Seat> {
        if let Some(granted) = self.leases.get_mut(lease) {
            granted.seats.remove(&task);
            granted.running.remove(&task);
        }
        self.ballots.get_mut(&task)?.seats.remove(lease)
    }

    /// A worker was found out in another job of ours: what it has delivered in this one is void too.
    pub(super) fn cast_out(&mut self, context: &mut Context, worker: PeerId) {
        let held = self.live().find(|(_, granted)| granted.worker == worker).map(|(&lease, _)| lease);
        if let Some(lease) = held.filter(|_| self.phase == Phase::Running) {
            context.store(Record::BrokeOff { job: self.id, worker });
            self.end_lease_as_refuted(context, lease, worker);
            self.stir();
        }
    }

    /// Ends a lease and tells its worker.
    pub(super) fn end_lease(&mut self, context: &mut Context, lease: LeaseId, reason: EndReason) {
        if let Some(granted) = self.leases.get(&lease).filter(|_| self.live.contains(&lease)) {
            context.send(granted.worker, LeaseEnd { lease, reason });
        }
        self.lease_over(context, lease, LeaseOver::Ended(reason));
    }

    /// A lease is over: what its worker has not claimed goes to others. Claims of a worker whose claim was refuted
    /// go too, as far as nothing final relies on them.
    pub(super) fn lease_over(&mut self, context: &mut Context, lease: LeaseId, why: LeaseOver) {
        if !self.live.remove(&lease) {
            return;
        }
        let Some(granted) = self.leases.get_mut(&lease) else { return };
        granted.over = Some(why);
        let (worker, seats) = (granted.worker, granted.seats.clone());
        match why {
            LeaseOver::Ended(EndReason::JobDone | EndReason::JobStopped) => context.reputation.served(worker),
            LeaseOver::Ended(EndReason::Silent) | LeaseOver::Disconnected => context.reputation.failed(worker),
            LeaseOver::Declined(DeclineReason::ProgramRefused) => drop(self.excluded.insert(worker)),
            LeaseOver::Ended(_) | LeaseOver::Declined(_) => {}
        }
        context.notify(Event::LeaseOver { job: self.id, worker, reason: why });
        context.money.on_pause(&lease);
        let refuted = why == LeaseOver::Ended(EndReason::Refuted);
        let touched: Vec<TaskIndex> = seats.into_iter().filter(|&task| self.vacate(task, &lease, refuted)).collect();
        self.steps(context, &touched);
        self.fill_all(context);
        self.want_workers(context);
    }

    /// Takes a seat of a lease that is over away, unless its claim stands.
    fn vacate(&mut self, task: TaskIndex, lease: &LeaseId, refuted: bool) -> bool {
        let Some(ballot) = self.ballots.get_mut(&task) else { return false };
        let claimed = ballot.seats.get(lease).is_some_and(|seat| matches!(seat.stage, Stage::Claimed(..)));
        if claimed && (!refuted || ballot.settled.is_some()) {
            return false;
        }
        if claimed {
            // What was decided may rest on this claim; the rule looks at the others again.
            ballot.decided = None;
            self.counts.dropped += 1;
            if let Some(granted) = self.leases.get_mut(lease) {
                granted.voided += 1;
            }
        }
        self.unseat(task, lease);
        true
    }

    /// Ends the leases of a job that is over, as soon as nothing is to be heard under them; a late seat is waited for.
    pub(super) fn release_idle(&mut self, context: &mut Context) {
        let Phase::Over(_) = self.phase else { return };
        let unheard = |granted: &Granted| {
            granted.seats.iter().any(|task| self.ballots.get(task).is_some_and(|ballot| ballot.is_open()))
        };
        let is_idle = |granted: &Granted| !unheard(granted) && !self.may_testify(context.now, granted);
        let idle: Vec<LeaseId> = self.live().filter(|(_, granted)| is_idle(granted)).map(|(&id, _)| id).collect();
        for lease in idle {
            self.end_lease(context, lease, EndReason::JobDone);
        }
    }

    /// A peer is here. If it is a worker that is back, whatever it may have missed is said again.
    pub(super) fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        let held: Vec<LeaseId> = self.live().filter(|(_, granted)| granted.worker == peer).map(|(&id, _)| id).collect();
        for lease in held {
            if let Some(granted) = self.leases.get_mut(&lease) {
                (granted.gone, granted.heard) = (None, context.now);
            }
            self.assign_again(context, lease);
            self.ask_again(context, lease);
        }
        // Where most peers are strangers there is always somebody: one who comes is no news.
        if context.strangers() == 0 {
            self.want_workers(context);
        }
    }

    fn ask_again(&self, context: &mut Context, lease: LeaseId) {
        let Some(granted) = self.leases.get(&lease) else { return };
        for bare in [false, true] {
            let is_asked = |task: &&TaskIndex| {
                let seat = self.ballots.get(task).and_then(|ballot| ballot.seats.get(&lease));
                seat.is_some_and(|seat| matches!(seat.stage, Stage::Asked(..)) && seat.bare == bare)
            };
            let tasks: Vec<TaskIndex> = granted.seats.iter().filter(is_asked).copied().collect();
            self.ask(context, lease, bare, &tasks);
        }
    }

    /// A peer is gone, perhaps for a moment.
    pub(super) fn on_disconnected(&mut self, context: &mut Context, peer: PeerId) {
        let now = context.now;
        for lease in self.live_ids() {
            if let Some(granted) = self.leases.get_mut(&lease).filter(|granted| granted.worker == peer) {
                granted.gone = Some(now);
                context.timers.set_sooner(Timer::Overdue(self.id), now + GRACE);
            }
        }
    }

    /// Looks over all leases: who is gone, silent, stalled, or withholds; and who could help a slow one.
    pub(super) fn on_overdue(&mut self, context: &mut Context) {
        for lease in self.live_ids() {
            match self.fault_of(context.now, &lease) {
                Some(Fault::Gone) => self.lease_over(context, lease, LeaseOver::Disconnected),
                Some(Fault::Silent) => self.end_lease(context, lease, EndReason::Silent),
                Some(Fault::Withholds) => {
                    let worker = self.leases.get(&lease).map(|granted| granted.worker);
                    worker.into_iter().for_each(|worker| self.avoid(context.now, worker));
                    self.end_lease(context, lease, EndReason::Silent);
                }
                None => {}
            }
        }
        self.reconsider(context);
        self.seat_witnesses(context);
        self.stir();
        self.audit_here_what_nobody_can(context);
        self.fill_all(context);
        self.hedge(context);
        self.pay_now_and_then(context);
        self.end_if_broke(context);
        self.watch(context);
    }

    /// Gives a worker no lease for a while, longer each time. It was silent over what it owed; a bad link does the same,
    /// so it is not out for good.
    pub(super) fn avoid(&mut self, now: Instant, worker: PeerId) {
        let (times, until) = self.avoided.entry(worker).or_default();
        *until = now + AVOIDED_AT_FIRST * (1 << *times);
        *times = (*times + 1).min(AVOIDED_DOUBLED_MAX);
    }

    /// Looks over the leases again soon, as long as there are any.
    pub(super) fn watch(&self, context: &mut Context) {
        if !self.live.is_empty() {
            context.timers.set(Timer::Overdue(self.id), context.now + SWEEP);
        }
    }

    fn fault_of(&self, now: Instant, lease: &LeaseId) -> Option<Fault> {
        let granted = self.leases.get(lease)?;
        if granted.gone.is_some_and(|gone| now.since(gone) >= GRACE) {
            return Some(Fault::Gone);
        }
        if granted.is_silent(now) {
            return Some(Fault::Silent);
        }
        let patience = 2 * self.job.wall() + STALLED_AFTER;
        let seats = granted.seats.iter().filter_map(|task| self.ballots.get(task)?.seats.get(lease));
        seats
            .filter_map(|seat| match seat.stage {
                Stage::Running => (now.since(seat.assigned) > patience).then_some(Fault::Silent),
                Stage::Asked(_, since) => (now.since(since) > REVEAL_WITHIN).then_some(Fault::Withholds),
                Stage::Committed(_) | Stage::Claimed(..) => None,
            })
            .max()
    }
}

/// Why a lease is ended before its job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Disconnected, and not back within the grace.
    Gone,
    /// No sign of life, or none of a result.
    Silent,
    /// It does not say what it has committed to.
    Withholds,
}
