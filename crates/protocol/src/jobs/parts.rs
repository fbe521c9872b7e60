//! The inputs of tasks in work: read from the job's table when somebody is to have them, and forgotten with the task.
//!
//! Nobody holds all inputs of a job. Whoever gets a task gets its input as soon as the driver has read it; only the names
//! and lengths are kept, because claims state and receipts count them, and the inputs of what is run here. specs/jobs.md §8.

use crate::{context::Context, effect::Effect, jobs::active::Active, verification::Stage};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use pocketmesh_types::{BlobId, LeaseId, TaskIndex, TaskInput, limits};
use pocketmesh_wire::message::{Assign, Assigned};

/// Of the tasks that wait to be run here: how many inputs are read ahead.
const CHECKS_READ_AHEAD: usize = 16;

/// What is known of the inputs of tasks in work.
#[derive(Debug, Default)]
pub struct Parts {
    /// What is being read.
    asked: BTreeMap<TaskIndex, Asked>,
    /// The names of those that were read.
    names: BTreeMap<TaskIndex, Name>,
    /// Those of tasks that are run here: for the run, and for what is said of it.
    here: BTreeMap<TaskIndex, TaskInput>,
    /// Blobs that need not be kept.
    released: Vec<BlobId>,
}

/// Who is to have an input.
#[derive(Debug, Default)]
struct Asked {
    leases: BTreeSet<LeaseId>,
    /// We ourselves.
    own: bool,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    id: Option<BlobId>,
    len: u64,
    is_blob: bool,
}

impl Active {
    /// Gives tasks to a worker; those with an input once that is read.
    pub(super) fn give(&mut self, context: &mut Context, lease: LeaseId, tasks: &[TaskIndex]) {
        if self.job.has_inputs() {
            let leases = BTreeSet::from([lease]);
            self.read(context, tasks, |asked| asked.leases.extend(&leases));
        } else {
            self.send_tasks(context, lease, tasks.iter().map(|&task| (task, TaskInput::None)));
        }
    }

    fn read(&mut self, context: &mut Context, tasks: &[TaskIndex], ask: impl Fn(&mut Asked)) {
        let mut fresh = Vec::new();
        for &task in tasks {
            if !self.parts.asked.contains_key(&task) {
                fresh.push(task);
            }
            ask(self.parts.asked.entry(task).or_default());
        }
        if !fresh.is_empty() {
            context.emit(Effect::ReadParts { job: self.id, table: self.job.inputs, tasks: fresh });
        }
    }

    /// Has the inputs read of what is to be run here next.
    pub(super) fn read_for_checks(&mut self, context: &mut Context) {
        let is_wanted =
            |task: &TaskIndex| !self.can_run_here(*task) && self.parts.asked.get(task).is_none_or(|asked| !asked.own);
        let next = self.checks.iter().take(CHECKS_READ_AHEAD).copied();
        let tasks: Vec<TaskIndex> = self.trial_runs().chain(next).filter(is_wanted).collect();
        self.read(context, &tasks, |asked| asked.own = true);
    }

    /// Whether a task has no input, or its input was read.
    pub(super) fn can_run_here(&self, task: TaskIndex) -> bool {
        !self.job.has_inputs() || self.parts.here.contains_key(&task)
    }

    /// The next of the tasks that wait to be run here, if its input is there.
    pub(super) fn next_readable_check(&mut self) -> Option<TaskIndex> {
        let mut ahead = self.checks.iter().take(CHECKS_READ_AHEAD);
        let place = ahead.position(|&task| self.can_run_here(task))?;
        self.checks.remove(place)
    }

    /// The input of a task that is, or was just now, run here.
    pub(super) fn input_here(&self, task: TaskIndex) -> TaskInput {
        self.parts.here.get(&task).cloned().unwrap_or_default()
    }

    /// What a claim on a task has to name as its input; nothing if nobody was given the task.
    pub(super) fn input_name(&self, task: TaskIndex) -> Option<Option<BlobId>> {
        if !self.job.has_inputs() {
            return Some(None);
        }
        self.parts.names.get(&task).map(|name| name.id)
    }

    /// The length of the input that whoever claims a task was given with it, in bytes.
    pub(super) fn input_len(&self, task: TaskIndex) -> u64 {
        self.parts.names.get(&task).map_or(0, |name| name.len)
    }

