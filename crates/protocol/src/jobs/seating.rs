//! Streaming tasks into leases: who gets which task, and how many at a time. specs/jobs.md §4.
//!
//! Workers pull by finishing; which task they get is drawn at random from those that want a seat, so that two
//! workers who know each other cannot choose to sit together.

use crate::{
    context::Context,
    jobs::{
        active::{Active, Phase},
        auditing::Held,
        leases::Granted,
        order::Order,
    },
    verification::{Ballot, Seat, Stage, Step},
};
use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;
use pocketmesh_types::{Instant, LeaseId, TaskIndex, limits};

/// The most tasks that one worker holds: with a message's worth on the way, nothing is gained by more.
const WINDOW_MAX: usize = limits::TASKS_PER_MESSAGE_MAX / 2;
/// A window holds what its worker does in this time: enough to outlast a round trip, little to lose when it leaves.
const AHEAD: Duration = Duration::from_millis(500);
/// How long a worker's pace is measured before its window follows it.
const PACE_OVER: Duration = Duration::from_millis(250);
/// Half-seated tasks held per lease before they are preferred to new ones: the pool that the draw is from.
const POOL_PER_LEASE: usize = 4;
/// Open seats of a worker, finished or not, for each task in its window: how far it may run ahead of the others. This
/// bounds what both sides remember, and what is at risk.
const OPEN_PER_WINDOW: usize = 4;
/// The least of these, so that a small window does not make its worker wait for a slow partner at once.
const OPEN_MIN: usize = 64;
/// Half-seated tasks looked at in one draw.
const DRAWS_MAX: usize = 256;

impl Active {
    /// Gives every worker what its window has room for.
    pub(super) fn fill_all(&mut self, context: &mut Context) {
        for lease in self.live_ids() {
            self.fill(context, lease);
        }
    }

    /// Gives one worker what its window has room for.
    pub(super) fn fill(&mut self, context: &mut Context, lease: LeaseId) {
        let mut tasks = Vec::new();
        for _ in 0..self.room(context, &lease) {
            let Some(task) = self.pick(context, &lease) else { break };
            self.seat(context, task, lease);
            tasks.push(task);
        }
        self.give(context, lease, &tasks);
    }

    /// A seat beside the slow ones: tasks that run longer than most are given to workers with room. specs/jobs.md §5.
    pub(super) fn hedge(&mut self, context: &mut Context) {
        let Some(slow) = self.durations.slow().filter(|_| self.phase == Phase::Running) else { return };
        let seats = usize::from(self.rule().seats);
        let overdue = self.ballots.iter().filter_map(|(&task, ballot)| {
            let since = ballot.running_since()?;
            let seats = if ballot.audit.is_some() { 1 } else { seats };
            let hedgeable = ballot.decided.is_none() && ballot.seats.len() <= seats;
            (hedgeable && context.now.since(since) > slow).then_some((since, task))
        });
        let mut overdue: Vec<(Instant, TaskIndex)> = overdue.collect();
        overdue.sort_unstable();
        for lease in self.live_ids() {
            let mut tasks = Vec::new();
            let mut room = self.room(context, &lease);
            overdue.retain(|(_, task)| {
                let taken = room > 0 && self.may_seat(task, &lease);
                if taken {
                    room -= 1;
                    tasks.push(*task);
                }
                !taken
            });
            tasks.iter().for_each(|&task| self.seat(context, task, lease));
            self.give(context, lease, &tasks);
        }
    }

    /// How many more tasks a worker may be given now.
    fn room(&self, context: &Context, lease: &LeaseId) -> usize {
        let Some(granted) = self.leases.get(lease).filter(|granted| granted.over.is_none()) else { return 0 };
        if self.phase != Phase::Running || granted.gone.is_some() || self.excluded.contains(&granted.worker) {
            return 0;
        }
        let window = self.window_of(granted).saturating_sub(granted.running.len());
        let open = (OPEN_PER_WINDOW * granted.window).max(OPEN_MIN);
        window
            .min(open.saturating_sub(granted.seats.len()))
            .min(self.payable_room(context, lease))
            .min(self.affordable(context, lease))
    }

    /// Sends again what a worker should hold, in case it was lost.
    pub(super) fn assign_again(&mut self, context: &mut Context, lease: LeaseId) {
        let Some(granted) = self.leases.get(&lease) else { return };
        let tasks: Vec<TaskIndex> = granted.running.iter().copied().collect();
        self.give(context, lease, &tasks);
        self.fill(context, lease);
    }

    /// What a worker may hold now: its own window, but near the end no more than its share.
    fn window_of(&self, granted: &Granted) -> usize {
        let seats = usize::from(self.rule().seats);
        let wanting = self.wanting.len() + self.audits_wanting.len();
        let unseated = ((self.job.tasks - self.next) as usize).saturating_mul(seats) + wanting;
        let held: usize = self.live().map(|(_, other)| other.running.len()).sum();
        let share = (unseated + held).div_ceil(self.live.len().max(1));
        granted.window.min(share.max(granted.window_min))
    }

