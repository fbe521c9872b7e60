//! Who is paid what, when, and what is on the disk before that. specs/settlement.md.
//!
//! The client's half ([`client`]) turns slices that are due into receipts and a voucher, has them journalled, and only then sent; one
//! payment to a payee is on its way at a time, until its quittance is here. The worker's half ([`worker`]) checks a payment against what it
//! has delivered, has it journalled, and only then relies on it. Nothing here signs, opens a file or knows the time: effects say what
//! is to be sealed and stored.

mod client;
mod worker;

pub use worker::{Begin, first_cost};

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use client::{Out, Paying};
use pocketmesh_ledger::{
    Accounts, Entry, Record,
    accounts::{Standing, Wrong},
    driver::{Embedded, SettlementDriver},
    record::{Content, Open, Opened, Payment, Unreadable},
    service::{self, Allowances, Applicant, Credit, Priority, Rates, Unpaid},
    slices::Dispute,
};
use pocketmesh_types::{
    Bytes, Credits, Instant, JobId, Lane, LeaseId, PeerId, Quittance, Receipt, Signed, Statement, Voucher,
};
use worker::{Earning, Receiving};

/// What is done for one owner for nothing, or borne of one peer, unless its owner says otherwise: an hour of one core (some 3,600
/// gigafuel) at 1,000 nano-credits a gigafuel. Guess.
const OWNER_ALLOWANCE: Credits = Credits(3_600 * 1_000_000_000 * 1_000);
/// In so many seconds an empty allowance is full again: a day. Guess.
const ALLOWANCE_SECONDS: u128 = 86_400;
/// So many full allowances a device gives at once, all owners together. Guess.
const OWNERS_AT_ONCE: u128 = 8;

/// Numbers what is on its way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreId(pub u64);

/// Something for the caller to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Seal these, put them on the disk as [`Content::Paid`], then say [`State::on_paid`] with what was sealed.
    Pay {
        /// Comes back.
        id: StoreId,
        /// The receipts.
        receipts: Vec<Receipt>,
        /// The voucher that pays them.
        voucher: Voucher,
    },
    /// Put this on the disk, then say [`State::on_stored`].
    Store {
        /// Comes back.
        id: StoreId,
        /// What.
        content: Content,
    },
    /// Send these sealed statements.
    Send {
        /// To whom.
        to: PeerId,
        /// What.
        statements: Vec<Bytes>,
    },
    /// Seal this and send it.
    Quit(Quittance),
    /// Something that people may want to know.
    Notify(Event),
}

/// Something that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client's receipt is not for what was delivered; it is not taken, and no more is worked for it than was at stake.
    Disputed {
        /// Who.
        client: PeerId,
        /// Under which lease.
        lease: LeaseId,
        /// What is wrong.
        why: Dispute,
    },
    /// A payment does not follow from those before it, or is not one; it is not taken.
    Refused {
        /// Whose.
        peer: PeerId,
        /// What is wrong.
        why: Refusal,
    },
    /// A payee holds a voucher of ours that our journal knows nothing of: an older copy of it was put back. We go on in another lane.
    Behind {
        /// Who.
        payee: PeerId,
        /// The lane that is given up.
        lane: Lane,
        /// What we know to have promised.
        ours: Credits,
        /// What we have promised.
        theirs: Credits,
    },
}

/// Why a payment was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be opened.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It does not follow.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// Another's.
    #[error("it was sent by a peer that it is not between")]
    Sender,
    /// It is for leases that we know nothing of, and many such were taken since the start: the journal is not filled with them.
    #[error("it is for leases that are not known here, and enough of such payments were taken")]
    Unasked,
    /// The driver does not stand for it.
    #[error(transparent)]
    Declined(#[from] pocketmesh_ledger::driver::Declined),
}

/// What a peer is told once about payment.
#[derive(Debug, Clone, Copy)]
pub struct Money {
    /// What is done for peers without credit: `provide.unpaid`.
    pub unpaid: Unpaid,
    /// How much is done for nothing, where there is an allowance.
    pub rates: Rates,
    /// What stands behind the vouchers.
    pub driver: Embedded,
    /// Opens a sealed statement: `pocketmesh_wire::statement::open`, and in simulations something that is quicker.
    pub open: fn(&[u8]) -> Result<Signed, String>,
}

