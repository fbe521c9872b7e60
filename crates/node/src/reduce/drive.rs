//! The reduce step in the event loop: when a job's tasks are over, when a level of its tree is, and after a restart.

use super::{Plan, Stage, Standing, step};
use crate::driver::Driver;
use crate::journal::Entry;
use crate::pins;
use crate::results::Shown;
use crate::split::Cut;
use crate::wallet;
use pocketmesh_protocol::jobs::active::{Active, Phase};
use pocketmesh_protocol::{Command, Effect, End, Inputs};
use pocketmesh_types::{Hash, Job, JobId};
use pocketmesh_wire::envelope;
use std::sync::Arc;

/// What a reduction's step came to, and of which job.
pub type Reduced = (JobId, Result<Stage, String>);

impl Driver {
    /// Goes on with the reductions that a restart broke off.
    pub(crate) fn resume_reductions(&mut self) {
        let over: Vec<JobId> = self.peer.jobs().iter().filter(|job| has_result(job)).map(|job| job.id).collect();
        over.into_iter().for_each(|job| self.reduce(job));
    }

    /// A job is over: its own reduction begins, or the one goes on that it is a level of.
    pub(crate) fn reduce_after(&mut self, over: JobId) {
        self.reduce(over);
        if let Some(parent) = self.ledger.parent_of(&over) {
            self.reduce(parent);
            self.release_inputs(&parent);
        }
    }

    /// Takes the next step of a job's reduction, if there is one to take.
    fn reduce(&mut self, id: JobId) {
        let jobs = self.peer.jobs();
        let Some(active) = jobs.get(&id).filter(|job| has_result(job)) else { return };
        let Some(notes) = self.ledger.of(&id).filter(|notes| !notes.reducing) else { return };
        let Some(mut plan) = notes.reduce.clone().filter(|plan| plan.outcome.is_none()) else { return };
        // A level whose job did not get to the disk is made again.
        plan.levels.retain(|level| jobs.get(level).is_some());
        let level = plan.levels.last().and_then(|level| jobs.get(level));
        let from = match level {
            None => active,
            Some(level) if has_result(level) => level,
            Some(level) if matches!(level.phase, Phase::Over(_)) => {
                return self.on_reduced(id, Err("it was stopped".into()));
            }
            Some(_) => return,
        };
        if lacks_results(from, level.is_some()) {
            let why = match from.phase {
                Phase::Over(End::Partial) => "the budget does not cover",
                _ => "the disk has lost results of",
            };
            return self.on_reduced(id, Err(format!("{why} job {}, which it would read", from.id.short())));
        }
        let shown = Shown::finals(&from.finals);
        let standing = Standing {
            id,
            job: active.job.clone(),
            from: from.id,
            is_level: level.is_some(),
            results: (self.results.clone(), shown),
            plan: plan.clone(),
        };
        let notes = self.ledger.of_mut(id);
        notes.reducing = true;
        notes.reduce = Some(plan);
        let (executor, store, done) = (Arc::clone(&self.executor), self.store.clone(), self.reduced.clone());
        tokio::spawn(async move {
            let stage = step(executor, store, standing).await;
            // The receiver is gone only when the daemon stops; then the next run takes this step again.
            let _ = done.send((id, stage)).await;
        });
    }

    /// A step of a reduction was taken. What comes of it is to be carried out.
    pub(crate) fn on_stage(&mut self, (id, stage): Reduced) -> Vec<Effect> {
        self.ledger.of_mut(id).reducing = false;
        match stage {
            Ok(Stage::Level(cut)) => return self.add_level(id, &cut),
            Ok(Stage::Done(outcome)) => self.on_reduced(id, Ok(outcome)),
            Err(reason) => self.on_reduced(id, Err(reason)),
        }
        Vec::new()
    }

