//! Nothing leaves a peer before what it relies on is on its disk. specs/jobs.md §2.

use super::{Checker, Found};
use crate::{seen::Seen, truth::Truth};
use pocketmesh_protocol::{Event, Record};
use pocketmesh_types::{JobId, RangeSet};
use pocketmesh_wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// What is on disk, anywhere.
#[derive(Debug, Default)]
pub struct Durable {
    finals: BTreeMap<JobId, RangeSet>,
    closed: BTreeSet<JobId>,
}

impl Checker for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn see(&mut self, _truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::OnDisk { record, .. } => match record {
                Record::Submitted { job, .. } => {
                    let id = JobId(pocketmesh_wire::envelope::id(&job.clone().into()));
                    self.finals.entry(id).or_default();
                }
                Record::Closed { job, .. } => {
                    self.closed.insert(*job);
                }
                _ => {}
            },
            Seen::Final { job, tasks, .. } => {
                let finals = self.finals.entry(*job).or_default();
                tasks.iter().for_each(|task| {
                    finals.insert(task.task);
                });
            }
            Seen::Gossiped { from, message: Message::Offer(offer) } if !self.finals.contains_key(&offer.job) => {
                found.add(|| format!("peer {from} offers a job that is not on its disk"));
            }
            Seen::Said { from, message: Message::Verdicts(verdicts), .. } => {
                let finals = self.finals.get(&verdicts.job);
                let lacks = |&&task: &&u32| finals.is_none_or(|finals| !finals.contains(task));
                if let Some(task) = verdicts.accepted.iter().find(lacks) {
                    found.add(|| format!("peer {from} says that it accepts task {task}, which is not on its disk"));
                }
            }
            Seen::Notice { at, event: Event::JobClosed { job, .. } } if !self.closed.contains(job) => {
                found.add(|| format!("peer {at} says that a job is over, which is not on its disk"));
            }
            _ => {}
        }
    }
}