impl Money {
    /// The default: strangers are served when nobody else waits, and a little debt of everybody is borne.
    pub fn new(open: fn(&[u8]) -> Result<Signed, String>) -> Self {
        let rates = Rates {
            owner_max: OWNER_ALLOWANCE,
            owner_per_second: Credits(OWNER_ALLOWANCE.0 / ALLOWANCE_SECONDS),
            total_max: Credits(OWNER_ALLOWANCE.0 * OWNERS_AT_ONCE),
            total_per_second: Credits(OWNER_ALLOWANCE.0 * OWNERS_AT_ONCE / ALLOWANCE_SECONDS),
        };
        let driver = Embedded { base: OWNER_ALLOWANCE, per_mille: 1_000, max: Credits(1_000 * OWNER_ALLOWANCE.0) };
        Self { unpaid: Unpaid::default(), rates, driver, open }
    }

    pub(crate) fn accounts_of(self, me: PeerId) -> State {
        State::new(me, self.driver, self.unpaid, Allowances::new(self.rates, Instant::default()))
    }
}

/// All of a peer's payments.
#[derive(Debug)]
pub struct State<D = Embedded> {
    accounts: Accounts,
    driver: D,
    unpaid: Unpaid,
    allowances: Allowances,
    /// Leases that we granted.
    paying: BTreeMap<LeaseId, Paying>,
    /// Leases that we work under.
    earning: BTreeMap<LeaseId, Earning>,
    /// The payment that is on its way to each payee.
    out: BTreeMap<PeerId, Out>,
    /// The lane in use with each payee, if it is not the first.
    lanes: BTreeMap<PeerId, Lane>,
    /// Payments to us that are on their way to the disk, one from each client.
    receiving: BTreeMap<PeerId, Receiving>,
    /// The newest voucher of each client.
    newest: BTreeMap<PeerId, Bytes>,
    /// What jobs of ours that are not over have cost, paid or due.
    costs: BTreeMap<JobId, Credits>,
    /// Payees to whom something may be due.
    unsettled: BTreeSet<PeerId>,
    /// How many more payments for leases that we know nothing of are taken.
    unasked_left: u32,
    /// Leases that we worked under and that are not paid in full, the oldest first.
    ended: VecDeque<LeaseId>,
    /// Jobs of ours that are over, once all that is due is paid.
    closing: BTreeSet<JobId>,
    effects: Vec<Effect>,
    next_id: u64,
}

impl<D: SettlementDriver> State<D> {
    /// A peer without accounts.
    pub fn new(me: PeerId, driver: D, unpaid: Unpaid, allowances: Allowances) -> Self {
        Self {
            accounts: Accounts::new(me),
            driver,
            unpaid,
            allowances,
            paying: BTreeMap::new(),
            earning: BTreeMap::new(),
            out: BTreeMap::new(),
            lanes: BTreeMap::new(),
            receiving: BTreeMap::new(),
            newest: BTreeMap::new(),
            costs: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            unasked_left: worker::UNASKED_MAX,
            ended: VecDeque::new(),
            closing: BTreeSet::new(),
            effects: Vec::new(),
            next_id: 0,
        }
    }

