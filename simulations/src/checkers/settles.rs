//! Every job of a fair requester that is on disk is over some time after the faults have stopped.

use super::{Checker, Found};
use crate::{seen::Seen, truth::Truth};
use pocketmesh_protocol::{Event, Record};
use pocketmesh_types::{JobId, PeerId};
use std::collections::BTreeMap;

/// Jobs that are not over.
#[derive(Debug, Default)]
pub struct Settles {
    open: BTreeMap<JobId, u32>,
    /// Those that are over on disk, and whose end was not told.
    untold: BTreeMap<JobId, u32>,
    names: BTreeMap<u32, PeerId>,
    stored: u64,
    settled: u64,
}

impl Checker for Settles {
    fn name(&self) -> &'static str {
        "settles"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, _found: &mut Found) {
        match seen {
            Seen::OnDisk { at, record: Record::Submitted { job, .. } } => {
                self.stored += 1;
                if truth.peers[*at as usize].behaviour.is_fair_requester() {
                    self.open.insert(JobId(pocketmesh_wire::envelope::id(&job.clone().into())), *at);
                }
            }
            Seen::OnDisk { at, record: Record::Closed { job, .. } } => {
                self.settled += 1;
                if self.open.remove(job).is_some() {
                    self.untold.insert(*job, *at);
                }
            }
            Seen::Notice { event: Event::JobClosed { job, .. }, .. } => drop(self.untold.remove(job)),
            Seen::Started { at, name, .. } => {
                // What is over is known from the disk then; whoever takes another name has given its jobs up.
                self.untold.retain(|_, by| by != at);
                if self.names.insert(*at, *name).is_some_and(|before| before != *name) {
                    self.open.retain(|_, by| by != at);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, truth: &Truth, found: &mut Found) {
        for by in self.untold.values() {
            found.add(|| format!("a job of peer {by} is over, and that was never told"));
        }
        for (job, by) in &self.open {
            let number = truth.number_of(job).unwrap_or_default();
            found.add(|| format!("job {number} of peer {by} is not over, though all faults have stopped"));
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("jobs_stored", self.stored as f64), ("jobs_settled", self.settled as f64)]
    }

    fn open(&self) -> Vec<JobId> {
        self.open.keys().copied().collect()
    }
}
