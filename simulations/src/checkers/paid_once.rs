//! A seat is paid at most once, whatever crashes and is said again; and what is paid is what its task took.

use super::{Checker, Found};
use crate::{
    sealing,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_ledger::record::Content;
use pocketmesh_types::{JobId, PeerId, RangeSet, Receipt, Signed, Statement};
use std::collections::BTreeMap;

/// The seats that were paid, by what is on the payers' disks.
#[derive(Debug, Default)]
pub struct PaidOnce {
    paid: BTreeMap<(JobId, PeerId), RangeSet>,
    seats: u64,
    receipts: u64,
}

impl PaidOnce {
    fn on_receipt(&mut self, truth: &Truth, receipt: &Receipt, found: &mut Found) {
        self.receipts += 1;
        self.seats += receipt.count();
        let number = truth.number_of(&receipt.job).unwrap_or_default();
        let paid = self.paid.entry((receipt.job, receipt.payee)).or_default();
        for &(start, end) in &receipt.tasks {
            if !paid.insert_range(start..end) {
                found.add(|| {
                    format!(
                        "peer {} is paid twice for tasks {start} to {end} of job {number}",
                        index_of(&receipt.payee)
                    )
                });
            }
        }
        let Some(facts) = truth.job(&receipt.job) else { return };
        if receipt.fuel.0 != facts.fuel.0 * receipt.count() {
            found.add(|| format!("a receipt of job {number} says other fuel than its tasks took"));
        }
        if receipt.bytes != facts.work().bytes * receipt.count() || receipt.per_gib != facts.job.per_gib {
            found.add(|| {
                format!("a receipt of job {number} pays for other bytes than its tasks moved, or at another rate")
            });
        }
    }
}

impl Checker for PaidOnce {
    fn name(&self) -> &'static str {
        "paid-once"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        let Seen::MoneyOnDisk { record, .. } = seen else { return };
        let Content::Paid(payment) = &record.content else { return };
        for sealed in &payment.receipts {
            if let Ok(Signed { statement: Statement::Receipt(receipt), .. }) = sealing::open(sealed) {
                self.on_receipt(truth, &receipt, found);
            }
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("seats_paid", self.seats as f64), ("receipts", self.receipts as f64)]
    }
}