    /// Submits the next level of a reduction's tree. Its id follows from the job and the level, so that none is submitted twice.
    fn add_level(&mut self, id: JobId, cut: &Cut) -> Vec<Effect> {
        let Some(plan) = self.ledger.of(&id).and_then(|notes| notes.reduce.clone()) else { return Vec::new() };
        let Some(active) = self.peer.jobs().get(&id) else { return Vec::new() };
        let number = plan.levels.len() + 1;
        let Some(program_len) = self.store.len(plan.program) else {
            self.on_reduced(id, Err("it is not here any more".into()));
            return Vec::new();
        };
        let job = Job {
            budget: wallet::left_of_budget(self, active),
            ..level_of(&active.job, &id, number, &plan, program_len, cut)
        };
        let level = JobId(envelope::id(&job.clone().into()));
        pins::pin_inputs(&self.store, &job, &level);
        self.store.unpin_all(pins::gathered_for(&id));
        // First, so that no level is on disk of which nobody knows whose it is.
        self.journal.append_entry(&Entry::ReduceLevel { job: id, level });
        self.ledger.add_level(id, level);
        let inputs = Inputs::Cut { bytes: cut.sources.bytes(), longest: cut.longest };
        let text = format!("level {number} of the reduce tree, {} runs, is job {}", cut.tasks, level.short());
        self.ledger.note(id, text);
        self.command(Command::Submit { job: Box::new(job), inputs }).1
    }

    /// A job may be over, and its inputs, or a level of its reduction, of no use any more.
    pub(crate) fn release_inputs(&self, job: &JobId) {
        if let Some(active) = self.peer.jobs().get(job) {
            let jobs = self.peer.jobs();
            pins::release(&self.store, jobs, active, self.ledger.of(job).and_then(|notes| notes.reduce.as_ref()));
        }
    }

    fn on_reduced(&mut self, job: JobId, outcome: Result<pocketmesh_types::Outcome, String>) {
        let line = match &outcome {
            Ok(outcome) => {
                pins::pin_outcome(&self.store, outcome, &job);
                "the reduce program is done".into()
            }
            Err(error) => format!("the reduce program failed: {error}"),
        };
        self.journal.append_entry(&Entry::Reduced { job, outcome: outcome.clone() });
        self.ledger.note(job, line);
        if let Some(plan) = &mut self.ledger.of_mut(job).reduce {
            plan.outcome = Some(outcome);
        }
        self.store.unpin_all(pins::gathered_for(&job));
        self.release_inputs(&job);
        self.ends.send_modify(|ends| *ends += 1);
    }
}

/// A level of a job's reduce tree: a job on the same terms, each of whose tasks reduces some outputs of the level before.
fn level_of(job: &Job, id: &JobId, number: usize, plan: &Plan, program_len: u64, cut: &Cut) -> Job {
    let nonce = Hash::of_parts("pocketmesh reduce level 1", &[id.as_bytes(), &number.to_le_bytes()]);
    let mut short = [0; 16];
    short.copy_from_slice(&nonce.0[..16]);
    Job {
        program: plan.program,
        program_len,
        name: format!("{}-reduce-{number}", job.name),
        args: plan.args.clone(),
        inputs: cut.table,
        input_name: String::new(),
        tasks: cut.tasks,
        first_index: 0,
        nonce: short,
        ..job.clone()
    }
}

/// Whether all that a reduce program reads is there.
pub fn has_result(job: &Active) -> bool {
    matches!(job.phase, Phase::Over(End::Complete | End::Partial))
}

/// Whether a job that is over has fewer results than it should: its disk lost some before the last restart, or, of a level, its
/// budget did not suffice. Of the owner's own job, what a budget brought is what is reduced.
fn lacks_results(from: &Active, is_level: bool) -> bool {
    (is_level || from.phase == Phase::Over(End::Complete)) && from.finals.len() < from.job.tasks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::tests::{job, peer};
    use pocketmesh_protocol::{FinalTask, Inputs, Record};
    use pocketmesh_types::UnixTime;

    #[test]
    fn nothing_is_reduced_as_if_it_were_all_when_results_are_gone() {
        let task = |task| FinalTask { task, outcome: None, stdout: None, stderr: None, workers: vec![], input_len: 0 };
        let cases = [
            (End::Complete, 2, false, false),
            (End::Complete, 1, true, true),
            (End::Partial, 2, false, false),
            (End::Partial, 1, false, true),
        ];
        for (end, finals, own_lacks, level_lacks) in cases {
            let (mut peer, at) = (peer(), UnixTime(0));
            let job = Job { tasks: 2, ..job(1) };
            let id = JobId(envelope::id(&job.clone().into()));
            peer.restore(Record::Submitted { job, inputs: Inputs::None, at });
            peer.restore(Record::Final { job: id, tasks: (0..finals).map(task).collect() });
            peer.restore(Record::Closed { job: id, end, at });
            let over = peer.jobs().get(&id).expect("known");
            assert_eq!(lacks_results(over, false), own_lacks, "{end:?}, {finals} of 2");
            assert_eq!(lacks_results(over, true), level_lacks, "{end:?}, {finals} of 2");
        }
    }
}
