//! The worker's half: what is at stake, and what of it was paid.

use super::{Effect, Event, Refusal, State, StoreId};
use pocketmesh_ledger::{
    Entry,
    accounts::{Applied, Wrong},
    driver::SettlementDriver,
    lanes::Broken,
    record::{Content, Open, Opened, Payment},
    slices::{Earner, Row, Terms},
};
use pocketmesh_types::{Bytes, LeaseId, PeerId, Price, Quittance, Statement, TaskIndex, VoucherId};
use pocketmesh_wire::statement;

/// A lease that we work under.
#[derive(Debug)]
pub(super) struct Earning {
    client: PeerId,
    earner: Earner,
}

/// A payment to us that is on its way to the disk.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) id: StoreId,
    opened: Opened,
    voucher: Bytes,
}

impl<D: SettlementDriver> State<D> {
    /// We take a lease; says whether its terms are fair.
    pub fn on_taken(&mut self, lease: LeaseId, client: PeerId, price: Price, terms: Terms) -> bool {
        if terms.are_fair() {
            self.earning.entry(lease).or_insert(Earning { client, earner: Earner::new(terms, price) });
        }
        terms.are_fair()
    }

    /// A task is to be run under a lease: not while a slice and the hold-back are unpaid. Says whether it may.
    pub fn on_begin(&mut self, lease: &LeaseId, task: TaskIndex) -> bool {
        self.earning.get_mut(lease).is_some_and(|earning| earning.earner.begin(task))
    }

    /// It came to no outcome, or is given back.
    pub fn on_abandoned(&mut self, lease: &LeaseId, task: TaskIndex) {
        if let Some(earning) = self.earning.get_mut(lease) {
            earning.earner.abandon(task);
        }
    }

    /// Its outcome is claimed.
    pub fn on_claimed(&mut self, lease: &LeaseId, row: Row) {
        if let Some(earning) = self.earning.get_mut(lease) {
            earning.earner.deliver(row);
        }
    }

    /// A lease of ours is over, and nothing more comes of it.
    pub fn on_lease_over(&mut self, lease: &LeaseId) {
        self.earning.remove(lease);
    }

    /// A client pays: what follows, and is for what we delivered, goes to the disk.
    pub(super) fn on_payment(&mut self, from: PeerId, payment: Payment, open: &impl Open) {
        let opened = match payment.open(open) {
            Ok(opened) => opened,
            Err(unreadable) => return self.refuse(from, unreadable.into()),
        };
        if opened.voucher.client != from {
            return self.refuse(from, Refusal::Sender);
        }
        match self.accounts.check_payment(&opened) {
            Ok(Applied::Before) => return self.quit(&opened),
            Ok(Applied::Now) => {}
            Err(wrong) => {
                if let Wrong::Voucher(Broken::NotMonotone { .. }) = wrong {
                    self.show_newest(from);
                }
                return self.refuse(from, wrong.into());
            }
        }
        // Said twice before it is on the disk.
        if self.receiving.contains_key(&from) || !self.is_for_our_work(from, &opened) {
            return;
        }
        if let Err(declined) = self.driver.on_voucher(&opened.voucher) {
            return self.refuse(from, declined.into());
        }
        let voucher = payment.voucher.clone();
        let id = self.store(Content::Received(payment));
        self.receiving.insert(from, Receiving { id, opened, voucher });
    }

    /// Whether every receipt says what we have delivered. Of a lease that we have forgotten, by a restart, we cannot know; being paid
    /// for it does no harm.
    fn is_for_our_work(&mut self, client: PeerId, opened: &Opened) -> bool {
        for (_, receipt) in &opened.receipts {
            let Some(earning) = self.earning.get(&receipt.lease) else { continue };
            if earning.client != client {
                self.refuse(client, Refusal::Sender);
                return false;
            }
            if let Err(why) = earning.earner.check(receipt) {
                self.emit(Effect::Notify(Event::Disputed { client, lease: receipt.lease, why }));
                return false;
            }
        }
        true
    }

    /// A payment is on the disk: now we rely on it, and say so.
    pub(super) fn on_received(&mut self, client: PeerId) {
        let Some(Receiving { opened, voucher, .. }) = self.receiving.remove(&client) else { return };
        if let Err(wrong) = self.accounts.apply(&Entry::Received(opened.clone())) {
            return self.refuse(client, wrong.into());
        }
        for (_, receipt) in &opened.receipts {
            if let Some(earning) = self.earning.get_mut(&receipt.lease) {
                earning.earner.on_paid(receipt);
            }
        }
        self.newest.insert(client, voucher);
        self.quit(&opened);
    }

    fn quit(&mut self, opened: &Opened) {
        let voucher = VoucherId(statement::id(&Statement::Voucher(opened.voucher)));
        let pocketmesh_types::Voucher { client, payee, lane, cumulative, .. } = opened.voucher;
        self.emit(Effect::Quit(Quittance { voucher, client, payee, lane, cumulative }));
    }

    /// Shows a client the newest voucher that we hold of it.
    pub(super) fn show_newest(&mut self, client: PeerId) {
        if let Some(voucher) = self.newest.get(&client) {
            let statements = alloc::vec![voucher.clone()];
            self.emit(Effect::Send { to: client, statements });
        }
    }
}
