//! How large a job is, for the way in which its results are audited, and how many may share it. specs/verification.md §1, §4.

use crate::{
    context::Context,
    effect::Event,
    jobs::{active::Active, auditing::aim},
    reputation::Windows,
    verification::{Regime, sizing},
};
use alloc::vec::Vec;
use core::time::Duration;
use pocketmesh_types::{Auditors, Instant, Target, TaskIndex, limits};

/// So many tasks for each worker, and audits alone reach the target. specs/verification.md §4.
pub const BIG_TASKS_PER_WORKER: usize = 1_000;
/// What the requester runs in this time is small enough to be run here in full.
const SMALL_MAX: Duration = Duration::from_secs(60);
/// Own runs, or time spent on them, after which it is known how long the rest will take.
const MEASURED: (u32, Duration) = (8, Duration::from_secs(5));
/// From so many workers on, others audit; with fewer there is hardly anybody who is not audited.
const AUDITORS_MIN: usize = 4;
/// A job that is not yet known to be big is kept to fewer workers, for the sake of cheap audits, if there are at least so many. Guess.
const WORKERS_ENOUGH: usize = 16;

/// How long our own runs take, all of them together.
#[derive(Debug, Default)]
pub struct OwnTime {
    runs: u32,
    busy: Duration,
    since: Option<Instant>,
}

impl OwnTime {
    fn spent(&self, now: Instant) -> Duration {
        self.busy + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// How long so many more take, once that is known.
    fn expected(&self, now: Instant, more: u32) -> Option<Duration> {
        let spent = self.spent(now);
        let is_measured = self.runs >= MEASURED.0 || spent >= MEASURED.1;
        is_measured.then(|| spent * more.max(1) / self.runs.max(1))
    }
}

impl Active {
    /// Once it is known how many workers there are: how large the job is for each of them.
    pub(super) fn choose_regime(&mut self, leases: usize) {
        if self.regime == Regime::Unknown && leases > 0 {
            let is_big = self.job.tasks as usize / leases >= BIG_TASKS_PER_WORKER;
            self.regime = if is_big { Regime::Big } else { Regime::Small };
        }
    }

    /// Whether audits alone reach the target at less than half an execution a result, if so many workers share the job.
    /// `BIG_TASKS_PER_WORKER` is enough in any case, whoever audits.
    pub fn is_big(&self, seen: Windows, workers: usize, target: Target) -> bool {
        let each = self.job.tasks as usize / workers.max(1);
        let cheap = || {
            let each = u32::try_from(each).unwrap_or(u32::MAX);
            let audits = by_others(workers, target)
                .then(|| sizing::audits(each, aim(seen, target), sizing::By::Seats))
                .flatten();
            audits.is_some_and(|audits| audits <= each / 2)
        };
        each >= BIG_TASKS_PER_WORKER || cheap()
    }

    /// The most workers that may share the job, so that each has twice the tasks of which its audits cost it one. A job that
    /// would then have few workers is not held to it before it is known to be big.
    pub(super) fn share_out(&mut self, context: &Context) {
        let Some(target) = self.job.policy.target() else { return };
        let seen = context.reputation.windows();
        let is_met = |workers: usize| self.is_big(seen, workers, target);
        let (mut most, mut too_many) = (AUDITORS_MIN, limits::LEASES_PER_JOB_MAX + 1);
        while most + 1 < too_many {
            let middle = usize::midpoint(most, too_many);
            if is_met(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        self.leases_max = most;
    }

    /// How many leases there may be.
    pub fn leases_max(&self) -> usize {
        let holds = match self.regime {
            Regime::Big => true,
            Regime::Unknown | Regime::Small => self.leases_max >= WORKERS_ENOUGH,
            Regime::Middle => false,
        };
        let by_others = self.job.policy.target().is_some_and(|target| target.by != Auditors::Own);
        if holds && by_others { self.leases_max } else { limits::LEASES_PER_JOB_MAX }
    }

    /// Our own run of a task has begun.
    pub(super) fn note_check(&mut self, context: &mut Context, task: TaskIndex) {
        self.own_time.since.get_or_insert(context.now);
        if self.ballots.get(&task).is_some_and(|ballot| ballot.is_disputed()) {
            context.notify(Event::Disputed { job: self.id, task });
        }
    }

    /// Our own run of a task has ended.
    pub(super) fn note_own_time(&mut self, context: &mut Context) {
        self.own_time.runs += 1;
        if self.checking == 0 {
            self.own_time.busy = self.own_time.spent(context.now);
            self.own_time.since = None;
        }
        self.reconsider(context);
    }

    /// What looked small may be too much to be run here in full.
    pub(super) fn reconsider(&mut self, context: &mut Context) {
        let left = self.job.tasks - self.finals.len();
        let expected = self.own_time.expected(context.now, left);
        if self.regime == Regime::Small
            && self.job.policy.target().is_some()
            && expected.is_some_and(|expected| expected > SMALL_MAX)
        {
            self.outgrow_small(context);
        }
    }

    /// Audits alone, if there is enough for each worker; else two seats.
    pub(super) fn outgrow_small(&mut self, context: &mut Context) {
        let (seen, workers) = (context.reputation.windows(), self.live.len());
        let is_big = self.job.policy.target().is_some_and(|target| self.is_big(seen, workers, target));
        self.regime = if is_big { Regime::Big } else { Regime::Middle };
        let tasks: Vec<TaskIndex> = self.ballots.keys().copied().collect();
        self.steps(context, &tasks);
    }
}

/// Whether other workers audit, if there are so many.
pub(super) fn by_others(workers: usize, target: Target) -> bool {
    match target.by {
        Auditors::Own => false,
        Auditors::Mesh => true,
        Auditors::Auto => workers >= AUDITORS_MIN,
    }
}
