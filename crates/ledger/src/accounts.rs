//! Everything that is owed, folded from the journal's records one by one. specs/ledger.md §3.
//!
//! The same fold runs while the daemon works, when it starts, and in an audit; so what a restart finds is what was there, and an
//! audit finds whatever does not follow. An entry is taken whole or not at all.

use crate::{
    books::{Account, Book, Books, Refused, ReservationId, Series, Transfer},
    lanes::{Broken, Lane, Step},
    record::{Debtor, Entry, Opened},
    seats::{Seats, Taken},
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use pocketmesh_types::{
    Credits, Instant, JobId, PeerId, Quittance, RangeSet, Receipt, ReceiptId, TaskIndex, Voucher, limits,
    payment::Invalid,
};

/// Work under way is paid, forfeited or given up; its reservation does not end by itself.
const NEVER: Instant = Instant(u64::MAX);

/// The accounts of one peer.
#[derive(Debug, Clone)]
pub struct Accounts {
    me: PeerId,
    books: Books,
    /// Lanes of vouchers that we gave, by payee, and what of each was acknowledged.
    given: BTreeMap<PeerId, BTreeMap<u32, (Lane, Credits)>>,
    /// Lanes of vouchers that we were given, by client.
    received: BTreeMap<PeerId, BTreeMap<u32, Lane>>,
    seats: Seats,
    /// What is reserved for work under way, by whose debt it will be.
    under_way: BTreeMap<(PeerId, Debtor), ReservationId>,
    halted: Option<String>,
}

/// Whether an entry changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did.
    Now,
    /// It had been taken before.
    Before,
}

/// Why an entry does not follow from those before it. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The journal has failed: no money moves until it is mended.
    #[error("payments are stopped: {0}")]
    Halted(String),
    /// It is not between us and the peer that it names.
    #[error("it is not between this peer and another")]
    Parties,
    /// A receipt is of other peers or another lane than the voucher that is to pay it.
    #[error("receipt {0} is of other peers, or of another lane, than the voucher")]
    OtherLane(usize),
    /// A receipt is out of bounds.
    #[error("receipt {at} is wrong: {source}")]
    Receipt {
        /// Which.
        at: usize,
        /// What is wrong.
        source: Invalid,
    },
    /// A seat would be paid twice.
    #[error("receipt {at} cannot be paid: {source}")]
    Seat {
        /// Which.
        at: usize,
        /// Why.
        source: Taken,
    },
    /// Results that are forfeited were paid, or forfeited, before; or their ranges are none.
    #[error("what is forfeited was paid or forfeited before, or is no list of ranges")]
    Forfeit,
    /// The voucher does not follow.
    #[error("the voucher does not follow: {0}")]
    Voucher(#[from] Broken),
    /// Too many lanes.
    #[error("there are {max} lanes with this peer already", max = limits::LANES_PER_PEER_MAX)]
    TooManyLanes,
    /// A quittance for a voucher that was never given.
    #[error("it acknowledges {found} atto-credits, and {given} were promised", found = .found.0, given = .given.0)]
    Quittance {
        /// What was promised.
        given: Credits,
        /// What is acknowledged.
        found: Credits,
    },
    /// The books refuse it.
    #[error("it cannot be entered: {0}")]
    Books(#[from] Refused),
}

/// How things stand with one peer, in atto-credits. Of the first two at most one is not nothing: mutual debts are set off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it owes us.
    pub owes_us: Credits,
    /// What we owe it.
    pub owed_by_us: Credits,
    /// What it will owe us for work that is under way.
    pub reserved_by_us: Credits,
    /// What we will owe it for work that is under way.
    pub reserved_for_it: Credits,
    /// What it has promised us ever.
    pub received: Credits,
    /// What we have promised it ever: what its work for us was worth.
    pub given: Credits,
    /// What of its debts was settled outside of the books.
    pub settled: Credits,
}

impl Standing {
    /// What it has done for us, in work or otherwise. Promises of its own are not in it: they cost it nothing.
    pub fn contributed(&self) -> Credits {
        self.given.checked_add(self.settled).unwrap_or(Credits(u128::MAX))
    }

