//! A copier executes nothing, so nothing that it says may help to decide a task.

use super::{Checker, Found};
use crate::{
    scenario::Behaviour,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_protocol::Record;
use pocketmesh_wire::Message;

/// Claims of copiers that were accepted.
#[derive(Debug, Default)]
pub struct Copies {
    decided: u64,
    paid: u64,
}

impl Checker for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        let is_copier = |index: u32| truth.peers[index as usize].behaviour == Behaviour::Copier;
        match seen {
            Seen::OnDisk { at, record: Record::Final { tasks, .. } } => {
                for task in tasks {
                    for worker in task.workers.iter().map(index_of).filter(|&worker| is_copier(worker)) {
                        self.decided += 1;
                        found.add(|| format!("peer {at}, task {}: decided by what peer {worker} copied", task.task));
                    }
                }
            }
            Seen::Said { to, message: Message::Verdicts(verdicts), .. } if is_copier(index_of(to)) => {
                self.paid += verdicts.accepted.len() as u64;
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("copies_deciding", self.decided as f64), ("copies_paid", self.paid as f64)]
    }
}
