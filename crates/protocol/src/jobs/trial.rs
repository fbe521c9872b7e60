//! From a refuted claim to a conviction. specs/verification.md §7.
//!
//! Our own run is enough to void a claim for ourselves. To convict its worker, in a record that others can replay, takes
//! a second run of ours, and an unrelated peer of the worker's own architecture, all of which agree: an engine that is
//! wrong on one architecture, or a host of ours that is, convicts nobody.

use crate::{
    context::Context,
    effect::Event,
    input::{Executed, NoOutcome, Prefix},
    jobs::{
        active::{Active, Phase},
        auditing::Held,
        judging::Refutation,
        leases::Granted,
    },
    record::Record,
};
use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;
use pocketmesh_ledger::slices::Row;
use pocketmesh_types::{Arch, ClaimId, Instant, LeaseId, Outcome, PeerId, TaskIndex};

/// How long a job that is over waits for witnesses.
const WITNESS_WAIT: Duration = Duration::from_secs(30);

/// A refuted claim, on its way to a conviction.
#[derive(Debug)]
pub struct Trial {
    worker: PeerId,
    arch: Arch,
    prefix: Option<Prefix>,
    claim: ClaimId,
    outcome: Outcome,
    second: Second,
    witness: Option<PeerId>,
    /// Who has sat in the task already: it is paid for that, once.
    sat: BTreeSet<PeerId>,
    /// Who is asked to be the witness.
    seat: Option<LeaseId>,
    since: Instant,
}

/// Our second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Wanted,
    Running,
    Agreed,
}

impl Trial {
    /// Whether this worker may be the witness: unrelated, and of the same architecture.
    fn may_hear(&self, granted: &Granted) -> bool {
        let is_unrelated = granted.worker != self.worker && (granted.prefix.is_none() || granted.prefix != self.prefix);
        is_unrelated && granted.arch == self.arch
    }
}

impl Active {
    /// A claim was refuted: its worker's first is tried.
    pub(super) fn open_trial(&mut self, context: &Context, task: TaskIndex, refutation: &Refutation) {
        let &Refutation { worker, lease, claim, outcome, .. } = refutation;
        let is_tried = self.trials.values().any(|trial| trial.worker == worker) || self.trials.contains_key(&task);
        if is_tried || context.reputation.is_convicted(&worker) {
            return;
        }
        let granted = self.leases.get(&lease);
        let seats = self.ballots.get(&task).into_iter().flat_map(|ballot| ballot.seats.values());
        // Whose result is held has no seat any more.
        let held = self.held.get(&task).into_iter().flat_map(Held::seats);
        let holders = held.filter_map(|lease| self.leases.get(&lease)).map(|granted| granted.worker);
        let mut trial = Trial {
            worker,
            arch: granted.map(|granted| granted.arch).unwrap_or_default(),
            prefix: granted.and_then(|granted| granted.prefix),
            claim,
            outcome,
            second: Second::Wanted,
            witness: None,
            sat: seats.map(|seat| seat.worker).chain(holders).collect(),
            seat: None,
            since: context.now,
        };
        trial.witness = self.heard_witness(task, &trial);
        self.trials.insert(task, trial);
    }

    /// Somebody who has sat in the task anyway, and came to the same as we.
    fn heard_witness(&self, task: TaskIndex, trial: &Trial) -> Option<PeerId> {
        let agreeing = self.ballots.get(&task)?.agreeing(&trial.outcome);
        let mut heard = agreeing.iter().filter_map(|(lease, _)| self.leases.get(lease));
        heard.find(|granted| trial.may_hear(granted)).map(|granted| granted.worker)
    }

    /// Whether one of these claims, which came late, makes its worker a witness.
    pub(super) fn hear_late(&mut self, context: &mut Context, tasks: &[TaskIndex]) {
        for &task in tasks {
            let Some(trial) = self.trials.get(&task).filter(|trial| trial.witness.is_none()) else { continue };
            let witness = self.heard_witness(task, trial);
            if witness.is_some()
                && let Some(trial) = self.trials.get_mut(&task)
            {
                trial.witness = witness;
                self.conclude(context, task);
            }
        }
    }

    /// The next task to be run here a second time.
    pub(super) fn next_trial_run(&mut self) -> Option<TaskIndex> {
        let task = self.trial_runs().find(|&task| self.can_run_here(task))?;
        self.trials.get_mut(&task)?.second = Second::Running;
        Some(task)
    }

    /// The tasks that are to be run here a second time.
    pub(super) fn trial_runs(&self) -> impl Iterator<Item = TaskIndex> {
        self.trials.iter().filter(|(_, trial)| trial.second == Second::Wanted).map(|(&task, _)| task)
    }