    /// Lets a worker's window follow its pace. A worker that waits for tasks more than it works is faster than it looks,
    /// but then its window grows with each measurement, until it is not.
    pub(super) fn adapt_window(granted: &mut Granted, now: Instant, done: usize) {
        granted.pace.1 += done;
        let over = now.since(granted.pace.0);
        if over >= PACE_OVER && granted.window > 0 {
            let ahead = granted.pace.1 as u128 * AHEAD.as_micros() / over.as_micros();
            let ahead = usize::try_from(ahead).unwrap_or(WINDOW_MAX);
            granted.window = ahead.min(WINDOW_MAX).max(granted.window_min);
            granted.pace = (now, 0);
        }
    }

    fn seat(&mut self, context: &Context, task: TaskIndex, lease: LeaseId) {
        let Some(granted) = self.leases.get_mut(&lease) else { return };
        granted.running.insert(task);
        granted.seats.insert(task);
        let seat = Seat {
            worker: granted.worker,
            assigned: context.now,
            stage: Stage::Running,
            paid: false,
            bare: false,
            late: false,
        };
        self.ballots.entry(task).or_default().seats.insert(lease, seat);
        self.rate_want(task);
    }

    /// Notes whether a task wants another seat.
    pub(super) fn rate_want(&mut self, task: TaskIndex) {
        let ballot = self.ballots.get(&task);
        let wants = ballot.is_some_and(|ballot| self.rule().step(ballot) == Step::Seat);
        let is_audit = ballot.is_some_and(|ballot| ballot.audit.is_some());
        for (wanting, is_one) in
            [(&mut self.wanting, wants && !is_audit), (&mut self.audits_wanting, wants && is_audit)]
        {
            if is_one {
                wanting.insert(task);
            } else {
                wanting.remove(&task);
            }
        }
    }

    /// The next task for this worker: an audit if there is one for it; new ones while the pool of half-seated ones is
    /// small, then a draw from the pool, then whatever is new.
    fn pick(&mut self, context: &mut Context, lease: &LeaseId) -> Option<TaskIndex> {
        if let Some(task) = self.draw(context, &self.audits_wanting, lease) {
            return Some(task);
        }
        if self.wanting.len() < POOL_PER_LEASE * self.live.len()
            && let Some(task) = self.take_new(context, lease)
        {
            return Some(task);
        }
        self.draw(context, &self.wanting, lease).or_else(|| self.take_new(context, lease))
    }

    fn take_new(&mut self, context: &mut Context, lease: &LeaseId) -> Option<TaskIndex> {
        let task = if self.affords_new(context, lease) { self.peek_new(context)? } else { return None };
        self.next += 1;
        Some(task)
    }

    /// The next task that nobody has, or had.
    pub(super) fn peek_new(&mut self, context: &mut Context) -> Option<TaskIndex> {
        let tasks = self.job.tasks;
        if self.job.policy.target().is_none() {
            self.next = self.finals.first_gap(self.next).min(tasks);
            while self.next < tasks && self.is_known(self.next) {
                self.next = self.finals.first_gap(self.next + 1).min(tasks);
            }
            return (self.next < tasks).then_some(self.next);
        }
        while self.next < tasks {
            let task = self.order.at(self.next, tasks, |bound| context.below(bound));
            if !self.finals.contains(task) && !self.is_known(task) {
                return Some(task);
            }
            self.next = Order::next(self.next, tasks, &self.finals);
        }
        None
    }

    /// Whether a task that is not final has been given to somebody, or has a result.
    fn is_known(&self, task: TaskIndex) -> bool {
        self.ballots.contains_key(&task) || self.held.contains_key(&task) || self.on_disk_soon.contains_key(&task)
    }

    fn draw(&self, context: &mut Context, wanting: &BTreeSet<TaskIndex>, lease: &LeaseId) -> Option<TaskIndex> {
        if wanting.is_empty() {
            return None;
        }
        let from = u32::try_from(context.below(self.job.tasks as usize)).unwrap_or(0);
        let round = wanting.range(from..).chain(wanting.range(..from));
        round.take(DRAWS_MAX).copied().find(|task| self.may_seat(task, lease))
    }

    /// At most one seat of a task per peer and public prefix; an audit counts the seats that it audits.
    pub(super) fn may_seat(&self, task: &TaskIndex, lease: &LeaseId) -> bool {
        let (Some(ballot), Some(granted)) = (self.ballots.get(task), self.leases.get(lease)) else { return false };
        let is_audited = |held: &Held| held.beside.is_some_and(|(_, other)| other == granted.worker);
        let audits_itself = ballot.audit.is_some_and(|audit| audit.owner == granted.worker)
            || self.held.get(task).is_some_and(is_audited);
        !audits_itself && !ballot.has(&granted.worker) && !self.shares_prefix(task, ballot, granted)
    }

    fn shares_prefix(&self, task: &TaskIndex, ballot: &Ballot, granted: &Granted) -> bool {
        let prefix_of = |lease: LeaseId| self.leases.get(&lease).and_then(|other| other.prefix);
        let audited = self.held.get(task).filter(|_| ballot.audit.is_some()).into_iter().flat_map(Held::seats);
        let mut seats = ballot.seats.keys().copied().chain(audited);
        granted.prefix.is_some() && seats.any(|lease| prefix_of(lease) == granted.prefix)
    }
}
