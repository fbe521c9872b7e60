//! Everything once more, from the journal alone: every signature, every sum, every seat. specs/ledger.md §6.
//!
//! An audit believes nobody, least of all the balances that a daemon shows. It yields the first record that is bad, and why.

use crate::{
    accounts::{Accounts, Applied, Standing, Wrong},
    record::{Open, Record, Unreadable},
};
use alloc::{string::String, vec::Vec};
use pocketmesh_types::PeerId;

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    accounts: Accounts,
    records: u64,
}

/// The first record that is bad.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} of the journal is bad: {reason}")]
pub struct BadRecord {
    /// Its number in the journal.
    pub sequence: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its bytes are no record.
    #[error("{0}")]
    Form(String),
    /// A statement in it does not open.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It does not follow from the records before it.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// It is there twice.
    #[error("it repeats an earlier one")]
    Repeated,
    /// Debits and credits differ after it.
    #[error("debits and credits differ after it")]
    Unbalanced,
}

/// What an audit found, if all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Records of money that were looked at.
    pub records: u64,
    /// Every counterparty, and how things stand with it.
    pub standings: Vec<(PeerId, Standing)>,
}

impl Audit {
    /// An audit of the journal of this peer.
    pub fn new(me: PeerId) -> Self {
        Self { accounts: Accounts::unforgetting(me), records: 0 }
    }

    /// Takes the next record of money. After the first bad one, the audit is over.
    pub fn take(&mut self, sequence: u64, record: &Record, open: &impl Open) -> Result<(), BadRecord> {
        self.check(record, open).map_err(|reason| BadRecord { sequence, reason })?;
        self.records += 1;
        Ok(())
    }

    fn check(&mut self, record: &Record, open: &impl Open) -> Result<(), Reason> {
        let entry = record.open(open)?;
        if self.accounts.apply(&entry)? == Applied::Before {
            return Err(Reason::Repeated);
        }
        if self.accounts.books().are_balanced() { Ok(()) } else { Err(Reason::Unbalanced) }
    }

    /// The journal ends here.
    pub fn finish(self) -> Report {
        let standings = self.accounts.books().peers().map(|peer| (*peer, self.accounts.standing(peer))).collect();
        Report { records: self.records, standings }
    }
}