    /// Whether a run of ours was a second one; then it is dealt with.
    pub(super) fn on_trial_run(
        &mut self,
        context: &mut Context,
        task: TaskIndex,
        result: &Result<Executed, NoOutcome>,
    ) -> bool {
        let Some(trial) = self.trials.get_mut(&task).filter(|trial| trial.second == Second::Running) else {
            return false;
        };
        match result {
            Ok(executed) if executed.outcome == trial.outcome => {
                trial.second = Second::Agreed;
                self.conclude(context, task);
            }
            Ok(_) => {
                // Two outcomes under one profile, on one host: nothing is proved against anybody.
                let worker = trial.worker;
                self.trials.remove(&task);
                self.counts.contradictions += 1;
                context.reputation.acquitted(worker);
                context.notify(Event::NotDeterministic { job: self.id, task });
            }
            Err(_) => drop(self.trials.remove(&task)),
        }
        true
    }

    /// Asks witnesses, as far as there are any.
    pub(super) fn seat_witnesses(&mut self, context: &mut Context) {
        let wanting: Vec<TaskIndex> =
            self.trials.iter().filter(|(_, trial)| trial.witness.is_none()).map(|(&task, _)| task).collect();
        for task in wanting {
            let Some(trial) = self.trials.get(&task) else { continue };
            if trial.seat.is_some_and(|lease| self.live.contains(&lease)) {
                continue;
            }
            let was_asked = |granted: &Granted| self.witnesses.contains(&(task, granted.worker));
            let has_sat = |granted: &Granted| trial.sat.contains(&granted.worker) || was_asked(granted);
            let is_free = |granted: &Granted| granted.gone.is_none() && !self.excluded.contains(&granted.worker);
            let found =
                self.live().find(|(_, granted)| trial.may_hear(granted) && is_free(granted) && !has_sat(granted));
            let Some((lease, worker)) = found.map(|(&lease, granted)| (lease, granted.worker)) else { continue };
            if let Some(trial) = self.trials.get_mut(&task) {
                trial.seat = Some(lease);
            }
            self.witnesses.insert((task, worker));
            self.give(context, lease, &[task]);
        }
    }

    /// Whether this is a witness, who is to say what it has committed to.
    pub(super) fn hear_commitment(&self, context: &mut Context, task: TaskIndex, lease: LeaseId) -> bool {
        let is_witness = self.is_witness(task, lease);
        if is_witness {
            // Our own run has the content.
            self.ask(context, lease, true, &[task]);
        }
        is_witness
    }

    pub(super) fn is_witness(&self, task: TaskIndex, lease: LeaseId) -> bool {
        self.trials.get(&task).is_some_and(|trial| trial.seat == Some(lease) && trial.witness.is_none())
    }

    /// Whether this is a witness, who has spoken. It is owed for its work if it agrees; if it does not, nobody is convicted,
    /// and it is not held against it.
    pub(super) fn hear_witness(
        &mut self,
        context: &mut Context,
        task: TaskIndex,
        lease: LeaseId,
        said: &Outcome,
    ) -> bool {
        if !self.is_witness(task, lease) {
            return false;
        }
        let (Some(trial), Some(granted)) = (self.trials.get_mut(&task), self.leases.get(&lease)) else { return true };
        if *said != trial.outcome {
            context.notify(Event::NotConvicted { job: self.id, task, worker: trial.worker });
            self.trials.remove(&task);
            return true;
        }
        trial.witness = Some(granted.worker);
        let seat = Row::of(task, said, self.input_len(task));
        self.conclude(context, task);
        if self.finals.contains(task) {
            self.tell_accepted(context, [(lease, alloc::vec![seat])].into(), true);
        }
        true
    }

    fn conclude(&mut self, context: &mut Context, task: TaskIndex) {
        let is_proved = |trial: &&Trial| trial.second == Second::Agreed && trial.witness.is_some();
        let Some(Trial { worker, claim, witness: Some(witness), .. }) = self.trials.get(&task).filter(is_proved) else {
            return;
        };
        let (job, worker, claim, witness) = (self.id, *worker, *claim, *witness);
        self.trials.remove(&task);
        self.counts.convicted += 1;
        context.reputation.convicted(worker);
        context.store(Record::Convicted { job, task, worker, claim, witness });
        context.notify(Event::Convicted { job, task, worker });
    }

    /// Whether a job that is over still waits for what this lease may say as a witness.
    pub(super) fn may_testify(&self, now: Instant, granted: &Granted) -> bool {
        let waits = |trial: &Trial| trial.witness.is_none() && now.since(trial.since) < WITNESS_WAIT;
        !self.excluded.contains(&granted.worker)
            && self.trials.values().any(|trial| waits(trial) && trial.may_hear(granted))
    }

    /// Whether our own second run is still to be heard of.
    pub(super) fn tries_on(&self) -> bool {
        matches!(self.phase, Phase::Over(_)) && self.trials.values().any(|trial| trial.second != Second::Agreed)
    }
}
