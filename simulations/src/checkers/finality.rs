//! No task is lost and none is final twice: a job that is complete has every task, and ends once. Only what was wrong may
//! be corrected.

use super::{Checker, Found};
use crate::{seen::Seen, truth::Truth};
use pocketmesh_protocol::{End, Record};
use pocketmesh_types::{JobId, RangeSet, TaskIndex};
use std::collections::{BTreeMap, BTreeSet};

/// What each disk says of each job.
#[derive(Debug, Default)]
pub struct Finality {
    jobs: BTreeMap<JobId, Ends>,
    corrected: u64,
    partial: u64,
}

#[derive(Debug, Default)]
struct Ends {
    finals: RangeSet,
    /// Those of them that are wrong or without an outcome.
    open: BTreeSet<TaskIndex>,
    unresolved: u32,
    end: Option<End>,
}

impl Checker for Finality {
    fn name(&self) -> &'static str {
        "finality"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Final { at, job, tasks } => {
                let (Some(facts), ends) = (truth.job(job), self.jobs.entry(*job).or_default()) else { return };
                if ends.end.is_some() {
                    found.add(|| format!("peer {at}: results after the end of job {}", facts.job.name));
                }
                for task in *tasks {
                    let is_new = ends.finals.insert(task.task);
                    if !is_new && !ends.open.remove(&task.task) {
                        found.add(|| format!("peer {at}: task {} of job {} is final again", task.task, facts.job.name));
                    }
                    self.corrected += u64::from(!is_new);
                    ends.unresolved += u32::from(task.outcome.is_none());
                    if task.outcome != Some(truth.right(facts, task.task)) {
                        ends.open.insert(task.task);
                    }
                }
            }
            Seen::OnDisk { at, record: Record::Closed { job, end, .. } } => {
                let (Some(facts), ends) = (truth.job(job), self.jobs.entry(*job).or_default()) else { return };
                self.partial += u64::from(*end == End::Partial);
                if ends.end.replace(*end).is_some() {
                    found.add(|| format!("peer {at}: job {} ends twice", facts.job.name));
                }
                let (all, has) = (facts.job.tasks, ends.finals.len());
                let is_right = *end == End::Stopped || has == all && (*end == End::Partial) == (ends.unresolved > 0);
                if !is_right {
                    found.add(|| format!("peer {at}: job {} is {end:?} with {has} of {all} tasks", facts.job.name));
                }
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("tasks_corrected", self.corrected as f64), ("jobs_partial", self.partial as f64)]
    }
}
