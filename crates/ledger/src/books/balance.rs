//! One account's sums, and the sums over all.

use super::Refused;
use pocketmesh_types::Credits;

/// What was ever posted to an account, and what is reserved now. In atto-credits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Posted debits.
    pub debits: Credits,
    /// Posted credits.
    pub credits: Credits,
    /// Reserved debits.
    pub debits_reserved: Credits,
    /// Reserved credits.
    pub credits_reserved: Credits,
}

/// Which side of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Debit,
    Credit,
}

impl Balance {
    /// Debits less credits, as far as there are more.
    pub fn debit_balance(&self) -> Credits {
        self.debits.checked_sub(self.credits).unwrap_or_default()
    }

    /// Credits less debits, as far as there are more.
    pub fn credit_balance(&self) -> Credits {
        self.credits.checked_sub(self.debits).unwrap_or_default()
    }

    /// Whether one of the sums is larger than `max`.
    pub(super) fn is_beyond(&self, max: u128) -> bool {
        [self.debits, self.credits, self.debits_reserved, self.credits_reserved].iter().any(|sum| sum.0 > max)
    }

    pub(super) fn post(mut self, side: Side, amount: Credits) -> Result<Self, Refused> {
        let sum = match side {
            Side::Debit => &mut self.debits,
            Side::Credit => &mut self.credits,
        };
        *sum = sum.checked_add(amount).ok_or(Refused::Overflow)?;
        Ok(self)
    }

    pub(super) fn reserve(mut self, side: Side, amount: Credits) -> Result<Self, Refused> {
        let sum = self.reserved(side);
        *sum = sum.checked_add(amount).ok_or(Refused::Overflow)?;
        Ok(self)
    }

    pub(super) fn release(mut self, side: Side, amount: Credits) -> Result<Self, Refused> {
        let sum = self.reserved(side);
        *sum = sum.checked_sub(amount).ok_or(Refused::Over)?;
        Ok(self)
    }

    fn reserved(&mut self, side: Side) -> &mut Credits {
        match side {
            Side::Debit => &mut self.debits_reserved,
            Side::Credit => &mut self.credits_reserved,
        }
    }
}

/// The sums over all accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals(Balance);

impl Totals {
    /// The sums once an account holds `new` instead of `old`.
    pub(super) fn with(self, old: Balance, new: Balance) -> Result<Self, Refused> {
        let moved = |sum: Credits, old: Credits, new: Credits| {
            sum.checked_sub(old).ok_or(Refused::Unbalanced)?.checked_add(new).ok_or(Refused::Overflow)
        };
        Ok(Self(Balance {
            debits: moved(self.0.debits, old.debits, new.debits)?,
            credits: moved(self.0.credits, old.credits, new.credits)?,
            debits_reserved: moved(self.0.debits_reserved, old.debits_reserved, new.debits_reserved)?,
            credits_reserved: moved(self.0.credits_reserved, old.credits_reserved, new.credits_reserved)?,
        }))
    }

    pub(super) fn are_balanced(&self) -> bool {
        self.0.debits == self.0.credits && self.0.debits_reserved == self.0.credits_reserved
    }
}
