//! A seat is accepted once, what is owed is what the lease pays for what was accepted, and it only grows. A lease arrives as it
//! was granted.

use super::{Checker, Found};
use crate::{
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_types::{Credits, JobId, LeaseId, PeerId, RangeSet, Tariff};
use pocketmesh_wire::{
    Message, envelope,
    message::{Lease, Verdicts},
};
use std::collections::BTreeMap;

/// What was granted, accepted and said to be owed.
#[derive(Debug, Default)]
pub struct Payment {
    leases: BTreeMap<LeaseId, Account>,
    seats: BTreeMap<(JobId, PeerId), RangeSet>,
    accepted: u64,
}

#[derive(Debug)]
struct Account {
    /// What one task pays.
    per_task: u128,
    tasks: u128,
    owed: Credits,
}

impl Payment {
    fn on_granted(&mut self, truth: &Truth, lease: &Lease) {
        let id = LeaseId(envelope::id(&lease.clone().into()));
        let job = JobId(envelope::id(&lease.job.clone().into()));
        let Some(facts) = truth.job(&job) else { return };
        let tariff = Tariff { price: lease.price, per_gib: lease.job.per_gib };
        let per_task = tariff.cost(facts.work()).0;
        self.leases.insert(id, Account { per_task, tasks: 0, owed: Credits::default() });
    }

    fn on_said(&mut self, truth: &Truth, from: u32, to: PeerId, verdicts: &Verdicts, found: &mut Found) {
        let Some(account) = self.leases.get_mut(&verdicts.lease) else {
            return found.add(|| format!("peer {from} accepts results under a lease that it has not granted"));
        };
        let seats = self.seats.entry((verdicts.job, to)).or_default();
        for &task in &verdicts.accepted {
            if !seats.insert(task) {
                found.add(|| {
                    let (number, peer) = (truth.number_of(&verdicts.job).unwrap_or_default(), index_of(&to));
                    format!("peer {from} accepts task {task} of job {number} by peer {peer} twice")
                });
            }
        }
        self.accepted += verdicts.accepted.len() as u64;
        account.tasks += verdicts.accepted.len() as u128;
        let due = Credits(account.per_task * account.tasks);
        // Verdicts of more than one message state the whole sum in each.
        if verdicts.owed < account.owed
            || verdicts.owed < due
            || !verdicts.owed.0.is_multiple_of(account.per_task.max(1))
        {
            found.add(|| format!("peer {from} owes {} for what comes to {}", verdicts.owed.0, due.0));
        }
        account.owed = verdicts.owed;
    }

    fn on_heard(&self, to: u32, verdicts: &Verdicts, found: &mut Found) {
        let said = self.leases.get(&verdicts.lease).map(|account| account.owed);
        if said.is_none_or(|said| verdicts.owed > said) {
            found.add(|| format!("peer {to} is told that it is owed {}, which was never said", verdicts.owed.0));
        }
    }
}

impl Checker for Payment {
    fn name(&self) -> &'static str {
        "payment"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Said { message: Message::Lease(lease), .. } => self.on_granted(truth, lease),
            Seen::Said { from, to, message: Message::Verdicts(verdicts), .. } => {
                self.on_said(truth, *from, **to, verdicts, found);
            }
            Seen::Heard { to, message: Message::Verdicts(verdicts), .. } => self.on_heard(*to, verdicts, found),
            Seen::Heard { to, from, message: message @ Message::Lease(_), .. }
                if !self.leases.contains_key(&LeaseId(envelope::id(message))) =>
            {
                found.add(|| format!("peer {to} gets a lease of peer {from} that was not granted like that"));
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("seats_accepted", self.accepted as f64)]
    }
}
