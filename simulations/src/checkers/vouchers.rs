//! What a voucher promises on its lane never falls, and none leaves its client before it is on the client's disk.

use super::{Checker, Found};
use crate::{
    sealing,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_ledger::record::Content;
use pocketmesh_types::{Lane, PeerId, Signed, Statement, Voucher};
use pocketmesh_wire::{Message, Payment};
use std::collections::BTreeMap;

/// The newest voucher of each lane, as the disks have it.
#[derive(Debug, Default)]
pub struct Vouchers {
    newest: BTreeMap<(PeerId, PeerId, Lane), Voucher>,
    said: u64,
}

impl Vouchers {
    fn on_disk(&mut self, voucher: Voucher, found: &mut Found) {
        let key = (voucher.client, voucher.payee, voucher.lane);
        let before = self.newest.insert(key, voucher);
        if before.is_some_and(|before| voucher.cumulative < before.cumulative) {
            found.add(|| format!("peer {} promises less than before", index_of(&voucher.client)));
        }
    }

    fn on_said(&mut self, from: u32, name: PeerId, payment: &Payment, found: &mut Found) {
        let Some(Ok(Signed { statement: Statement::Voucher(voucher), .. })) =
            payment.statements.last().map(|last| sealing::open(last))
        else {
            return;
        };
        self.said += 1;
        let newest = self.newest.get(&(voucher.client, voucher.payee, voucher.lane));
        if voucher.client == name && newest.is_none_or(|newest| newest.cumulative < voucher.cumulative) {
            found.add(|| format!("peer {from} says a voucher that is not on its disk"));
        }
    }
}

impl Checker for Vouchers {
    fn name(&self) -> &'static str {
        "vouchers"
    }

    fn see(&mut self, _: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::MoneyOnDisk { record, .. } => {
                if let Content::Paid(payment) = &record.content
                    && let Ok(Signed { statement: Statement::Voucher(voucher), .. }) = sealing::open(&payment.voucher)
                {
                    self.on_disk(voucher, found);
                }
            }
            Seen::Said { from, name, message: Message::Payment(payment), .. } => {
                self.on_said(*from, **name, payment, found);
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("vouchers_said", self.said as f64)]
    }
}
