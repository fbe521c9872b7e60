//! The worker's half: what is at stake, and what of it was paid.

use super::{Effect, Event, Refusal, State, StoreId};
use alloc::collections::BTreeMap;
use pocketmesh_ledger::{
    Entry,
    accounts::{Applied, Wrong},
    driver::SettlementDriver,
    lanes::Broken,
    record::{Content, Debtor, Open, Opened, Payment},
    service::{self, Applicant, Priority, Unpaid},
    slices::{Earner, Row, Terms},
};
use pocketmesh_types::{
    Bytes, Credits, Fuel, Instant, LeaseId, PeerId, Quittance, Statement, Tariff, TaskIndex, VoucherId, Work,
};
use pocketmesh_wire::statement;

/// Leases that are over and not paid in full, remembered: who lets many of them come about is known as a debtor all the same.
const ENDED_MAX: usize = 1 << 12;
/// Payments for unknown leases that are taken between two starts: a restart forgets leases, and clients still pay. Guess.
pub(super) const UNASKED_MAX: u32 = 1 << 12;
/// What a task is taken to burn before one of its lease has been run. Guess.
const FUEL_AT_FIRST: Fuel = Fuel(1_000_000_000);
/// What is taken to be moved for it. Guess.
const BYTES_AT_FIRST: u64 = 1 << 20;

/// A lease that we work under.
#[derive(Debug)]
pub(super) struct Earning {
    applicant: Applicant,
    earner: Earner,
    /// No task burns more.
    fuel_max: Fuel,
    /// What was drawn from the allowance for executions under way.
    charged: BTreeMap<TaskIndex, Credits>,
    /// What was drawn and is not used.
    left: Credits,
    /// Since when it is at its bound.
    waits: Option<Instant>,
    /// Whether it is over.
    is_over: bool,
}

/// Whether an execution may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It may.
    Now,
    /// Not before something is paid.
    Wait,
    /// The client has no credit left.
    Never,
}

/// A payment to us that is on its way to the disk.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) id: StoreId,
    opened: Opened,
    voucher: Bytes,
}

/// What the first execution of a lease is taken to cost.
pub fn first_cost(tariff: Tariff, fuel_max: Fuel) -> Credits {
    tariff.cost(first_work(fuel_max))
}

fn first_work(fuel_max: Fuel) -> Work {
    Work { fuel: FUEL_AT_FIRST.min(fuel_max), bytes: BYTES_AT_FIRST }
}

impl Earning {
    fn next_cost(&self) -> Credits {
        let work = self.earner.dearest().unwrap_or_else(|| first_work(self.fuel_max));
        self.earner.tariff().cost(work)
    }
}

impl<D: SettlementDriver> State<D> {
    /// We take a lease; says whether its terms are fair. No task of it burns more than `fuel_max`.
    pub fn on_taken(
        &mut self,
        lease: LeaseId,
        applicant: Applicant,
        tariff: Tariff,
        terms: Terms,
        fuel_max: Fuel,
    ) -> bool {
        if terms.are_fair() {
            // A client whose journal is an older copy learns so before it pays anew.
            self.show_newest(applicant.peer);
            self.earning.entry(lease).or_insert_with(|| Earning {
                applicant,
                earner: Earner::new(terms, tariff),
                fuel_max,
                charged: BTreeMap::new(),
                left: Credits::default(),
                waits: None,
                is_over: false,
            });
        }
        terms.are_fair()
    }

    /// A task is to be run under a lease: not while a slice and the hold-back are unpaid, and not beyond what is done for this client.
    pub fn on_begin(&mut self, lease: &LeaseId, task: TaskIndex, now: Instant) -> Begin {
        let Some(earning) = self.earning.get_mut(lease) else { return Begin::Never };
        if !earning.earner.may_begin() {
            earning.waits.get_or_insert(now);
            return Begin::Wait;
        }
        let (applicant, cost, left) = (earning.applicant, earning.next_cost(), earning.left);
        let draws = cost.checked_sub(left).unwrap_or_default();
        let is_free = self.unpaid == Unpaid::Idle || self.is_covered(&applicant.peer, cost);
        let is_served = is_free || (self.unpaid == Unpaid::Allowance && self.draw(applicant, draws, now));
        if !is_served {
            return Begin::Never;
        }
        let Some(earning) = self.earning.get_mut(lease) else { return Begin::Never };
        if earning.earner.begin(task) && !is_free {
            earning.left = left.checked_sub(cost).unwrap_or_default();
            earning.charged.insert(task, cost);
        }
        Begin::Now
    }

    /// Whether what a client would owe us, with all that is under way for it, is covered by what we owe it or what is secured.
    fn is_covered(&self, client: &PeerId, cost: Credits) -> bool {
        let under_way = self.earning.values().filter(|earning| earning.applicant.peer == *client);
        let under_way = under_way.map(|earning| earning.next_cost().0.saturating_mul(earning.earner.begun() as u128));
        let cost = cost.0.saturating_add(under_way.fold(0, u128::saturating_add));
        let (standing, credit) = self.asks(client);
        service::is_covered(&standing, credit, Credits(cost))
    }

