//! Every record of money follows from those before it, in books that are kept here anew; nobody has more of anybody's promises than
//! were made; and when all is over, both have the same.

use super::{Checker, Found};
use crate::{
    sealing,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_ledger::{Accounts, Record};
use pocketmesh_types::PeerId;
use std::collections::{BTreeMap, BTreeSet};

/// The books of all peers, as their disks have them.
#[derive(Debug, Default)]
pub struct Books {
    accounts: BTreeMap<u32, Accounts>,
    names: BTreeMap<u32, PeerId>,
    /// Who deals with whom: client, worker.
    pairs: BTreeSet<(PeerId, PeerId)>,
    records: u64,
    /// What was promised and has not arrived, at the end.
    under_way: u128,
    promised: u128,
}

impl Books {
    fn on_disk(&mut self, at: u32, record: &Record, found: &mut Found) {
        self.records += 1;
        let entry = match record.open(&sealing::open) {
            Ok(entry) => entry,
            Err(error) => return found.add(|| format!("peer {at} keeps what cannot be relied upon: {error}")),
        };
        let Some(accounts) = self.accounts.get_mut(&at) else { return };
        if let Err(wrong) = accounts.apply(&entry) {
            return found.add(|| format!("peer {at} keeps what does not follow: {wrong}"));
        }
        let me = accounts.me();
        if let pocketmesh_ledger::Entry::Received(opened) = &entry {
            let client = opened.voucher.client;
            self.pairs.insert((client, me));
            let received = accounts.standing(&client).received;
            let payer = self.accounts.get(&index_of(&client)).filter(|payer| payer.me() == client);
            if payer.is_some_and(|payer| payer.standing(&me).given < received) {
                found.add(|| format!("peer {at} has more promises of peer {} than were made", index_of(&client)));
            }
        }
        if let pocketmesh_ledger::Entry::Paid(opened) = &entry {
            self.pairs.insert((me, opened.voucher.payee));
        }
    }
}

impl Checker for Books {
    fn name(&self) -> &'static str {
        "books"
    }

    fn see(&mut self, _: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Started { at, name, .. } if self.names.get(at) != Some(name) => {
                self.names.insert(*at, *name);
                self.accounts.insert(*at, Accounts::unforgetting(*name));
            }
            Seen::MoneyOnDisk { at, record } => self.on_disk(*at, record, found),
            _ => {}
        }
    }

    fn end(&mut self, _: &Truth, found: &mut Found) {
        for (client, worker) in &self.pairs {
            let of = |peer: &PeerId| self.accounts.get(&index_of(peer)).filter(|accounts| accounts.me() == *peer);
            let (Some(payer), Some(payee)) = (of(client), of(worker)) else { continue };
            let (given, received) = (payer.standing(worker).given.0, payee.standing(client).received.0);
            self.promised += given;
            self.under_way += given.saturating_sub(received);
            if received > given {
                found.add(|| format!("peers {} and {} disagree", index_of(client), index_of(worker)));
            }
        }
        for (at, accounts) in &self.accounts {
            if !accounts.books().are_balanced() {
                found.add(|| format!("the books of peer {at} are out of balance"));
            }
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("money_records", self.records as f64),
            ("credits_promised", self.promised as f64 / 1e18),
            ("credits_under_way", self.under_way as f64 / 1e18),
        ]
    }
}
