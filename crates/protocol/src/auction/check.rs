//! What a bidder does with the disclosure of a closed auction: recompute its own result, and name the lie if there is
//! one.
//!
//! What cannot be recomputed is listed in specs/auction.md §7; nothing here trusts it, and nothing here punishes: the
//! bidder decides what a cheat costs the requester.

use super::{Clearing, Outcome, PRICE_MAX, clear, nonce_hash, price_of, score};
use alloc::{collections::BTreeSet, vec::Vec};
use pocketmesh_types::{Hash, PeerId, Price, limits};
use pocketmesh_wire::message::{BidEntry, Closing, Offer, Standing};

/// A result that could be recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// What became of the bid.
    pub standing: Standing,
    /// What a seat pays this bidder, won or not, or the most it could have asked, as in [`Outcome`]; none if its bid
    /// did not count.
    pub price: Option<Price>,
}

impl Checked {
    /// Whether a lease at `price` pays what the auction says.
    pub fn pays(&self, price: Price) -> Result<(), Cheat> {
        match self.price {
            Some(due) if price < due => Err(Cheat::Underpaid { due, offered: price }),
            _ => Ok(()),
        }
    }
}

/// A lie of the requester, as the bidder found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cheat {
    /// Another nonce than the one that the offer was bound to.
    #[error("the seats were drawn with another nonce than the offer had promised")]
    OtherNonce,
    /// More bids than the offer waits for.
    #[error("{listed} bids are listed, but the auction had to close at {wanted}")]
    TooManyBids {
        /// How many are listed.
        listed: usize,
        /// How many the offer waits for.
        wanted: usize,
    },
    /// Somebody has two tickets.
    #[error("peer {0} is listed twice, so it drew twice")]
    ListedTwice(PeerId),
    /// No price has this score with this chance of delivery.
    #[error("the score listed for peer {0} is that of no price")]
    NoSuchScore(PeerId),
    /// A bid that must not have counted.
    #[error("the bid listed for peer {0} is above the offer's ceiling")]
    ListedAboveCeiling(PeerId),
    /// The requester says that our bid counted, and does not list it.
    #[error("our bid is said to have counted, but it is not listed")]
    NotListed,
    /// Under our name stands a bid that we did not make.
    #[error("the bid listed under our name is not the one that we sent")]
    OtherBid,
    /// Our bid, scored at another price.
    #[error("our bid is listed with score {listed}; its price and our delivery rate make {right}")]
    WrongScore {
        /// As listed.
        listed: u64,
        /// As it should be.
        right: u64,
    },
    /// Another result than the draw gives.
    #[error("we were told {told:?}, but the disclosed bids and nonce make {drawn:?}")]
    WrongStanding {
        /// As we were told.
        told: Standing,
        /// As it should be.
        drawn: Standing,
    },
    /// Our bid was turned away as too high, and it was not.
    #[error("our bid was refused as above the ceiling, but it was not above it")]
    NotAboveCeiling,
    /// The lease pays less than the auction says.
    #[error("the lease pays {}, the auction says {}; decline it", offered.0, due.0)]
    Underpaid {
        /// What the auction says.
        due: Price,
        /// What the lease says.
        offered: Price,
    },
}

/// Recomputes what became of the bid `my_bid` of `me`, at `my_price`, from the disclosure of `offer` (the caller has
/// found it by `closing.offer`).
pub fn check(offer: &Offer, closing: &Closing, me: PeerId, my_bid: Hash, my_price: Price) -> Result<Checked, Cheat> {
    check_inputs(offer, closing)?;
    let told = closing.standing;
    let Some(index) = closing.bids.iter().position(|entry| entry.bidder == me) else {
        return check_turned_away(offer, told, my_price);
    };
    check_own_entry(&closing.bids[index], my_bid, my_price)?;
    let Clearing { outcomes, .. } = clear(&closing.nonce, offer.seats, offer.ceiling, &closing.bids);
    let Outcome { standing: drawn, price } = outcomes[index];
    if told != drawn {
        return Err(Cheat::WrongStanding { told, drawn });
    }
    Ok(Checked { standing: drawn, price: Some(price) })
}

/// Others who won that are taken note of: a blob is fetched from so many and the requester at once.
const FELLOWS_MAX: usize = 15;

/// Who won beside `me`, by the same computation, the first few: each of them needs the job's program too, and gives on what
/// it has of it.
pub fn fellows(offer: &Offer, closing: &Closing, me: &PeerId) -> Vec<PeerId> {
    let Clearing { winners, .. } = clear(&closing.nonce, offer.seats, offer.ceiling, &closing.bids);
    let others = winners.into_iter().map(|seat| seat.bidder).filter(|bidder| bidder != me);
    others.take(FELLOWS_MAX).collect()
}

/// What every bidder can say of the disclosure, whichever its own bid is.
fn check_inputs(offer: &Offer, closing: &Closing) -> Result<(), Cheat> {
    if nonce_hash(&closing.nonce) != offer.nonce_hash {
        return Err(Cheat::OtherNonce);
    }
    let (listed, wanted) = (closing.bids.len(), usize::from(offer.bids_wanted).min(limits::BIDS_PER_OFFER_MAX));
    if listed > wanted {
        return Err(Cheat::TooManyBids { listed, wanted });
    }
    let mut bidders = BTreeSet::new();
    for entry in &closing.bids {
        if !bidders.insert(entry.bidder) {
            return Err(Cheat::ListedTwice(entry.bidder));
        }
        check_entry(offer.ceiling, entry)?;
    }
    Ok(())
}

fn check_entry(ceiling: Price, entry: &BidEntry) -> Result<(), Cheat> {
    let price = price_of(entry.score, entry.delivery_ppm);
    let is_chance = (1..=super::PPM).contains(&entry.delivery_ppm);
    if !is_chance || score(price, entry.delivery_ppm) != entry.score {
        return Err(Cheat::NoSuchScore(entry.bidder));
    }
    if price > ceiling.min(PRICE_MAX) {
        return Err(Cheat::ListedAboveCeiling(entry.bidder));
    }
    Ok(())
}

fn check_own_entry(entry: &BidEntry, my_bid: Hash, my_price: Price) -> Result<(), Cheat> {
    let right = score(my_price, entry.delivery_ppm);
    if entry.bid != my_bid {
        Err(Cheat::OtherBid)
    } else if entry.score != right {
        Err(Cheat::WrongScore { listed: entry.score, right })
    } else {
        Ok(())
    }
}

fn check_turned_away(offer: &Offer, told: Standing, my_price: Price) -> Result<Checked, Cheat> {
    match told {
        Standing::AboveCeiling if my_price <= offer.ceiling.min(PRICE_MAX) => Err(Cheat::NotAboveCeiling),
        Standing::AboveCeiling | Standing::Late | Standing::SamePrefix | Standing::Distrusted => {
            Ok(Checked { standing: told, price: None })
        }
        Standing::Won | Standing::TooDear | Standing::NotDrawn | Standing::SecondBid => Err(Cheat::NotListed),
    }
}