    fn draw(&mut self, applicant: Applicant, amount: Credits, now: Instant) -> bool {
        let has_history = self.accounts.standing(&applicant.peer).contributed() > Credits::default();
        amount == Credits::default() || self.allowances.draw(Applicant { has_history, ..applicant }, amount, now)
    }

    /// Whether an execution may begin under this lease, as far as payment goes.
    pub fn may_begin(&self, lease: &LeaseId) -> bool {
        self.earning.get(lease).is_some_and(|earning| earning.earner.may_begin())
    }

    /// Since when a lease waits to be paid.
    pub fn waits_since(&self, lease: &LeaseId) -> Option<Instant> {
        self.earning.get(lease)?.waits
    }

    /// How soon a client's tasks are run, compared with another's; the least is first.
    pub fn rank(&self, client: &PeerId) -> (Priority, Credits) {
        let (standing, credit) = self.asks(client);
        let priority = service::priority(self.unpaid, &standing, credit, Credits::default(), |_| true);
        (priority.unwrap_or(Priority::Idle), standing.debt())
    }

    /// What was done for a client and is not paid, in atto-credits.
    pub fn at_stake_with(&self, client: &PeerId) -> Credits {
        self.accounts.standing(client).reserved_by_us
    }

    /// Changes what is known of a lease, and with it what its client has at stake with us.
    fn change_earning<T>(&mut self, lease: &LeaseId, change: impl FnOnce(&mut Earning) -> T) -> Option<T> {
        let earning = self.earning.get_mut(lease)?;
        let was = earning.earner.at_stake();
        let value = change(earning);
        let (client, is) = (earning.applicant.peer, earning.earner.at_stake());
        self.restake(client, was, is);
        Some(value)
    }

    /// What a client has at stake with us is now this, where it was that.
    fn restake(&mut self, client: PeerId, was: Credits, is: Credits) {
        if was != is {
            let stake = self.at_stake_with(&client).0.saturating_add(is.0).saturating_sub(was.0);
            self.accounts.set_under_way(client, Debtor::Them, Credits(stake));
        }
    }

    /// It came to no outcome, or is given back.
    pub fn on_abandoned(&mut self, lease: &LeaseId, task: TaskIndex) {
        if let Some(earning) = self.earning.get_mut(lease) {
            earning.earner.abandon(task);
            let charged = earning.charged.remove(&task).unwrap_or_default();
            earning.left = earning.left.checked_add(charged).unwrap_or(earning.left);
        }
    }

    /// Its outcome is claimed.
    pub fn on_claimed(&mut self, lease: &LeaseId, row: Row, now: Instant) {
        let missing = self.change_earning(lease, |earning| {
            earning.earner.deliver(row);
            let (charged, cost) = (earning.charged.remove(&row.task)?, earning.earner.tariff().cost(row.work()));
            if let Some(saved) = charged.checked_sub(cost) {
                earning.left = earning.left.checked_add(saved).unwrap_or(earning.left);
            }
            Some((earning.applicant, cost.checked_sub(charged)?))
        });
        if let Some((applicant, missing)) = missing.flatten() {
            // It is done already: what is missing of the allowance is missing for the next one.
            self.draw(applicant, missing, now);
        }
    }

    /// A lease of ours is over: nothing more is done for it. What is not paid is remembered.
    pub fn on_lease_over(&mut self, lease: &LeaseId) {
        let Some(earning) = self.earning.get_mut(lease) else { return };
        earning.is_over = true;
        earning.earner.on_over();
        self.ended.push_back(*lease);
        self.drop_paid_up(lease);
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front().and_then(|oldest| self.earning.remove(&oldest))
        {
            self.restake(oldest.applicant.peer, oldest.earner.at_stake(), Credits::default());
        }
    }

    fn drop_paid_up(&mut self, lease: &LeaseId) {
        let is_done = |earning: &Earning| earning.is_over && earning.earner.exposed_tasks() == 0;
        if self.earning.get(lease).is_some_and(is_done) {
            self.earning.remove(lease);
            self.ended.retain(|ended| ended != lease);
        }
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
        if !opened.receipts.iter().any(|(_, receipt)| self.earning.contains_key(&receipt.lease)) {
            let Some(left) = self.unasked_left.checked_sub(1) else { return self.refuse(from, Refusal::Unasked) };
            self.unasked_left = left;
        }
        let voucher = payment.voucher.clone();
        let id = self.store(Content::Received(payment));
        self.receiving.insert(from, Receiving { id, opened, voucher });
    }

    /// Whether every receipt says what we have delivered. Of a lease that is over, or forgotten by a restart, we do not ask: being paid
    /// for it does no harm.
    fn is_for_our_work(&mut self, client: PeerId, opened: &Opened) -> bool {
        for (_, receipt) in &opened.receipts {
            let Some(earning) = self.earning.get(&receipt.lease) else { continue };
            if earning.applicant.peer != client {
                self.refuse(client, Refusal::Sender);
                return false;
            }
            if !earning.is_over
                && let Err(why) = earning.earner.check(receipt)
            {
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
            self.change_earning(&receipt.lease, |earning| {
                earning.earner.on_paid(receipt);
                earning.waits = None;
            });
            self.drop_paid_up(&receipt.lease);
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
