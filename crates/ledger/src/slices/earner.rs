//! The worker's half: what it has at stake, and whether a receipt says what was delivered.

use super::{Row, Terms, most};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use pocketmesh_types::{Credits, Fuel, PerGib, Price, Receipt, Tariff, TaskIndex, Work, merkle};

/// What one lease owes its worker.
#[derive(Debug, Clone)]
pub struct Earner {
    terms: Terms,
    tariff: Tariff,
    /// Executions under way.
    begun: BTreeSet<TaskIndex>,
    /// Delivered and not paid.
    unpaid: BTreeMap<TaskIndex, Row>,
    /// What these come to.
    at_stake: Credits,
    /// The most that one of its tasks has taken.
    dearest: Option<Work>,
}

/// Why a receipt is not one for this lease's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dispute {
    /// Another price than the lease's.
    #[error("it says price {found}, and the lease says {leased}", found = .found.0, leased = .leased.0)]
    Price {
        /// What it says.
        found: Price,
        /// What was agreed on.
        leased: Price,
    },
    /// Another price of bytes than the lease's.
    #[error("it says {found} nano-credits a GiB, and the lease says {leased}", found = .found.0, leased = .leased.0)]
    PerGib {
        /// What it says.
        found: PerGib,
        /// What was agreed on.
        leased: PerGib,
    },
    /// A task that was not delivered, or is paid.
    #[error("task {0} was not delivered, or is paid")]
    Task(TaskIndex),
    /// Another sum of fuel.
    #[error("it says fuel {found}, and its tasks took {delivered}", found = .found.0, delivered = .delivered.0)]
    Fuel {
        /// What it says.
        found: Fuel,
        /// What was delivered.
        delivered: Fuel,
    },
    /// Another sum of bytes.
    #[error("it says {found} bytes, and {moved} were moved for its tasks")]
    Bytes {
        /// What it says.
        found: u64,
        /// What was moved.
        moved: u64,
    },
    /// Other results.
    #[error("its results are not those that were delivered")]
    Results,
}

impl Earner {
    /// A lease on these terms, under which nothing was begun.
    pub fn new(terms: Terms, tariff: Tariff) -> Self {
        let (begun, unpaid) = (BTreeSet::new(), BTreeMap::new());
        Self { terms, tariff, begun, unpaid, at_stake: Credits::default(), dearest: None }
    }

    /// Whether another execution may begin: not if a slice and the hold-back are unpaid.
    pub fn may_begin(&self) -> bool {
        let dearest = self.dearest.map(|work| self.tariff.in_fuel(work));
        self.exposed_tasks() < self.terms.exposure_tasks(dearest)
    }

    /// An execution begins, if it may and is not one already done.
    pub fn begin(&mut self, task: TaskIndex) -> bool {
        self.may_begin() && !self.unpaid.contains_key(&task) && self.begun.insert(task)
    }

    /// It came to nothing, or was given back.
    pub fn abandon(&mut self, task: TaskIndex) {
        self.begun.remove(&task);
    }

    /// Its result is delivered.
    pub fn deliver(&mut self, row: Row) {
        if self.begun.remove(&row.task) {
            self.dearest = most(self.dearest, &row);
            self.unpaid.insert(row.task, row);
            self.at_stake = Credits(self.at_stake.0.saturating_add(self.tariff.cost(row.work()).0));
        }
    }

    /// Whether a receipt says what was delivered and is not paid.
    pub fn check(&self, receipt: &Receipt) -> Result<(), Dispute> {
        let Tariff { price, per_gib } = self.tariff;
        if receipt.price != price {
            return Err(Dispute::Price { found: receipt.price, leased: price });
        }
        if receipt.per_gib != per_gib {
            return Err(Dispute::PerGib { found: receipt.per_gib, leased: per_gib });
        }
        let mut rows = Vec::new();
        for task in receipt.tasks.iter().flat_map(|&(start, end)| start..end) {
            rows.push(self.unpaid.get(&task).ok_or(Dispute::Task(task))?);
        }
        let delivered = Fuel(rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.fuel.0)));
        if delivered != receipt.fuel {
            return Err(Dispute::Fuel { found: receipt.fuel, delivered });
        }
        let moved = rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.bytes));
        if moved != receipt.bytes {
            return Err(Dispute::Bytes { found: receipt.bytes, moved });
        }
        let results = merkle::results_root(rows.iter().map(|row| (row.task, row.digest)));
        if results == receipt.results { Ok(()) } else { Err(Dispute::Results) }
    }

    /// A receipt that was checked is paid: its voucher is on disk.
    pub fn on_paid(&mut self, receipt: &Receipt) {
        for task in receipt.tasks.iter().flat_map(|&(start, end)| start..end) {
            if let Some(row) = self.unpaid.remove(&task) {
                self.at_stake = self.at_stake.checked_sub(self.tariff.cost(row.work())).unwrap_or_default();
            }
        }
    }

    /// The lease is over: what is not finished never is.
    pub fn on_over(&mut self) {
        self.begun.clear();
    }

    /// What was delivered and is not paid, in atto-credits.
    pub fn at_stake(&self) -> Credits {
        self.at_stake
    }

    /// The most that one of its tasks has taken, if one is delivered.
    pub fn dearest(&self) -> Option<Work> {
        self.dearest
    }

    /// Executions that are begun.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// What its work is paid by.
    pub fn tariff(&self) -> Tariff {
        self.tariff
    }

    /// Executions that are begun, and results that are delivered and not paid.
    pub fn exposed_tasks(&self) -> usize {
        self.begun.len() + self.unpaid.len()
    }
}
