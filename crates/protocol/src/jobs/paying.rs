//! What a requester owes for what: from results to [`settlement`](crate::settlement). specs/settlement.md §4.

use crate::{
    context::Context,
    effect::Event,
    jobs::{
        active::{Active, Phase},
        auditing::Held,
        leases::Granted,
    },
    record::{End, FinalTask},
    verification::{
        Ballot, Stage,
        windows::{Window, WindowId},
    },
};
use core::time::Duration;
use pocketmesh_ledger::slices::{Row, Terms};
use pocketmesh_types::{Credits, LeaseId, PeerId, Price, TaskIndex, Work, limits};

/// What is due is paid this often, though it is less than a slice. Guess.
pub const PAY_AGAIN: Duration = Duration::from_secs(10);

/// What our leases say of slices.
pub fn terms() -> Terms {
    Terms::default()
}

impl Active {
    /// How many more tasks a worker could begin, as far as payment goes: beyond that it waits, so that it gets no more.
    pub(super) fn payable_room(&self, context: &Context, lease: &LeaseId) -> usize {
        let held = self.leases.get(lease).map_or(0, |granted| granted.seats.len());
        let bound = terms().exposure_tasks(context.money.dearest(lease));
        bound.saturating_sub(held + context.money.unpaid(lease))
    }

    /// The most that a task can take: all that it may burn, its input if that is the longest, all that it may write, and the longest list of
    /// files.
    fn most_work(&self) -> Work {
        let bytes = self.inputs.longest().saturating_add(self.job.limits.output).saturating_add(limits::TREE_BYTES_MAX);
        Work { fuel: self.job.limits.fuel, bytes }
    }

    /// How many more tasks a worker may be given within the job's budget: each may take all that it may, and so may all that are under way.
    pub(super) fn affordable(&self, context: &Context, lease: &LeaseId) -> usize {
        let Some(budget) = self.job.budget else { return usize::MAX };
        let most = self.most_work();
        let worst = |granted: &Granted| self.job.tariff(granted.price).bound(most).0;
        let under_way = self.leases.values().map(|granted| worst(granted).saturating_mul(granted.seats.len() as u128));
        let bound = under_way.fold(context.money.cost_of(&self.id).0, u128::saturating_add);
        let left = budget.0.saturating_sub(bound);
        let each = self.leases.get(lease).map_or(0, worst);
        left.checked_div(each).map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Whether a task that nobody has may be begun within the budget: with all its seats, and after those that others still want.
    pub(super) fn affords_new(&self, context: &Context, lease: &LeaseId) -> bool {
        let wanted = (self.wanting.len() + 1).saturating_mul(usize::from(self.rule().seats));
        self.job.budget.is_none() || self.affordable(context, lease) >= wanted
    }

    /// Whether nobody can be given anything within the budget.
    pub(super) fn is_broke(&self, context: &Context) -> bool {
        let is_wanted = !(self.wanting.is_empty() && self.audits_wanting.is_empty());
        let is_out = |lease: &LeaseId| match is_wanted {
            true => self.affordable(context, lease) == 0,
            false => !self.affords_new(context, lease),
        };
        self.job.budget.is_some() && !self.live.is_empty() && self.live.iter().all(is_out)
    }

    /// Ends the job with what is final, if more could cost more than its budget and nothing is under way.
    pub(super) fn end_if_broke(&mut self, context: &mut Context) {
        let is_asked = |ballot: &Ballot| ballot.seats.values().any(|seat| matches!(seat.stage, Stage::Asked(..)));
        let is_busy = self.live().any(|(_, granted)| !granted.running.is_empty())
            || self.ballots.values().any(is_asked)
            || !(self.held.is_empty() && self.delivered.is_empty() && self.decided.is_empty())
            || !(self.on_disk_soon.is_empty() && self.checks.is_empty() && self.checking == 0);
        if self.phase == Phase::Running && !is_busy && self.is_broke(context) {
            context.notify(Event::BudgetSpent { job: self.id });
            self.phase = Phase::Closing(End::Partial);
            self.stir();
        }
    }

    /// A result is held: its worker is paid for it with its window, and so is who came to the same, with its own.
    pub(super) fn owe_held(&mut self, context: &mut Context, task: TaskIndex, held: &Held) {
        let row = held.row(task);
        context.money.on_delivered(&held.lease, held.window.0, row);
        if let Some((lease, worker)) = held.beside {
            let window = self.windows.of(worker);
            context.money.on_delivered(&lease, window.0, row);
        }
    }

    /// Pays now and then also what is less than a slice, so that long tasks are not owed for long.
    pub(super) fn pay_now_and_then(&mut self, context: &mut Context) {
        if context.now.since(self.paid_at) >= PAY_AGAIN {
            self.paid_at = context.now;
            self.live.iter().for_each(|lease| context.money.on_pause(lease));
        }
    }

    /// A lease that was granted before the restart; what is read of its worker from here on was done under it.
    pub(super) fn restore_granted(
        &mut self,
        context: &mut Context,
        lease: LeaseId,
        worker: PeerId,
        price: Price,
        fee: Credits,
    ) {
        context.money.on_granted(lease, self.id, worker, self.job.tariff(price), fee, terms());
        self.granted_before.insert(worker, lease);
    }

    /// Results that were delivered or final before the restart, and are owed for unless the accounts say that they are paid.
    pub(super) fn restore_owed(&self, context: &mut Context, window: Option<(WindowId, PeerId)>, task: &FinalTask) {
        let Some(outcome) = &task.outcome else { return };
        let row = Row::of(task.task, outcome, task.input_len);
        for worker in &task.workers {
            let Some(lease) = self.granted_before.get(worker) else { continue };
            match window {
                Some((window, owner)) if owner == *worker => context.money.on_delivered(lease, window.0, row),
                _ => context.money.on_accepted(lease, row),
            }
        }
    }

    /// What was drawn before the restart is paid as its audits agree.
    pub(super) fn owe_drawn(&self, context: &mut Context, window: WindowId, audits: &[TaskIndex]) {
        if let Some(owner) = self.windows.get(window).map(Window::owner) {
            context.money.on_drawn(self.id, owner, window.0, audits);
        }
    }

    /// A window was closed, and these of its results drawn.
    pub(super) fn restore_drawn(&mut self, context: &mut Context, window: WindowId, audits: &[TaskIndex], own: bool) {
        self.owe_drawn(context, window, audits);
        self.windows.restore_drawn(window, audits);
        self.restored.push((window, own));
    }

    /// An audit agreed before the restart.
    pub(super) fn restore_agreed(&mut self, context: &mut Context, window: WindowId, task: TaskIndex) {
        if let Some(owner) = self.windows.get(window).map(Window::owner) {
            context.money.on_agreed(self.id, owner, window.0, task);
        }
        self.windows.agree(window, task);
    }

    /// Leases do not outlive a restart, but debts do.
    pub(super) fn owe_after_restart(&self, context: &mut Context) {
        self.granted_before.values().for_each(|lease| context.money.on_pause(lease));
        if let Phase::Over(_) = self.phase {
            context.money.on_job_over(self.id);
        }
    }
}
