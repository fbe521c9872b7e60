//! No window becomes final without its audits: enough were drawn, once, and each was executed by somebody else.
//! specs/verification.md.

use super::{Checker, Found};
use crate::{
    journal::Journal,
    scenario::Checked,
    seen::Seen,
    truth::{JobFacts, Truth},
};
use pocketmesh_protocol::{
    Record,
    verification::{sizing, windows::WindowId},
};
use pocketmesh_types::{JobId, PeerId, TaskIndex};
use pocketmesh_wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Audits of a window whose results two seats agree on: fewer than one seat needs.
const AUDITS_BESIDE_TWO: u32 = 10;

/// What was drawn from a window.
#[derive(Debug)]
struct Drawn {
    owner: Option<PeerId>,
    count: u32,
    own: bool,
    open: BTreeSet<TaskIndex>,
}

/// What was drawn, and what of it was executed.
#[derive(Debug, Default)]
pub struct Windows {
    journal: Journal,
    drawn: BTreeMap<(JobId, WindowId), Drawn>,
    /// Who has claimed what of an audited job, until it is final: a late seat beside the first may serve as the audit.
    claimed: BTreeMap<(JobId, TaskIndex), BTreeSet<PeerId>>,
    finals: u64,
    voided: u64,
    results: u64,
    audits: u64,
}

impl Windows {
    fn on_drawn(&mut self, job: JobId, window: WindowId, audits: &[TaskIndex], own: bool, found: &mut Found) {
        let owner = self.journal.owner_of(&job, window);
        let is_done = |task: &&TaskIndex| {
            let by = self.claimed.get(&(job, **task));
            by.is_some_and(|by| by.iter().any(|by| Some(*by) != owner))
        };
        let open = audits.iter().filter(|task| !is_done(task)).copied().collect();
        self.audits += audits.len() as u64;
        self.results += self.journal.len_of(&job, window) as u64;
        let drawn = Drawn { owner, count: audits.len() as u32, own, open };
        if self.drawn.insert((job, window), drawn).is_some() {
            found.add(|| format!("window {window:?} of job {} is drawn from twice", job.short()));
        }
    }

    /// Somebody has executed a task: if it is an audit, it is done, unless by whom it audits.
    fn executed(&mut self, job: &JobId, task: TaskIndex, by: PeerId) {
        for (_, drawn) in self.of_job(job).filter(|(_, drawn)| drawn.owner != Some(by)) {
            drawn.open.remove(&task);
        }
    }

    fn of_job(&mut self, job: &JobId) -> impl Iterator<Item = (&(JobId, WindowId), &mut Drawn)> {
        self.drawn.range_mut((*job, WindowId(0))..=(*job, WindowId(u32::MAX)))
    }

    fn on_window_final(&mut self, truth: &Truth, job: JobId, window: WindowId, found: &mut Found) {
        self.finals += 1;
        let results = self.journal.len_of(&job, window) as u32;
        let Some(drawn) = self.drawn.remove(&(job, window)) else {
            return found.add(|| format!("{window:?} of job {} is final and was not drawn from", job.short()));
        };
        if !drawn.open.is_empty() {
            found.add(|| format!("{window:?} of job {} is final without audits {:?}", job.short(), drawn.open));
        }
        let Some(Checked::Audited { error, saboteurs, .. }) = truth.job(&job).map(|facts| facts.policy) else { return };
        let (error, saboteurs) = (sizing::Ppb((error * 1e9) as u32), sizing::Ppm((saboteurs * 1e6) as u32));
        let by = if drawn.own { sizing::By::Own } else { sizing::By::Seats };
        let needed = sizing::audits(results, sizing::Target { error, saboteurs }, by).unwrap_or(results);
        let least = needed.min(AUDITS_BESIDE_TWO).min(results);
        if drawn.count < least {
            found.add(|| format!("{} audits were drawn of {results} results, {least} are needed", drawn.count));
        }
    }

    fn on_record(&mut self, truth: &Truth, record: &Record, found: &mut Found) {
        match record {
            Record::Drawn { job, window, audits, own } => self.on_drawn(*job, *window, audits, *own, found),
            Record::WindowFinal { job, window } => self.on_window_final(truth, *job, *window, found),
            Record::Refuted { job, worker, .. } | Record::BrokeOff { job, worker } => {
                let before = self.drawn.len();
                self.drawn.retain(|(of, _), drawn| of != job || drawn.owner != Some(*worker));
                self.voided += (before - self.drawn.len()) as u64;
            }
            Record::Final { job, tasks } => {
                for task in tasks {
                    for (_, drawn) in self.of_job(job) {
                        drawn.open.remove(&task.task);
                    }
                    self.claimed.remove(&(*job, task.task));
                }
            }
            Record::Closed { job, .. } => {
                self.claimed.retain(|(of, _), _| of != job);
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
            Seen::Said { name, message: Message::Claim(claim), .. } => {
                let is_audited = |facts: &JobFacts| matches!(facts.policy, Checked::Audited { .. });
                if truth.job(&claim.job).is_some_and(is_audited) {
                    for row in &claim.results {
                        self.claimed.entry((claim.job, row.task)).or_default().insert(**name);
                        self.executed(&claim.job, row.task, **name);
                    }
                }
            }
            Seen::Ran { at, name, job, task } => {
                let facts = &truth.jobs[*job as usize];
                if facts.requester == *at && matches!(facts.policy, Checked::Audited { .. }) {
                    self.claimed.entry((facts.id, *task)).or_default().insert(**name);
                    self.executed(&facts.id, *task, **name);
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
