//! The client's half: slices that are due become one payment at a time to each payee.

use super::{Effect, Event, State, StoreId};
use alloc::vec::Vec;
use pocketmesh_ledger::{
    Entry,
    driver::SettlementDriver,
    record::{Content, Opened, Payment},
    slices::{Payer, Row, Slice, Terms, WindowId},
};
use pocketmesh_types::{
    Bytes, Credits, JobId, Lane, LeaseId, PeerId, Price, Quittance, Receipt, ReceiptId, Statement, Voucher, limits,
};
use pocketmesh_wire::statement;

/// A lease that we granted.
#[derive(Debug)]
pub(super) struct Paying {
    job: JobId,
    worker: PeerId,
    price: Price,
    /// What its first slice pays beside the fuel.
    fee: Credits,
    payer: Payer,
}

/// A payment on its way.
#[derive(Debug)]
pub(super) enum Out {
    /// To the disk.
    Storing { id: StoreId, opened: Opened },
    /// To the payee, again and again until there is a quittance.
    Sent { payment: Payment, voucher: Voucher },
}

impl<D: SettlementDriver> State<D> {
    /// We grant a lease.
    pub fn on_granted(&mut self, lease: LeaseId, job: JobId, worker: PeerId, price: Price, fee: Credits, terms: Terms) {
        self.paying.entry(lease).or_insert(Paying { job, worker, price, fee, payer: Payer::new(terms) });
    }

    /// A result is here, and on the disk.
    pub fn on_delivered(&mut self, lease: &LeaseId, window: WindowId, row: Row) {
        self.with_payer(lease, |payer| {
            payer.deliver(window, row);
        });
    }

    /// The audits of a slice have agreed, or none of it was drawn.
    pub fn on_passed(&mut self, lease: &LeaseId, window: WindowId, slice: u32) {
        self.with_payer(lease, |payer| payer.on_passed(window, slice));
    }

    /// A window is final.
    pub fn on_final(&mut self, lease: &LeaseId, window: WindowId) {
        self.with_payer(lease, |payer| payer.on_final(window));
    }

    /// The job was stopped: what was delivered is paid.
    pub fn on_stopped(&mut self, lease: &LeaseId) {
        self.with_payer(lease, Payer::on_stopped);
    }

    /// A claim under the lease was refuted: whatever is not final, and not paid, is forfeited.
    pub fn on_void(&mut self, lease: &LeaseId) {
        let Some(paying) = self.paying.get_mut(lease) else { return };
        let (tasks, job, payee) = (paying.payer.on_void(), paying.job, paying.worker);
        let client = self.accounts.me();
        let entry = Entry::Forfeited { job, client, payee, tasks: tasks.clone() };
        // They were never paid, so nothing can be in the way but a journal that has failed.
        if !tasks.is_empty() && self.accounts.apply(&entry).is_ok() {
            self.store(Content::Forfeited { job, client, payee, tasks });
        }
        self.settle_up(payee);
    }

    /// Nothing more is delivered for a job: once all that is due is paid, nothing more ever is.
    pub fn on_job_over(&mut self, job: JobId) {
        self.closing.insert(job);
        self.close_what_is_paid();
    }

    fn with_payer(&mut self, lease: &LeaseId, change: impl FnOnce(&mut Payer)) {
        if let Some(paying) = self.paying.get_mut(lease) {
            change(&mut paying.payer);
            let worker = paying.worker;
            self.settle_up(worker);
        }
    }

    /// Pays a worker what is due, unless a payment to it is on its way.
    fn settle_up(&mut self, payee: PeerId) {
        if self.out.contains_key(&payee) || self.accounts.halted().is_some() {
            return self.close_what_is_paid();
        }
        let lane = self.lanes.get(&payee).copied().unwrap_or_default();
        let receipts = self.take_due(payee, lane);
        let named: Vec<(ReceiptId, Receipt)> = receipts
            .iter()
            .map(|receipt| (ReceiptId(statement::id(&Statement::Receipt(receipt.clone()))), receipt.clone()))
            .collect();
        let totals = named.iter().map(|(id, receipt)| (*id, receipt.total().unwrap_or_default()));
        let next = self.accounts.given(&payee, lane).0.with(totals);
        let Some(next) = next.ok().filter(|_| !named.is_empty()) else { return self.close_what_is_paid() };
        let (client, receipts_root) = (self.accounts.me(), next.root());
        let voucher = Voucher { client, payee, lane, cumulative: next.cumulative(), receipts_root };
        let opened = Opened { receipts: named, voucher };
        if let Err(wrong) = self.accounts.check_payment(&opened) {
            return self.refuse(payee, wrong.into());
        }
        let id = self.fresh_id();
        self.out.insert(payee, Out::Storing { id, opened });
        self.emit(Effect::Pay { id, receipts, voucher });
    }

