//! What is owed, to whom and by whom: credit with peers. It is no money, and nobody redeems it.

use crate::JobEvent;
use pocketmesh_types::{Credits, PeerId, PerGib, Price};
use serde::{Deserialize, Serialize};

/// How things stand with everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// This peer.
    pub peer: PeerId,
    /// Everybody with whom something came about, the largest debts either way first.
    pub accounts: Vec<Account>,
    /// What all owe us together.
    pub owed_to_us: Credits,
    /// What we owe all together.
    pub owed_by_us: Credits,
    /// Why no payment is made or taken any more, if that is so.
    pub stopped: Option<String>,
    /// What was remarkable about payments lately, oldest first.
    pub remarks: Vec<JobEvent>,
}

/// How things stand with one peer. Amounts are in atto-credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub peer: PeerId,
    /// What it owes us. Mutual debts are set off: of this and the next, at most one is not nothing.
    pub owes_us: Credits,
    /// What we owe it.
    pub owed_by_us: Credits,
    /// What its work for us was worth, ever.
    pub done_for_us: Credits,
    /// What our work for it was worth, ever.
    pub done_by_us: Credits,
    /// What of its debts was settled otherwise.
    pub settled: Credits,
    /// What it will owe us for work that is under way.
    pub reserved_by_us: Credits,
    /// What we will owe it for work that is under way.
    pub reserved_for_it: Credits,
}

/// What a job costs its owner, in atto-credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// No worker is paid more than this, in nano-credits per gigafuel.
    pub max_price: Price,
    /// What is paid for each GiB that a task moves, in nano-credits.
    pub per_gib: PerGib,
    /// The most that all of it may cost, if its owner has said so.
    pub budget: Option<Credits>,
    /// What was accepted so far comes to, with the fees for fetching and compiling the program as far as they are paid.
    pub owed: Credits,
    /// Of that, what we have given receipts and vouchers for.
    pub paid: Credits,
    /// What the levels of its reduction came to so far. They are jobs of their own, and not in the other amounts.
    #[serde(default)]
    pub levels: Credits,
    /// What one final result has cost so far; nothing before there is one.
    pub per_result: Option<Credits>,
    /// What all of it will come to, if the rest costs as much as what is final; before there is a result, if results cost as much as those
    /// of the last job with the same program. Nothing where there is neither.
    pub expected: Option<Credits>,
}
