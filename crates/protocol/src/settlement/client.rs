//! The client's half: slices that are due become one payment at a time to each payee.

use super::{Effect, Event, State, StoreId};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use pocketmesh_ledger::{
    Entry,
    driver::SettlementDriver,
    record::{Content, Debtor, Opened, Payment},
    slices::{Payer, Row, Slice, Terms, WindowId},
};
use pocketmesh_types::{
    Bytes, Credits, Fuel, JobId, Lane, LeaseId, PeerId, Quittance, RangeSet, Receipt, ReceiptId, Statement, Tariff,
    TaskIndex, Voucher, limits,
};
use pocketmesh_wire::statement;

/// So many intervals after a payment it is said for the last time; then at the next connection.
const LOOKS_MAX: u32 = 64;

/// A lease that we granted.
#[derive(Debug)]
pub(super) struct Paying {
    job: JobId,
    worker: PeerId,
    tariff: Tariff,
    /// What its first slice pays beside its work.
    fee: Credits,
    payer: Payer,
    /// Seats that are void, and that the journal does not know as forfeited yet.
    void: BTreeSet<TaskIndex>,
}

/// A payment on its way.
#[derive(Debug)]
pub(super) enum Out {
    /// To the disk.
    Storing { id: StoreId, opened: Opened },
    /// To the payee, again and again until there is a quittance.
    Sent { payment: Payment, voucher: Voucher, tasks: BTreeMap<LeaseId, u64>, looks: u32 },
}

impl<D: SettlementDriver> State<D> {
    /// We grant a lease.
    pub fn on_granted(
        &mut self,
        lease: LeaseId,
        job: JobId,
        worker: PeerId,
        tariff: Tariff,
        fee: Credits,
        terms: Terms,
    ) {
        let paying = || Paying { job, worker, tariff, fee, payer: Payer::new(terms, tariff), void: BTreeSet::new() };
        self.paying.entry(lease).or_insert_with(paying);
    }

    /// A result is here, and will be on the disk before what pays it is.
    pub fn on_delivered(&mut self, lease: &LeaseId, window: WindowId, row: Row) {
        self.take_row(lease, row, |payer| payer.deliver(window, row));
    }

    /// A result is final, or an audit has agreed.
    pub fn on_accepted(&mut self, lease: &LeaseId, row: Row) {
        self.take_row(lease, row, |payer| payer.accept(row));
    }

    /// A seat is paid once, also if it is accepted in two ways or under two leases.
    fn take_row(&mut self, lease: &LeaseId, row: Row, take: impl FnOnce(&mut Payer) -> bool) {
        let Some(Paying { job, worker, .. }) = self.paying.get(lease) else { return };
        let (job, worker) = (*job, *worker);
        if self.is_known(job, worker, row.task) {
            return;
        }
        if let Some(paying) = self.paying.get_mut(lease)
            && take(&mut paying.payer)
        {
            let cost = paying.tariff.bound(row.work());
            self.unsettled.insert(worker);
            self.add_cost(job, cost);
        }
    }

    fn is_known(&self, job: JobId, worker: PeerId, task: TaskIndex) -> bool {
        let is_void_or_due = |paying: &Paying| paying.void.contains(&task) || paying.payer.has(task);
        let is_named = |receipt: &Receipt| {
            receipt.job == job && receipt.tasks.iter().any(|&(start, end)| (start..end).contains(&task))
        };
        let is_storing = match self.out.get(&worker) {
            Some(Out::Storing { opened, .. }) => opened.receipts.iter().any(|(_, receipt)| is_named(receipt)),
            Some(Out::Sent { .. }) | None => false,
        };
        is_storing
            || self.accounts.is_seat_taken(&worker, job, task)
            || self.paying.values().any(|paying| paying.worker == worker && paying.job == job && is_void_or_due(paying))
    }

    /// A window takes no more, and these of its results are audited.
    pub fn on_drawn(&mut self, job: JobId, worker: PeerId, window: WindowId, audits: &[TaskIndex]) {
        self.with_payers(job, Some(worker), |payer| payer.on_drawn(window, audits.iter().copied()));
    }

    /// An audit has agreed with a result in a window.
    pub fn on_agreed(&mut self, job: JobId, worker: PeerId, window: WindowId, task: TaskIndex) {
        self.with_payers(job, Some(worker), |payer| payer.on_agreed(window, task));
    }

    /// A window is final.
    pub fn on_final(&mut self, job: JobId, worker: PeerId, window: WindowId) {
        self.with_payers(job, Some(worker), |payer| payer.on_final(window));
    }

    /// The job was stopped: what was delivered is paid.
    pub fn on_stopped(&mut self, job: JobId) {
        self.with_payers(job, None, Payer::on_stopped);
    }

    /// Nothing more comes under this lease for now: what is due is paid, though it is less than a slice.
    pub fn on_pause(&mut self, lease: &LeaseId) {
        if let Some(paying) = self.paying.get_mut(lease) {
            paying.payer.hurry();
            self.unsettled.insert(paying.worker);
        }
    }

