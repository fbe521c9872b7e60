//! Lanes of cumulative vouchers: what was promised, and by which receipts. specs/settlement.md §3.
//!
//! A voucher is checked against all that came before it on its lane: its sum is theirs and that of the new receipts, its root
//! is over the ids of all of them. So it can neither fall, nor pay for nothing, nor leave anything out.

use pocketmesh_types::{Credits, Hash, ReceiptId, Voucher, merkle::Frontier};

/// How far a lane is. Its space does not grow with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    cumulative: Credits,
    receipts: Frontier,
}

/// What a voucher is to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next one: the lane as it is after it, and what it adds.
    Next(Lane, Credits),
    /// The newest one once more.
    Same,
}

/// Why a voucher does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It promises less than was promised before, or as much with another root.
    #[error("its sum is {found} atto-credits, and {before} were promised before", found = .found.0, before = .before.0)]
    NotMonotone {
        /// What was promised before.
        before: Credits,
        /// What this one says.
        found: Credits,
    },
    /// It does not come to what the receipts come to.
    #[error("its sum is {found} atto-credits, and its receipts come to {expected} with what was before", found = .found.0, expected = .expected.0)]
    Sum {
        /// What it should say.
        expected: Credits,
        /// What it says.
        found: Credits,
    },
    /// Its root is over other receipts.
    #[error("its root is not over the receipts of its lane")]
    Root,
    /// More than can be counted.
    #[error("the lane comes to more than can be counted")]
    Overflow,
    /// It pays for nothing.
    #[error("it is new and comes without receipts")]
    NoReceipts,
}

impl Lane {
    /// What all of it comes to.
    pub fn cumulative(&self) -> Credits {
        self.cumulative
    }

    /// How many receipts it has.
    pub fn receipts(&self) -> u64 {
        self.receipts.len()
    }

    /// The root over their ids.
    pub fn root(&self) -> Hash {
        self.receipts.root()
    }

    /// The lane once these receipts are paid.
    pub fn with(&self, receipts: impl IntoIterator<Item = (ReceiptId, Credits)>) -> Result<Self, Broken> {
        let mut lane = self.clone();
        for (id, total) in receipts {
            lane.cumulative = lane.cumulative.checked_add(total).ok_or(Broken::Overflow)?;
            lane.receipts.push(id.0);
        }
        Ok(lane)
    }

    /// Checks a voucher that came with these receipts.
    pub fn step(&self, voucher: &Voucher, receipts: &[(ReceiptId, Credits)]) -> Result<Step, Broken> {
        let (before, found) = (self.cumulative, voucher.cumulative);
        if found == before && voucher.receipts_root == self.root() && !self.receipts.is_empty() {
            return Ok(Step::Same);
        }
        if found < before {
            return Err(Broken::NotMonotone { before, found });
        }
        if receipts.is_empty() {
            return Err(if found == before { Broken::NotMonotone { before, found } } else { Broken::NoReceipts });
        }
        let next = self.with(receipts.iter().copied())?;
        if next.cumulative != found {
            return Err(Broken::Sum { expected: next.cumulative, found });
        }
        if next.root() != voucher.receipts_root {
            return Err(Broken::Root);
        }
        let added = next.cumulative.checked_sub(before).ok_or(Broken::Overflow)?;
        Ok(Step::Next(next, added))
    }
}
