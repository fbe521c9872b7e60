//! What a requester accepts is right, or as many liars as its policy believes have agreed on it: then the error meter
//! counts it.

use super::{Checker, Found};
use crate::{
    seen::Seen,
    truth::{JobFacts, Truth, index_of},
};
use pocketmesh_protocol::FinalTask;
use pocketmesh_types::TaskIndex;
use std::collections::BTreeSet;

/// The error meter.
#[derive(Debug, Default)]
pub struct Accepted {
    final_tasks: u64,
    unresolved: u64,
    wrong: BTreeSet<(u32, TaskIndex)>,
}

impl Accepted {
    fn judge(&mut self, truth: &Truth, facts: &JobFacts, number: u32, task: &FinalTask, found: &mut Found) {
        let Some(outcome) = task.outcome else {
            self.unresolved += 1;
            return;
        };
        if outcome == truth.right(facts, task.task) {
            self.wrong.remove(&(number, task.task));
            return;
        }
        let liars = task.workers.iter().filter(|worker| !truth.is_honest(index_of(worker))).count();
        let is_explained = liars == task.workers.len() && liars >= facts.policy.seats();
        if is_explained || truth.is_faulty(truth.peers[facts.requester as usize].arch) {
            self.wrong.insert((number, task.task));
        } else {
            let workers = &task.workers;
            found.add(|| format!("job {number}, task {}: a wrong outcome is final, claimed by {workers:?}", task.task));
        }
    }
}

impl Checker for Accepted {
    fn name(&self) -> &'static str {
        "accepted"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        let Seen::Final { job, tasks, .. } = seen else { return };
        let (Some(number), Some(facts)) = (truth.number_of(job), truth.job(job)) else { return };
        self.final_tasks += tasks.len() as u64;
        tasks.iter().for_each(|task| self.judge(truth, facts, number, task, found));
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let share = self.wrong.len() as f64 / self.final_tasks.max(1) as f64;
        vec![
            ("tasks_final", self.final_tasks as f64),
            ("tasks_unresolved", self.unresolved as f64),
            ("accepted_wrong", self.wrong.len() as f64),
            ("accepted_wrong_share", share),
        ]
    }
}