    /// What it owes us, or will for work that is under way.
    pub fn debt(&self) -> Credits {
        self.owes_us.checked_add(self.reserved_by_us).unwrap_or(Credits(u128::MAX))
    }
}

impl Accounts {
    /// The accounts of a peer that has none yet.
    pub fn new(me: PeerId) -> Self {
        let seats = Seats::forgetful();
        let (given, received) = (BTreeMap::new(), BTreeMap::new());
        Self { me, books: Books::default(), given, received, seats, under_way: BTreeMap::new(), halted: None }
    }

    /// The same, for an audit: it forgets nothing, however much that is.
    pub fn unforgetting(me: PeerId) -> Self {
        Self { seats: Seats::default(), ..Self::new(me) }
    }

    /// Whose they are.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// The books, to read.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Stops all that moves money, for good: the journal has failed or is damaged. What was there can still be read.
    pub fn halt(&mut self, reason: String) {
        self.halted.get_or_insert(reason);
    }

    /// Why money is stopped, if it is.
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// How things stand with a peer.
    pub fn standing(&self, peer: &PeerId) -> Standing {
        let of = |book| self.books.balance(Account::With(*peer, book));
        let (receivable, payable) = (of(Book::Receivable), of(Book::Payable));
        Standing {
            owes_us: receivable.debit_balance(),
            owed_by_us: payable.credit_balance(),
            reserved_by_us: receivable.debits_reserved,
            reserved_for_it: payable.credits_reserved,
            received: receivable.debits,
            given: payable.credits,
            settled: of(Book::Settled).debits,
        }
    }

    /// Our lane of vouchers to a payee, and what of it the payee has acknowledged.
    pub fn given(&self, payee: &PeerId, lane: pocketmesh_types::Lane) -> (Lane, Credits) {
        self.given.get(payee).and_then(|lanes| lanes.get(&lane.0)).cloned().unwrap_or_default()
    }

    /// A client's lane of vouchers to us.
    pub fn received(&self, client: &PeerId, lane: pocketmesh_types::Lane) -> Lane {
        self.received.get(client).and_then(|lanes| lanes.get(&lane.0)).cloned().unwrap_or_default()
    }

    /// Whether a seat of a worker of ours was paid or forfeited: what is delivered and is not is still owed after a restart.
    pub fn is_seat_taken(&self, worker: &PeerId, job: JobId, task: TaskIndex) -> bool {
        self.seats.is_taken(worker, job, *worker, task)
    }

    /// Whether nothing more is paid for a job of ours.
    pub fn is_closed(&self, job: &JobId) -> bool {
        self.seats.is_closed(job)
    }

    /// Reserves what is under way and not paid: what we do for a peer, if it will be the debtor, or what it does for us. This replaces
    /// what was reserved before. It is in memory alone, and moves nothing.
    pub fn set_under_way(&mut self, peer: PeerId, debtor: Debtor, amount: Credits) {
        let key = (peer, debtor);
        match self.under_way.get(&key) {
            Some(&id) if amount == Credits::default() => {
                self.books.void(id);
                self.under_way.remove(&key);
            }
            // What cannot be counted leaves the last that could.
            Some(&id) => drop(self.books.amend(id, amount)),
            None if amount == Credits::default() => {}
            None => {
                let (debit, credit) = match debtor {
                    Debtor::Us => (Account::Expense, Account::With(peer, Book::Payable)),
                    Debtor::Them => (Account::With(peer, Book::Receivable), Account::Revenue),
                };
                if let Ok(id) = self.books.reserve(peer, debit, credit, amount, NEVER) {
                    self.under_way.insert(key, id);
                }
            }
        }
    }

    fn check_running(&self) -> Result<(), Wrong> {
        self.halted.clone().map_or(Ok(()), |reason| Err(Wrong::Halted(reason)))
    }

    /// Takes an entry, whole or not at all.
    pub fn apply(&mut self, entry: &Entry) -> Result<Applied, Wrong> {
        self.check_running()?;
        match entry {
            Entry::Paid(payment) => self.on_paid(payment),
            Entry::Received(payment) => self.on_received(payment),
            Entry::Acknowledged(quittance) => self.on_acknowledged(quittance),
            &Entry::WrittenOff(peer, amount) => self.close_debt(peer, Book::WrittenOff, Debtor::Them, amount),
            &Entry::Settled(peer, by, amount) => self.close_debt(peer, Book::Settled, by, amount),
            Entry::Forfeited { job, client, payee, tasks } => self.on_forfeited(*job, *client, *payee, tasks),
            &Entry::Closed(job) => {
                self.seats.close(job);
                Ok(Applied::Now)
            }
        }
    }

