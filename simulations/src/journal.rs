//! What a requester's journal says: which results are held in which window, and when they become final.
//!
//! Written anew from specs/verification.md, not taken from the protocol: it is what checkers judge the protocol by.

use pocketmesh_protocol::{FinalTask, Record, verification::windows::WindowId};
use pocketmesh_types::{JobId, PeerId, TaskIndex};
use std::collections::BTreeMap;

/// One window on disk.
#[derive(Debug, Clone, Default)]
struct Held {
    owner: Option<PeerId>,
    results: BTreeMap<TaskIndex, FinalTask>,
}

/// The windows of all jobs, as the disks have them.
#[derive(Debug, Default)]
pub struct Journal {
    windows: BTreeMap<JobId, BTreeMap<WindowId, Held>>,
}

impl Journal {
    /// Takes a record that is on disk now; gives the results that are final by it.
    pub fn take(&mut self, record: &Record) -> Option<(JobId, Vec<FinalTask>)> {
        match record {
            Record::Final { job, tasks } => {
                let windows = self.windows.entry(*job).or_default();
                for task in tasks {
                    windows.values_mut().for_each(|held| drop(held.results.remove(&task.task)));
                }
                Some((*job, tasks.clone()))
            }
            Record::Delivered { job, window, worker, tasks, .. } => {
                let held = self.windows.entry(*job).or_default().entry(*window).or_default();
                held.owner = Some(*worker);
                held.results.extend(tasks.iter().map(|task| (task.task, task.clone())));
                None
            }
            Record::WindowFinal { job, window } => {
                let held = self.windows.get_mut(job)?.remove(window)?;
                Some((*job, held.results.into_values().collect()))
            }
            Record::Refuted { job, worker, .. } | Record::BrokeOff { job, worker } => {
                let windows = self.windows.entry(*job).or_default();
                windows.retain(|_, held| held.owner != Some(*worker));
                None
            }
            Record::Closed { job, .. } => {
                self.windows.remove(job);
                None
            }
            _ => None,
        }
    }

    /// How many results a window holds.
    pub fn len_of(&self, job: &JobId, window: WindowId) -> usize {
        self.windows.get(job).and_then(|windows| windows.get(&window)).map_or(0, |held| held.results.len())
    }

    /// Whose they are.
    pub fn owner_of(&self, job: &JobId, window: WindowId) -> Option<PeerId> {
        self.windows.get(job)?.get(&window)?.owner
    }
}
