//! Where strangers are served when nobody else waits, no task of a requester deep in debt is begun while another's waits at the same
//! worker. By what is claimed and what is paid, not by what the worker thinks.

use super::{Checker, Found};
use crate::{sealing, seen::Seen, truth::Truth};
use pocketmesh_ledger::{record::Content, slices::Terms};
use pocketmesh_types::{Credits, JobId, LeaseId, Price, RangeSet, Signed, Statement, TaskIndex};
use pocketmesh_wire::{Message, envelope};
use std::collections::{BTreeMap, BTreeSet};

/// A lease as its worker knows it.
#[derive(Debug)]
struct Held {
    requester: u32,
    job: JobId,
    price: Price,
    assigned: BTreeSet<TaskIndex>,
    begun: RangeSet,
    claimed: RangeSet,
    /// Claimed and not paid.
    unpaid: BTreeSet<TaskIndex>,
    is_over: bool,
}

/// Who waits where, and who owes what.
#[derive(Debug, Default)]
pub struct Service {
    /// Seen on their way to workers.
    leases: BTreeMap<LeaseId, Held>,
    by_worker: BTreeMap<u32, BTreeSet<LeaseId>>,
    for_debtors: u64,
    for_others: u64,
}

impl Service {
    fn on_heard(&mut self, to: u32, from: u32, message: &Message) {
        match message {
            Message::Lease(lease) => {
                let id = LeaseId(envelope::id(message));
                let held = || Held {
                    requester: from,
                    job: JobId(envelope::id(&lease.job.clone().into())),
                    price: lease.price,
                    assigned: BTreeSet::new(),
                    begun: RangeSet::default(),
                    claimed: RangeSet::default(),
                    unpaid: BTreeSet::new(),
                    is_over: false,
                };
                self.leases.entry(id).or_insert_with(held);
                self.by_worker.entry(to).or_default().insert(id);
            }
            Message::Assign(assign) => {
                if let Some(held) = self.leases.get_mut(&assign.lease) {
                    let new = assign.tasks.iter().map(|assigned| assigned.task);
                    held.assigned.extend(new.filter(|&task| !held.begun.contains(task)));
                }
            }
            Message::LeaseEnd(end) => self.over(&end.lease),
            _ => {}
        }
    }

    fn on_said(&mut self, message: &Message) {
        match message {
            Message::Claim(claim) => {
                if let Some(held) = self.leases.get_mut(&claim.lease) {
                    for row in &claim.results {
                        if held.claimed.insert(row.task) {
                            held.unpaid.insert(row.task);
                        }
                    }
                }
            }
            Message::Decline(decline) => self.over(&decline.lease),
            Message::HandBack(back) => {
                if let Some(held) = self.leases.get_mut(&back.lease) {
                    held.assigned.retain(|task| !back.tasks.contains(task));
                }
            }
            _ => {}
        }
    }

    fn over(&mut self, lease: &LeaseId) {
        if let Some(held) = self.leases.get_mut(lease) {
            held.is_over = true;
        }
    }

    fn on_begun(&mut self, truth: &Truth, at: u32, job: u32, task: TaskIndex, found: &mut Found) {
        let facts = &truth.jobs[job as usize];
        if facts.requester == at {
            return;
        }
        let here = self.by_worker.get(&at).into_iter().flatten();
        for id in here {
            let Some(held) = self.leases.get_mut(id).filter(|held| held.job == facts.id) else { continue };
            if held.assigned.remove(&task) {
                held.begun.insert(task);
            }
        }
        let Some(borne) = truth.borne else { return };
        if self.owed(truth, at, facts.requester) <= borne {
            self.for_others += 1;
            return;
        }
        self.for_debtors += 1;
        let waits = |held: &&Held| {
            // Whoever has begun has the program.
            let is_ready = !held.is_over && !held.assigned.is_empty() && held.begun.len() > 0;
            let fuel = truth.job(&held.job).map(|facts| facts.fuel);
            let is_at_bound = held.unpaid.len() + held.assigned.len() >= Terms::default().exposure_tasks(fuel);
            is_ready && !is_at_bound && held.requester != facts.requester
        };
        let others = self.by_worker.get(&at).into_iter().flatten().filter_map(|id| self.leases.get(id));
        // Fees are not known here: half of what is borne leaves room for them.
        let passed = others.filter(waits).find(|held| self.owed(truth, at, held.requester).0 <= borne.0 / 2);
        if let Some(held) = passed {
            let (debtor, other) = (facts.requester, held.requester);
            found
                .add(|| format!("peer {at} has begun a task of peer {debtor}, deep in debt, while peer {other} waits"));
        }
    }

    /// What a requester owes a worker for what it has claimed. What was promised for it is owed all the same: here nobody works for those
    /// for whom others work, so nothing is settled.
    fn owed(&self, truth: &Truth, worker: u32, requester: u32) -> Credits {
        let here = self.by_worker.get(&worker).into_iter().flatten().filter_map(|id| self.leases.get(id));
        let owed = here.filter(|held| held.requester == requester).map(|held| {
            let each = truth.job(&held.job).map_or(Credits::default(), |facts| held.price.cost(facts.fuel));
            each.0 * held.claimed.len() as u128
        });
        Credits(owed.sum())
    }

    fn on_paid(&mut self, content: &Content) {
        let Content::Received(payment) = content else { return };
        for sealed in &payment.receipts {
            let Ok(Signed { statement: Statement::Receipt(receipt), .. }) = sealing::open(sealed) else { continue };
            if let Some(held) = self.leases.get_mut(&receipt.lease) {
                held.unpaid.retain(|task| !receipt.tasks.iter().any(|(start, end)| (start..end).contains(&task)));
            }
        }
    }
}

impl Checker for Service {
    fn name(&self) -> &'static str {
        "service"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        if truth.borne.is_none() {
            return;
        }
        match seen {
            Seen::Heard { to, from, message, .. } => self.on_heard(*to, *from, message),
            Seen::Said { message, .. } => self.on_said(message),
            Seen::MoneyOnDisk { record, .. } => self.on_paid(&record.content),
            Seen::Began { at, job, task } => self.on_begun(truth, *at, *job, *task, found),
            Seen::Started { at, .. } => {
                let here = self.by_worker.get(at).cloned().unwrap_or_default();
                here.iter().for_each(|lease| self.over(lease));
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("begun_for_debtors", self.for_debtors as f64), ("begun_within_credit", self.for_others as f64)]
    }
}
