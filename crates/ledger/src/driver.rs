//! The seam for a chain: what of a debt is secured, and how it is settled. specs/settlement.md §6.
//!
//! [`Embedded`] is the default and needs no chain: a voucher is a promise signed with the identity key, nothing is secured, and mutual
//! work sets itself off. A driver for a vault signs the same vouchers again, and turns debts into transactions.

use crate::{accounts::Standing, record::Debtor, service::Credit};
use alloc::string::String;
use pocketmesh_types::{Credits, Hash, PeerId, Voucher};

/// What stands behind the vouchers.
pub trait SettlementDriver {
    /// How much debt of this peer is borne on trust.
    fn exposure_limit(&self, peer: &PeerId, standing: &Standing) -> Credits;
    /// What is set aside for us by this peer, and not used up.
    fn secured(&self, peer: &PeerId) -> Credits;
    /// A voucher of a client that the accounts take: does it stand where it is to be cashed?
    fn on_voucher(&mut self, voucher: &Voucher) -> Result<(), Declined>;
    /// Settles what it can of a debt, either way.
    fn settle(&mut self, peer: &PeerId, standing: &Standing) -> Result<Option<Settlement>, SettleError>;

    /// What service is ordered by.
    fn credit(&self, peer: &PeerId, standing: &Standing) -> Credit {
        Credit { secured: self.secured(peer), exposure_limit: self.exposure_limit(peer, standing) }
    }
}

/// A debt that was settled outside of the books: to be journalled as `Settled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Whose debt.
    pub by: Debtor,
    /// How much of it.
    pub amount: Credits,
    /// What the driver can find it by.
    pub reference: Hash,
}

/// Why a voucher does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the voucher cannot be cashed: {0}")]
pub struct Declined(pub String);

/// Why nothing could be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the debt cannot be settled now: {0}")]
pub struct SettleError(pub String);

/// No chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    /// Debt borne of a stranger, in atto-credits.
    pub base: Credits,
    /// Debt borne for each thousand that a peer has done for us.
    pub per_mille: u16,
    /// Debt borne of nobody.
    pub max: Credits,
}

impl SettlementDriver for Embedded {
    fn exposure_limit(&self, _: &PeerId, standing: &Standing) -> Credits {
        let earned = standing.contributed().0 / 1_000 * u128::from(self.per_mille.min(1_000));
        Credits(self.base.0.saturating_add(earned)).min(self.max)
    }

    fn secured(&self, _: &PeerId) -> Credits {
        Credits::default()
    }

    fn on_voucher(&mut self, _: &Voucher) -> Result<(), Declined> {
        Ok(())
    }

    fn settle(&mut self, _: &PeerId, _: &Standing) -> Result<Option<Settlement>, SettleError> {
        Ok(None)
    }
}
