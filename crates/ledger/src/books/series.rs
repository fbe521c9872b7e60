//! Ids of transfers, so that each posts once, in space that does not grow.
//!
//! Within a series, numbers count up without gaps: a number below the next one was posted, whatever became of its memory. Of the
//! last few the content is remembered too, so that an id used for two transfers is noticed.

use super::Transfer;
use alloc::collections::VecDeque;
use pocketmesh_types::{Hash, PeerId};

/// Transfers remembered by content in each series. What is older can be repeated, and is not compared.
const REMEMBERED: usize = 8;

/// Names a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId {
    /// With whom.
    pub peer: PeerId,
    /// Which of the counts.
    pub series: Series,
    /// The number in it, from 0.
    pub number: u64,
}

/// What gives rise to a transfer; each counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// A voucher that we gave.
    Given,
    /// A voucher that we were given.
    Received,
    /// Mutual debts set off against each other.
    Netting,
    /// Debts given up or settled outside.
    Closing,
}

impl Series {
    /// How many there are.
    pub(super) const COUNT: usize = 4;
}

/// How far a series is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    next: u64,
    /// The last ones before `next`.
    recent: VecDeque<Hash>,
}

/// What a number is to a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Next,
    Before,
    Conflict,
    Gap(u64),
}

impl Seen {
    /// In a series that has not begun.
    pub(super) fn of_none(number: u64) -> Self {
        if number == 0 { Self::Next } else { Self::Gap(0) }
    }
}

impl Progress {
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn seen(&self, number: u64, transfer: &Transfer) -> Seen {
        if number >= self.next {
            return if number == self.next { Seen::Next } else { Seen::Gap(self.next) };
        }
        let back = usize::try_from(self.next - number).unwrap_or(usize::MAX);
        let known = self.recent.len().checked_sub(back).and_then(|at| self.recent.get(at));
        if known.is_none_or(|known| *known == digest(transfer)) { Seen::Before } else { Seen::Conflict }
    }

    pub(super) fn note(&mut self, transfer: &Transfer) {
        self.next += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(digest(transfer));
    }
}

fn digest(transfer: &Transfer) -> Hash {
    let account = |account: super::Account| match account {
        super::Account::Revenue => [0, 0],
        super::Account::Expense => [1, 0],
        super::Account::With(_, book) => [2, book as u8],
    };
    let (debit, credit) = (account(transfer.debit), account(transfer.credit));
    Hash::of_parts("pocketmesh transfer 1", &[&debit, &credit, &transfer.amount.0.to_be_bytes()])
}
