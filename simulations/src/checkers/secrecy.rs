//! Nobody is asked to reveal before as many as the policy wants are bound. specs/verification.md §2.

use super::{Checker, Found};
use crate::{
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_types::{JobId, LeaseId, PeerId, RangeSet, TaskIndex};
use pocketmesh_wire::{Message, envelope};
use std::collections::{BTreeMap, BTreeSet};

/// Who is bound to what.
#[derive(Debug, Default)]
pub struct Secrecy {
    bound: BTreeMap<(JobId, TaskIndex), BTreeSet<PeerId>>,
    finals: BTreeMap<JobId, RangeSet>,
    leases: BTreeMap<LeaseId, JobId>,
}

impl Secrecy {
    fn on_reveal(&self, truth: &Truth, to: u32, lease: LeaseId, tasks: &[TaskIndex], found: &mut Found) {
        let Some(job) = self.leases.get(&lease) else { return };
        let Some(facts) = truth.job(job) else { return };
        let seats = facts.policy.seats();
        for &task in tasks {
            let is_final = self.finals.get(job).is_some_and(|finals| finals.contains(task));
            let bound = self.bound.get(&(*job, task)).map_or(0, BTreeSet::len);
            if !is_final && bound < seats {
                found.add(|| {
                    format!(
                        "peer {to} is asked for task {task} of job {}, {bound} of {seats} being bound",
                        facts.job.name
                    )
                });
            }
        }
    }
}

impl Checker for Secrecy {
    fn name(&self) -> &'static str {
        "secrecy"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Said { message: message @ Message::Lease(lease), .. } if lease.commit_first => {
                let job = JobId(envelope::id(&lease.job.clone().into()));
                self.leases.insert(LeaseId(envelope::id(message)), job);
            }
            Seen::Heard { to, name, message: Message::Commit(commit), .. }
                if truth.job(&commit.job).is_some_and(|facts| facts.requester == *to) =>
            {
                for row in &commit.commits {
                    self.bound.entry((commit.job, row.task)).or_default().insert(**name);
                }
            }
            Seen::Heard { to, message: Message::Reveal(reveal), .. } => {
                self.on_reveal(truth, *to, reveal.lease, &reveal.tasks, found);
            }
            Seen::Said { to, message: Message::Reveal(reveal), .. } => {
                self.on_reveal(truth, index_of(to), reveal.lease, &reveal.tasks, found);
            }
            Seen::Final { job, tasks, .. } => {
                let finals = self.finals.entry(*job).or_default();
                for task in *tasks {
                    finals.insert(task.task);
                    self.bound.remove(&(*job, task.task));
                }
            }
            _ => {}
        }
    }
}
