//! No window becomes final without its audits: enough were drawn, once, and each was executed by somebody else.
//! specs/verification.md.

use super::{Checker, Found};
use crate::{
    journal::Journal,
    scenario::Checked,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_protocol::{
    Record,
    verification::{sizing, windows::WindowId},
};
use pocketmesh_types::{JobId, TaskIndex};
use pocketmesh_wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Audits of a window whose results two seats agree on: fewer than one seat needs.
const AUDITS_BESIDE_TWO: u32 = 10;

/// What was drawn from a window.
#[derive(Debug)]
struct Drawn {
    owner: Option<u32>,
    open: BTreeSet<TaskIndex>,
}

/// What was drawn, and what of it was executed.
#[derive(Debug, Default)]
pub struct Windows {
    journal: Journal,
    drawn: BTreeMap<(JobId, WindowId), Drawn>,
    finals: u64,
    voided: u64,
    results: u64,
    audits: u64,
}

impl Windows {
    fn on_drawn(&mut self, truth: &Truth, job: JobId, window: WindowId, audits: &[TaskIndex], own: bool, found: &mut Found) {
        let results = self.journal.len_of(&job, window) as u32;
        let policy = truth.job(&job).map(|facts| facts.policy);
        if let Some(Checked::Audited { error, saboteurs, .. }) = policy {
            let error = sizing::Ppb((error * 1e9) as u32);
            let target = sizing::Target { error, saboteurs: sizing::Ppm((saboteurs * 1e6) as u32) };
            let by = if own { sizing::By::Own } else { sizing::By::Seats };
            let least = sizing::audits(results, target, by).unwrap_or(results).min(AUDITS_BESIDE_TWO).min(results);
            if (audits.len() as u32) < least {
                found.add(|| format!("{} audits are drawn of {results} results, {least} are needed", audits.len()));
            }
        }
        let owner = self.journal.owner_of(&job, window).map(|owner| index_of(&owner));
        let drawn = Drawn { owner, open: audits.iter().copied().collect() };
        self.audits += audits.len() as u64;
        self.results += u64::from(results);
        if self.drawn.insert((job, window), drawn).is_some() {
            found.add(|| format!("window {window:?} of job {} is drawn from twice", job.short()));
        }
    }

    /// Somebody has executed a task: if it is an audit, it is done, unless by whom it audits.
    fn executed(&mut self, job: &JobId, task: TaskIndex, by: u32) {
        let of_job = self.drawn.range_mut((*job, WindowId(0))..=(*job, WindowId(u32::MAX)));
        for (_, drawn) in of_job.filter(|(_, drawn)| drawn.owner != Some(by)) {
            drawn.open.remove(&task);
        }
    }

    fn on_record(&mut self, truth: &Truth, record: &Record, found: &mut Found) {
        match record {
            Record::Drawn { job, window, audits, own } => self.on_drawn(truth, *job, *window, audits, *own, found),
            Record::WindowFinal { job, window } => {
                self.finals += 1;
                match self.drawn.remove(&(*job, *window)) {
                    Some(drawn) if drawn.open.is_empty() => {}
                    Some(drawn) => found.add(|| {
                        format!("a window of job {} is final, and audits {:?} were not done", job.short(), drawn.open)
                    }),
                    None => found.add(|| format!("a window of job {} is final that was not drawn from", job.short())),
                }
            }
            Record::Refuted { job, worker, .. } => {
                let index = index_of(worker);
                let before = self.drawn.len();
                self.drawn.retain(|(of, _), drawn| of != job || drawn.owner != Some(index));
                self.voided += (before - self.drawn.len()) as u64;
            }
            Record::Final { job, tasks } => {
                for task in tasks {
                    let of_job = self.drawn.range_mut((*job, WindowId(0))..=(*job, WindowId(u32::MAX)));
                    for (_, drawn) in of_job {
                        drawn.open.remove(&task.task);
                    }
                }
            }
            _ => {}
        }
        self.journal.take(record);
    }
}

impl Checker for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::OnDisk { record, .. } => self.on_record(truth, record, found),
            Seen::Heard { from, message: Message::Claim(claim), .. } if !self.drawn.is_empty() => {
                claim.results.iter().for_each(|row| self.executed(&claim.job, row.task, *from));
            }
            Seen::Ran { at, job, task } if !self.drawn.is_empty() => {
                let facts = &truth.jobs[*job as usize];
                if facts.requester == *at {
                    self.executed(&facts.id, *task, *at);
                }
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("windows_final", self.finals as f64),
            ("windows_voided_drawn", self.voided as f64),
            ("audits_drawn", self.audits as f64),
            ("results_drawn_from", self.results as f64),
        ]
    }
}