    /// A claim of this worker was refuted: whatever is not final, and not paid, is forfeited.
    pub fn on_void(&mut self, job: JobId, worker: PeerId) {
        let mut void = Credits::default();
        for paying in self.paying.values_mut().filter(|paying| paying.job == job && paying.worker == worker) {
            for row in paying.payer.on_void() {
                void = Credits(void.0.saturating_add(paying.tariff.bound(row.work()).0));
                paying.void.insert(row.task);
            }
        }
        self.take_cost(job, void);
        self.unsettled.insert(worker);
    }

    /// Nothing more is delivered for a job: once all that is due is paid, nothing more ever is.
    pub fn on_job_over(&mut self, job: JobId) {
        self.on_stopped(job);
        if self.accounts.is_closed(&job) {
            self.paying.retain(|_, paying| paying.job != job);
        } else {
            self.closing.insert(job);
        }
    }

    /// What a job of ours has cost so far, paid or due, with the fees of its leases.
    pub fn cost_of(&self, job: &JobId) -> Credits {
        let fees = self.paying.values().filter(|paying| paying.job == *job).map(|paying| paying.fee.0);
        let cost = self.costs.get(job).copied().unwrap_or_default();
        Credits(fees.fold(cost.0, u128::saturating_add))
    }

    pub(super) fn add_cost(&mut self, job: JobId, cost: Credits) {
        let sum = self.costs.entry(job).or_default();
        *sum = sum.checked_add(cost).unwrap_or(*sum);
    }

    fn take_cost(&mut self, job: JobId, cost: Credits) {
        if let Some(sum) = self.costs.get_mut(&job) {
            *sum = sum.checked_sub(cost).unwrap_or_default();
        }
    }

    /// Results under a lease that are here, and of which the worker has not said that they are paid.
    pub fn unpaid(&self, lease: &LeaseId) -> usize {
        let Some(paying) = self.paying.get(lease) else { return 0 };
        let under_way = self.out.get(&paying.worker).map_or(0, |out| out.tasks_of(lease));
        paying.payer.unpaid() + usize::try_from(under_way).unwrap_or(usize::MAX)
    }

    /// The most that a result under a lease has taken, as the fuel that costs as much.
    pub fn dearest(&self, lease: &LeaseId) -> Option<Fuel> {
        self.paying.get(lease)?.payer.dearest()
    }

    fn with_payers(&mut self, job: JobId, worker: Option<PeerId>, mut change: impl FnMut(&mut Payer)) {
        let is_meant = |paying: &&mut Paying| paying.job == job && worker.is_none_or(|worker| paying.worker == worker);
        for paying in self.paying.values_mut().filter(is_meant) {
            change(&mut paying.payer);
            self.unsettled.insert(paying.worker);
        }
    }

    /// These seats were paid or forfeited before the restart.
    pub(super) fn drop_taken(&mut self, job: JobId, payee: PeerId, tasks: &[(TaskIndex, TaskIndex)]) {
        let mut taken = Credits::default();
        for paying in self.paying.values_mut().filter(|paying| paying.job == job && paying.worker == payee) {
            for row in paying.payer.on_taken(tasks) {
                taken = Credits(taken.0.saturating_add(paying.tariff.bound(row.work()).0));
            }
            paying.void.retain(|task| !tasks.iter().any(|(start, end)| (start..end).contains(&task)));
        }
        self.take_cost(job, taken);
    }

    /// This lease's fee was paid before the restart.
    pub(super) fn drop_fee(&mut self, lease: &LeaseId, fee: Credits) {
        if let Some(paying) = self.paying.get_mut(lease) {
            paying.fee = paying.fee.checked_sub(fee).unwrap_or_default();
        }
    }

    /// Pays whom something is due, and closes what is over and paid.
    pub(super) fn settle(&mut self) {
        if self.accounts.halted().is_some() {
            return;
        }
        for worker in core::mem::take(&mut self.unsettled) {
            self.forfeit(worker);
            self.settle_up(worker);
            self.accounts.set_under_way(worker, Debtor::Us, self.owed_to(&worker));
        }
        self.close_what_is_paid();
    }

    /// What a worker has done for us and the journal does not say yet that we owe.
    fn owed_to(&self, payee: &PeerId) -> Credits {
        let unpaid = self.paying.values().filter(|paying| paying.worker == *payee).map(|paying| paying.payer.owed());
        let storing = match self.out.get(payee) {
            Some(Out::Storing { opened, .. }) => &opened.receipts[..],
            Some(Out::Sent { .. }) | None => &[],
        };
        let storing = storing.iter().filter_map(|(_, receipt)| receipt.total());
        Credits(unpaid.chain(storing).fold(0, |sum, cost| sum.saturating_add(cost.0)))
    }

    fn forfeit(&mut self, payee: PeerId) {
        let client = self.accounts.me();
        let mut forfeited = Vec::new();
        for paying in self.paying.values_mut().filter(|paying| paying.worker == payee && !paying.void.is_empty()) {
            let tasks: Vec<_> = core::mem::take(&mut paying.void).into_iter().collect::<RangeSet>().ranges().collect();
            forfeited.push((paying.job, tasks));
        }
        for (job, tasks) in forfeited {
            let entry = Entry::Forfeited { job, client, payee, tasks: tasks.clone() };
            // They were never paid, so nothing can be in the way but a journal that has failed.
            if self.accounts.apply(&entry).is_ok() {
                self.store(Content::Forfeited { job, client, payee, tasks });
            }
        }
    }