    /// Whether a payment, of ours or to us, would be taken. Asked before it goes to the disk: what is there must follow.
    pub fn check_payment(&self, payment: &Opened) -> Result<Applied, Wrong> {
        self.check_running()?;
        let Voucher { client, payee, lane, .. } = payment.voucher;
        let (other, before, lanes) = match (client == self.me, payee == self.me) {
            (true, false) => {
                let lanes = self.given.get(&payee);
                (
                    payee,
                    lanes.and_then(|lanes| lanes.get(&lane.0)).map(|(lane, _)| lane),
                    lanes.map_or(0, BTreeMap::len),
                )
            }
            (false, true) => {
                let lanes = self.received.get(&client);
                (client, lanes.and_then(|lanes| lanes.get(&lane.0)), lanes.map_or(0, BTreeMap::len))
            }
            _ => return Err(Wrong::Parties),
        };
        check_lanes(before.is_none(), lanes)?;
        let step = self.next_step(before.unwrap_or(&Lane::default()), other, payment)?;
        Ok(if step.is_some() { Applied::Now } else { Applied::Before })
    }

    fn on_paid(&mut self, payment: &Opened) -> Result<Applied, Wrong> {
        let Voucher { client, payee, lane, .. } = payment.voucher;
        if client != self.me || payee == self.me {
            return Err(Wrong::Parties);
        }
        let lanes = self.given.get(&payee);
        let known = lanes.and_then(|lanes| lanes.get(&lane.0));
        check_lanes(known.is_none(), lanes.map_or(0, BTreeMap::len))?;
        let (before, acknowledged) = known.cloned().unwrap_or_default();
        let Some((next, added)) = self.next_step(&before, payee, payment)? else { return Ok(Applied::Before) };
        self.post(payee, Series::Given, Account::Expense, Account::With(payee, Book::Payable), added)?;
        self.given.entry(payee).or_default().insert(lane.0, (next, acknowledged));
        self.take_seats(payee, &payment.receipts);
        self.net(payee);
        Ok(Applied::Now)
    }

    fn on_received(&mut self, payment: &Opened) -> Result<Applied, Wrong> {
        let Voucher { client, payee, lane, .. } = payment.voucher;
        if payee != self.me || client == self.me {
            return Err(Wrong::Parties);
        }
        let lanes = self.received.get(&client);
        let known = lanes.and_then(|lanes| lanes.get(&lane.0));
        check_lanes(known.is_none(), lanes.map_or(0, BTreeMap::len))?;
        let before = known.cloned().unwrap_or_default();
        let Some((next, added)) = self.next_step(&before, client, payment)? else { return Ok(Applied::Before) };
        self.post(client, Series::Received, Account::With(client, Book::Receivable), Account::Revenue, added)?;
        self.received.entry(client).or_default().insert(lane.0, next);
        self.take_seats(client, &payment.receipts);
        self.net(client);
        Ok(Applied::Now)
    }

    /// What a payment makes of its lane; nothing, if it is the newest one once more.
    fn next_step(&self, lane: &Lane, other: PeerId, payment: &Opened) -> Result<Option<(Lane, Credits)>, Wrong> {
        let mut totals = Vec::with_capacity(payment.receipts.len());
        for (at, (id, receipt)) in payment.receipts.iter().enumerate() {
            let Voucher { client, payee, lane, .. } = payment.voucher;
            if (receipt.client, receipt.payee, receipt.lane) != (client, payee, lane) {
                return Err(Wrong::OtherLane(at));
            }
            receipt.check().map_err(|source| Wrong::Receipt { at, source })?;
            totals.push((*id, receipt.total().ok_or(Wrong::Receipt { at, source: Invalid::TooMuch })?));
        }
        match lane.step(&payment.voucher, &totals)? {
            Step::Same => Ok(None),
            Step::Next(next, added) => {
                self.check_seats(other, &payment.receipts)?;
                Ok(Some((next, added)))
            }
        }
    }

