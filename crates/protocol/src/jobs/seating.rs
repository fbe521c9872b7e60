//! Streaming tasks into leases: who gets which task, and how many at a time. specs/jobs.md §4.
//!
//! Workers pull by finishing; which task they get is drawn at random from those that want a seat, so that two
//! workers who know each other cannot choose to sit together.

use crate::{
    context::Context,
    jobs::active::{Active, Granted, Phase},
    verification::{Ballot, Rule, Seat, Stage, Step},
};
use alloc::vec::Vec;
use core::time::Duration;
use pocketmesh_types::{LeaseId, TaskIndex, TaskInput, limits};
use pocketmesh_wire::message::{Assign, Assigned};

/// The most tasks that one worker holds: with a message's worth on the way, nothing is gained by more.
const WINDOW_MAX: usize = limits::TASKS_PER_MESSAGE_MAX / 2;
/// A window that is worked off faster than this is doubled.
const WINDOW_SHORT: Duration = Duration::from_millis(500);
/// A window that takes longer than this is halved: what it holds is lost when the worker leaves.
const WINDOW_LONG: Duration = Duration::from_secs(4);
/// Half-seated tasks held per lease before they are preferred to new ones: the pool that the draw is from.
const POOL_PER_LEASE: usize = 4;
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
        let Some(granted) = self.leases.get(&lease) else { return };
        if self.phase != Phase::Running || granted.over.is_some() || granted.gone.is_some() {
            return;
        }
        let worker = granted.worker;
        let room = self.window_of(granted).saturating_sub(granted.running.len());
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        for _ in 0..room {
            let Some(task) = self.pick(context, &lease) else { break };
            self.seat(context, task, lease);
            let input = self.inputs.of(task);
            bytes += inline_len(&input);
            tasks.push(Assigned { task, input });
            if bytes >= limits::MESSAGE_BYTES_TARGET {
                context.send(worker, Assign { lease, tasks: core::mem::take(&mut tasks) });
                bytes = 0;
            }
        }
        if !tasks.is_empty() {
            context.send(worker, Assign { lease, tasks });
        }
    }

    /// Sends again what a worker should hold, in case it was lost.
    pub(super) fn assign_again(&mut self, context: &mut Context, lease: LeaseId) {
        let Some(granted) = self.leases.get(&lease) else { return };
        let tasks: Vec<TaskIndex> = granted.running.iter().copied().collect();
        let per_message = limits::MESSAGE_BYTES_TARGET / limits::INLINE_BYTES_MAX;
        for chunk in tasks.chunks(per_message) {
            let tasks = chunk.iter().map(|&task| Assigned { task, input: self.inputs.of(task) }).collect();
            context.send(granted.worker, Assign { lease, tasks });
        }
        self.fill(context, lease);
    }

    /// What a worker may hold now: its own window, but near the end no more than its share.
    fn window_of(&self, granted: &Granted) -> usize {
        let seats = usize::from(self.job.policy.seats());
        let unseated = ((self.job.tasks - self.next) as usize).saturating_mul(seats) + self.wanting.len();
        let held: usize = self.live().map(|(_, other)| other.running.len()).sum();
        let share = (unseated + held).div_ceil(self.live().count().max(1));
        granted.window.min(share.max(granted.window_min))
    }

    /// Widens or narrows a worker's window by how long it took to work it off.
    pub(super) fn adapt_window(granted: &mut Granted, took: Duration) {
        if took < WINDOW_SHORT {
            granted.window = (granted.window * 2).min(WINDOW_MAX);
        } else if took > WINDOW_LONG {
            granted.window = (granted.window / 2).max(granted.window_min);
        }
    }

    fn seat(&mut self, context: &Context, task: TaskIndex, lease: LeaseId) {
        let Some(granted) = self.leases.get_mut(&lease) else { return };
        granted.running.insert(task);
        let seat = Seat { worker: granted.worker, assigned: context.now, stage: Stage::Running };
        self.ballots.entry(task).or_default().seats.insert(lease, seat);
        self.rate_want(task);
    }

    /// Notes whether a task wants another seat.
    pub(super) fn rate_want(&mut self, task: TaskIndex) {
        let wants = self.ballots.get(&task).is_some_and(|ballot| self.rule().step(ballot) == Step::Seat);
        if wants {
            self.wanting.insert(task);
        } else {
            self.wanting.remove(&task);
        }
    }

    /// The next task for this worker: new ones while the pool of half-seated ones is small, then a draw from the
    /// pool, then whatever is new, then a task whose worker has become slow.
    fn pick(&mut self, context: &mut Context, lease: &LeaseId) -> Option<TaskIndex> {
        let worker = self.leases.get(lease)?.worker;
        if self.excluded.contains(&worker) {
            return None;
        }
        let pool = POOL_PER_LEASE * self.live().count();
        if self.wanting.len() < pool
            && let Some(task) = self.take_new()
        {
            return Some(task);
        }
        self.draw(context, lease).or_else(|| self.take_new()).or_else(|| self.slowest(context, lease))
    }

    fn take_new(&mut self) -> Option<TaskIndex> {
        let mut task = self.finals.first_gap(self.next);
        while task < self.job.tasks && (self.ballots.contains_key(&task) || self.on_disk_soon.contains(&task)) {
            task = self.finals.first_gap(task + 1);
        }
        self.next = task.min(self.job.tasks);
        if task >= self.job.tasks {
            return None;
        }
        self.next = task + 1;
        Some(task)
    }

    fn draw(&self, context: &mut Context, lease: &LeaseId) -> Option<TaskIndex> {
        if self.wanting.is_empty() {
            return None;
        }
        let from = u32::try_from(context.below(self.job.tasks as usize)).unwrap_or(0);
        let round = self.wanting.range(from..).chain(self.wanting.range(..from));
        round.take(DRAWS_MAX).copied().find(|task| self.may_seat(task, lease))
    }

    /// At most one seat of a task per peer and public prefix.
    fn may_seat(&self, task: &TaskIndex, lease: &LeaseId) -> bool {
        let (Some(ballot), Some(granted)) = (self.ballots.get(task), self.leases.get(lease)) else { return false };
        !ballot.has(&granted.worker) && !self.shares_prefix(ballot, granted)
    }

    fn shares_prefix(&self, ballot: &Ballot, granted: &Granted) -> bool {
        let prefix_of = |lease: &LeaseId| self.leases.get(lease).and_then(|other| other.prefix);
        granted.prefix.is_some() && ballot.seats.keys().any(|lease| prefix_of(lease) == granted.prefix)
    }

    /// A hedge: the longest-running task past the 95th percentile that has no spare seat yet. specs/jobs.md §5.
    fn slowest(&self, context: &Context, lease: &LeaseId) -> Option<TaskIndex> {
        let slow = self.durations.p95()?;
        let seats = usize::from(self.job.policy.seats());
        let overdue = self.ballots.iter().filter_map(|(&task, ballot)| {
            let since = ballot.running_since()?;
            let hedgeable = ballot.decided.is_none() && ballot.seats.len() <= seats;
            (hedgeable && context.now.since(since) > slow && self.may_seat(&task, lease)).then_some((since, task))
        });
        overdue.min().map(|(_, task)| task)
    }
}

fn inline_len(input: &TaskInput) -> usize {
    match input {
        TaskInput::Inline(bytes) => bytes.len(),
        TaskInput::None | TaskInput::Blob(..) => 0,
    }
}