    fn take_due(&mut self, payee: PeerId, lane: Lane) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        let client = self.accounts.me();
        for (&lease, paying) in self.paying.iter_mut().filter(|(_, paying)| paying.worker == payee) {
            while receipts.len() < limits::RECEIPTS_PER_VOUCHER_MAX
                && let Some(Slice { tasks, fuel, results, .. }) = paying.payer.next_due()
            {
                let (job, price, fee) = (paying.job, paying.price, core::mem::take(&mut paying.fee));
                receipts.push(Receipt { job, lease, client, payee, lane, tasks, fuel, price, fee, results });
            }
        }
        receipts
    }

    /// What [`Effect::Pay`] asked for is on the disk, sealed: now it may leave.
    pub fn on_paid(&mut self, id: StoreId, payment: Payment) {
        let found = self.out.iter().find(|(_, out)| matches!(out, Out::Storing { id: of, .. } if *of == id));
        let Some(payee) = found.map(|(payee, _)| *payee) else { return };
        let Some(Out::Storing { opened, .. }) = self.out.remove(&payee) else { return };
        let voucher = opened.voucher;
        if let Err(wrong) = self.accounts.apply(&Entry::Paid(opened)) {
            return self.refuse(payee, wrong.into());
        }
        let out = Out::Sent { payment, voucher };
        let statements = out.statements();
        self.out.insert(payee, out);
        self.emit(Effect::Send { to: payee, statements });
        self.close_what_is_paid();
    }

    /// A payee says that it has our voucher.
    pub(super) fn on_quittance(&mut self, from: PeerId, quittance: &Quittance, sealed: Bytes) {
        if quittance.payee != from {
            return self.refuse(from, super::Refusal::Sender);
        }
        match self.accounts.apply(&Entry::Acknowledged(*quittance)) {
            Ok(pocketmesh_ledger::accounts::Applied::Now) => drop(self.store(Content::Acknowledged(sealed))),
            Ok(pocketmesh_ledger::accounts::Applied::Before) => {}
            Err(wrong) => return self.refuse(from, wrong.into()),
        }
        self.drop_acknowledged(quittance);
        self.settle_up(from);
    }

    pub(super) fn drop_acknowledged(&mut self, quittance: &Quittance) {
        let Quittance { payee, lane, cumulative, .. } = *quittance;
        if let Some(Out::Sent { voucher, .. }) = self.out.get(&payee)
            && voucher.lane == lane
            && voucher.cumulative <= cumulative
        {
            self.out.remove(&payee);
        }
    }

    /// A payee shows a voucher of ours. If we know nothing of it, our journal is an old copy: that lane is left to the payee.
    pub(super) fn on_shown(&mut self, from: PeerId, voucher: &Voucher) {
        let Voucher { payee, lane, cumulative: theirs, .. } = *voucher;
        let ours = self.accounts.given(&payee, lane).0.cumulative();
        let is_in_use = self.lanes.get(&payee).copied().unwrap_or_default() == lane;
        if payee != from || theirs <= ours || !is_in_use {
            return;
        }
        self.lanes.insert(payee, Lane(lane.0.saturating_add(1)));
        if matches!(self.out.get(&payee), Some(Out::Sent { .. })) {
            self.out.remove(&payee);
        }
        self.emit(Effect::Notify(Event::Behind { payee, lane, ours, theirs }));
        self.settle_up(payee);
    }

    /// Closes jobs that are over, and for which nothing is due or on its way to the disk.
    fn close_what_is_paid(&mut self) {
        let is_storing = |out: &Out, job| matches!(out, Out::Storing { opened, .. } if opened.receipts.iter().any(|(_, receipt)| receipt.job == job));
        let is_open = |job: &JobId| {
            self.paying.values().any(|paying| paying.job == *job && !paying.payer.is_done())
                || self.out.values().any(|out| is_storing(out, *job))
        };
        let done: Vec<JobId> = self.closing.iter().copied().filter(|job| !is_open(job)).collect();
        for job in done {
            self.closing.remove(&job);
            self.paying.retain(|_, paying| paying.job != job);
            if self.accounts.apply(&Entry::Closed(job)).is_ok() {
                self.store(Content::Closed(job));
            }
        }
    }
}

impl Out {
    /// What is to be sent: nothing before it is on the disk.
    pub(super) fn statements(&self) -> Vec<Bytes> {
        match self {
            Self::Storing { .. } => Vec::new(),
            Self::Sent { payment, .. } => payment.receipts.iter().chain([&payment.voucher]).cloned().collect(),
        }
    }
}