    /// Pays a worker what is due, unless a payment to it is on its way.
    fn settle_up(&mut self, payee: PeerId) {
        if self.out.contains_key(&payee) {
            return;
        }
        let lane = self.lanes.get(&payee).copied().unwrap_or_default();
        let receipts = self.take_due(payee, lane);
        receipts.iter().for_each(|receipt| self.add_cost(receipt.job, receipt.fee));
        let named: Vec<(ReceiptId, Receipt)> = receipts
            .iter()
            .map(|receipt| (ReceiptId(statement::id(&Statement::Receipt(receipt.clone()))), receipt.clone()))
            .collect();
        let totals = named.iter().map(|(id, receipt)| (*id, receipt.total().unwrap_or_default()));
        let next = self.accounts.given(&payee, lane).0.with(totals);
        let Some(next) = next.ok().filter(|_| !named.is_empty()) else { return };
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
        let mut oldest: BTreeMap<JobId, WindowId> = BTreeMap::new();
        for paying in self.paying.values().filter(|paying| paying.worker == payee) {
            if let Some(open) = paying.payer.oldest_open() {
                oldest.entry(paying.job).and_modify(|oldest| *oldest = open.min(*oldest)).or_insert(open);
            }
        }
        for (&lease, paying) in self.paying.iter_mut().filter(|(_, paying)| paying.worker == payee) {
            let last = oldest.get(&paying.job).copied().unwrap_or(WindowId::MAX);
            while receipts.len() < limits::RECEIPTS_PER_VOUCHER_MAX
                && let Some(Slice { tasks, fuel, bytes, results, .. }) = paying.payer.next_due_until(last)
            {
                let (job, fee) = (paying.job, core::mem::take(&mut paying.fee));
                let Tariff { price, per_gib } = paying.tariff;
                receipts.push(Receipt {
                    job,
                    lease,
                    client,
                    payee,
                    lane,
                    tasks,
                    fuel,
                    bytes,
                    price,
                    per_gib,
                    fee,
                    results,
                });
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
        let tasks = tasks_in(&opened);
        if let Err(wrong) = self.accounts.apply(&Entry::Paid(opened)) {
            return self.refuse(payee, wrong.into());
        }
        let out = Out::Sent { payment, voucher, tasks, looks: 0 };
        let statements = out.statements();
        self.out.insert(payee, out);
        self.unsettled.insert(payee);
        self.emit(Effect::Send { to: payee, statements });
    }

    /// Says payments again that have no quittance yet, to payees that are here: after one interval, two, four and so on. Says whether
    /// there are any that will be said once more.
    pub fn say_again(&mut self, is_here: impl Fn(&PeerId) -> bool) -> bool {
        let mut again = Vec::new();
        let mut more = false;
        for (payee, out) in self.out.iter_mut().filter(|(payee, _)| is_here(payee)) {
            let Out::Sent { looks, .. } = out else { continue };
            *looks = looks.saturating_add(1);
            more |= *looks < LOOKS_MAX;
            if looks.is_power_of_two() && *looks <= LOOKS_MAX {
                again.push((*payee, out.statements()));
            }
        }
        again.into_iter().for_each(|(to, statements)| self.emit(Effect::Send { to, statements }));
        more
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
        self.unsettled.insert(from);
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
        self.unsettled.insert(payee);
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
            self.costs.remove(&job);
            self.paying.retain(|_, paying| paying.job != job);
            if self.accounts.apply(&Entry::Closed(job)).is_ok() {
                self.store(Content::Closed(job));
            }
        }
    }
}

impl Paying {
    pub(super) fn is_of(&self, job: &JobId) -> bool {
        self.job == *job
    }
}

impl Out {
    fn tasks_of(&self, lease: &LeaseId) -> u64 {
        match self {
            Self::Storing { opened, .. } => {
                let under_it = opened.receipts.iter().filter(|(_, receipt)| receipt.lease == *lease);
                under_it.map(|(_, receipt)| receipt.count()).sum()
            }
            Self::Sent { tasks, .. } => tasks.get(lease).copied().unwrap_or(0),
        }
    }

    /// What is to be sent: nothing before it is on the disk.
    pub(super) fn statements(&self) -> Vec<Bytes> {
        match self {
            Self::Storing { .. } => Vec::new(),
            Self::Sent { payment, .. } => payment.receipts.iter().chain([&payment.voucher]).cloned().collect(),
        }
    }
}

/// How many tasks of each lease a payment pays.
pub(super) fn tasks_in(opened: &Opened) -> BTreeMap<LeaseId, u64> {
    let mut tasks = BTreeMap::new();
    for (_, receipt) in &opened.receipts {
        *tasks.entry(receipt.lease).or_default() += receipt.count();
    }
    tasks
}
