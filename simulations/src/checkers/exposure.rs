//! A worker never has more results unpaid under a lease than one slice and the hold-back; a requester has never paid, of one worker, for
//! results in more than one window that is not final. Audits that agreed are due at once, also when what they audited turns out void and they
//! become their worker's own results: they are not counted. Nor is what a worker came to beside another, and delivers once more after the
//! other's windows are void: it is paid with the window that it had then.

use super::{Checker, Found};
use crate::{
    sealing::receipts,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_ledger::{
    record::{Content, Payment},
    slices::Terms,
};
use pocketmesh_protocol::{Record, verification::windows::WindowId};
use pocketmesh_types::{JobId, LeaseId, PeerId, RangeSet, Receipt, Tariff, TaskIndex};
use pocketmesh_wire::{Message, envelope, message::Claim};
use std::collections::{BTreeMap, BTreeSet};

/// What each side has at stake.
#[derive(Debug, Default)]
pub struct Exposure {
    /// What each lease pays by.
    tariffs: BTreeMap<LeaseId, Tariff>,
    /// Claimed and not paid, by lease.
    unpaid: BTreeMap<LeaseId, BTreeSet<TaskIndex>>,
    claimed: BTreeMap<LeaseId, RangeSet>,
    /// Results in windows that are neither final nor void: whose, and in which.
    held: BTreeMap<JobId, BTreeMap<TaskIndex, (PeerId, WindowId)>>,
    /// Results that an audit has agreed with.
    audited: BTreeSet<(JobId, TaskIndex)>,
    /// Results that a worker came to beside another, who delivered them.
    beside: BTreeSet<(JobId, TaskIndex, PeerId)>,
    /// Results of each worker that were paid before their window was final.
    ahead: BTreeMap<(JobId, PeerId), BTreeMap<WindowId, u64>>,
    most_unpaid: usize,
    most_ahead: u64,
}

impl Exposure {
    fn on_claim(&mut self, truth: &Truth, from: u32, claim: &Claim, found: &mut Found) {
        let claimed = self.claimed.entry(claim.lease).or_default();
        let unpaid = self.unpaid.entry(claim.lease).or_default();
        unpaid.extend(claim.results.iter().map(|row| row.task).filter(|&task| claimed.insert(task)));
        self.most_unpaid = self.most_unpaid.max(unpaid.len());
        let tariff = self.tariffs.get(&claim.lease).copied().unwrap_or_default();
        let most = Terms::default().exposure_tasks(truth.job(&claim.job).map(|facts| tariff.in_fuel(facts.work())));
        if unpaid.len() > most {
            let count = unpaid.len();
            found.add(|| format!("peer {from} has {count} results unpaid under one lease, and {most} are agreed"));
        }
    }

    fn on_received(&mut self, payment: &Payment) {
        for receipt in receipts(payment) {
            if let Some(unpaid) = self.unpaid.get_mut(&receipt.lease) {
                for task in tasks(&receipt) {
                    unpaid.remove(&task);
                }
            }
        }
    }

    fn on_paid(&mut self, truth: &Truth, payment: &Payment, found: &mut Found) {
        for receipt in receipts(payment) {
            let Some(held) = self.held.get(&receipt.job) else { continue };
            let ahead = self.ahead.entry((receipt.job, receipt.payee)).or_default();
            for (owner, window) in tasks(&receipt).filter_map(|task| held.get(&task)) {
                if *owner == receipt.payee {
                    *ahead.entry(*window).or_default() += 1;
                }
            }
            self.most_ahead = self.most_ahead.max(ahead.values().sum());
            if ahead.len() > 1 {
                let (client, payee) = (index_of(&receipt.client), index_of(&receipt.payee));
                let job = truth.number_of(&receipt.job).unwrap_or_default();
                let windows: Vec<u32> = ahead.keys().map(|window| window.0).collect();
                found.add(|| {
                    format!(
                        "job {job}: peer {client} has paid peer {payee} for windows that are not final: {windows:?}"
                    )
                });
            }
        }
    }

    fn on_record(&mut self, record: &Record) {
        match record {
            Record::Delivered { job, window, worker, tasks, .. } => {
                let held = self.held.entry(*job).or_default();
                let is_due = |task: TaskIndex| {
                    self.audited.contains(&(*job, task)) || self.beside.contains(&(*job, task, *worker))
                };
                let new = tasks.iter().filter(|task| !is_due(task.task));
                held.extend(new.map(|task| (task.task, (*worker, *window))));
                for task in tasks {
                    let others = task.workers.iter().filter(|other| *other != worker);
                    self.beside.extend(others.map(|&other| (*job, task.task, other)));
                }
            }
            Record::Agreed { job, tasks, .. } => self.audited.extend(tasks.iter().map(|&task| (*job, task))),
            Record::WindowFinal { job, window } => self.close(*job, |_, of| of == *window),
            Record::Refuted { job, worker, .. } | Record::BrokeOff { job, worker } => {
                self.close(*job, |owner, _| owner == *worker);
            }
            Record::Closed { job, .. } => self.close(*job, |_, _| true),
            _ => {}
        }
    }

    fn close(&mut self, job: JobId, is_meant: impl Fn(PeerId, WindowId) -> bool) {
        if let Some(held) = self.held.get_mut(&job) {
            held.retain(|_, (owner, window)| !is_meant(*owner, *window));
        }
        for ((_, owner), ahead) in self.ahead.iter_mut().filter(|((of, _), _)| *of == job) {
            ahead.retain(|window, _| !is_meant(*owner, *window));
        }
    }
}

fn tasks(receipt: &Receipt) -> impl Iterator<Item = TaskIndex> + '_ {
    receipt.tasks.iter().flat_map(|&(start, end)| start..end)
}

impl Checker for Exposure {
    fn name(&self) -> &'static str {
        "exposure"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Said { message: message @ Message::Lease(lease), .. } => {
                self.tariffs.insert(LeaseId(envelope::id(message)), lease.tariff());
            }
            Seen::Said { from, message: Message::Claim(claim), .. } => self.on_claim(truth, *from, claim, found),
            Seen::MoneyOnDisk { record, .. } => match &record.content {
                Content::Received(payment) => self.on_received(payment),
                Content::Paid(payment) => self.on_paid(truth, payment, found),
                _ => {}
            },
            Seen::OnDisk { record, .. } => self.on_record(record),
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("most_unpaid_results", self.most_unpaid as f64), ("most_paid_ahead", self.most_ahead as f64)]
    }
}
