//! A copier executes nothing, so nothing that it commits to before others have shown their claims may help to decide a
//! task on which several must agree. Alone it is a liar like any other: the error meter counts it. Once a claim is shown,
//! whoever sees the wire can agree with it: that is counted, not forbidden.

use super::{Checker, Found};
use crate::{
    scenario::Behaviour,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_protocol::FinalTask;
use pocketmesh_types::{JobId, TaskIndex};
use pocketmesh_wire::Message;
use std::collections::BTreeSet;

/// Claims of copiers that were accepted.
#[derive(Debug, Default)]
pub struct Copies {
    shown: BTreeSet<(JobId, TaskIndex)>,
    /// Commitments of copiers to tasks of which nothing was shown.
    blind: BTreeSet<(JobId, TaskIndex, u32)>,
    decided_late: u64,
    paid: u64,
}

impl Copies {
    fn on_final(&mut self, truth: &Truth, at: u32, job: &JobId, tasks: &[FinalTask], found: &mut Found) {
        for task in tasks {
            for worker in task.workers.iter().map(index_of).filter(|&worker| is_copier(truth, worker)) {
                if !self.blind.contains(&(*job, task.task, worker)) {
                    self.decided_late += 1;
                } else if task.workers.len() > 1 {
                    found.add(|| format!("peer {at}, task {}: decided by what peer {worker} copied", task.task));
                }
            }
        }
    }
}

fn is_copier(truth: &Truth, index: u32) -> bool {
    truth.peers[index as usize].behaviour == Behaviour::Copier
}

impl Checker for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Said { from, message: Message::Commit(commit), .. } if is_copier(truth, *from) => {
                for row in &commit.commits {
                    // What it says last counts: it may have lost an earlier lease.
                    let entry = (commit.job, row.task, *from);
                    if self.shown.contains(&(commit.job, row.task)) {
                        self.blind.remove(&entry);
                    } else {
                        self.blind.insert(entry);
                    }
                }
            }
            Seen::Said { from, message: Message::Claim(claim), .. } if !is_copier(truth, *from) => {
                self.shown.extend(claim.results.iter().map(|row| (claim.job, row.task)));
            }
            Seen::Final { at, job, tasks } => self.on_final(truth, *at, job, tasks, found),
            Seen::Said { to, message: Message::Verdicts(verdicts), .. } if is_copier(truth, index_of(to)) => {
                self.paid += verdicts.accepted.len() as u64;
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("copies_deciding_after_reveal", self.decided_late as f64), ("copies_paid", self.paid as f64)]
    }
}