    fn check_seats(&self, other: PeerId, receipts: &[(ReceiptId, Receipt)]) -> Result<(), Wrong> {
        let mut together: BTreeMap<JobId, RangeSet> = BTreeMap::new();
        for (at, (_, receipt)) in receipts.iter().enumerate() {
            let job = receipt.job;
            self.seats.check(other, job, receipt.payee, &receipt.tasks).map_err(|source| Wrong::Seat { at, source })?;
            let tasks = together.entry(job).or_default();
            for &(start, end) in &receipt.tasks {
                if !tasks.insert_range(start..end) {
                    return Err(Wrong::Seat { at, source: Taken::Before { job, start, end } });
                }
            }
        }
        Ok(())
    }

    fn take_seats(&mut self, other: PeerId, receipts: &[(ReceiptId, Receipt)]) {
        for (_, receipt) in receipts {
            self.seats.take(other, receipt.job, receipt.payee, &receipt.tasks);
        }
    }

    fn on_acknowledged(&mut self, quittance: &Quittance) -> Result<Applied, Wrong> {
        let Quittance { client, payee, lane, cumulative, .. } = *quittance;
        if client != self.me || payee == self.me {
            return Err(Wrong::Parties);
        }
        let wrong = |given| Wrong::Quittance { given, found: cumulative };
        let known = self.given.get_mut(&payee).and_then(|lanes| lanes.get_mut(&lane.0));
        let (given, acknowledged) = known.ok_or(wrong(Credits::default()))?;
        if cumulative > given.cumulative() {
            return Err(wrong(given.cumulative()));
        }
        let is_new = cumulative > *acknowledged;
        *acknowledged = cumulative.max(*acknowledged);
        Ok(if is_new { Applied::Now } else { Applied::Before })
    }

    fn on_forfeited(
        &mut self,
        job: JobId,
        client: PeerId,
        payee: PeerId,
        tasks: &[(u32, u32)],
    ) -> Result<Applied, Wrong> {
        let other = match (client == self.me, payee == self.me) {
            (true, false) => payee,
            (false, true) => client,
            _ => return Err(Wrong::Parties),
        };
        let mut apart = RangeSet::default();
        let are_ranges = tasks.iter().all(|&(start, end)| start < end && apart.insert_range(start..end));
        if !are_ranges || self.seats.check(other, job, payee, tasks).is_err() {
            return Err(Wrong::Forfeit);
        }
        self.seats.take(other, job, payee, tasks);
        Ok(Applied::Now)
    }

    fn close_debt(&mut self, peer: PeerId, book: Book, by: Debtor, amount: Credits) -> Result<Applied, Wrong> {
        let closed = Account::With(peer, book);
        let (debit, credit) = match by {
            Debtor::Them => (closed, Account::With(peer, Book::Receivable)),
            Debtor::Us => (Account::With(peer, Book::Payable), closed),
        };
        self.post(peer, Series::Closing, debit, credit, amount)?;
        Ok(Applied::Now)
    }

    /// Sets mutual debts off against each other. Both sides come to the same from the same vouchers, so nothing is said.
    fn net(&mut self, peer: PeerId) {
        let Standing { owes_us, owed_by_us, .. } = self.standing(&peer);
        let amount = owes_us.min(owed_by_us);
        if amount > Credits::default() {
            let (debit, credit) = (Account::With(peer, Book::Payable), Account::With(peer, Book::Receivable));
            self.post(peer, Series::Netting, debit, credit, amount)
                .expect("both accounts hold as much, and no total over all of them overflows");
        }
    }

    fn post(
        &mut self,
        peer: PeerId,
        series: Series,
        debit: Account,
        credit: Account,
        amount: Credits,
    ) -> Result<(), Refused> {
        let id = self.books.next_id(peer, series);
        self.books.post(Transfer { id, debit, credit, amount }).map(drop)
    }
}

fn check_lanes(is_new: bool, lanes: usize) -> Result<(), Wrong> {
    if is_new && lanes >= limits::LANES_PER_PEER_MAX { Err(Wrong::TooManyLanes) } else { Ok(()) }
}
