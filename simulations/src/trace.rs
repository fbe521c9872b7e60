//! The story of one job as its requester's disk has it: for finding out what went wrong in a run that failed.

use crate::{seen::Seen, truth::Truth};
use pocketmesh_protocol::{Event, FinalTask, Record};
use pocketmesh_types::{JobId, TaskIndex};

/// Who is followed, and what was seen.
#[derive(Debug, Default)]
pub struct Trace {
    /// The number of the job.
    pub job: Option<u32>,
    /// What was seen of it.
    pub lines: Vec<String>,
}

impl Trace {
    /// Looks at something that happened.
    pub fn see(&mut self, truth: &Truth, now: u64, seen: &Seen<'_>) {
        let Some(facts) = self.job.and_then(|job| truth.jobs.get(job as usize)) else { return };
        let line = match seen {
            Seen::OnDisk { record, .. } => line_of(record, &facts.id),
            Seen::Started { at, .. } if *at == facts.requester => Some("the requester starts".into()),
            Seen::Notice { at, event } if *at == facts.requester => told(event, &facts.id),
            _ => None,
        };
        self.lines.extend(line.map(|line| format!("{:12.3} s  {line}", now as f64 / 1e6)));
    }
}

fn line_of(record: &Record, of: &JobId) -> Option<String> {
    let (job, text) = match record {
        Record::Final { job, tasks } => (job, format!("final {}", numbers(tasks))),
        Record::Delivered { job, window, worker, tasks, .. } => {
            (job, format!("delivered into {} by {worker:?}: {}", window.0, numbers(tasks)))
        }
        Record::Drawn { job, window, audits, own } => {
            (job, format!("drawn from {}, own {own}: {}", window.0, join(audits.iter().copied())))
        }
        Record::Agreed { job, window, tasks } => {
            (job, format!("agreed in {}: {}", window.0, join(tasks.iter().copied())))
        }
        Record::WindowFinal { job, window } => (job, format!("final: window {}", window.0)),
        Record::Refuted { job, task, worker, .. } => (job, format!("refuted {worker:?} by task {task}")),
        Record::BrokeOff { job, worker } => (job, format!("{worker:?} broke off")),
        Record::Closed { job, end, .. } => (job, format!("closed: {end:?}")),
        _ => return None,
    };
    (job == of).then_some(text)
}

fn told(event: &Event, of: &JobId) -> Option<String> {
    match event {
        Event::Leased { job, worker, .. } if job == of => Some(format!("lease to {worker:?}")),
        Event::LeaseOver { job, worker, reason } if job == of => Some(format!("lease of {worker:?} over: {reason:?}")),
        Event::Refuted { job, worker, task } if job == of => Some(format!("{worker:?} refuted, task {task}")),
        _ => None,
    }
}

fn numbers(tasks: &[FinalTask]) -> String {
    join(tasks.iter().map(|task| task.task))
}

fn join(tasks: impl Iterator<Item = TaskIndex>) -> String {
    tasks.map(|task| task.to_string()).collect::<Vec<String>>().join(" ")
}
