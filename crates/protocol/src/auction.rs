//! How an auction is cleared: sealed bids in, drawn seats and their prices out. specs/auction.md.
//!
//! The arithmetic is here, what the requester keeps while bids come in is [`Book`], and what a bidder does with the
//! disclosure afterwards is [`check`]. Requester and bidder run the same [`clear`], so that a result which cannot be
//! recomputed is a lie. It never looks at a price when it draws, and never lets the lowest bids fill the seats.

mod book;
mod check;

pub use book::{Book, SealedBid, Terms};
pub use check::{Cheat, Checked, check, fellows};

use alloc::vec::Vec;
use pocketmesh_types::{Hash, PeerId, Price};
use pocketmesh_wire::message::{BidEntry, Standing};

/// One, in parts per million.
const PPM: u32 = 1_000_000;

/// Prices above this are above every ceiling (18,446 credits a gigafuel), so that no score in an auction saturates:
/// a rounded-off score would let a bid above the true cost pay.
pub const PRICE_MAX: Price = Price(u64::MAX / PPM as u64);

/// From this many bids on, the dearest third is rejected and sets the price. specs/auction.md §4: with fewer, the first
/// rejected score is that of one or two bidders, who could agree on it.
pub const THICK: usize = 5;

/// Draws the seats. Not the context of [`TIE`], or a bid accepted by the luck of a tie would be lucky twice.
const DRAW: &str = "pocketmesh auction 1 draw";
/// Orders bids of equal score.
const TIE: &str = "pocketmesh auction 1 tie";

/// A cleared auction. The same for every order of the same bids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearing {
    /// What became of each bid, in the order in which the bids were given.
    pub outcomes: Vec<Outcome>,
    /// The seats, in the order in which they were drawn.
    pub winners: Vec<Seat>,
    /// How many bids took part in the draw.
    pub accepted: usize,
    /// The lowest score that did not take part; none in a thin market.
    pub first_rejected: Option<u64>,
}

/// What became of a bid that counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// `Won`, `NotDrawn` or `TooDear`.
    pub standing: Standing,
    /// What a seat pays this bidder, won or not. If it was too dear: the most it could have asked (at exactly this
    /// price it would have tied with the last that was accepted).
    pub price: Price,
}

/// A seat that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Whose.
    pub bidder: PeerId,
    /// What it is paid.
    pub price: Price,
}

/// The expected cost of a right and timely result, in nano-credits per gigafuel: the price divided by the chance of
/// delivery in parts per million (taken as at least 1 and at most a million), rounded up, saturating.
pub fn score(price: Price, delivery_ppm: u32) -> u64 {
    let expected = (u128::from(price.0) * u128::from(PPM)).div_ceil(u128::from(chance(delivery_ppm)));
    u64::try_from(expected).unwrap_or(u64::MAX)
}

/// The highest price whose score is at most `score`. As the chance is at most 1, different prices have different scores,
/// so this is the exact inverse: `price_of(score(p, c), c) == p` for every `p` up to [`PRICE_MAX`].
pub fn price_of(score: u64, delivery_ppm: u32) -> Price {
    let price = u128::from(score) * u128::from(chance(delivery_ppm)) / u128::from(PPM);
    Price(u64::try_from(price).expect("a chance is at most 1, so a price is at most its score"))
}

fn chance(delivery_ppm: u32) -> u32 {
    delivery_ppm.clamp(1, PPM)
}

/// What an offer's `nonce_hash` is for this nonce.
pub fn nonce_hash(nonce: &Hash) -> Hash {
    Hash::of(&nonce.0)
}

/// How many of so many bids take part in the draw.
pub fn accepted_of(bids: usize) -> usize {
    // specs/auction.md §3: ⌈⅔ N⌉ of a thick market, all of a thin one.
    if bids < THICK { bids } else { (2 * bids).div_ceil(3) }
}

/// Clears an auction. `bids` are those that counted, each peer once; their order makes no difference.
pub fn clear(nonce: &Hash, seats: u16, ceiling: Price, bids: &[BidEntry]) -> Clearing {
    let ranked = ranking(nonce, bids);
    let accepted = accepted_of(bids.len());
    let score_at = |rank: usize| ranked.get(rank).map(|&index| bids[index].score);
    let first_rejected = score_at(accepted);
    let last_accepted = accepted.checked_sub(1).and_then(score_at);

    let worth = |limit: Option<u64>, bid: &BidEntry| {
        // specs/auction.md §4: in a thin market there is no rejected score, and a bid is paid as it was made.
        price_of(limit.unwrap_or(bid.score), bid.delivery_ppm).min(ceiling)
    };
    let too_dear = |bid| Outcome { standing: Standing::TooDear, price: worth(last_accepted, bid) };
    let mut outcomes: Vec<_> = bids.iter().map(too_dear).collect();
    let mut winners = Vec::with_capacity(accepted.min(usize::from(seats)));
    for (place, index) in draw(nonce, bids, &ranked[..accepted]).into_iter().enumerate() {
        let price = worth(first_rejected, &bids[index]);
        let has_seat = place < usize::from(seats);
        outcomes[index] = Outcome { standing: if has_seat { Standing::Won } else { Standing::NotDrawn }, price };
        if has_seat {
            winners.push(Seat { bidder: bids[index].bidder, price });
        }
    }
    Clearing { outcomes, winners, accepted, first_rejected }
}

/// Indexes of the bids, cheapest first.
fn ranking(nonce: &Hash, bids: &[BidEntry]) -> Vec<usize> {
    let mut ranked: Vec<_> = (0..bids.len()).collect();
    ranked.sort_by_cached_key(|&index| (bids[index].score, lot(TIE, nonce, &bids[index])));
    ranked
}

/// The same indexes in the order in which seats are drawn.
fn draw(nonce: &Hash, bids: &[BidEntry], accepted: &[usize]) -> Vec<usize> {
    let mut drawn = accepted.to_vec();
    drawn.sort_by_cached_key(|&index| lot(DRAW, nonce, &bids[index]));
    drawn
}

/// A number for a bidder that nobody could know before the nonce was disclosed.
fn lot(context: &str, nonce: &Hash, bid: &BidEntry) -> Hash {
    Hash::of_parts(context, &[&nonce.0, &bid.bidder.0])
}