    /// Inputs were read: whoever waits gets them. A task whose input is gone cannot be done by anybody any more.
    pub(super) fn on_parts_read(&mut self, context: &mut Context, parts: Vec<(TaskIndex, Option<TaskInput>)>) {
        let mut by_lease: BTreeMap<LeaseId, Vec<(TaskIndex, TaskInput)>> = BTreeMap::new();
        let mut is_any_gone = false;
        for (task, input) in parts {
            let Some(asked) = self.parts.asked.remove(&task) else { continue };
            if let Some(input) = input {
                self.hand_over(task, &asked, input, &mut by_lease);
            } else {
                self.on_part_gone(task, &asked);
                is_any_gone = true;
            }
        }
        for (lease, tasks) in by_lease {
            self.send_tasks(context, lease, tasks.into_iter());
        }
        if is_any_gone {
            self.fill_all(context);
        }
        self.stir();
    }

    fn hand_over(
        &mut self,
        task: TaskIndex,
        asked: &Asked,
        input: TaskInput,
        by_lease: &mut BTreeMap<LeaseId, Vec<(TaskIndex, TaskInput)>>,
    ) {
        let name = Name { id: input.id(), len: input.len(), is_blob: matches!(input, TaskInput::Blob(..)) };
        for lease in asked.leases.iter().filter(|lease| self.awaits(task, lease)) {
            by_lease.entry(*lease).or_default().push((task, input.clone()));
        }
        if !self.ballots.contains_key(&task) && !self.trials.contains_key(&task) {
            self.parts.released.extend(name.id.filter(|_| name.is_blob));
            return;
        }
        self.parts.names.insert(task, name);
        if asked.own {
            self.parts.here.insert(task, input);
        }
    }

    /// Whether a worker still waits for a task: as one of its seats, or as the witness of a trial.
    fn awaits(&self, task: TaskIndex, lease: &LeaseId) -> bool {
        let seat = self.ballots.get(&task).and_then(|ballot| ballot.seats.get(lease));
        seat.is_some_and(|seat| seat.stage == Stage::Running) || self.is_witness(task, *lease)
    }

    fn on_part_gone(&mut self, task: TaskIndex, asked: &Asked) {
        for lease in &asked.leases {
            if self.awaits(task, lease) {
                self.unseat(task, lease);
            }
        }
        if asked.own {
            self.checks.retain(|&other| other != task);
            self.trials.remove(&task);
        }
        let Some(ballot) = self.ballots.get_mut(&task) else { return };
        ballot.checking = false;
        // Whoever has it already may still bring it to an outcome, unless it takes more of them, or us.
        let is_enough = match ballot.audit {
            Some(_) => !ballot.seats.is_empty(),
            None => ballot.seats.len() >= usize::from(self.rule().seats),
        };
        if !is_enough || asked.own {
            self.give_up(task);
        } else {
            self.rate_want(task);
        }
    }

    fn send_tasks(&self, context: &mut Context, lease: LeaseId, tasks: impl Iterator<Item = (TaskIndex, TaskInput)>) {
        let Some(granted) = self.leases.get(&lease) else { return };
        let (mut message, mut bytes) = (Vec::new(), 0);
        for (task, input) in tasks {
            if let TaskInput::Inline(inline) = &input {
                bytes += inline.len();
            }
            message.push(Assigned { task, input });
            if bytes >= limits::MESSAGE_BYTES_TARGET || message.len() == limits::TASKS_PER_MESSAGE_MAX {
                context.send(granted.worker, Assign { lease, tasks: core::mem::take(&mut message) });
                bytes = 0;
            }
        }
        if !message.is_empty() {
            context.send(granted.worker, Assign { lease, tasks: message });
        }
    }

    /// A task is forgotten, and its input with it, unless a trial still needs it.
    pub(super) fn drop_part(&mut self, task: TaskIndex) {
        if self.trials.contains_key(&task) {
            return;
        }
        self.parts.here.remove(&task);
        if let Some(Name { id: Some(id), is_blob: true, .. }) = self.parts.names.remove(&task) {
            self.parts.released.push(id);
        }
    }

    /// Says which inputs need not be kept any more.
    pub(super) fn release_parts(&mut self, context: &mut Context) {
        if !self.parts.released.is_empty() {
            let blobs = core::mem::take(&mut self.parts.released);
            context.emit(Effect::ReleaseParts { job: self.id, blobs });
        }
    }
}
