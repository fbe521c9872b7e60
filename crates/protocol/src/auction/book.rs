//! An auction while it is open, as its requester keeps it: who may still bid, who was turned away, and why.
//!
//! It takes bids until enough of them are in or the time is up, whatever they cost; a price decides neither when it
//! closes nor who is drawn. It discloses nothing before it is closed, and holds a bounded number of bids.

use super::{Clearing, PRICE_MAX, clear, nonce_hash, score};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{Hash, Instant, OfferId, PeerId, Price, limits};
use pocketmesh_wire::message::{BidEntry, Closing, Offer, Standing};

/// What the offer promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The offer.
    pub offer: OfferId,
    /// How many seats are to be drawn.
    pub seats: u16,
    /// Bids above this do not count.
    pub ceiling: Price,
    /// The auction closes when this many bids count.
    pub bids_wanted: u16,
}

impl Terms {
    /// The terms of a published offer.
    pub fn of(id: OfferId, offer: &Offer) -> Self {
        Self { offer: id, seats: offer.seats, ceiling: offer.ceiling, bids_wanted: offer.bids_wanted }
    }
}

/// A bid as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedBid {
    /// Who bids.
    pub bidder: PeerId,
    /// The id of the bid.
    pub bid: Hash,
    /// The price asked.
    pub price: Price,
    /// How often this peer delivered, as the requester measured it, in parts per million.
    pub delivery_ppm: u32,
    /// The public address prefix that it bids from (/24 or /48), if its address is public.
    pub prefix: Option<[u8; 6]>,
}

/// One auction from its offer to the last answer.
#[derive(Debug, Clone)]
pub struct Book {
    nonce: Hash,
    terms: Terms,
    deadline: Instant,
    entries: Vec<BidEntry>,
    prefixes: BTreeSet<[u8; 6]>,
    turned_away: BTreeMap<PeerId, Standing>,
    clearing: Option<Clearing>,
}

impl Book {
    /// An auction that takes bids for `closes` from `opened` on. The nonce is secret until then, and new for every offer.
    pub fn new(nonce: Hash, terms: Terms, opened: Instant, closes: Duration) -> Self {
        Self {
            nonce,
            terms,
            deadline: opened + closes,
            entries: Vec::new(),
            prefixes: BTreeSet::new(),
            turned_away: BTreeMap::new(),
            clearing: None,
        }
    }

    /// What the offer must carry as its `nonce_hash`.
    pub fn nonce_hash(&self) -> Hash {
        nonce_hash(&self.nonce)
    }

    /// When it closes at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether enough bids are in: it is to be closed now.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= usize::from(self.terms.bids_wanted).min(limits::BIDS_PER_OFFER_MAX)
    }

    /// The bids that count, in order of arrival.
    pub fn entries(&self) -> &[BidEntry] {
        &self.entries
    }

    /// Takes a bid, or says why it does not count. The same bid delivered twice is one bid.
    pub fn on_bid(&mut self, now: Instant, bid: SealedBid) -> Result<(), Standing> {
        if let Some(counted) = self.entries.iter().find(|entry| entry.bidder == bid.bidder) {
            return if counted.bid == bid.bid { Ok(()) } else { Err(Standing::SecondBid) };
        }
        if let Some(standing) = self.objection(now, &bid) {
            self.turn_away(bid.bidder, standing);
            return Err(standing);
        }
        self.turned_away.remove(&bid.bidder);
        self.prefixes.extend(bid.prefix);
        let score = score(bid.price, bid.delivery_ppm);
        self.entries.push(BidEntry {
            bidder: bid.bidder,
            bid: bid.bid,
            score,
            delivery_ppm: bid.delivery_ppm.clamp(1, super::PPM),
        });
        Ok(())
    }

    /// Remembers why a bid does not count, for the answer after closing: also for a bidder that the requester wants no
    /// bid from.
    pub fn turn_away(&mut self, bidder: PeerId, standing: Standing) {
        if self.turned_away.len() < limits::BIDS_PER_OFFER_MAX {
            self.turned_away.insert(bidder, standing);
        }
    }

    fn objection(&self, now: Instant, bid: &SealedBid) -> Option<Standing> {
        if self.clearing.is_some() || self.is_full() || now >= self.deadline {
            Some(Standing::Late)
        } else if bid.price > self.terms.ceiling.min(PRICE_MAX) {
            Some(Standing::AboveCeiling)
        } else if bid.prefix.is_some_and(|prefix| self.prefixes.contains(&prefix)) {
            Some(Standing::SamePrefix)
        } else {
            None
        }
    }

    /// Closes the auction; closing it again changes nothing.
    pub fn close(&mut self) -> Clearing {
        let Terms { seats, ceiling, .. } = self.terms;
        self.clearing.get_or_insert_with(|| clear(&self.nonce, seats, ceiling, &self.entries)).clone()
    }

    /// The disclosure for one peer, once the auction is closed; none for a peer whose bid is not known here (too many
    /// that did not count are forgotten). Whose bid did not count is not told of the others: they explain nothing to it.
    pub fn closing_for(&self, bidder: &PeerId) -> Option<Closing> {
        let clearing = self.clearing.as_ref()?;
        let position = self.entries.iter().position(|entry| entry.bidder == *bidder);
        let (standing, bids) = match position {
            Some(index) => (clearing.outcomes[index].standing, self.entries.clone()),
            None => (*self.turned_away.get(bidder)?, Vec::new()),
        };
        Some(Closing { offer: self.terms.offer, nonce: self.nonce, bids, standing })
    }
}
