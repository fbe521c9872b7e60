//! What is said about payment: receipts, cumulative vouchers, quittances. specs/settlement.md.
//!
//! They are statements that outlive the connection they came over: signed each for itself, kept in the journal, shown to others.

use crate::{
    Credits, Fuel, Hash, JobId, LeaseId, PeerId, PerGib, Price, Tariff, TaskIndex, VoucherId, Work, bytes, limits,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Numbers the lines of vouchers between two peers. The first is 0; another begins where the payer has lost the books of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lane(pub u32);

/// The client accepts a slice: these results are here, and this is what they cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The job.
    pub job: JobId,
    /// Under which lease.
    pub lease: LeaseId,
    /// Who pays, and signs.
    pub client: PeerId,
    /// Who has worked.
    pub payee: PeerId,
    /// The lane whose vouchers pay it.
    pub lane: Lane,
    /// The tasks: half-open ranges in order, none touching the next.
    pub tasks: Vec<(TaskIndex, TaskIndex)>,
    /// The fuel of all of them together.
    pub fuel: Fuel,
    /// The bytes that were moved for all of them together; left out if there were none.
    #[serde(default, skip_serializing_if = "bytes::is_zero")]
    pub bytes: u64,
    /// The price of the fuel.
    pub price: Price,
    /// That of the bytes; left out if there is none.
    #[serde(default, skip_serializing_if = "PerGib::is_zero")]
    pub per_gib: PerGib,
    /// What is paid beside them: fetching and compiling the program, with a lease's first slice.
    pub fee: Credits,
    /// The root over the results: see [`results_root`](crate::merkle::results_root).
    pub results: Hash,
}

/// A promise to pay: everything on this lane so far. The newest replaces all older ones.
///
/// It has the fields that a payment vault on a chain asks for, and no others: a driver for one signs the same struct again,
/// under the vault's domain, with a payment key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Who pays, and signs.
    pub client: PeerId,
    /// Who is paid.
    pub payee: PeerId,
    /// On which lane.
    pub lane: Lane,
    /// What all receipts of the lane come to. It never falls.
    pub cumulative: Credits,
    /// The root over the ids of all receipts of the lane, in order.
    pub receipts_root: Hash,
}

/// The payee has a voucher, and agrees with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quittance {
    /// Which.
    pub voucher: VoucherId,
    /// Whose.
    pub client: PeerId,
    /// Who has it, and signs.
    pub payee: PeerId,
    /// On which lane.
    pub lane: Lane,
    /// What it comes to.
    pub cumulative: Credits,
}

/// Anything that is said about payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A slice is accepted.
    Receipt(Receipt),
    /// It will be paid.
    Voucher(Voucher),
    /// The promise is here.
    Quittance(Quittance),
}

/// A statement whose signature was checked, and is that of the one who has to sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The hash of its bytes as signed.
    pub id: Hash,
    /// What is said.
    pub statement: Statement,
}

/// A statement that nobody could have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No tasks, too many, or ranges out of order.
    #[error("its tasks are not 1 to {max}, in ranges that are in order and apart", max = limits::SLICE_TASKS_MAX)]
    Tasks,
    /// More than can be counted.
    #[error("it comes to more than can be counted")]
    TooMuch,
    /// Paid by oneself to oneself.
    #[error("its client is its payee")]
    Oneself,
}

impl Receipt {
    /// How many tasks it names; the ranges are to be in order.
    pub fn count(&self) -> u64 {
        self.tasks.iter().map(|&(start, end)| u64::from(end.saturating_sub(start))).sum()
    }

    /// What it pays by.
    pub fn tariff(&self) -> Tariff {
        Tariff { price: self.price, per_gib: self.per_gib }
    }

    /// What it comes to, rounded down, if that can be counted.
    pub fn total(&self) -> Option<Credits> {
        let work = Work { fuel: self.fuel, bytes: self.bytes };
        self.tariff().checked_cost(work)?.checked_add(self.fee)
    }

    /// Checks every bound that the bytes alone do not show.
    pub fn check(&self) -> Result<(), Invalid> {
        let in_order = self.tasks.iter().all(|(start, end)| start < end);
        let apart = self.tasks.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let in_bounds = self.tasks.last().is_some_and(|&(_, end)| end <= limits::TASKS_PER_JOB_MAX);
        if !(in_bounds && in_order && apart && self.count() <= u64::from(limits::SLICE_TASKS_MAX)) {
            return Err(Invalid::Tasks);
        }
        if self.total().is_none_or(|total| total.0 > limits::BALANCE_MAX) {
            return Err(Invalid::TooMuch);
        }
        apart_from(self.client, self.payee)
    }
}

impl Statement {
    /// Who has to sign it.
    pub fn signer(&self) -> PeerId {
        match self {
            Self::Receipt(receipt) => receipt.client,
            Self::Voucher(voucher) => voucher.client,
            Self::Quittance(quittance) => quittance.payee,
        }
    }

    /// Checks every bound that the bytes alone do not show.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Receipt(receipt) => receipt.check(),
            Self::Voucher(voucher) => apart_from(voucher.client, voucher.payee),
            Self::Quittance(quittance) => apart_from(quittance.client, quittance.payee),
        }
    }
}

fn apart_from(client: PeerId, payee: PeerId) -> Result<(), Invalid> {
    if client == payee { Err(Invalid::Oneself) } else { Ok(()) }
}
