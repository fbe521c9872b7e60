//! Who is served first, and what for nothing. specs/settlement.md §5.
//!
//! Credit decides the order, not whether. What a peer has done for us is known from the accounts; what it promises is not counted,
//! because a promise costs it nothing, and neither does a new name.

mod allowance;

pub use allowance::{Allowances, Applicant, Prefix, Rates};

use crate::accounts::Standing;
use core::str::FromStr;
use pocketmesh_types::Credits;

/// What is done for those who have no credit: `provide.unpaid`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unpaid {
    /// They are served when nobody else waits.
    #[default]
    Idle,
    /// They are served up to an allowance that time refills.
    Allowance,
    /// They are not served.
    None,
}

/// The text names no such policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("provide.unpaid is `idle`, `allowance` or `none`")]
pub struct ParseError;

impl FromStr for Unpaid {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "idle" => Ok(Self::Idle),
            "allowance" => Ok(Self::Allowance),
            "none" => Ok(Self::None),
            _ => Err(ParseError),
        }
    }
}

/// How soon a peer is served; the least is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Against what we owe it, or what is secured for us.
    Covered,
    /// On trust, or within its allowance.
    Trusted,
    /// When nobody else waits.
    Idle,
}

/// What a driver says of a peer, in atto-credits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// What is secured for us, outside of these books.
    pub secured: Credits,
    /// How much debt is borne on trust.
    pub exposure_limit: Credits,
}

/// Whether what a peer asks for is covered by what we owe it and what is secured for us.
pub fn is_covered(standing: &Standing, credit: Credit, cost: Credits) -> bool {
    let needed = standing.debt().checked_add(cost);
    let there = standing.owed_by_us.checked_add(credit.secured).unwrap_or(Credits(u128::MAX));
    needed.is_some_and(|needed| needed <= there)
}

/// How soon a peer is served that asks for work of this cost; not at all if nothing is said. What is drawn from its allowance is
/// drawn then.
pub fn priority(
    unpaid: Unpaid,
    standing: &Standing,
    credit: Credit,
    cost: Credits,
    draw: impl FnOnce(Credits) -> bool,
) -> Option<Priority> {
    if is_covered(standing, credit, cost) {
        return Some(Priority::Covered);
    }
    match unpaid {
        Unpaid::Idle => {
            let trusted = Credit {
                secured: credit.secured.checked_add(credit.exposure_limit).unwrap_or(Credits(u128::MAX)),
                ..credit
            };
            Some(if is_covered(standing, trusted, cost) { Priority::Trusted } else { Priority::Idle })
        }
        Unpaid::Allowance => draw(cost).then_some(Priority::Trusted),
        Unpaid::None => None,
    }
}

/// Sorts those who wait: by priority, then by what they owe, then by who has waited longest, as they are given.
pub fn order<T>(waiting: &mut [(Priority, Standing, T)]) {
    waiting.sort_by_key(|(priority, standing, _)| (*priority, standing.debt()));
}