    /// The accounts, to read.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What is to be done since this was last asked.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.settle();
        core::mem::take(&mut self.effects)
    }

    /// A record of the journal, at the start, in order.
    pub fn restore(&mut self, record: &Record, open: &impl Open) -> Result<(), Refusal> {
        let entry = record.open(open)?;
        self.accounts.apply(&entry)?;
        match (&record.content, entry) {
            (Content::Paid(payment), Entry::Paid(opened)) => {
                for (_, receipt) in &opened.receipts {
                    self.drop_taken(receipt.job, receipt.payee, &receipt.tasks);
                    self.drop_fee(&receipt.lease, receipt.fee);
                    self.add_cost(receipt.job, receipt.total().unwrap_or_default());
                }
                let (voucher, tasks) = (opened.voucher, client::tasks_in(&opened));
                self.out.insert(voucher.payee, Out::Sent { payment: payment.clone(), voucher, tasks, looks: 0 });
                self.lanes.insert(voucher.payee, voucher.lane);
            }
            (Content::Received(payment), Entry::Received(Opened { voucher, .. })) => {
                self.newest.insert(voucher.client, payment.voucher.clone());
            }
            (_, Entry::Acknowledged(quittance)) => self.drop_acknowledged(&quittance),
            (_, Entry::Forfeited { job, payee, tasks, .. }) => self.drop_taken(job, payee, &tasks),
            (_, Entry::Closed(job)) => {
                self.paying.retain(|_, paying| !paying.is_of(&job));
                self.costs.remove(&job);
            }
            _ => {}
        }
        Ok(())
    }

    /// The journal has failed, or is damaged: no money moves any more. The rest goes on.
    pub fn on_journal_failed(&mut self, reason: String) {
        self.accounts.halt(reason);
    }

    /// A peer is here again: a payment of ours that it may have missed is said once more. Says whether there is one.
    pub fn on_connected(&mut self, peer: PeerId) -> bool {
        let Some(out) = self.out.get_mut(&peer) else { return false };
        let statements = out.statements();
        let Out::Sent { looks, .. } = out else { return false };
        *looks = 0;
        self.emit(Effect::Send { to: peer, statements });
        true
    }

    /// Statements of a peer came. Their number and length are in bounds already.
    pub fn on_statements(&mut self, from: PeerId, mut statements: Vec<Bytes>, open: &impl Open) {
        let Some(last) = statements.pop() else { return };
        match open.open(&last).map(|signed| signed.statement) {
            Ok(Statement::Quittance(quittance)) if statements.is_empty() => self.on_quittance(from, &quittance, last),
            Ok(Statement::Voucher(voucher)) if statements.is_empty() && voucher.client == self.accounts.me() => {
                self.on_shown(from, &voucher);
            }
            Ok(Statement::Voucher(_)) => self.on_payment(from, Payment { receipts: statements, voucher: last }, open),
            Ok(_) => self.refuse(from, Refusal::Sender),
            Err(reason) => {
                self.refuse(from, Unreadable::Statement { what: "statement", at: statements.len(), reason }.into())
            }
        }
    }

    /// What [`Effect::Store`] asked for is on the disk.
    pub fn on_stored(&mut self, id: StoreId) {
        let client = self.receiving.iter().find(|(_, receiving)| receiving.id == id).map(|(client, _)| *client);
        if let Some(client) = client {
            self.on_received(client);
        }
    }

    /// How soon work of this cost is done for a peer; not at all if nothing is said. Draws from its allowance. What was done for it, and
    /// is not paid, counts as its debt.
    pub fn priority(&mut self, applicant: Applicant, cost: Credits, now: Instant) -> Option<Priority> {
        let (standing, credit) = self.asks(&applicant.peer);
        let applicant = Applicant { has_history: standing.contributed() > Credits::default(), ..applicant };
        let allowances = &mut self.allowances;
        service::priority(self.unpaid, &standing, credit, cost, |_| allowances.draw(applicant, cost, now))
    }

    /// The same, if nothing is drawn yet.
    pub fn would_serve(&self, applicant: Applicant, cost: Credits, now: Instant) -> Option<Priority> {
        let (standing, credit) = self.asks(&applicant.peer);
        let applicant = Applicant { has_history: standing.contributed() > Credits::default(), ..applicant };
        let holds = |_| self.allowances.holds(applicant, cost, now);
        service::priority(self.unpaid, &standing, credit, cost, holds)
    }

    /// How a peer stands, and its credit.
    fn asks(&self, peer: &PeerId) -> (Standing, Credit) {
        let standing = self.accounts.standing(peer);
        (standing, self.driver.credit(peer, &standing))
    }

    fn store(&mut self, content: Content) -> StoreId {
        let id = self.fresh_id();
        self.emit(Effect::Store { id, content });
        id
    }

    fn fresh_id(&mut self) -> StoreId {
        self.next_id += 1;
        StoreId(self.next_id)
    }

    fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn refuse(&mut self, peer: PeerId, why: Refusal) {
        self.emit(Effect::Notify(Event::Refused { peer, why }));
    }
}
